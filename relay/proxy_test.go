package relay

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/cmd/lab"
)

// echo is a plain TCP server that sends back what it gets, and ends when the client has.
func echo(t *testing.T) string {
	t.Helper()
	l := listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_, _ = io.WriteString(c, "bye")
				_ = c.Close()
			}()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func TestTunnelCarriesBytesAndHalfCloses(t *testing.T) {
	for _, tc := range []struct{ name, connect string }{
		{"HTTP/1.1", "CONNECT chat.test:5222 HTTP/1.1\r\nHost: chat.test:5222\r\n\r\n"},
		{"HTTP/1.0", "CONNECT chat.test:5222 HTTP/1.0\r\n\r\n"},
		{"HTTP/1.0 with GLib's headers", "CONNECT chat.test:5222 HTTP/1.0\r\nHost: chat.test:5222\r\nProxy-Connection: keep-alive\r\nUser-Agent: GLib/2.74\r\n\r\n"},
		{"HTTP/1.1 without Host", "CONNECT chat.test:5222 HTTP/1.1\r\n\r\n"},
		{"upper case", "CONNECT CHAT.test:5222 HTTP/1.1\r\nHost: x\r\n\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, nil)
			addr := echo(t)
			w.point("chat.test:5222", addr)
			c, br := w.dialRaw()
			_, _ = io.WriteString(c, tc.connect+"early") // sent before the answer
			if got := readHead(t, br); got != "HTTP/1.1 200 Connection established" {
				t.Fatal(got)
			}
			body := sample(2 << 20)
			go func() {
				_, _ = c.Write(body)
				_ = c.(*net.TCPConn).CloseWrite()
			}()
			got, err := io.ReadAll(br)
			if err != nil {
				t.Fatal(err)
			}
			if want := append(append([]byte("early"), body...), "bye"...); !bytes.Equal(got, want) {
				t.Errorf("%d bytes came back, want %d", len(got), len(want))
			}
		})
	}
}

func TestWhoSeesWhichCertificate(t *testing.T) {
	for _, tc := range []struct {
		name, target, userAgent string
		alpn                    []string
		relay                   bool
	}{
		{"Gajim at a listed host sees the relay's", listed + ":443", "Gajim 1.7.3", nil, true},
		{"no User-Agent at a listed host sees the relay's", listed + ":443", "", []string{"http/1.1"}, true},
		{"h2 and http/1.1 offered: the relay's", listed + ":443", "Dino/0.4.2", []string{"h2", "http/1.1"}, true},
		{"the listed port: the relay's", listed + ":8443", "curl/8", nil, true},
		{"a browser sees the origin's", listed + ":443", "Mozilla/5.0 (X11; Linux)", nil, false},
		{"another port of a listed host: the origin's", listed + ":5223", "Gajim 1.7.3", nil, false},
		{"a host that is not listed: the origin's", "other.test:443", "Gajim 1.7.3", nil, false},
		{"XMPP on port 443 of a listed host: the origin's", listed + ":443", "GLib/2.74", []string{"xmpp-client"}, false},
		{"HTTP/2 alone: the origin's", listed + ":443", "x", []string{"h2"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, nil)
			host, _, _ := net.SplitHostPort(tc.target)
			l := listen(t)
			defer l.Close()
			conf := w.serverTLS(host)
			conf.NextProtos = nil
			go func() {
				if c, err := l.Accept(); err == nil {
					_ = tls.Server(c, conf).Handshake()
					_, _ = io.Copy(io.Discard, c)
					_ = c.Close()
				}
			}()
			w.point(tc.target, l.Addr().String())
			c, br := w.dialRaw()
			fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", tc.target, tc.target)
			if tc.userAgent != "" {
				fmt.Fprintf(c, "User-Agent: %s\r\n", tc.userAgent)
			}
			_, _ = io.WriteString(c, "\r\n")
			if got := readHead(t, br); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
				t.Fatal(got)
			}
			roots := x509.NewCertPool()
			if tc.relay {
				roots.AppendCertsFromPEM(w.relayCA())
			} else {
				roots.AppendCertsFromPEM(w.originCA(host))
			}
			tc2 := tls.Client(c, &tls.Config{ServerName: host, RootCAs: roots, NextProtos: tc.alpn})
			if err := tc2.Handshake(); err != nil {
				t.Error(err)
			}
			if p := tc2.ConnectionState().NegotiatedProtocol; tc.relay && tc.alpn != nil && p != "http/1.1" {
				t.Errorf("ALPN %q", p)
			}
			_ = tc2.Close()
		})
	}
}

