package relay

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
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
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"holdfast/relay/authority"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// listed is the upload host of these tests; other.test is a host that is not listed.
const listed = "upload.test"

// world is a relay, a fake server for every name, and what was seen.
type world struct {
	t      testing.TB
	r      *Relay
	addr   string
	ca     *authority.Store
	origin *authority.Store // the CAs of the fake servers
	log    *lockedBuffer

	mu      sync.Mutex
	dial    map[string]string // host:port -> address
	uploads []Upload
	changed chan struct{}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newWorld starts a relay for listed with short times; edit may change its configuration.
func newWorld(t testing.TB, edit func(*Config)) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, log: &lockedBuffer{}, dial: map[string]string{}, changed: make(chan struct{}, 1)}
	var err error
	if w.ca, err = authority.Open(filepath.Join(dir, "ca")); err != nil {
		t.Fatal(err)
	}
	if w.origin, err = authority.Open(filepath.Join(dir, "origin")); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	for _, host := range []string{listed, "other.test", "127.0.0.1"} {
		roots.AppendCertsFromPEM(w.originCA(host))
	}
	c := Config{
		Hosts: []string{listed, listed + ":8443"}, Leaves: w.ca, Roots: roots, SpoolDir: filepath.Join(dir, "spool"), UID: os.Getuid(),
		GiveUp: 20 * time.Second, Interim: 20 * time.Millisecond, BackOff: 5 * time.Millisecond, MaxBackOff: 20 * time.Millisecond, Stall: 2 * time.Second,
		Log:      slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnUpload: w.saw,
		Proxy:    func(*url.URL) (*url.URL, error) { return nil, nil },
		Dial:     w.dialer,
	}
	if edit != nil {
		edit(&c)
	}
	if w.r, err = New(c); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.r.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("serve: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the relay did not end within 20 s")
		}
		if t.Failed() {
			t.Logf("log of the relay:\n%s", w.log)
		}
	})
	return w
}

func (w *world) saw(u Upload) {
	w.mu.Lock()
	w.uploads = append(w.uploads, u)
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *world) last() Upload {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.uploads) == 0 {
		return Upload{}
	}
	return w.uploads[len(w.uploads)-1]
}

// await waits until an upload was seen for which ok holds.
func (w *world) await(what string, ok func(Upload) bool) Upload {
	w.t.Helper()
	limit := time.After(15 * time.Second)
	for {
		w.mu.Lock()
		for _, u := range w.uploads {
			if ok(u) {
				w.mu.Unlock()
				return u
			}
		}
		w.mu.Unlock()
		select {
		case <-w.changed:
		case <-limit:
			w.t.Fatalf("no upload that is %s; last %+v", what, w.last())
		}
	}
}

func (w *world) originCA(host string) []byte {
	if _, err := w.origin.Leaf(host); err != nil {
		w.t.Fatal(err)
	}
	b, err := os.ReadFile(w.origin.CAFile(host))
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// point sends every connection for hostport to addr.
func (w *world) point(hostport, addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dial[hostport] = addr
}

func (w *world) dialer(ctx context.Context, network, addr string) (net.Conn, error) {
	w.mu.Lock()
	to, ok := w.dial[addr]
	w.mu.Unlock()
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("no such server in this test: " + addr)}
	}
	return (&net.Dialer{ControlContext: w.r.up.control}).DialContext(ctx, network, to)
}

func (w *world) serverTLS(host string) *tls.Config {
	cert, err := w.origin.Leaf(host)
	if err != nil {
		w.t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{*cert}, NextProtos: []string{"http/1.1"}}
}

// serve starts an HTTPS server for host:443 and points the relay there.
func (w *world) serve(host string, h http.Handler) *httptest.Server {
	w.t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = w.serverTLS(host)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	w.t.Cleanup(s.Close)
	w.point(host+":443", s.Listener.Addr().String())
	return s
}

