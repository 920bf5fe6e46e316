package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"holdfast"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output is what a program prints; it can be read while it is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// await waits until the output matches and returns the first group of the match.
func (o *output) await(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.NewTimer(15 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if m := re.FindStringSubmatch(o.String()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s was not seen in:\n%s", pattern, o)
		}
	}
}

// begin runs the server in this process and returns its log and how to stop it.
func begin(t *testing.T, file string, flags ...string) (log *output, stop func() error) {
	t.Helper()
	log = new(output)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, append([]string{"-config", file}, flags...), io.Discard, log) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	return log, stop
}

// command runs a verb and returns what it printed.
func command(t *testing.T, args ...string) (string, string, error) {
	t.Helper()
	var out, errs bytes.Buffer
	err := run(t.Context(), args, &out, &errs)
	return out.String(), errs.String(), err
}

// config writes a configuration for dir.
func configFor(t *testing.T, dir, server, more string) string {
	t.Helper()
	return write(t, "server.toml", fmt.Sprintf(`[server]
public_url = "http://upload.test/upload/"
%s
[storage]
path = "%s/files"
state = "%s/state"
[auth]
schemes = ["v2", "jwt"]
secrets = ["0123456789abcdef-strong"]
%s`, server, dir, dir, more))
}

var plain = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}

// upload signs with the command and puts to addr.
func upload(t *testing.T, c *http.Client, config, base, path, body string) *http.Response {
	t.Helper()
	out, errs, err := command(t, "sign", "-config", config, "-scheme", "v2", "-path", path, "-size", fmt.Sprint(len(body)), "-type", "text/plain")
	if err != nil {
		t.Fatalf("sign: %v: %s", err, errs)
	}
	url, _, _ := strings.Cut(out, "\n")
	_, target, _ := strings.Cut(url, "upload.test")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, base+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp
}

func fetch(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestTheServerServesReloadsAndStops(t *testing.T) {
	dir := t.TempDir()
	file := configFor(t, dir, "listen = \"127.0.0.1:0\"\nmetrics_listen = \"127.0.0.1:0\"", "")
	log, stop := begin(t, file)
	base := "http://" + log.await(t, `msg=listening addr=(\S+)`)
	admin := "http://" + log.await(t, `msg="metrics listening" addr=(\S+)`)
	if resp := upload(t, plain, file, base, "a/hello.txt", "hello"); resp.StatusCode != 201 {
		t.Fatal(resp.Status)
	}
	if st, body := fetch(t, plain, base+"/upload/a/hello.txt"); st != 200 || body != "hello" {
		t.Errorf("GET: %d %q", st, body)
	}
	if _, body := fetch(t, plain, admin+"/metrics"); !strings.Contains(body, `holdfast_uploads_total{result="stored",scheme="v2"} 1`) {
		t.Error("/metrics does not count the upload")
	}
	if st, body := fetch(t, plain, admin+"/health?verbose"); st != 200 || !strings.Contains(body, `"status":"ok"`) {
		t.Errorf("/health?verbose: %d %s", st, body)
	}

	// A mistake keeps the old configuration.
	text := read(t, file)
	replace(t, file, text+"[grcae]\n")
	hangup(t)
	log.await(t, `configuration not reloaded.*grcae`)
	if resp := upload(t, plain, write(t, "same.toml", text), base, "a/second.txt", "hello"); resp.StatusCode != 201 {
		t.Errorf("after a bad reload: %s", resp.Status)
	}

	// A new secret and limit count at once.
	replace(t, file, strings.Replace(text, "0123456789abcdef-strong", "another-secret-as-strong", 1)+"[limits]\nmax_upload_size = 4\n")
	hangup(t)
	log.await(t, `configuration reloaded`)
	if resp := upload(t, plain, file, base, "a/third.txt", "hello"); resp.StatusCode != 413 {
		t.Errorf("over the new limit: %s", resp.Status)
	}
	if resp := upload(t, plain, file, base, "a/third.txt", "hell"); resp.StatusCode != 201 {
		t.Errorf("with the new secret: %s", resp.Status)
	}
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	log.await(t, "msg=stopped")
}

func replace(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func hangup(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

func TestAUnixSocketIsReplacedWhenItsServerIsDead(t *testing.T) {
	dir := t.TempDir()
	sock := filepath.Join(dir, "http.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: sock, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close()
	file := configFor(t, dir, `listen = "unix:`+sock+`"`, "")
	log, _ := begin(t, file)
	log.await(t, "msg=listening")
	if info, err := os.Stat(sock); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket: %v, %v", info.Mode(), err)
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", sock)
	}}}
	if resp := upload(t, c, file, "http://unix", "a/b", "hello"); resp.StatusCode != 201 {
		t.Error(resp.Status)
	}
	if _, err := listen("unix:" + sock); err == nil {
		t.Error("a socket in use was taken")
	}
}

func TestIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6")
	}
	_ = l.Close()
	dir := t.TempDir()
	file := configFor(t, dir, `listen = "[::1]:0"`, "")
	log, _ := begin(t, file)
	base := "http://" + log.await(t, `msg=listening addr=(\S+)`)
	if resp := upload(t, plain, file, base, "a/b", "hello"); resp.StatusCode != 201 {
		t.Error(resp.Status)
	}
}

