package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"testing"
	"time"
)

// signWith is what a thief of a CA key could do: sign any leaf. It returns the verdict on that leaf.
func signWith(t *testing.T, ca, leaf *x509.Certificate) error {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*x509.Certificate{ca, leaf} {
		c.SerialNumber = big.NewInt(1)
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		c.BasicConstraintsValid = true
	}
	ca.IsCA, ca.KeyUsage, ca.MaxPathLenZero = true, x509.KeyUsageCertSign, true
	parse := func(tmpl, parent *x509.Certificate) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	root := parse(ca, ca)
	roots := x509.NewCertPool()
	roots.AddCert(root)
	_, err = parse(leaf, root).Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}