// raw starts a TLS server for host:443 that plays one function per connection, the last one for all further ones.
// It is an ordinary server: a question for an upload resource gets 404 and counts as no connection.
func (w *world) raw(host string, plays ...func(c *tls.Conn, br *bufio.Reader)) {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	conf := w.serverTLS(host)
	var wg sync.WaitGroup
	var open sync.Map
	var played atomic.Int64
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Store(c, true)
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				tc := tls.Server(c, conf)
				if tc.Handshake() != nil {
					return
				}
				br := bufio.NewReader(tc)
				if start, _ := br.Peek(4); string(start) == "HEAD" {
					if req, err := http.ReadRequest(br); err == nil && req.Header.Get("Holdfast-Upload") != "" {
						_, _ = io.WriteString(tc, "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n")
						return
					}
				}
				plays[min(int(played.Add(1)), len(plays))-1](tc, br)
			})
		}
	})
	w.t.Cleanup(func() {
		_ = l.Close()
		open.Range(func(k, _ any) bool { _ = k.(net.Conn).Close(); return true })
		wg.Wait()
	})
	w.point(host+":443", l.Addr().String())
}

// client is an HTTP client that goes through the relay as libsoup does: CONNECT, HTTP/1.1, trusting the relay's CA.
func (w *world) client(userAgent string, roots ...[]byte) *http.Client {
	w.t.Helper()
	pool := x509.NewCertPool()
	for _, pem := range roots {
		pool.AppendCertsFromPEM(pem)
	}
	if len(roots) == 0 {
		pool.AppendCertsFromPEM(w.relayCA())
	}
	tr := &http.Transport{
		Proxy:              http.ProxyURL(&url.URL{Scheme: "http", Host: w.addr}),
		ProxyConnectHeader: http.Header{"User-Agent": {userAgent}},
		TLSClientConfig:    &tls.Config{RootCAs: pool},
		DisableCompression: true,
	}
	w.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (w *world) relayCA() []byte {
	if _, err := w.ca.Leaf(listed); err != nil {
		w.t.Fatal(err)
	}
	b, err := os.ReadFile(w.ca.CAFile(listed))
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

type result struct {
	status        int
	reason, body  string
	contentLength int64
	header        http.Header
	err           error
}

// put uploads body to https://upload.test<path> as Gajim does.
func (w *world) put(path string, body []byte) result {
	return w.putWith(w.client("Gajim 1.7.3"), path, bytes.NewReader(body), nil)
}

func (w *world) putWith(c *http.Client, path string, body io.Reader, edit func(*http.Request)) result {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "https://"+listed+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("User-Agent", "Gajim 1.7.3")
	req.Header.Set("Content-Type", "image/png")
	if edit != nil {
		edit(req)
	}
	return do(c, req)
}

func do(c *http.Client, req *http.Request) result {
	resp, err := c.Do(req)
	if err != nil {
		return result{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	_, reason, _ := strings.Cut(resp.Status, " ")
	return result{status: resp.StatusCode, reason: reason, body: string(b), contentLength: resp.ContentLength, header: resp.Header, err: err}
}

func (r result) String() string {
	return fmt.Sprintf("%d %q length %d body %q err %v", r.status, r.reason, r.contentLength, r.body, r.err)
}

// stored says whether r is the one answer that every client takes for success.
func (r result) stored() bool {
	return r.err == nil && r.status == http.StatusCreated && r.contentLength == 0 && r.body == ""
}

// sample makes n bytes that differ everywhere.
func sample(n int) []byte {
	b := make([]byte, n)
	x := uint32(n)*2654435761 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

func sumOf(b []byte) [32]byte { return sha256.Sum256(b) }

// keep is a server that stores what is put and gives it back.
type keep struct {
	mu    sync.Mutex
	files map[string][]byte
	seen  []http.Header
	puts  int
}

func (k *keep) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	switch req.Method {
	case http.MethodPut:
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.files == nil {
			k.files = map[string][]byte{}
		}
		k.puts++
		k.seen = append(k.seen, req.Header.Clone())
		if _, ok := k.files[req.URL.Path]; ok {
			rw.WriteHeader(http.StatusConflict)
			return
		}
		k.files[req.URL.Path] = b
		rw.WriteHeader(http.StatusCreated)
	default:
		k.mu.Lock()
		b, ok := k.files[req.URL.Path]
		k.mu.Unlock()
		if !ok {
			http.NotFound(rw, req)
			return
		}
		http.ServeContent(rw, req, "f.bin", time.Unix(1, 0), bytes.NewReader(b))
	}
}

func (k *keep) file(path string) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.files[path]
}
