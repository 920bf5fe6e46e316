package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func request(t *testing.T, method, path string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://"+listed+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// servePlain starts a plain HTTP server for host:80.
func (w *world) servePlain(host string, h http.Handler) {
	w.t.Helper()
	s := httptest.NewServer(h)
	w.t.Cleanup(s.Close)
	w.point(host+":80", s.Listener.Addr().String())
}

// signIn is a network that answers in everybody's place until somebody has signed in.
type signIn struct {
	done   atomic.Bool
	answer http.HandlerFunc
	behind http.Handler
}

func (p *signIn) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	if !p.done.Load() {
		_, _ = io.Copy(io.Discard, req.Body)
		p.answer(rw, req)
		return
	}
	p.behind.ServeHTTP(rw, req)
}

func TestASignInPageIsWaitedFor(t *testing.T) {
	page := func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(rw, "<html>Welcome to the hotel</html>")
	}
	away := func(rw http.ResponseWriter, req *http.Request) {
		http.Redirect(rw, req, "http://login.hotel.example/?back="+req.Host, http.StatusFound)
	}
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"that redirects to another host", away},
		{"that is a page of HTML", page},
		{"that says 511", func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusNetworkAuthenticationRequired)
		}},
	} {
		t.Run("plain http: a page "+tc.name, func(t *testing.T) {
			w := newWorld(t, nil)
			k := &keep{}
			p := &signIn{answer: tc.answer, behind: k}
			w.servePlain(listed, p)
			body := sample(50_000)
			done := make(chan result, 1)
			go func() {
				done <- w.putWith(w.client("profanity"), "/u/s/f", strings.NewReader(string(body)), func(r *http.Request) { r.URL.Scheme = "http" })
			}()
			w.await("held for the sign-in", func(u Upload) bool { return u.State == Waiting && u.Reason == ReasonPortal })
			p.done.Store(true)
			if r := <-done; !r.stored() || string(k.file("/u/s/f")) != string(body) {
				t.Error(r)
			}
		})
		t.Run("https: a certificate of the network's own, and a page "+tc.name, func(t *testing.T) {
			w := newWorld(t, nil)
			k := &keep{}
			s := w.serve(listed, k)
			w.servePlain(listed, &signIn{answer: tc.answer})
			good := s.Listener.Addr().String()
			w.point(listed+":443", w.portal())
			body := sample(50_000)
			done := make(chan result, 1)
			go func() { done <- w.put("/u/s/f", body) }()
			w.await("held for the sign-in", func(u Upload) bool { return u.State == Waiting && u.Reason == ReasonPortal })
			w.point(listed+":443", good) // signed in; nobody says so
			if r := <-done; !r.stored() || string(k.file("/u/s/f")) != string(body) {
				t.Error(r)
			}
		})
	}
}

func TestAnAnswerInHTMLIsNoSignInIfTheFileIsThere(t *testing.T) {
	w := newWorld(t, nil)
	k := &keep{}
	w.servePlain(listed, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPut {
			k.ServeHTTP(httptest.NewRecorder(), req)
			rw.Header().Set("Content-Type", "text/html")
			rw.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(rw, "<h1>Created</h1>") // as Apache's mod_dav does
			return
		}
		k.ServeHTTP(rw, req)
	}))
	got := w.putWith(w.client("profanity"), "/u/s/f", strings.NewReader("hello"), func(r *http.Request) { r.URL.Scheme = "http" })
	if !got.stored() || k.puts != 1 {
		t.Errorf("%v after %d requests", got, k.puts)
	}
}

func TestAServerOnPort80IsNoSignInPage(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"it redirects to https", func(rw http.ResponseWriter, req *http.Request) {
			http.Redirect(rw, req, "https://"+listed+req.URL.Path, http.StatusMovedPermanently)
		}},
		{"it redirects to its main site", func(rw http.ResponseWriter, req *http.Request) {
			http.Redirect(rw, req, "https://www."+listed+"/", http.StatusMovedPermanently)
		}},
		{"it knows nothing", http.NotFound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.servePlain(listed, tc.answer)
			w.point(listed+":443", w.portal())
			if got := w.put("/u/s/f", sample(1000)); got.status != 502 || !strings.HasPrefix(got.reason, "The server's certificate is for another name") {
				t.Error(got)
			}
		})
	}
}

