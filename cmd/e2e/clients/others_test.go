package clients

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/cmd/lab"
)

//go:embed testdata/page.html
var page []byte

// Neither another user of the machine nor a page of the web gets anything from the relay's port.
func TestOthersGetNothingFromThePort(t *testing.T) {
	lab.Need(t, "chromium", "chromium")
	lab.Need(t, "curl", "curl")
	d := newDesktop(t)
	d.startCompanion()

	t.Run("the person gets an answer", func(t *testing.T) {
		out, err := d.run(20*time.Second, "curl", "-sS", "--noproxy", "*", "http://"+d.relay+"/healthz")
		if err != nil || !strings.Contains(out, `"ok"`) {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("another user gets not one byte", func(t *testing.T) {
		for _, args := range [][]string{
			{"http://" + d.relay + "/healthz"},
			{"http://" + d.relay + "/proxy.pac"},
			{"-x", "http://" + d.relay, "-k", "https://" + uploadHost + "/"},
			{"-x", "http://" + d.relay, "http://" + uploadHost + "/"},
		} {
			cmd := stranger().Command([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + stranger().Home}, "curl",
				append([]string{"-sS", "--max-time", "20", "-D", "-"}, args...)...)
			out, err := cmd.Output()
			if err == nil || len(out) > 0 {
				t.Errorf("curl %s: %v: %s", strings.Join(args, " "), err, out)
			}
		}
	})

	cert, key, err := d.ca.Issue(otherHost)
	if err != nil {
		t.Fatal(err)
	}
	origin := serveTLS(t, cert, key, page)
	t.Run("a page of the web gets nothing", func(t *testing.T) {
		_, port, _ := net.SplitHostPort(d.relay)
		dom := d.browse(t, "https://"+otherHost+"/#"+port, "--host-resolver-rules=MAP "+otherHost+" "+origin,
			"--ignore-certificate-errors-spki-list="+pin(t, cert))
		if !strings.Contains(dom, "<p id=\"done\">tried 32</p>") {
			t.Fatalf("the page did not come to its end:\n%s", dom)
		}
		if !strings.Contains(dom, `<p id="got"></p>`) {
			t.Errorf("the page got something:\n%s", dom)
		}
	})
	t.Run("nor does one that was given a name for 127.0.0.1", func(t *testing.T) {
		dom := d.browse(t, "http://rebound.test/proxy.pac", "--host-resolver-rules=MAP rebound.test "+d.relay)
		if strings.Contains(dom, "FindProxyForURL") || !strings.Contains(dom, "This is the upload relay") {
			t.Errorf("the browser shows:\n%s", dom)
		}
	})
	t.Run("an upload's link opens through the relay with the origin's own certificate", func(t *testing.T) {
		const text = "what was uploaded"
		url := d.putDirect(t, "note.txt", text)
		for _, c := range []struct {
			name, pin string
			shown     bool
		}{
			{"the origin's", pin(t, d.serverCert), true},
			{"another one", pin(t, cert), false}, // so that the pin is seen to matter
		} {
			dom := d.browse(t, url, "--proxy-server=http://"+d.relay, "--ignore-certificate-errors-spki-list="+c.pin)
			if strings.Contains(dom, text) != c.shown {
				t.Errorf("%s: the browser shows:\n%s", c.name, dom)
			}
		}
	})
}

// browse opens an address in the real Chromium as the person and returns what its page became.
func (d *desktop) browse(t *testing.T, url string, args ...string) string {
	t.Helper()
	profile := filepath.Join(d.user.Home, ".chromium")
	_ = os.RemoveAll(profile)
	all := append([]string{"--headless=new", "--disable-gpu", "--no-first-run", "--disable-extensions", "--disable-background-networking",
		"--user-data-dir=" + profile, "--timeout=20000", "--virtual-time-budget=20000", "--dump-dom"}, args...)
	out, err := d.run(90*time.Second, "chromium", append(all, url)...)
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, out)
	}
	return out
}

// pin is the hash of a certificate's key, as Chromium takes it.
func pin(t *testing.T, certFile string) string {
	t.Helper()
	b, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// serveTLS serves one page and returns the address.
func serveTLS(t *testing.T, cert, key string, body []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write(body)
		}),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}},
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return l.Addr().String()
}

// putDirect uploads a text without the relay and returns its link.
func (w *world) putDirect(t *testing.T, name, text string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program("holdfast-server"), "sign", "-config", filepath.Join(w.dir, "server.toml"),
		"-scheme", "jwt", "-path", "link/"+name, "-size", fmt.Sprint(len(text)), "-type", "text/plain").Output()
	if err != nil {
		t.Fatalf("holdfast-server sign: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, lines[0], strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	for _, h := range lines[1:] {
		if k, v, ok := strings.Cut(h, ":"); ok {
			req.Header.Set(k, strings.TrimSpace(v))
		}
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.ca.Pool()}}, Timeout: time.Minute}
	defer c.CloseIdleConnections()
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("PUT: %s", resp.Status)
	}
	return lines[0]
}