func TestHandshakeForAnotherNameFails(t *testing.T) {
	w := newWorld(t, nil)
	c, br := w.dialRaw()
	fmt.Fprintf(c, "CONNECT %s:443 HTTP/1.1\r\n\r\n", listed)
	readHead(t, br)
	if err := tls.Client(c, &tls.Config{ServerName: "bank.test", InsecureSkipVerify: true}).Handshake(); err == nil {
		t.Error("the relay answers for a name that the connection is not for")
	}
}

func TestWithoutCertificateTheConnectionIsTunnelled(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Leaves = noLeaves{} })
	k := &keep{}
	w.serve(listed, k)
	got := w.putWith(w.client("Gajim 1.7.3", w.originCA(listed)), "/u/s/f", strings.NewReader("hello"), nil)
	if got.status != 201 || string(k.file("/u/s/f")) != "hello" {
		t.Error(got)
	}
}

type noLeaves struct{}

func (noLeaves) Leaf(string) (*tls.Certificate, error) { return nil, errors.New("none") }

func TestLocalDocumentsAndWhoGetsThem(t *testing.T) {
	for _, tc := range []struct{ name, request, want, body string }{
		{"the PAC", "GET /proxy.pac HTTP/1.1\r\nHost: 127.0.0.1:5380\r\n\r\n", "HTTP/1.1 200 OK", `if (host == "upload.test") return "PROXY `},
		{"the PAC over HTTP/1.0", "GET /proxy.pac HTTP/1.0\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 OK", "DIRECT"},
		{"health", "GET /healthz HTTP/1.1\r\nHost: localhost:5380\r\n\r\n", "HTTP/1.1 200 OK", `{"status":"ok"`},
		{"health over IPv6's name", "GET /healthz HTTP/1.1\r\nHost: [::1]:5380\r\n\r\n", "HTTP/1.1 200 OK", `"ok"`},
		{"health for a same-origin page", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: none\r\n\r\n", "HTTP/1.1 200 OK", `"ok"`},
		{"HEAD", "HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK", ""},
		{"a rebound name", "GET /healthz HTTP/1.1\r\nHost: evil.test\r\n\r\n", "HTTP/1.1 421 This is the upload relay of Holdfast on this computer.", ""},
		{"no Host", "GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.1 421 This is the upload relay of Holdfast on this computer.", ""},
		{"a web page", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.test\r\n\r\n", "HTTP/1.1 403 Web pages get no answer here.", ""},
		{"a cross-site picture", "GET /proxy.pac HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n\r\n", "HTTP/1.1 403 Web pages get no answer here.", ""},
		{"anything else", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 404 There is nothing here but /proxy.pac and /healthz.", ""},
		{"a POST", "POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 405 Only GET is answered here.", ""},
		{"https in absolute form", "GET https://upload.test/ HTTP/1.1\r\nHost: upload.test\r\n\r\n", "HTTP/1.1 400 Use CONNECT for everything but http.", ""},
		{"ftp", "GET ftp://upload.test/ HTTP/1.1\r\nHost: upload.test\r\n\r\n", "HTTP/1.1 400 Use CONNECT for everything but http.", ""},
		{"CONNECT without a port", "CONNECT upload.test HTTP/1.1\r\nHost: upload.test\r\n\r\n", "HTTP/1.1 400 CONNECT needs a host and a port.", ""},
		{"CONNECT to port 0", "CONNECT upload.test:0 HTTP/1.1\r\n\r\n", "HTTP/1.1 400 CONNECT needs a host and a port.", ""},
		{"CONNECT to nobody", "CONNECT nobody.test:99 HTTP/1.1\r\n\r\n", "HTTP/1.1 502 Cannot connect to nobody.test:99: The connection broke.", ""},
		{"CONNECT to a place that refuses", "CONNECT refused.test:99 HTTP/1.1\r\n\r\n", "HTTP/1.1 502 Cannot connect to refused.test:99: The server refuses the connection.", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.point("refused.test:99", "127.0.0.1:1")
			c, br := w.dialRaw()
			_, _ = io.WriteString(c, tc.request)
			_ = c.(*net.TCPConn).CloseWrite()
			all, err := io.ReadAll(br)
			if err != nil {
				t.Fatal(err)
			}
			status, rest, _ := strings.Cut(string(all), "\r\n")
			if status != tc.want || !strings.Contains(rest, tc.body) {
				t.Errorf("got %s", all)
			}
			if strings.Contains(rest, os.Getenv("HOME")) && os.Getenv("HOME") != "" && os.Getenv("HOME") != "/" {
				t.Errorf("says where this user lives: %s", rest)
			}
		})
	}
}

func TestTheRelayDoesNotTalkToItself(t *testing.T) {
	w := newWorld(t, nil)
	w.point("loop.test:443", w.addr)
	w.point(listed+":443", w.addr)
	_, port, _ := net.SplitHostPort(w.addr)
	for _, target := range []string{w.addr, "127.0.0.5:" + port, "[::1]:" + port, "0.0.0.0:" + port, "loop.test:443"} {
		c, br := w.dialRaw()
		fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target)
		if got := readHead(t, br); strings.HasPrefix(got, "HTTP/1.1 200") {
			t.Errorf("%s: %s", target, got)
		}
	}
	if got := w.put("/u/s/f", []byte("x")); got.status != 502 || got.reason != "The name of the server leads back to Holdfast itself" {
		t.Error(got)
	}
	c, br := w.dialRaw()
	fmt.Fprintf(c, "GET http://%s/healthz HTTP/1.1\r\nHost: %s\r\n\r\n", w.addr, w.addr)
	if got := readHead(t, br); got != "HTTP/1.1 200 OK" {
		t.Errorf("health through the proxy itself: %s", got)
	}
}

func TestPlainHTTP(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Hosts = append(c.Hosts, "plain.test", "port.test:5080") })
	k := &keep{}
	var last *http.Request
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		last = req
		if strings.HasPrefix(req.URL.Path, "/204") {
			rw.WriteHeader(http.StatusNoContent)
			return
		}
		if req.URL.Path == "/302" {
			http.Redirect(rw, req, "/elsewhere", http.StatusFound)
			return
		}
		k.ServeHTTP(rw, req)
	}))
	defer s.Close()
	for _, hp := range []string{"plain.test:80", "port.test:5080", "other.test:80", "plain.test:81"} {
		w.point(hp, s.Listener.Addr().String())
	}
	c := w.client("unused")
	send := func(method, url, ua string, body io.Reader) result {
		req, err := http.NewRequest(method, url, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("User-Agent", ua)
		return do(c, req)
	}
	if got := send("PUT", "http://plain.test/204/f", "Go-http-client/1.1", strings.NewReader("hello")); !got.stored() {
		t.Errorf("listed: %v", got)
	}
	if got := send("PUT", "http://port.test:5080/204/f", "Go-http-client/1.1", strings.NewReader("hello")); !got.stored() {
		t.Errorf("listed with its port: %v", got)
	}
	if got := send("PUT", "http://other.test/204/f", "Go-http-client/1.1", strings.NewReader("hello")); got.status != 204 {
		t.Errorf("not listed: %v", got)
	}
	if got := send("PUT", "http://plain.test:81/204/f", "Go-http-client/1.1", strings.NewReader("hello")); got.status != 204 {
		t.Errorf("another port: %v", got)
	}
	if got := send("PUT", "http://plain.test/204/f", "Mozilla/5.0", strings.NewReader("hello")); got.status != 204 {
		t.Errorf("a browser: %v", got)
	}
	if got := send("GET", "http://other.test/302", "x", nil); got.status != 302 || got.header.Get("Location") != "/elsewhere" {
		t.Errorf("a redirect of a page: %v", got)
	}
	if last.Host != "other.test" || last.Header.Get("Proxy-Connection") != "" {
		t.Errorf("the server saw %v %v", last.Host, last.Header)
	}
	if got := send("PUT", "http://other.test/u/s/f", "x", bytes.NewReader(sample(1<<20))); got.status != 201 || !bytes.Equal(k.file("/u/s/f"), sample(1<<20)) {
		t.Errorf("a plain PUT: %v", got)
	}
	if got := send("GET", "http://nobody.test/", "x", nil); got.status != 502 {
		t.Errorf("nobody: %v", got)
	}
}