// slots is a server that resumes at the slot's URL, as WIRE has it, and keeps parts of uploads.
type slots struct {
	mu    sync.Mutex
	parts map[string][]byte // by id
	done  map[string][]byte // by path
	log   []string
	got   int // bytes of bodies
}

func (s *slots) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	id := req.Header.Get("Holdfast-Upload")
	rw.Header().Set("Holdfast-Api", "/u/.holdfast/v1/")
	s.mu.Lock()
	s.log = append(s.log, req.Method)
	s.mu.Unlock()
	take := func(have []byte) []byte {
		buf := make([]byte, 4096)
		for {
			n, err := req.Body.Read(buf)
			have = append(have, buf[:n]...)
			s.mu.Lock()
			s.got += n
			s.mu.Unlock()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					s.mu.Lock()
					s.parts[id] = have
					s.mu.Unlock()
				}
				return have
			}
		}
	}
	finish := func(b []byte) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if want := req.Header.Get("Repr-Digest"); want != "" && want != reprDigest(sumOf(b)) {
			delete(s.parts, id)
			rw.Header().Set("Holdfast-Error", "digest-mismatch")
			rw.WriteHeader(http.StatusBadRequest)
			return
		}
		delete(s.parts, id)
		s.done[req.URL.Path] = b
		rw.WriteHeader(http.StatusCreated)
	}
	switch req.Method {
	case http.MethodPut:
		if b := take(nil); int64(len(b)) == req.ContentLength {
			finish(b)
		}
	case http.MethodHead:
		s.mu.Lock()
		part, ok := s.parts[id]
		s.mu.Unlock()
		if !ok {
			rw.Header().Set("Holdfast-Error", "no-upload")
			rw.WriteHeader(http.StatusNotFound)
			return
		}
		rw.Header().Set("Upload-Offset", fmt.Sprint(len(part)))
		rw.Header().Set("Upload-Length", req.Header.Get("Upload-Length"))
		rw.WriteHeader(http.StatusNoContent)
	case http.MethodPatch:
		s.mu.Lock()
		part := s.parts[id]
		s.mu.Unlock()
		finish(take(part))
	}
}

func TestAClientThatSendsItsSlotAgainGoesOnWhereTheServerIs(t *testing.T) {
	for _, tc := range []struct {
		name string
		same bool // the second body
		want string
	}{
		{"the same file goes on", true, "PUT HEAD PATCH"},
		{"another file in the same slot is sent whole", false, "PUT HEAD PATCH PUT"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, nil)
			s := &slots{parts: map[string][]byte{}, done: map[string][]byte{}}
			w.serve(listed, s)
			body := sample(300_000)
			c, _ := w.dialTLS()
			fmt.Fprintf(c, "PUT /u/s/f?v2=abc HTTP/1.1\r\nHost: %s\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n%s", listed, len(body), body[:200_000])
			s.await(t, "half of it", func() bool { return s.got > 100_000 })
			_ = c.NetConn().Close()
			w.await("cancelled", func(u Upload) bool { return u.State == Cancelled && u.Reason == ReasonClientGone })
			s.await(t, "a part that is kept", func() bool { return len(s.parts) > 0 })
			again := body
			if !tc.same {
				again = sample(300_001)[:300_000]
			}
			if got := w.put("/u/s/f?v2=abc", again); !got.stored() {
				t.Fatal(got)
			}
			if string(s.done["/u/s/f"]) != string(again) {
				t.Error("the server has other bytes")
			}
			if got := strings.Join(s.log, " "); got != tc.want {
				t.Errorf("the server saw %s, want %s", got, tc.want)
			}
		})
	}
}

