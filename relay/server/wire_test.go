package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/relay/server"
	"holdfast/relay/token"
)

// need is for tools that make test installs.
func need(t *testing.T, program string) string {
	t.Helper()
	p, err := exec.LookPath(program)
	switch {
	case err == nil:
		return p
	case os.Getenv("CI") != "":
		t.Fatalf("%s is missing: make test installs it", program)
	default:
		t.Skipf("%s is missing: apt install %s", program, program)
	}
	return ""
}

// bigFile is a sparse file of n bytes.
func bigFile(t *testing.T, n int64) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "big"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(n); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// tlsLab adds a TLS listener to a lab's server and returns its base URL and what trusts it.
func tlsLab(t *testing.T, l *lab) (string, *x509.CertPool, string) {
	t.Helper()
	own := httptest.NewUnstartedServer(nil)
	own.StartTLS() // only for its certificate
	cert := own.TLS.Certificates[0]
	pool := x509.NewCertPool()
	pool.AddCert(own.Certificate())
	file := filepath.Join(t.TempDir(), "ca.pem")
	writePEM(t, file, own.Certificate().Raw)
	own.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.srv.Serve(ctx, ln, &tls.Config{Certificates: []tls.Certificate{cert}}) }()
	t.Cleanup(func() {
		l.http.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "https://" + ln.Addr().String(), pool, file
}

func TestARefusalReachesACurlThatIsStillSending(t *testing.T) {
	curl := need(t, "curl")
	l := newLab(t)
	secure, _, ca := tlsLab(t, l)
	file := bigFile(t, 200<<20)
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"http, without waiting", []string{"-H", "Expect:", l.base + "/upload/big/file?v2=00"}},
		{"http, with Expect", []string{l.base + "/upload/big/file?v2=00"}},
		{"http/1.0", []string{"-0", "-H", "Expect:", l.base + "/upload/big/file?v2=00"}},
		{"https, HTTP/1.1, without waiting", []string{"--http1.1", "-H", "Expect:", secure + "/upload/big/file?v2=00"}},
		{"https, HTTP/2", []string{"--http2", secure + "/upload/big/file?v2=00"}},
		{"a limited rate", []string{"--limit-rate", "1M", "-H", "Expect:", l.base + "/upload/big/file?v2=00"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), curl, append([]string{"-sS", "--cacert", ca, "-T", file, "-o", "/dev/null", "-w", "%{http_code}"}, tt.args...)...).CombinedOutput()
			if err != nil || string(out) != "403" {
				t.Errorf("curl: %v: %s", err, out)
			}
		})
	}
}

// A client that reads nothing before it has sent everything still gets the answer, not a reset.
func TestARefusalReachesAClientThatSendsEverythingFirst(t *testing.T) {
	l := newLab(t)
	const size = 24 << 20
	c := dial(t, l)
	fmt.Fprintf(c, "PUT /upload/big/file?v2=00 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
	if n, err := io.CopyN(c, zeros{}, size); err != nil {
		t.Fatalf("sending stopped after %d bytes: %v", n, err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Status != "403 The upload token does not belong to this file." {
		t.Errorf("got %q", resp.Status)
	}
	_ = resp.Body.Close()
}

func TestReasonPhrases(t *testing.T) {
	l := newLab(t)
	secure, pool, _ := tlsLab(t, l)
	h1 := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}
	h2 := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	defer h1.CloseIdleConnections()
	defer h2.CloseIdleConnections()
	late := "403 The upload token does not belong to this file."
	for _, tt := range []struct {
		name, base string
		t          http.RoundTripper
		proto      string
		want       string
	}{
		{"http", l.base, l.http.Transport, "HTTP/1.1", late},
		{"https", secure, h1, "HTTP/1.1", late},
		{"HTTP/2 has none", secure, h2, "HTTP/2.0", "403 Forbidden"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 3 { // the connection is used again
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, tt.base+"/upload/a/b?v2=00", strings.NewReader("hello"))
				resp, err := tt.t.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				b, _ := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if resp.Status != tt.want || resp.Proto != tt.proto || string(b) != "The upload token does not belong to this file.\n" {
					t.Errorf("got %s %q, body %q", resp.Proto, resp.Status, b)
				}
				req, _ = http.NewRequestWithContext(t.Context(), http.MethodHead, tt.base+"/upload/a/b", nil)
				if resp, err = tt.t.RoundTrip(req); err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if resp.StatusCode != 404 || (resp.ProtoMajor == 1 && resp.Status != "404 There is no such file.") {
					t.Errorf("HEAD: %q", resp.Status)
				}
			}
		})
	}
	for _, r := range server.Refusals() {
		if strings.ContainsFunc(r.Sentence, func(c rune) bool { return c < ' ' || c > '~' }) || r.Status < 400 {
			t.Errorf("%s: %q cannot be a reason phrase", r.Code, r.Sentence)
		}
	}
}