func TestDownloadsPassUntouched(t *testing.T) {
	w := newWorld(t, nil)
	body := sample(300_000)
	w.serve(listed, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/chunked":
			rw.Header().Set("Content-Encoding", "gzip") // not really; it must not be looked at
			_, _ = rw.Write(body[:1000])
			_ = http.NewResponseController(rw).Flush()
			_, _ = rw.Write(body[1000:])
		case "/cut":
			rw.Header().Set("Content-Length", "1000")
			_, _ = rw.Write(body[:10])
			_ = http.NewResponseController(rw).Flush()
			panic(http.ErrAbortHandler)
		case "/echo":
			b, _ := io.ReadAll(req.Body)
			fmt.Fprintf(rw, "%s %s %s", req.Method, req.Header.Get("Transfer-Encoding"), b)
		default:
			rw.Header().Set("Etag", `"e"`)
			http.ServeContent(rw, req, "f.bin", time.Unix(1, 0), bytes.NewReader(body))
		}
	}))
	c := w.client("Dino/0.4.2")
	send := func(method, path string, body io.Reader, header ...string) result {
		req, err := http.NewRequest(method, "https://"+listed+path, body)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		return do(c, req)
	}
	if got := send("GET", "/f", nil); got.status != 200 || got.body != string(body) || got.header.Get("Etag") != `"e"` || got.contentLength != int64(len(body)) {
		t.Errorf("GET: %d, %d bytes", got.status, len(got.body))
	}
	if got := send("GET", "/f", nil, "Range", "bytes=5-9"); got.status != 206 || got.body != string(body[5:10]) || got.header.Get("Content-Range") != "bytes 5-9/300000" {
		t.Errorf("range: %d, %d bytes", got.status, len(got.body))
	}
	if got := send("GET", "/f", nil, "If-None-Match", `"e"`); got.status != 304 || got.body != "" {
		t.Errorf("304: %d, %d bytes", got.status, len(got.body))
	}
	if got := send("HEAD", "/f", nil); got.status != 200 || got.contentLength != int64(len(body)) || got.body != "" {
		t.Errorf("HEAD: %d, length %d", got.status, got.contentLength)
	}
	if got := send("OPTIONS", "/f", nil); got.status != 200 {
		t.Errorf("OPTIONS: %d", got.status)
	}
	if got := send("GET", "/chunked", nil); got.status != 200 || got.body != string(body) || got.header.Get("Content-Encoding") != "gzip" {
		t.Errorf("chunked: %d, %d bytes, %v", got.status, len(got.body), got.err)
	}
	if got := send("GET", "/cut", nil); got.err == nil {
		t.Error("a cut download looks whole")
	}
	if got := send("POST", "/echo", strings.NewReader("hello")); got.body != "POST  hello" {
		t.Errorf("POST: %v", got)
	}
	if got := send("DELETE", "/echo", nil); got.body != "DELETE  " {
		t.Errorf("DELETE: %v", got)
	}
}

