package e2e

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"holdfast/cmd/lab"
)

// curl sees the relay's certificate for a listed host only, and a browser never sees it.
func TestRelayInterceptsOnlyWhatIsListed(t *testing.T) {
	ca, err := lab.NewCA(t.TempDir(), "Lab Public CA")
	if err != nil {
		t.Fatal(err)
	}
	srv := startServer(t, ca, serverOptions{})
	startOrigin(t, ca)
	comp := startCompanion(t, ca)
	relayCA := comp.caFile(t)
	// Each file has a slot of its own.
	n := 0
	signed := func(t *testing.T, size int64) string {
		n++
		url, _ := srv.sign(t, "-scheme", "v2", "-path", fmt.Sprintf("curl-%d/f.bin", n), "-size", strconv.FormatInt(size, 10))
		return url
	}

	t.Run("a PUT to a listed host is 201 and the file arrives", func(t *testing.T) {
		for _, size := range []int64{0, 1, 4 << 20} {
			file, sum := randomFile(t, "f.bin", size)
			url := signed(t, size)
			status, headers := curlStatus(t, "-x", comp.proxy(), "--cacert", relayCA, "-T", file, url)
			if status != "201" {
				t.Fatalf("PUT of %d bytes: %s\n%s", size, status, headers)
			}
			if !strings.Contains(strings.ToLower(headers), "content-length: 0") {
				t.Errorf("the answer has no Content-Length: 0:\n%s", headers)
			}
			if got := download(t, ca, withoutQuery(url)); got != sum {
				t.Errorf("the file of %d bytes differs on the server", size)
			}
		}
	})
	t.Run("with the proxy asked in HTTP/1.0 as libsoup may do", func(t *testing.T) {
		file, _ := randomFile(t, "f.bin", 1000)
		if status, headers := curlStatus(t, "--proxy1.0", comp.addr, "--cacert", relayCA, "-T", file, signed(t, 1000)); status != "201" {
			t.Errorf("%s\n%s", status, headers)
		}
	})
	t.Run("a client that waits for 100 Continue gets it", func(t *testing.T) {
		file, _ := randomFile(t, "f.bin", 2<<20)
		status, headers := curlStatus(t, "-x", comp.proxy(), "--cacert", relayCA, "-H", "Expect: 100-continue", "-T", file, signed(t, 2<<20))
		if status != "201" {
			t.Errorf("%s\n%s", status, headers)
		}
	})
	t.Run("several uploads over one connection", func(t *testing.T) {
		file, _ := randomFile(t, "f.bin", 100)
		status, headers := curlStatus(t, "-x", comp.proxy(), "--cacert", relayCA,
			"-T", file, signed(t, 100), "-T", file, signed(t, 100), "-T", file, signed(t, 100))
		if strings.Count(headers, " 201 ") != 3 {
			t.Errorf("last status %s\n%s", status, headers)
		}
	})
	t.Run("a refusal of the server reaches the client with its reason", func(t *testing.T) {
		file, _ := randomFile(t, "f.bin", 3<<20)
		status, headers := curlStatus(t, "-x", comp.proxy(), "--cacert", relayCA, "-T", file, "https://"+uploadHost+"/upload/a/b.bin?v2="+strings.Repeat("0", 64))
		if status != "403" {
			t.Errorf("a forged slot is %s, want 403\n%s", status, headers)
		}
	})
	t.Run("a browser sees the origin's own certificate", func(t *testing.T) {
		for _, agent := range []string{"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Mozilla/"} {
			// The origin's CA alone is trusted here, so success means that nothing was intercepted.
			status, headers := curlStatus(t, "-x", comp.proxy(), "--cacert", ca.File, "-A", agent, "https://"+uploadHost+"/upload/no/thing")
			if status != "404" {
				t.Errorf("%q: %s\n%s", agent, status, headers)
			}
			if _, stderr, err := curl(t, "-sS", "-x", comp.proxy(), "--cacert", relayCA, "-A", agent, "https://"+uploadHost+"/"); err == nil {
				t.Errorf("%q: the relay's certificate was shown: %s", agent, stderr)
			}
		}
	})
	t.Run("a host that is not listed is tunnelled, on any port", func(t *testing.T) {
		for _, url := range []string{"https://" + otherHost + "/", "https://" + otherHost + ":8443/", "https://" + uploadHost + ":8443/"} {
			status, headers := curlStatus(t, "-x", comp.proxy(), "--cacert", ca.File, url)
			if status != "200" {
				t.Errorf("%s: %s\n%s", url, status, headers)
			}
		}
	})
	t.Run("an origin with a certificate for another name is refused", func(t *testing.T) {
		// The listed name leads to the other origin: the relay must not be weaker than the client alone would be.
		bad := startCompanionFor(t, ca, "wrong.lab.test:8444")
		file, _ := randomFile(t, "f.bin", 10)
		status, headers := curlStatus(t, "-x", bad.proxy(), "--cacert", bad.caFileOf(t, "wrong.lab.test"), "-T", file, "https://wrong.lab.test:8444/a/b")
		if !strings.HasPrefix(status, "5") {
			t.Errorf("%s\n%s", status, headers)
		}
	})
	t.Run("the PAC file names the listed host and the relay", func(t *testing.T) {
		out, stderr, err := curl(t, "-sS", "--noproxy", "*", comp.proxy()+"/proxy.pac")
		if err != nil || !strings.Contains(out, uploadHost) || !strings.Contains(out, "PROXY "+comp.addr+"; DIRECT") {
			t.Errorf("%v %s\n%s", err, stderr, out)
		}
	})
	t.Run("a page of the web cannot read the PAC file by rebinding a name", func(t *testing.T) {
		if status, _ := curlStatus(t, "--noproxy", "*", "-H", "Host: evil.example", comp.proxy()+"/proxy.pac"); status[0] != '4' {
			t.Errorf("%s", status)
		}
	})
	t.Run("another user of the machine is refused", func(t *testing.T) {
		lab.Need(t, "setpriv", "util-linux")
		out, err := asNobody(t, "curl", "-sS", "--max-time", "10", "--noproxy", "*", comp.proxy()+"/healthz")
		if err == nil {
			t.Errorf("nobody was answered: %s", out)
		}
	})
}

// startOrigin serves hello over TLS on the other host and on port 8443 of both hosts.
func startOrigin(t *testing.T, ca *lab.CA) {
	t.Helper()
	cert, key, err := ca.Issue(otherHost, uploadHost)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{otherIP + ":443", otherIP + ":8443", uploadIP + ":8443", otherIP + ":8444"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{
			Handler:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello\n")) }),
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}},
		}
		done := make(chan struct{})
		go func() { defer close(done); _ = srv.ServeTLS(l, "", "") }()
		t.Cleanup(func() { _ = srv.Close(); <-done })
	}
}

// curlStatus returns the last status and all response headers but the proxy's own.
func curlStatus(t *testing.T, args ...string) (status, headers string) {
	t.Helper()
	head := t.TempDir() + "/head"
	args = append([]string{"-sS", "-o", "/dev/null", "--suppress-connect-headers", "-D", head, "-w", "%{http_code}\n"}, args...)
	out, stderr, err := curl(t, args...)
	b, _ := os.ReadFile(head)
	if err != nil {
		return fmt.Sprintf("curl: %v: %s", err, strings.TrimSpace(stderr)), string(b)
	}
	lines := strings.Fields(out)
	return lines[len(lines)-1], string(b)
}

func withoutQuery(url string) string {
	path, _, _ := strings.Cut(url, "?")
	return path
}