// await waits until the server has what is asked for.
func (s *slots) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-tick.C {
		s.mu.Lock()
		there := ok()
		s.mu.Unlock()
		if there {
			return
		}
	}
	t.Fatalf("the server has not got %s", what)
}

func TestOnlyTheSameSlotGoesOn(t *testing.T) {
	slot := func(edit func(*http.Request)) [32]byte {
		req := httptest.NewRequest(http.MethodPut, "https://h/u/s/f?v=1", strings.NewReader("12345"))
		req.Header.Set("Authorization", "Bearer a")
		req.Header.Set("Content-Type", "image/png")
		if edit != nil {
			edit(req)
		}
		return slotID(req)
	}
	p := resumption{id: "x", most: 5, can: resumes}
	now := time.Now()
	for _, tc := range []struct {
		name string
		edit func(*http.Request)
	}{
		{"another address", func(r *http.Request) { r.URL.Path = "/u/s/g" }},
		{"another query", func(r *http.Request) { r.URL.RawQuery = "v=2" }},
		{"another credential", func(r *http.Request) { r.Header.Set("Authorization", "Bearer b") }},
		{"another type", func(r *http.Request) { r.Header.Set("Content-Type", "image/jpeg") }},
		{"another length", func(r *http.Request) { r.ContentLength = 6 }},
	} {
		var k kept
		k.keep(slot(nil), p, now)
		if _, ok := k.take(slot(tc.edit), now); ok {
			t.Errorf("%s goes on", tc.name)
		}
	}
	var k kept
	k.keep(slot(nil), p, now)
	if _, ok := k.take(slot(nil), now.Add(keptFor+time.Second)); ok {
		t.Error("it is kept for ever")
	}
	k.keep(slot(nil), p, now)
	if u, ok := k.take(slot(nil), now.Add(keptFor-time.Second)); !ok || u.id != "x" {
		t.Error("it was not kept")
	}
	if _, ok := k.take(slot(nil), now); ok {
		t.Error("two requests go on with one upload")
	}
}

func TestAWrongClockIsToldOnceAndTakenBack(t *testing.T) {
	for _, tc := range []struct {
		name string
		off  time.Duration // of the server
		want []NoticeKind
	}{
		{"a little off says nothing", 4 * time.Minute, nil},
		{"an hour behind", time.Hour, []NoticeKind{ClockWrong, ClockRight}},
		{"an hour ahead", -time.Hour, []NoticeKind{ClockWrong, ClockRight}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var mu sync.Mutex
			var told []Notice
			w := newWorld(t, func(c *Config) {
				c.OnNotice = func(n Notice) { mu.Lock(); defer mu.Unlock(); told = append(told, n) }
			})
			off := tc.off
			w.serve(listed, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
				_, _ = io.Copy(io.Discard, req.Body)
				rw.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
				rw.WriteHeader(http.StatusCreated)
			}))
			for i := range 3 {
				if i == 2 {
					off = 0
				}
				if got := w.put(fmt.Sprint("/u/s/", i), []byte("x")); !got.stored() {
					t.Fatal(got)
				}
			}
			var kinds []NoticeKind
			for _, n := range told {
				kinds = append(kinds, n.Kind)
				if n.Kind == ClockWrong && (n.Ahead+tc.off).Abs() > 3*time.Second {
					t.Errorf("told %v ahead", n.Ahead)
				}
			}
			if fmt.Sprint(kinds) != fmt.Sprint(tc.want) {
				t.Errorf("told %v, want %v", kinds, tc.want)
			}
		})
	}
}

func TestGiveUpTimeCanBeChanged(t *testing.T) {
	w := newWorld(t, nil)
	w.r.SetGiveUp(150 * time.Millisecond)
	w.point(listed+":443", "127.0.0.1:1")
	got := w.put("/u/s/f", sample(1000))
	if got.status != 504 || got.reason != "Holdfast gave up after 150ms without progress: The server refuses the connection" {
		t.Error(got)
	}
}

