package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sign makes a certificate that is as ours but for what change does to it.
func sign(t *testing.T, change func(*x509.Certificate)) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Holdfast"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lifetime),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	constrain(ca, &x509.Certificate{}, "upload.example.org")
	change(ca)
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestOnlyACertificateForOneNameIsTrustedByTheWholeComputer(t *testing.T) {
	ours, err := newPair("upload.example.org", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	host, clean, err := ForSystem(append([]byte("\n"), ours.ca...), time.Now())
	if err != nil || host != "upload.example.org" || string(clean) != string(ours.ca) {
		t.Fatalf("ours: %q, %v", host, err)
	}
	if _, _, err := ForSystem(sign(t, func(*x509.Certificate) {}), time.Now()); err != nil {
		t.Fatalf("one like ours: %v", err)
	}
	_, everything, err := net.ParseCIDR("0.0.0.0/0")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*x509.Certificate){
		"no authority":                 func(c *x509.Certificate) { c.IsCA = false; c.MaxPathLenZero = false },
		"path length 1":                func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 1, false },
		"no path length":               func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = -1, false },
		"no names":                     func(c *x509.Certificate) { c.PermittedDNSDomains = nil },
		"two names":                    func(c *x509.Certificate) { c.PermittedDNSDomains = append(c.PermittedDNSDomains, "b.example") },
		"limits that are not critical": func(c *x509.Certificate) { c.PermittedDNSDomainsCritical = false },
		"a name without a dot":         func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"com"} },
		"every name":                   func(c *x509.Certificate) { c.PermittedDNSDomains = []string{""} },
		"all names below one":          func(c *x509.Certificate) { c.PermittedDNSDomains = []string{".example.org"} },
		"a name that anybody may use":  func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"co.uk"} },
		"a name with a slash":          func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"a/../../b.example"} },
		"a name in capitals":           func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"Upload.example.org"} },
		"an address as name":           func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"192.0.2.1"} },
		"IPv6 addresses":               func(c *x509.Certificate) { c.ExcludedIPRanges = []*net.IPNet{everything} },
		"addresses":                    func(c *x509.Certificate) { c.ExcludedIPRanges = nil },
		"some address":                 func(c *x509.Certificate) { c.PermittedIPRanges = []*net.IPNet{everything} },
		"mail addresses":               func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"example.org"} },
		"URIs":                         func(c *x509.Certificate) { c.PermittedURIDomains = []string{"example.org"} },
		"any purpose":                  func(c *x509.Certificate) { c.ExtKeyUsage = nil },
		"signing programs, too":        func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageCodeSigning) },
		"signing lists, too":           func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCRLSign },
		"401 days":                     func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(401 * 24 * time.Hour) },
		"ended": func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)
		},
		"not begun": func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			if host, _, err := ForSystem(sign(t, change), time.Now()); !errors.Is(err, ErrRefused) {
				t.Errorf("trusted for %q, %v", host, err)
			}
		})
	}
	for name, data := range map[string][]byte{
		"nothing":              nil,
		"text":                 []byte("hello"),
		"two certificates":     append(append([]byte{}, ours.ca...), ours.ca...),
		"text in front":        append([]byte("x\n"), ours.ca...),
		"text behind":          append(append([]byte{}, ours.ca...), "x"...),
		"the server's own":     ours.leaf,
		"a key":                ours.leafKey,
		"a certificate in two": append(append([]byte{}, ours.ca...), ours.leaf...),
		"broken":               pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1, 2, 3}}),
	} {
		t.Run(name, func(t *testing.T) {
			if host, _, err := ForSystem(data, time.Now()); !errors.Is(err, ErrRefused) {
				t.Errorf("trusted for %q, %v", host, err)
			}
		})
	}
	// Signed by another authority of the same name.
	other, err := newPair("upload.example.org", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	a, _ := pem.Decode(ours.ca)
	b, _ := pem.Decode(other.ca)
	forged := append([]byte{}, a.Bytes...)
	copy(forged[len(forged)-16:], b.Bytes[len(b.Bytes)-16:])
	if _, _, err := ForSystem(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: forged}), time.Now()); !errors.Is(err, ErrRefused) {
		t.Errorf("a forged one is trusted: %v", err)
	}
}

func FuzzForSystem(f *testing.F) {
	p, err := newPair("upload.example.org", time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p.ca)
	f.Add(p.leaf)
	f.Fuzz(func(t *testing.T, data []byte) {
		host, clean, err := ForSystem(data, time.Now())
		if err != nil {
			return
		}
		again, _, err := ForSystem(clean, time.Now())
		if err != nil || again != host || !strings.Contains(host, ".") || strings.ContainsAny(host, "/ ") {
			t.Errorf("%q, then %q, %v", host, again, err)
		}
	})
}

func TestABundleHasTheSystemsCertificatesAndOurs(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "authority"))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []string{"a.example", "b.example:8443"} {
		if _, err := s.Leaf(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Renew("a.example"); err != nil {
		t.Fatal(err)
	}
	system := sign(t, func(*x509.Certificate) {})
	got, err := s.Bundle(system, []string{"a.example", "b.example:8443", "a.example"})
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(got), "BEGIN CERTIFICATE"); n != 4 || !strings.HasPrefix(string(got), string(system)) {
		t.Errorf("%d certificates:\n%s", n, got)
	}
	for _, file := range []string{s.CAFile("a.example"), s.NextCAFile("a.example"), s.CAFile("b.example")} {
		ca, err := os.ReadFile(file)
		if err != nil || !Holds(got, ca) || Holds(system, ca) {
			t.Errorf("%s is not in it (%v)", file, err)
		}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(got) {
		t.Error("it cannot be read")
	}
	if _, err := s.Bundle(system, []string{"c.example"}); err == nil {
		t.Error("a host without a certificate is passed over")
	}
	path := filepath.Join(t.TempDir(), "trust", "bundle.pem")
	for range 2 {
		if err := WriteBundle(path, got); err != nil {
			t.Fatal(err)
		}
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	if Holds(got, []byte("no certificate")) {
		t.Error("it holds nothing")
	}
}