func TestUploadsAndDownloadsOverTLS(t *testing.T) {
	l := newLab(t)
	secure, pool, _ := tlsLab(t, l)
	body := strings.Repeat("0123456789", 100<<10)
	for i, force := range []bool{false, true} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: force}
		defer tr.CloseIdleConnections()
		sl := l.sign(token.V2, fmt.Sprintf("tls/%d", i), len(body))
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, rebase(sl.url, secure), strings.NewReader(body))
		req.Header.Set("Content-Type", "text/plain")
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		want(t, resp, 201, "")
		req, _ = http.NewRequestWithContext(t.Context(), http.MethodGet, secure+"/upload/"+sl.path, nil)
		if resp, err = tr.RoundTrip(req); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(got) != body {
			t.Errorf("%s: got %d bytes, %v", resp.Proto, len(got), err)
		}
	}
}

func TestKeepAliveSurvivesAnswersOfEveryKind(t *testing.T) {
	l := newLab(t)
	sl := l.sign(token.V2, "alive/file", 5)
	target := strings.TrimPrefix(sl.url, l.base)
	c := dial(t, l)
	r := bufio.NewReader(c)
	for _, step := range []struct{ head, body, want string }{
		{"PUT " + target + " HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 5", "hello", "201 Created"},
		{"PUT " + target + " HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 5", "HELLO", "409 This upload slot was used for another file already."},
		{"PUT /upload/a/b?v2=00 HTTP/1.1\r\nContent-Length: 5", "hello", "403 The upload token does not belong to this file."},
		{"GET /upload/alive/file HTTP/1.1", "", "200 OK"},
		{"HEAD /upload/alive/none HTTP/1.1", "", "404 There is no such file."},
		{"GET /upload/alive/none HTTP/1.1", "", "404 There is no such file."},
		{"OPTIONS /upload/alive/none HTTP/1.1", "", "204 No Content"},
		{"GET /upload/alive/file HTTP/1.1\r\nRange: bytes=1-2", "", "206 Partial Content"},
		{"PUT /upload/a/b?v2=00 HTTP/1.1\r\nContent-Length: 0", "", "403 The upload token does not belong to this file."},
	} {
		fmt.Fprintf(c, "%s\r\nHost: x\r\n\r\n%s", step.head, step.body)
		method, _, _ := strings.Cut(step.head, " ")
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%s: %v", step.want, err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		if resp.Status != step.want || resp.Close {
			t.Errorf("got %q (close %v), want %q", resp.Status, resp.Close, step.want)
		}
	}
}

func TestDownloadsLeaveThroughSendfile(t *testing.T) {
	strace := need(t, "strace")
	curl := need(t, "curl")
	l := newLab(t)
	want(t, l.put(l.sign(token.V2, "send/file", 4<<20), strings.Repeat("x", 4<<20)), 201, "")
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.CommandContext(t.Context(), strace, "-f", "-e", "trace=sendfile", "-o", trace, "-p", fmt.Sprint(os.Getpid()))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stderr).ReadString('\n')
	if err != nil || !strings.Contains(line, "attached") {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Skipf("strace cannot attach here: %q, %v", line, err)
	}
	out, err := exec.CommandContext(t.Context(), curl, "-sS", "-o", "/dev/null", "-w", "%{size_download}", l.base+"/upload/send/file").CombinedOutput()
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	if err != nil || string(out) != fmt.Sprint(4<<20) {
		t.Fatalf("curl: %v: %s", err, out)
	}
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), "sendfile(") {
		t.Error("no sendfile was seen")
	}
}

func TestAStopLetsARunningUploadFinish(t *testing.T) {
	l := newLab(t)
	sl := l.sign(token.V2, "stop/file", 10)
	c := dial(t, l)
	fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nhello", strings.TrimPrefix(sl.url, l.base))
	eventually(t, "the upload has begun", func() bool { return strings.HasSuffix(metric(t, l, "holdfast_uploads_running"), " 1") })
	stopped := make(chan struct{})
	go func() { defer close(stopped); l.stop() }()
	eventually(t, "no new connections", func() bool {
		n, err := net.Dial("tcp", strings.TrimPrefix(l.base, "http://"))
		if err == nil {
			_ = n.Close()
		}
		return err != nil
	})
	fmt.Fprint(c, "world")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 201 {
		t.Errorf("got %v, %v", resp, err)
	}
	<-stopped
	if b, err := os.ReadFile(filepath.Join(l.files(), "stop/file")); string(b) != "helloworld" {
		t.Errorf("stored %q, %v", b, err)
	}
}
