package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// pair is a CA, the one leaf it ever signs, and the leaf's key, all as PEM. The CA's key is in none of them.
type pair struct{ ca, leaf, leafKey []byte }

// newPair makes a pair for name at now.
func newPair(name string, now time.Time) (pair, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("make key: %w", err)
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("make key: %w", err)
	}
	from, to := now.Add(-backdate).UTC(), now.Add(lifetime).UTC()
	ca := &x509.Certificate{
		// The fingerprint in the name keeps two CAs for one host apart in a client's store.
		Subject:               pkix.Name{Organization: []string{"Holdfast"}, CommonName: caName(name, caKey)},
		NotBefore:             from,
		NotAfter:              to,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leaf := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Holdfast"}},
		NotBefore:             from,
		NotAfter:              to,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	constrain(ca, leaf, name)
	if ca.SerialNumber, err = serial(); err != nil {
		return pair{}, err
	}
	if leaf.SerialNumber, err = serial(); err != nil {
		return pair{}, err
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return pair{}, fmt.Errorf("make CA for %s: %w", name, err)
	}
	if ca, err = x509.ParseCertificate(caDER); err != nil {
		return pair{}, fmt.Errorf("read CA for %s back: %w", name, err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &leafKey.PublicKey, caKey)
	if err != nil {
		return pair{}, fmt.Errorf("sign leaf for %s: %w", name, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		return pair{}, fmt.Errorf("write leaf key: %w", err)
	}
	return pair{
		ca:      pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}),
		leaf:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leafDER}),
		leafKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, nil
}

// constrain binds ca and leaf to name (RFC 5280 section 4.2.1.10).
func constrain(ca, leaf *x509.Certificate, name string) {
	ca.PermittedDNSDomainsCritical = true
	all := []*net.IPNet{
		{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)},
		{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
	}
	ip, err := netip.ParseAddr(name)
	if err != nil {
		ca.PermittedDNSDomains = []string{name}
		ca.ExcludedIPRanges = all
		leaf.DNSNames = []string{name}
		leaf.Subject.CommonName = name
		return
	}
	addr := net.IP(ip.AsSlice())
	ca.PermittedIPRanges = []*net.IPNet{{IP: addr, Mask: net.CIDRMask(ip.BitLen(), ip.BitLen())}}
	ca.ExcludedDNSDomains = []string{""} // every name
	leaf.IPAddresses = []net.IP{addr}
	// No common name: OpenSSL would read it as a DNS name, which the CA excludes.
}

func caName(name string, key *ecdsa.PrivateKey) string {
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		der = nil
	}
	sum := sha256.Sum256(der)
	cn := fmt.Sprintf("Holdfast for %s (%x)", name, sum[:3])
	if len(cn) > 64 { // RFC 5280 appendix A, ub-common-name
		cn = fmt.Sprintf("Holdfast (%x)", sum[:3])
	}
	return cn
}

func serial() (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	b[0] = b[0]&0x7f | 0x40 // positive, always 16 bytes
	return new(big.Int).SetBytes(b), nil
}

func (s *Store) makeLocked(name, turn string) error {
	p, err := newPair(name, s.now())
	if err != nil {
		return err
	}
	for i, data := range [...][]byte{p.leafKey, p.leaf, p.ca} {
		if err := writeFile(s.file(name, turn, kinds[i]), data); err != nil {
			return fmt.Errorf("keep certificate for %s: %w", name, err)
		}
	}
	return syncDir(s.dir)
}

// loadLocked reads a pair and makes sure that its parts belong together and to name.
func (s *Store) loadLocked(name, turn string) (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(s.file(name, turn, "leaf.pem"), s.file(name, turn, "leaf-key.pem"))
	if err != nil {
		return nil, fmt.Errorf("load certificate for %s: %w", name, err)
	}
	data, err := os.ReadFile(s.file(name, turn, "ca.pem"))
	if err != nil {
		return nil, fmt.Errorf("load CA for %s: %w", name, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data) {
		return nil, errors.New("load CA for " + name + ": no certificate in the file")
	}
	// At the leaf's own time: whether the pair has ended is for the caller to judge.
	if _, err := cert.Leaf.Verify(x509.VerifyOptions{
		Roots: roots, DNSName: verifyName(name), CurrentTime: cert.Leaf.NotBefore.Add(backdate),
	}); err != nil {
		return nil, fmt.Errorf("certificate for %s does not fit its CA: %w", name, err)
	}
	return &cert, nil
}

func verifyName(name string) string {
	if ip, err := netip.ParseAddr(name); err == nil && ip.Is6() {
		return "[" + name + "]"
	}
	return name
}

// writeFile puts data at path with mode 0600, whole or not at all.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync certificate folder: %w", err)
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("sync certificate folder: %w", err)
	}
	return nil
}
