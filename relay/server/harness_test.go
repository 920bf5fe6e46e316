package server_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"holdfast/relay/server"
	"holdfast/relay/server/admit"
	"holdfast/relay/server/ledger"
	"holdfast/relay/server/realip"
	"holdfast/relay/server/store"
	"holdfast/relay/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var secret = token.Secret("a secret of the tests, long enough")

// lab is a running server on loopback with real store and ledger.
type lab struct {
	tb    testing.TB
	dir   string
	base  string // http://127.0.0.1:port
	conf  server.Config
	disk  *store.Disk
	led   *ledger.Ledger
	srv   *server.Server
	reg   *prometheus.Registry
	log   *syncBuffer
	clock atomic.Int64
	http  *http.Client
	stop  func()
}

// change adjusts what a lab is made of before it starts.
type change func(*server.Config)

func trusting(c *server.Config) {
	c.Settings.Trust = realip.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
}

func newLab(tb testing.TB, changes ...change) *lab {
	tb.Helper()
	l := &lab{tb: tb, dir: tb.TempDir(), http: &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}}
	l.clock.Store(time.Now().Unix())
	l.start(changes...)
	tb.Cleanup(func() { l.stop() })
	return l
}

func (l *lab) now() time.Time { return time.Unix(l.clock.Load(), 0) }

func (l *lab) start(changes ...change) {
	l.tb.Helper()
	l.reg, l.log = prometheus.NewRegistry(), new(syncBuffer)
	var err error
	if l.led, err = ledger.Open(filepath.Join(l.dir, "state"), ledger.Options{Now: l.now}); err != nil {
		l.tb.Fatal(err)
	}
	if l.disk, err = store.Open(l.files(), store.Options{Attrs: l.led}); err != nil {
		l.tb.Fatal(err)
	}
	l.conf = server.Config{
		Prefix: "/upload/",
		Settings: server.Settings{
			Issuers: []token.Issuer{{Schemes: token.Schemes(), Secrets: []token.Secret{secret}}},
			Windows: admit.Default, MaxUpload: 64 << 20,
		},
		Store: l.disk, Ledger: l.led, Registry: l.reg, Now: l.now, Idle: 5 * time.Second,
		Log: slog.New(slog.NewTextHandler(l.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range changes {
		c(&l.conf)
	}
	if l.srv, err = server.New(l.conf); err != nil {
		l.tb.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.tb.Fatal(err)
	}
	l.base = "http://" + ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.srv.Serve(ctx, ln, nil) }()
	l.stop = sync.OnceFunc(func() {
		l.http.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			l.tb.Errorf("serve: %v", err)
		}
		if err := l.disk.Close(); err != nil {
			l.tb.Errorf("close the store: %v", err)
		}
		if err := l.led.Close(); err != nil {
			l.tb.Errorf("close the ledger: %v", err)
		}
	})
}

func (l *lab) files() string { return filepath.Join(l.dir, "files") }

// slot is a signed request.
type slot struct {
	path, url, auth string
	typ             string
}

// sign signs a slot as issued now.
func (l *lab) sign(s token.Scheme, path string, size int, edit ...func(*token.Claims)) slot {
	l.tb.Helper()
	c := token.Claims{Scheme: s, Path: path, Size: int64(size), Type: "text/plain"}
	if s == token.Bearer || s == token.JWT {
		c.User = "alice@example.org"
	}
	for _, e := range edit {
		e(&c)
	}
	if c.Expires.IsZero() {
		c = token.Issued(c, l.now())
	}
	g, err := token.Sign(c, "/upload/"+path, secret)
	if err != nil {
		l.tb.Fatal(err)
	}
	u := l.base + "/upload/" + token.EscapePath(path)
	if g.RawQuery != "" {
		u += "?" + g.RawQuery
	}
	return slot{path: path, url: u, auth: g.Authorization, typ: c.Type}
}

func user(jid string) func(*token.Claims) { return func(c *token.Claims) { c.User = jid } }

// put uploads body to the slot. headers are "Name: value".
func (l *lab) put(s slot, body string, headers ...string) *http.Response {
	l.tb.Helper()
	return l.do(http.MethodPut, s.url, strings.NewReader(body), append([]string{"Authorization: " + s.auth, "Content-Type: " + s.typ}, headers...)...)
}

func (l *lab) do(method, url string, body io.Reader, headers ...string) *http.Response {
	l.tb.Helper()
	req, err := http.NewRequestWithContext(l.tb.Context(), method, url, body)
	if err != nil {
		l.tb.Fatal(err)
	}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		if v != "" {
			req.Header.Set(k, v)
		}
	}
	resp, err := l.http.Do(req)
	if err != nil {
		l.tb.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil && method != http.MethodHead {
		l.tb.Fatal(err)
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(b))
	return resp
}

func text(resp *http.Response) string {
	b, _ := io.ReadAll(resp.Body)
	return string(b)
}

// want checks status and Holdfast-Error.
func want(tb testing.TB, resp *http.Response, status int, code string) {
	tb.Helper()
	if resp.StatusCode != status || resp.Header.Get("Holdfast-Error") != code {
		tb.Errorf("got %s %q, want %d %q", resp.Status, resp.Header.Get("Holdfast-Error"), status, code)
	}
}

// syncBuffer is a log that can be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// eventually waits for a condition that another goroutine brings about.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			tb.Fatalf("not seen within 10 s: %s", what)
		}
	}
}