func TestACertificateIsReloadedAndABadOneIsNot(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certify(t, cert, key, 1)
	log := new(output)
	logger, _ := newLog(logConfig{}, log)
	c, err := newCertificate(cert, key, logger)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c.now = func() time.Time { return now }
	serial := func() string {
		pair, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.SerialNumber.String()
	}
	certify(t, cert, key, 2222)
	now = now.Add(500 * time.Millisecond)
	if got := serial(); got != "1" {
		t.Errorf("within a second: %s", got)
	}
	now = now.Add(time.Second)
	if got := serial(); got != "2222" {
		t.Errorf("after a second: %s", got)
	}
	replace(t, cert, "not a certificate")
	now = now.Add(2 * time.Second)
	if got := serial(); got != "2222" {
		t.Errorf("after a bad one: %s", got)
	}
	log.await(t, "certificate not reloaded")
}

// certify writes a certificate for upload.test.
func certify(t *testing.T, cert, key string, serial int64) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "upload.test"}, DNSNames: []string{"upload.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	kder, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	replace(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kder})))
}

func TestTLSFromTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certify(t, cert, key, 1)
	file := configFor(t, dir, `listen = "127.0.0.1:0"`, "[tls]\ncert = \""+cert+"\"\nkey = \""+key+"\"\n")
	log, _ := begin(t, file)
	base := "https://" + log.await(t, `msg=listening addr=(\S+)`)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(read(t, cert)))
	for _, h2 := range []bool{false, true} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "upload.test"}, ForceAttemptHTTP2: h2}
		resp := upload(t, &http.Client{Transport: tr}, file, base, fmt.Sprintf("a/%v", h2), "hello")
		tr.CloseIdleConnections()
		if resp.StatusCode != 201 || (resp.ProtoMajor == 2) != h2 {
			t.Errorf("%s %s", resp.Proto, resp.Status)
		}
	}
}

func TestSign(t *testing.T) {
	dir := t.TempDir()
	file := configFor(t, dir, "", "")
	out, _, err := command(t, "sign", "-config", file, "-scheme", "jwt", "-path", "a b/\u00e9.txt", "-size", "5", "-type", "text/plain", "-user", "a@b.c", "-at", "2026-01-02T03:04:05Z")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if lines[0] != "http://upload.test/upload/a%20b/%C3%A9.txt" || !strings.HasPrefix(lines[1], "Authorization: Bearer ") || lines[2] != "Content-Type: text/plain" {
		t.Errorf("got %q", lines)
	}
	for _, args := range [][]string{
		{"-scheme", "bearer", "-path", "a/b", "-size", "5"}, {"-path", "a/b"}, {"-size", "5"}, {"-path", "a/../b", "-size", "5"}, {"-path", "a/b", "-size", "5", "-at", "yesterday"},
	} {
		if _, _, err := command(t, append([]string{"sign", "-config", file}, args...)...); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}

func TestVerbsAndExitCodes(t *testing.T) {
	for _, tt := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"version"}, 0, "holdfast-server " + holdfast.Version()},
		{[]string{"--help"}, 0, "Exit codes"},
		{[]string{"help"}, 0, "Exit codes"},
		{[]string{"serve", "--help"}, 0, "recover-ledger"},
		{[]string{"check", "--help"}, 0, "Example"},
		{[]string{"init", "--help"}, 0, "Example"},
		{[]string{"sign", "--help"}, 0, "Example"},
		{[]string{"import", "--help"}, 0, "Example"},
		{[]string{"frobnicate"}, 2, ""},
		{[]string{"serve"}, 2, ""},
		{[]string{"-config", "/does/not/exist"}, 2, ""},
		{[]string{"serve", "-nonsense"}, 2, "Example"},
		{[]string{"check", "-config", "/does/not/exist"}, 1, "FAIL  config: /does/not/exist: read the configuration"},
	} {
		out, errs, err := command(t, tt.args...)
		if exitCode(err) != tt.code || !strings.Contains(out+errs, tt.text) {
			t.Errorf("%q: exit %d (%v), %s%s", tt.args, exitCode(err), err, out, errs)
		}
	}
}