func TestDownloadOverStaleConnection(t *testing.T) {
	w := newWorld(t, nil)
	w.raw(listed, func(c *tls.Conn, br *bufio.Reader) { // one answer, then the connection is closed without a word
		if _, err := http.ReadRequest(br); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
			_, _ = http.ReadRequest(br)
			_ = tcpOf(c).SetLinger(0)
		}
	})
	c := w.client("Dino/0.4.2")
	for i := range 4 {
		req, err := http.NewRequest(http.MethodGet, "https://"+listed+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := do(c, req); got.body != "hi" {
			t.Errorf("request %d: %v", i, got)
		}
	}
}

func TestOwnProxyOfThePersonIsUsed(t *testing.T) {
	var asked []string
	l := listen(t)
	defer l.Close()
	var w *world
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			br := bufio.NewReader(c)
			req, err := http.ReadRequest(br)
			if err != nil {
				_ = c.Close()
				continue
			}
			w.mu.Lock()
			asked = append(asked, req.Method+" "+req.Host+" "+req.Header.Get("Proxy-Authorization"))
			to := w.dial["behind "+req.Host]
			w.mu.Unlock()
			go func() {
				defer c.Close()
				up, err := net.Dial("tcp", to)
				if err != nil {
					_, _ = io.WriteString(c, "HTTP/1.1 403 No\r\n\r\n")
					return
				}
				defer up.Close()
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
				go func() { _, _ = io.Copy(up, br); _ = up.(*net.TCPConn).CloseWrite() }()
				_, _ = io.Copy(c, up)
			}()
		}
	}()
	via := &url.URL{Scheme: "http", Host: "proxy.test:3128", User: url.UserPassword("me", "pw")}
	w = newWorld(t, func(c *Config) { c.Proxy = func(*url.URL) (*url.URL, error) { return via, nil } })
	k := &keep{}
	s := w.serve(listed, k)
	w.mu.Lock()
	delete(w.dial, listed+":443")
	w.dial["proxy.test:3128"] = l.Addr().String()
	w.dial["behind "+listed+":443"] = s.Listener.Addr().String()
	w.dial["behind chat.test:5222"] = echo(t)
	w.mu.Unlock()
	if got := w.put("/u/s/f", sample(100_000)); !got.stored() {
		t.Error(got)
	}
	c, br := w.dialRaw()
	_, _ = io.WriteString(c, "CONNECT chat.test:5222 HTTP/1.1\r\n\r\n")
	if got := readHead(t, br); got != "HTTP/1.1 200 Connection established" {
		t.Error(got)
	}
	_, _ = io.WriteString(c, "hi")
	_ = c.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(br); string(b) != "hibye" {
		t.Errorf("%q %v", b, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := strings.Join(asked, "\n"); got != "CONNECT upload.test:443 Basic bWU6cHc=\nCONNECT chat.test:5222 Basic bWU6cHc=" {
		t.Errorf("the proxy was asked:\n%s", got)
	}
}

func TestProxyOfTheEnvironment(t *testing.T) {
	t.Setenv("https_proxy", "http://127.0.0.1:3128")
	t.Setenv("no_proxy", "inside.test")
	t.Setenv("http_proxy", "pac+file:///x.pac")
	w := newWorld(t, func(c *Config) { c.Proxy = nil })
	ask := func(raw string) string {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		p, err := w.r.up.proxyFor(u)
		if err != nil || p == nil {
			return ""
		}
		return p.String()
	}
	if got := ask("https://upload.test/"); got != "http://127.0.0.1:3128" {
		t.Errorf("https: %q", got)
	}
	if got := ask("https://inside.test/"); got != "" {
		t.Errorf("no_proxy: %q", got)
	}
	if got := ask("http://upload.test/"); got != "" {
		t.Errorf("a PAC as proxy: %q", got)
	}
	c, br := w.dialRaw() // until it answers, it does not know where it listens
	_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	readHead(t, br)
	t.Setenv("https_proxy", "http://localhost:"+strings.TrimPrefix(w.addr, "127.0.0.1:"))
	w.r.up.proxy = environmentProxy(w.r.c.Log)
	if got := ask("https://upload.test/"); got != "" {
		t.Errorf("the relay as its own proxy: %q", got)
	}
}

func TestServerThatSpeaksOnlyHTTP2(t *testing.T) {
	w := newWorld(t, nil)
	k := &keep{}
	s := httptest.NewUnstartedServer(k)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.EnableHTTP2 = true
	conf := w.serverTLS(listed)
	conf.NextProtos = []string{"h2"}
	strict := conf.Clone()
	strict.NextProtos = []string{"nothing-else"}
	conf.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if h.SupportedProtos[0] != "h2" {
			return strict, nil
		}
		return nil, nil
	}
	s.TLS = conf
	s.StartTLS()
	defer s.Close()
	w.point(listed+":443", s.Listener.Addr().String())
	body := sample(3 << 20)
	for _, path := range []string{"/u/s/1", "/u/s/2"} {
		if got := w.put(path, body); !got.stored() {
			t.Fatal(got)
		}
		if !bytes.Equal(k.file(path), body) {
			t.Error("the server has other bytes")
		}
	}
	if u := w.last(); u.Repeats > 0 {
		t.Errorf("%d repeats", u.Repeats)
	}
}

