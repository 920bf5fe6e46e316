package relay

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// vouched makes the certificate of a server, signed by parent or by itself.
func vouched(t *testing.T, name string, from, to time.Time, parent *tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	signer, by := any(key), c
	if parent != nil {
		signer, by = parent.PrivateKey, parent.Leaf
	} else {
		c.IsCA, c.KeyUsage = true, c.KeyUsage|x509.KeyUsageCertSign
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestBadCertificatesAreRefusedWithASentenceThatNamesTheProblem(t *testing.T) {
	now := time.Now()
	ago, soon := now.Add(-48*time.Hour), now.Add(48*time.Hour)
	ca := vouched(t, "Test CA", ago, soon, nil)
	stranger := vouched(t, "Strange CA", ago, soon, nil)
	day := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
	for _, tc := range []struct {
		name, reason, want string
		cert               tls.Certificate
	}{
		{"expired", ReasonExpired, "The server's certificate has expired on " + day(now.Add(-time.Hour)), vouched(t, listed, ago, now.Add(-time.Hour), &ca)},
		{"not yet valid", ReasonExpired, "The server's certificate is not valid before " + day(soon) + " (is this computer's clock right?)",
			vouched(t, listed, soon, soon.Add(time.Hour), &ca)},
		{"self-signed", ReasonSelfSigned, "The server's certificate is self-signed: nobody vouches for the server", vouched(t, listed, ago, soon, nil)},
		{"for another name", ReasonOtherName, "The server's certificate is for another name (www.example.org)", vouched(t, "www.example.org", ago, soon, &ca)},
		{"of an unknown authority", ReasonCertificate, "The server's certificate comes from an unknown authority", vouched(t, listed, ago, soon, &stranger)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			roots := x509.NewCertPool()
			roots.AddCert(ca.Leaf)
			w := newWorld(t, func(c *Config) { c.Roots = roots })
			k := &keep{}
			s := w.serve(listed, k)
			s.TLS.Certificates = []tls.Certificate{tc.cert}
			got := w.put("/u/s/f", sample(1000))
			if got.status != 502 || got.reason != tc.want {
				t.Error(got)
			}
			if u := w.await("over", func(u Upload) bool { return !u.Ended.IsZero() }); u.Reason != tc.reason || u.Repeats > 0 || u.State != Failed {
				t.Errorf("told %+v", u)
			}
			get := do(w.client("Gajim 1.7.3"), request(t, "GET", "/u/s/f"))
			if get.status != 502 || get.reason != tc.want {
				t.Errorf("a download: %v", get)
			}
			if k.puts > 0 {
				t.Error("the file was sent all the same")
			}
		})
	}
}
