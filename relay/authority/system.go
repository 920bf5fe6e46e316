package authority

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"
)

// longest is the longest life of a certificate that a whole computer may be told to trust.
const longest = 400 * 24 * time.Hour

// ErrRefused is wrapped when a certificate is more than this computer may be told to trust.
var ErrRefused = errors.New("certificate refused")

// ForSystem judges a certificate before a whole computer trusts it. It must be able to speak for one host name and
// nothing else: a CA of path length 0 with exactly one critical DNS name that has a dot, all addresses excluded,
// good for servers only, signed by itself, valid now and for at most 400 days. Everything that is not expected is
// refused. It returns the host and the certificate as clean PEM.
//
// The name may not be one under which anybody can register (co.uk): a constraint holds for all names below it, too.
func ForSystem(data []byte, now time.Time) (host string, clean []byte, err error) {
	no := func(format string, args ...any) (string, []byte, error) {
		return "", nil, fmt.Errorf("%w: "+format, append([]any{ErrRefused}, args...)...)
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
		return no("there is no certificate in PEM form")
	}
	if len(bytes.TrimSpace(rest)) > 0 || !bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN CERTIFICATE-----")) {
		return no("there is more than one certificate, or other text")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return no("it cannot be read: %v", err)
	}
	switch {
	case !c.BasicConstraintsValid || !c.IsCA:
		return no("it is not an authority")
	case c.MaxPathLen != 0 || !c.MaxPathLenZero:
		return no("it may make further authorities (path length)")
	case c.KeyUsage != x509.KeyUsageCertSign || len(c.UnknownExtKeyUsage) > 0 || !slices.Equal(c.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}):
		return no("it is good for more than servers")
	case !c.PermittedDNSDomainsCritical:
		return no("its limits are not marked as critical")
	case len(c.PermittedDNSDomains) != 1:
		return no("it is good for %d names instead of one", len(c.PermittedDNSDomains))
	case len(c.ExcludedDNSDomains) > 0 || len(c.PermittedIPRanges) > 0 || len(c.PermittedEmailAddresses) > 0 ||
		len(c.ExcludedEmailAddresses) > 0 || len(c.PermittedURIDomains) > 0 || len(c.ExcludedURIDomains) > 0:
		return no("it has limits that are not expected")
	case !excludesAll(c.ExcludedIPRanges):
		return no("it is good for addresses, too")
	case len(c.UnhandledCriticalExtensions) > 0:
		return no("it has critical extensions that are not known")
	case c.NotAfter.Sub(c.NotBefore) > longest:
		return no("it is valid for more than 400 days")
	case now.Before(c.NotBefore) || now.After(c.NotAfter):
		return no("it is not valid now")
	case !bytes.Equal(c.RawSubject, c.RawIssuer) || c.CheckSignatureFrom(c) != nil:
		return no("it is not signed by itself")
	}
	host = c.PermittedDNSDomains[0]
	name, err := Name(host)
	if _, aerr := netip.ParseAddr(host); err != nil || name != host || aerr == nil {
		return no("%q is not a host name", host)
	}
	if !strings.Contains(host, ".") {
		return no("%q has no dot", host)
	}
	if suffix, icann := publicsuffix.PublicSuffix(host); icann && suffix == host {
		return no("%q is a name under which anybody may have a server", host)
	}
	return host, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), nil
}

// excludesAll says whether every IPv4 and IPv6 address is among the excluded ones.
func excludesAll(ranges []*net.IPNet) bool {
	var four, six bool
	for _, r := range ranges {
		ones, bits := r.Mask.Size()
		four = four || ones == 0 && bits == 32 && len(r.IP) == 4
		six = six || ones == 0 && bits == 128 && len(r.IP) == 16
	}
	return four && six && len(ranges) == 2
}