func TestTheFirstAddressThatAnswersWins(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	noRoute := &net.OpError{Op: "dial", Err: syscall.ENETUNREACH}
	const dead, fails, v6off, good, slow = "192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.3", "192.0.2.4"
	for _, tc := range []struct {
		name  string
		addrs []string
		want  string
		err   error
		most  time.Duration
	}{
		{"a dead address costs a quarter of a second", []string{dead, good}, good, nil, 3 * time.Second},
		{"one that fails costs nothing", []string{fails, v6off, good}, good, nil, 2 * time.Second},
		{"many dead ones", []string{dead, "2001:db8::2", "192.0.2.5", good}, good, nil, 5 * time.Second},
		{"a refusal says more than a missing route", []string{v6off, fails}, "", syscall.ECONNREFUSED, 2 * time.Second},
		{"without a route at all", []string{v6off}, "", syscall.ENETUNREACH, 2 * time.Second},
		{"only one connection stays", []string{slow, good}, good, nil, 3 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var open atomic.Int64
			r := &racer{
				lookup: func(context.Context, string, string) (out []netip.Addr, _ error) {
					for _, a := range tc.addrs {
						out = append(out, netip.MustParseAddr(a))
					}
					return out, nil
				},
				dial: func(ctx context.Context, _, addr string) (net.Conn, error) {
					host, _, _ := net.SplitHostPort(addr)
					switch host {
					case fails:
						return nil, refused
					case v6off:
						return nil, noRoute
					case good:
						open.Add(1)
						return &namedConn{name: host, open: &open}, nil
					case slow: // connects although it was told to stop
						<-ctx.Done()
						open.Add(1)
						return &namedConn{name: host, open: &open}, nil
					}
					<-ctx.Done()
					return nil, ctx.Err()
				},
			}
			began := time.Now()
			c, err := r.DialContext(t.Context(), "tcp", "upload.example.org:443")
			if took := time.Since(began); took > tc.most {
				t.Errorf("it took %v", took)
			}
			switch {
			case tc.err != nil:
				if !errors.Is(err, tc.err) {
					t.Errorf("got %v, want %v", err, tc.err)
				}
			case err != nil:
				t.Error(err)
			case c.(*namedConn).name != tc.want || open.Load() != 1:
				t.Errorf("got %s, %d connections open", c.(*namedConn).name, open.Load())
			}
		})
	}
}

type namedConn struct {
	net.Conn
	name string
	open *atomic.Int64
}

func (c *namedConn) Close() error { c.open.Add(-1); return nil }

func TestFamiliesTakeTurns(t *testing.T) {
	var in []netip.Addr
	for _, a := range []string{"2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2"} {
		in = append(in, netip.MustParseAddr(a))
	}
	if got := fmt.Sprint(takeTurns(in)); got != "[2001:db8::1 192.0.2.1 2001:db8::2 192.0.2.2 2001:db8::3]" {
		t.Error(got)
	}
}

func TestNameServersOfThePresentNetworkAreAsked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	for _, tc := range []struct{ name, text, addr, want string }{
		{"one that is still there", "search x\nnameserver 10.0.0.1\nnameserver 10.0.0.2\n", "10.0.0.2:53", "10.0.0.2:53"},
		{"one of the network before", "nameserver 10.9.9.9\nnameserver 10.0.0.2\n", "192.168.1.1:53", "10.9.9.9:53"},
		{"IPv6", "nameserver 2001:db8::53\n", "192.168.1.1:53", "[2001:db8::53]:53"},
		{"an empty file changes nothing", "", "192.168.1.1:53", "192.168.1.1:53"},
		{"nonsense changes nothing", "nameserver not-an-address\nnameserver\n", "192.168.1.1:53", "192.168.1.1:53"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := nameServer(tc.addr, file); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
	if got := nameServer("192.168.1.1:53", filepath.Join(t.TempDir(), "none")); got != "192.168.1.1:53" {
		t.Errorf("got %s", got)
	}
}
