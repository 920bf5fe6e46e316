package authority

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/cmd/lab"
)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "ca"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func readCA(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(data)
	if block == nil || len(rest) > 0 {
		t.Fatalf("%s is not exactly one PEM block", path)
	}
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func TestCAIsGoodForOneNameAndNothingElse(t *testing.T) {
	s := open(t)
	cert, err := s.Leaf("Upload.Example.org:8443")
	if err != nil {
		t.Fatal(err)
	}
	ca := readCA(t, s.CAFile("upload.example.org"))
	if !ca.IsCA || !ca.MaxPathLenZero || ca.MaxPathLen != 0 {
		t.Errorf("CA %v, path length %d, want a CA of path length 0", ca.IsCA, ca.MaxPathLen)
	}
	if !ca.PermittedDNSDomainsCritical {
		t.Error("the name constraint is not critical")
	}
	if d := cmp.Diff([]string{"upload.example.org"}, ca.PermittedDNSDomains); d != "" {
		t.Error(d)
	}
	if len(ca.ExcludedIPRanges) != 2 || len(ca.PermittedIPRanges) != 0 {
		t.Errorf("addresses: excluded %v, permitted %v, want all excluded", ca.ExcludedIPRanges, ca.PermittedIPRanges)
	}
	if d := cmp.Diff([]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, ca.ExtKeyUsage); d != "" {
		t.Error(d)
	}
	if life := ca.NotAfter.Sub(ca.NotBefore); life > 400*24*time.Hour {
		t.Errorf("lives %v, want a year", life)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "upload.example.org"}); err != nil {
		t.Error(err)
	}
}