func TestCurlThroughTheRelay(t *testing.T) {
	curl := lab.Need(t, "curl", "curl")
	w := newWorld(t, nil)
	k := &keep{}
	w.serve(listed, k)
	w.serve("other.test", k)
	w.relayCA()
	dir := t.TempDir()
	file := filepath.Join(dir, "f.bin")
	if err := os.WriteFile(file, sample(2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	otherCA := filepath.Join(dir, "other.pem")
	if err := os.WriteFile(otherCA, append(w.originCA("other.test"), w.originCA(listed)...), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"a listed host", []string{"--cacert", w.ca.CAFile(listed), "https://" + listed + "/u/s/%d"}, "201"},
		{"over CONNECT in HTTP/1.0", []string{"--proxy1.0", w.addr, "--cacert", w.ca.CAFile(listed), "https://" + listed + "/u/s/%d"}, "201"},
		{"a host that is not listed shows its own certificate", []string{"--cacert", otherCA, "https://other.test/u/s/%d"}, "201"},
		{"a browser sees the origin's own certificate", []string{"-A", "Mozilla/5.0", "--cacert", otherCA, "https://" + listed + "/u/s/%d"}, "201"},
		{"a browser does not see the relay's", []string{"-A", "Mozilla/5.0", "--cacert", w.ca.CAFile(listed), "https://" + listed + "/u/s/%d"}, "000"},
		{"from a pipe, chunked", []string{"--cacert", w.ca.CAFile(listed), "-T", "-", "https://" + listed + "/u/s/%d"}, "411"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := []string{"-sS", "--proxytunnel", "-o", os.DevNull, "-w", "%{http_code}", "--max-time", "30"}
			if !strings.Contains(strings.Join(tc.args, " "), "--proxy1.0") {
				args = append(args, "-x", "http://"+w.addr)
			}
			if !strings.Contains(strings.Join(tc.args, " "), "-T -") {
				args = append(args, "-T", file)
			}
			for _, a := range tc.args {
				args = append(args, strings.ReplaceAll(a, "%d", fmt.Sprint(i)))
			}
			cmd := exec.CommandContext(t.Context(), curl, args...)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
			cmd.Stdin = strings.NewReader("hello")
			var errs bytes.Buffer
			cmd.Stderr = &errs
			out, _ := cmd.Output()
			if string(out) != tc.want {
				t.Errorf("curl says %s, want %s\n%s", out, tc.want, errs.String())
			}
			if tc.want == "201" && !bytes.Equal(k.file(fmt.Sprintf("/u/s/%d", i)), sample(2<<20)) {
				t.Error("the server has other bytes")
			}
		})
	}
}
