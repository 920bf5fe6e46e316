package relay

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"time"
)

// flaw is what is wrong with a server's certificate: a reason of Upload, and the sentence for the client.
type flaw struct{ reason, sentence string }

// isCertificate says whether a reason is one of those about certificates.
func isCertificate(reason string) bool { return strings.HasPrefix(reason, ReasonCertificate) }

// certificateProblem names what is wrong with a server's certificate. False: the error is about something else.
func certificateProblem(err error) (flaw, bool) {
	var (
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		verify  *tls.CertificateVerificationError
	)
	seen := errors.As(err, &verify)
	switch {
	case errors.As(err, &name):
		text := "The server's certificate is for another name"
		if name.Certificate != nil && len(name.Certificate.DNSNames) > 0 {
			text += " (" + cleanReason(name.Certificate.DNSNames[0]) + ")"
		}
		return flaw{ReasonOtherName, text}, true
	case errors.As(err, &unknown):
		leaf := unknown.Cert
		if seen && len(verify.UnverifiedCertificates) > 0 {
			leaf = verify.UnverifiedCertificates[0] // the error may be about one further up
		}
		if selfSigned(leaf) {
			return flaw{ReasonSelfSigned, "The server's certificate is self-signed: nobody vouches for the server"}, true
		}
		return flaw{ReasonCertificate, "The server's certificate comes from an unknown authority"}, true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return flaw{ReasonExpired, lifetime(invalid.Cert, time.Now())}, true
	case errors.As(err, &invalid), seen:
		return flaw{ReasonCertificate, "The server's certificate is not valid"}, true
	}
	return flaw{}, false
}

// lifetime says which end of a certificate's life is not now.
func lifetime(c *x509.Certificate, now time.Time) string {
	switch {
	case c == nil:
		return "The server's certificate has expired"
	case now.Before(c.NotBefore):
		return "The server's certificate is not valid before " + c.NotBefore.UTC().Format(time.DateOnly) + " (is this computer's clock right?)"
	}
	return "The server's certificate has expired on " + c.NotAfter.UTC().Format(time.DateOnly)
}

// selfSigned says whether a certificate vouches only for itself.
func selfSigned(c *x509.Certificate) bool {
	return c != nil && bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}