func TestLeafOutsideTheConstraintIsRefused(t *testing.T) {
	for _, tc := range []struct{ name, ca, leaf string }{
		{"another name", "upload.example.org", "bank.example.org"},
		{"the parent", "upload.example.org", "example.org"},
		{"an address", "upload.example.org", "127.0.0.1"},
		{"a name below an address's CA", "127.0.0.1", "upload.example.org"},
		{"another address", "127.0.0.1", "127.0.0.2"},
		{"localhost's CA for a name", "localhost", "upload.example.org"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ca, leaf := &x509.Certificate{}, &x509.Certificate{}
			constrain(ca, &x509.Certificate{}, tc.ca)
			constrain(&x509.Certificate{}, leaf, tc.leaf)
			p := signWith(t, ca, leaf)
			if err := p; err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestPairsFor(t *testing.T) {
	for _, tc := range []struct{ host, name, check string }{
		{"upload.example.org", "upload.example.org", "upload.example.org"},
		{"UPLOAD.example.org.", "upload.example.org", "upload.example.org"},
		{"upload.example.org:8443", "upload.example.org", "upload.example.org"},
		{"localhost:8443", "localhost", "localhost"},
		{"127.0.0.1:5443", "127.0.0.1", "127.0.0.1"},
		{"[::1]:5443", "::1", "[::1]"},
		{"::1", "::1", "[::1]"},
		{strings.Repeat("a", 60) + ".example.org", strings.Repeat("a", 60) + ".example.org", strings.Repeat("a", 60) + ".example.org"},
	} {
		t.Run(tc.host, func(t *testing.T) {
			s := open(t)
			cert, err := s.Leaf(tc.host)
			if err != nil {
				t.Fatal(err)
			}
			roots := x509.NewCertPool()
			roots.AddCert(readCA(t, s.CAFile(tc.host)))
			if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: tc.check}); err != nil {
				t.Error(err)
			}
			hosts, err := s.Hosts()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff([]string{tc.name}, hosts); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestNamesThatGetNoCertificate(t *testing.T) {
	s := open(t)
	for _, host := range []string{"", ".", "..", "../x", "a/b", "a b", "-a.org", "a..b", "fe80::1%eth0", "b\x00c", strings.Repeat("a", 64) + ".org"} {
		if _, err := s.Leaf(host); err == nil {
			t.Errorf("%q got a certificate", host)
		}
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) > 0 {
		t.Errorf("left %v", entries)
	}
}

func TestFilesAreClosedToOthersAndHoldNoCAKey(t *testing.T) {
	s := open(t)
	if _, err := s.Leaf("upload.example.org"); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(s.dir); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("folder %v %v", fi.Mode(), err)
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	keys := 0
	for _, e := range entries {
		names = append(names, e.Name())
		fi, err := e.Info()
		if err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", e.Name(), fi.Mode(), err)
		}
		data, err := os.ReadFile(filepath.Join(s.dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		keys += strings.Count(string(data), "PRIVATE KEY-----") / 2
	}
	if d := cmp.Diff([]string{"upload.example.org.ca.pem", "upload.example.org.leaf-key.pem", "upload.example.org.leaf.pem"}, names); d != "" {
		t.Error(d)
	}
	if keys != 1 {
		t.Errorf("%d private keys on disk, want the leaf's alone", keys)
	}
}

func TestPairIsKeptAndRemadeWhenItDoesNotFit(t *testing.T) {
	s := open(t)
	first, err := s.Leaf("a.example")
	if err != nil {
		t.Fatal(err)
	}
	again, err := Open(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := again.Leaf("a.example")
	if err != nil {
		t.Fatal(err)
	}
	if !first.Leaf.Equal(second.Leaf) {
		t.Error("a second start made another leaf")
	}
	// A crash between two renames: the key of another pair.
	other := open(t)
	if _, err := other.Leaf("a.example"); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"leaf-key.pem", "leaf.pem"} {
		if err := os.Rename(other.file("a.example", "", kind), s.file("a.example", "", kind)); err != nil {
			t.Fatal(err)
		}
		third, err := Open(s.dir)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := third.Leaf("a.example")
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(readCA(t, s.CAFile("a.example")))
		if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: roots}); err != nil {
			t.Error(err)
		}
		if _, err := other.Leaf("b.example"); err != nil {
			t.Fatal(err)
		}
		_ = other.makeLocked("a.example", "")
	}
}

func TestRenewal(t *testing.T) {
	s := open(t)
	start := time.Now()
	old, err := s.Leaf("a.example")
	if err != nil {
		t.Fatal(err)
	}
	due := func(at time.Time) []string {
		t.Helper()
		hosts, err := s.Due(at)
		if err != nil {
			t.Fatal(err)
		}
		return hosts
	}
	if got := due(start.Add(304 * 24 * time.Hour)); len(got) > 0 {
		t.Errorf("due %v 61 days before the end", got)
	}
	later := start.Add(306 * 24 * time.Hour)
	if d := cmp.Diff([]string{"a.example"}, due(later)); d != "" {
		t.Error(d)
	}
	s.now = func() time.Time { return later }
	if err := s.Promote("a.example"); err == nil {
		t.Error("promoted a pair that is not there")
	}
	if err := s.Renew("a.example"); err != nil {
		t.Fatal(err)
	}
	next := readCA(t, s.NextCAFile("a.example"))
	if err := s.Renew("a.example"); err != nil || !next.Equal(readCA(t, s.NextCAFile("a.example"))) {
		t.Errorf("a second renewal made another pair (%v)", err)
	}
	if still, err := s.Leaf("a.example"); err != nil || !still.Leaf.Equal(old.Leaf) {
		t.Errorf("the next pair is shown before it is trusted (%v)", err)
	}
	if err := s.Promote("a.example"); err != nil {
		t.Fatal(err)
	}
	fresh, err := s.Leaf("a.example")
	if err != nil || fresh.Leaf.Equal(old.Leaf) {
		t.Errorf("the old pair is shown after the promotion (%v)", err)
	}
	if got := due(later); len(got) > 0 {
		t.Errorf("still due: %v", got)
	}
	s.now = func() time.Time { return later.Add(366 * 24 * time.Hour) }
	if _, err := s.Leaf("a.example"); !errors.Is(err, ErrEnded) {
		t.Errorf("got %v, want ErrEnded", err)
	}
	if err := s.Remove("a.example"); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove("a.example"); err != nil {
		t.Errorf("removing twice: %v", err)
	}
	if entries, err := os.ReadDir(s.dir); err != nil || len(entries) > 0 {
		t.Errorf("left %v %v", entries, err)
	}
}

func TestOpenSSLAcceptsTheNameAndRefusesOthers(t *testing.T) {
	openssl := lab.Need(t, "openssl", "openssl")
	s := open(t)
	for _, tc := range []struct{ host, flag, value string }{
		{"upload.example.org", "-verify_hostname", "upload.example.org"},
		{"127.0.0.1", "-verify_ip", "127.0.0.1"},
		{"::1", "-verify_ip", "::1"},
	} {
		if _, err := s.Leaf(tc.host); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), openssl, "verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-purpose", "sslserver",
			"-CAfile", s.CAFile(tc.host), tc.flag, tc.value, s.file(tc.host, "", "leaf.pem")).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", tc.host, err, out)
		}
	}
	out, err := exec.CommandContext(t.Context(), openssl, "x509", "-in", s.CAFile("upload.example.org"), "-noout", "-text").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"X509v3 Name Constraints: critical", "DNS:upload.example.org", "IP:0.0.0.0/0.0.0.0", "CA:TRUE, pathlen:0", "TLS Web Server Authentication"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("openssl does not show %q:\n%s", want, out)
		}
	}
}

func TestHandshake(t *testing.T) {
	s := open(t)
	cert, err := s.Leaf("upload.example.org")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(readCA(t, s.CAFile("upload.example.org")))
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	done := make(chan error, 1)
	go func() { done <- tls.Server(a, &tls.Config{Certificates: []tls.Certificate{*cert}}).Handshake() }()
	if err := tls.Client(b, &tls.Config{ServerName: "upload.example.org", RootCAs: roots}).Handshake(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"upload.example.org", "a:443", "[::1]:80", "::1", "../..", "a/b", "1.2.3.4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, host string) {
		name, err := Name(host)
		if err != nil {
			return
		}
		if filepath.Base(name) != name || name == "." || name == ".." {
			t.Fatalf("%q gives the file name %q", host, name)
		}
		if again, err := Name(name); err != nil || again != name {
			t.Fatalf("%q gives %q, which gives %q %v", host, name, again, err)
		}
	})
}
