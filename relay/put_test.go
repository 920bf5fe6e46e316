package relay

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestUploadArrivesWithTheClientsOwnHeaders(t *testing.T) {
	w := newWorld(t, nil)
	k := &keep{}
	w.serve(listed, k)
	body := sample(3 << 20)
	got := w.putWith(w.client("Gajim 1.7.3"), "/upload/slot/a%20b.png?v2=of-the-query", bytes.NewReader(body), func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer of-the-header")
		r.Header.Add("Cookie", "a=b")
		r.Header.Set("Expires", "x")
		r.Header.Set("Connection", "X-Hop")
		r.Header.Set("X-Hop", "1")
		r.Header.Set("Proxy-Authorization", "Basic eDp5")
	})
	if !got.stored() {
		t.Fatal(got)
	}
	if !bytes.Equal(k.file("/upload/slot/a b.png"), body) {
		t.Error("the server has other bytes")
	}
	want := http.Header{
		"Authorization": {"Bearer of-the-header"}, "Cookie": {"a=b"}, "Expires": {"x"}, "User-Agent": {"Gajim 1.7.3"},
		"Content-Type": {"image/png"}, "Content-Length": {fmt.Sprint(len(body))},
	}
	id := k.seen[0].Get("Holdfast-Upload") // the one header that the relay adds
	k.seen[0].Del("Holdfast-Upload")
	if d := cmp.Diff(want, k.seen[0]); d != "" {
		t.Error(d)
	}
	u := w.await("done", func(u Upload) bool { return u.State == Done })
	if u.Host != listed || u.File != "a b.png" || u.URL != "https://upload.test/upload/slot/a%20b.png" || u.Sent != u.Size || u.Ended.IsZero() || u.UserAgent != "Gajim 1.7.3" {
		t.Errorf("told %+v", u)
	}
	if n := len(w.r.Active()); n != 0 {
		t.Errorf("%d uploads still active", n)
	}
	if len(id) != 22 || strings.Contains(w.log.String(), id) || strings.Contains(w.log.String(), "of-the-query") || strings.Contains(w.log.String(), "of-the-header") {
		t.Error("the log has a credential")
	}
}

func TestEmptyFileAndRepeatedUseOfOneConnection(t *testing.T) {
	w := newWorld(t, nil)
	k := &keep{}
	w.serve(listed, k)
	c := w.client("Dino/0.4.2")
	for i := range 3 {
		path := fmt.Sprintf("/u/s/%d", i)
		if got := w.putWith(c, path, bytes.NewReader(sample(i*300<<10)), func(r *http.Request) { r.ContentLength = int64(i * 300 << 10) }); !got.stored() {
			t.Fatal(i, got)
		}
		req, err := http.NewRequest(http.MethodGet, "https://"+listed+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := do(c, req); got.status != http.StatusOK || got.body != string(sample(i*300<<10)) {
			t.Errorf("GET after PUT %d: %d, %d bytes, %v", i, got.status, len(got.body), got.err)
		}
	}
	if n := strings.Count(w.log.String(), "client refused the handshake"); n > 0 {
		t.Error("a handshake failed")
	}
}

// answerWith reads a whole PUT and writes text as it is.
func answerWith(text string) func(*tls.Conn, *bufio.Reader) {
	return func(c *tls.Conn, br *bufio.Reader) {
		for {
			req, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			if req.Header.Get("Expect") != "" {
				_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
			}
			_, _ = io.Copy(io.Discard, req.Body)
			_, _ = io.WriteString(c, text)
			if strings.Contains(text, "Connection: close") {
				return
			}
		}
	}
}

func TestEveryShapeOfSuccessBecomes201WithoutBody(t *testing.T) {
	for name, text := range map[string]string{
		"201":                      "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
		"200 with a body":          "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"202":                      "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
		"204":                      "HTTP/1.1 204 No Content\r\n\r\n",
		"201 chunked and empty":    "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"201 chunked with a body":  "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"201 chunked and cut off":  "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhe",
		"201 until the end":        "HTTP/1.1 201 Created\r\nConnection: close\r\n\r\nhello",
		"201 of HTTP/1.0":          "HTTP/1.0 201 Created\r\nConnection: close\r\n\r\n",
		"201 body that never ends": "HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\nhe",
		"many interim answers": strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 12) + "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" +
			"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.raw(listed, answerWith(text))
			if got := w.put("/u/s/f", sample(100_000)); !got.stored() {
				t.Error(got)
			}
		})
	}
}

func TestFinalRefusals(t *testing.T) {
	for _, tc := range []struct {
		name, answer string
		status       int
		reason       string
	}{
		{"the server's own reason phrase", "HTTP/1.1 403 The upload token is too old.\r\nContent-Length: 0\r\n\r\n", 403, "The upload token is too old."},
		{"our server's sentence in the body", "HTTP/1.1 413 Request Entity Too Large\r\nHoldfast-Error: too-large\r\nContent-Type: text/plain\r\nContent-Length: 19\r\n\r\nAt most 500 MB here", 413, "At most 500 MB here"},
		{"somebody else's HTML", "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>", 404, "The server does not know this upload address"},
		{"a standard phrase", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403, "The server refused the upload"},
		{"401", "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\n\r\n", 401, "The server refused the upload"},
		{"409 on the first attempt", "HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n", 409, "The server already has another file under this address"},
		{"501", "HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n", 501, "The server refused the upload: not implemented"},
		{"301", "HTTP/1.1 301 Moved\r\nLocation: https://upload.test/x\r\nContent-Length: 0\r\n\r\n", 502, "The server sends the upload elsewhere (301), which would lose the file"},
		{"302", "HTTP/1.1 302 Found\r\nLocation: https://upload.test/x\r\nContent-Length: 0\r\n\r\n", 502, "The server sends the upload elsewhere (302), which would lose the file"},
		{"303", "HTTP/1.1 303 See Other\r\nLocation: https://upload.test/x\r\nContent-Length: 0\r\n\r\n", 502, "The server sends the upload elsewhere (303), which would lose the file"},
		{"307 to another host", "HTTP/1.1 307 Temporary Redirect\r\nLocation: https://evil.test/x\r\nContent-Length: 0\r\n\r\n", 502, "The server redirects the upload to another host"},
		{"308 to plain http", "HTTP/1.1 308 Permanent Redirect\r\nLocation: http://upload.test/x\r\nContent-Length: 0\r\n\r\n", 502, "The server redirects the upload to an address without encryption"},
		{"307 to itself", "HTTP/1.1 307 Temporary Redirect\r\nLocation: /u/s/f\r\nContent-Length: 0\r\n\r\n", 502, "The server redirects the upload in circles"},
		{"307 to nowhere", "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\n\r\n", 502, "The server redirects the upload, but does not say where"},
		{"206", "HTTP/1.1 206 Partial Content\r\nContent-Length: 0\r\n\r\n", 502, "The server gave an answer that is not one to an upload (206)"},
		{"a reason phrase with control bytes", "HTTP/1.1 400 a\tb\x7fc\r\nContent-Length: 0\r\n\r\n", 400, "a b c"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.raw(listed, answerWith(tc.answer))
			got := w.put("/u/s/f", sample(100_000))
			if got.status != tc.status || got.reason != tc.reason || got.contentLength != int64(len(got.body)) || got.header.Get("Location") != "" {
				t.Errorf("got %v, want %d %q", got, tc.status, tc.reason)
			}
			u := w.await("failed", func(u Upload) bool { return u.State == Failed })
			if u.Reason != ReasonRefused || u.Detail == "" {
				t.Errorf("told %q %q", u.Reason, u.Detail)
			}
		})
	}
}

// A server behind a wrong redirect repeats the query in Location, and with it the token of the slot.
func TestARefusedRedirectTellsNobodyTheToken(t *testing.T) {
	for name, location := range map[string]string{
		"another host":   "https://evil.test/u/s/f?v2=5ec12e7",
		"without TLS":    "http://upload.test/u/s/f?v2=5ec12e7",
		"a password":     "https://me:5ec12e7@upload.test/u/s/f",
		"no address":     "https://upload.test:5ec12e7/u/s/f",
		"nothing before": "//evil.test/u/s/f?v2=5ec12e7",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.raw(listed, answerWith("HTTP/1.1 307 Temporary Redirect\r\nLocation: "+location+"\r\nContent-Length: 0\r\n\r\n"))
			if got := w.put("/u/s/f", sample(1000)); got.status != 502 {
				t.Error(got)
			}
			u := w.await("failed", func(u Upload) bool { return u.State == Failed })
			if strings.Contains(u.Detail, "5ec12e7") || u.Detail == "" {
				t.Errorf("told %q", u.Detail)
			}
			if strings.Contains(w.log.String(), "5ec12e7") {
				t.Error("the token is in the log")
			}
		})
	}
}

func TestRedirectToTheSameHostIsFollowed(t *testing.T) {
	for _, status := range []int{307, 308} {
		w := newWorld(t, nil)
		k := &keep{}
		w.serve(listed, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			if strings.HasPrefix(req.URL.Path, "/old/") {
				http.Redirect(rw, req, strings.Replace(req.URL.String(), "/old/", "/new/", 1), status)
				return
			}
			k.ServeHTTP(rw, req)
		}))
		body := sample(500_000)
		if got := w.put("/old/s/f?v=1", body); !got.stored() {
			t.Errorf("%d: %v", status, got)
		}
		if !bytes.Equal(k.file("/new/s/f"), body) {
			t.Errorf("%d: the file is not at the new place", status)
		}
	}
}

// cutAfter reads n bytes of a connection's request and ends it with a reset.
func cutAfter(n int64) func(*tls.Conn, *bufio.Reader) {
	return func(c *tls.Conn, br *bufio.Reader) {
		_, _ = io.CopyN(io.Discard, br, n)
		_ = tcpOf(c).SetLinger(0)
	}
}

// store reads a whole PUT and keeps the body.
func store(into *[]byte, mu *sync.Mutex, answer string) func(*tls.Conn, *bufio.Reader) {
	return func(c *tls.Conn, br *bufio.Reader) {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if req.Header.Get("Expect") != "" {
			_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		mu.Lock()
		*into = b
		mu.Unlock()
		_, _ = io.WriteString(c, answer)
	}
}

const created = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"

func TestCutsAreRepeatedWithoutTheClientNoticing(t *testing.T) {
	w := newWorld(t, nil)
	var got []byte
	var mu sync.Mutex
	w.raw(listed,
		cutAfter(0), cutAfter(700_000), cutAfter(2_000_000),
		answerWith("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
		answerWith("HTTP/1.1 425 Too Early\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
		func(c *tls.Conn, br *bufio.Reader) { // answers before it has read anything
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			_, _ = io.CopyN(io.Discard, br, 1000)
		},
		store(&got, &mu, created))
	body := sample(5 << 20)
	if r := w.put("/u/s/f", body); !r.stored() {
		t.Fatal(r)
	}
	if sumOf(got) != sumOf(body) {
		t.Error("the server has other bytes")
	}
	u := w.await("done", func(u Upload) bool { return u.State == Done })
	if u.Repeats != 6 {
		t.Errorf("%d repeats, want 6", u.Repeats)
	}
}

func TestServerThatStallsIsLeft(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Stall = 300 * time.Millisecond })
	var got []byte
	var mu sync.Mutex
	released := make(chan struct{})
	w.raw(listed, func(_ *tls.Conn, br *bufio.Reader) {
		_, _ = io.CopyN(io.Discard, br, 10_000)
		<-released
	}, store(&got, &mu, created))
	body := sample(16 << 20)
	r := w.put("/u/s/f", body)
	close(released)
	if !r.stored() {
		t.Fatal(r)
	}
	if sumOf(got) != sumOf(body) {
		t.Error("the server has other bytes")
	}
}

func TestSlowAnswerIsAwaitedWith102(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Stall = 50 * time.Millisecond; c.Interim = 10 * time.Millisecond })
	release := make(chan struct{})
	w.raw(listed, func(c *tls.Conn, br *bufio.Reader) {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		<-release
		_, _ = io.WriteString(c, created)
	})
	c, br := w.dialTLS()
	fmt.Fprintf(c, "PUT /u/s/f HTTP/1.1\r\nHost: %s\r\nContent-Length: 5\r\n\r\nhello", listed)
	for i := range 30 {
		if line := readHead(t, br); line != "HTTP/1.1 102 Processing" {
			t.Fatalf("answer %d: %q", i, line)
		}
	}
	close(release)
	line := readHead(t, br)
	for line == "HTTP/1.1 102 Processing" {
		line = readHead(t, br)
	}
	if line != "HTTP/1.1 201 Created" {
		t.Errorf("got %q", line)
	}
	if u := w.last(); u.Repeats != 0 {
		t.Errorf("%d repeats of a request that the server was busy with", u.Repeats)
	}
}

func TestOutageIsOutlivedAndRefreshEndsTheWaiting(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.BackOff, c.MaxBackOff = time.Hour, time.Hour })
	var got []byte
	var mu sync.Mutex
	cut := make(chan struct{})
	w.raw(listed, func(c *tls.Conn, br *bufio.Reader) {
		<-cut
		cutAfter(700_000)(c, br)
	}, store(&got, &mu, created))
	w.mu.Lock()
	addr := w.dial[listed+":443"]
	w.mu.Unlock()
	body := sample(5 << 20)
	done := make(chan result, 1)
	go func() { done <- w.put("/u/s/f", body) }()
	w.await("sending", func(u Upload) bool { return u.State == Sending })
	w.point(listed+":443", "127.0.0.1:1") // nobody listens there
	close(cut)
	// After a cut in the middle the server is asked at once, and then waited for.
	u := w.await("waiting", func(u Upload) bool { return u.Repeats == 1 && u.State == Waiting && u.Reason == ReasonNetwork })
	if active := w.r.Active(); len(active) != 1 || active[0].ID != u.ID {
		t.Errorf("active %+v", active)
	}
	w.r.Refresh()
	w.await("refused", func(u Upload) bool { return u.Repeats == 2 && u.State == Waiting })
	w.r.SetOnline(false)
	if !w.r.TryNow(u.ID) || w.r.TryNow("nobody") {
		t.Error("TryNow does not know its uploads")
	}
	w.await("offline", func(u Upload) bool { return u.Repeats == 3 && u.State == Waiting && u.Reason == ReasonOffline })
	w.point(listed+":443", addr)
	w.r.SetOnline(true)
	if r := <-done; !r.stored() {
		t.Fatal(r)
	}
	if sumOf(got) != sumOf(body) {
		t.Error("the server has other bytes")
	}
}

func TestGivingUp(t *testing.T) {
	t.Run("an unreachable server is 504", func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.GiveUp = 200 * time.Millisecond })
		w.point(listed+":443", "127.0.0.1:1")
		got := w.put("/u/s/f", sample(1000))
		if got.status != 504 || got.reason != "Holdfast gave up after 200ms without progress: The server refuses the connection" {
			t.Error(got)
		}
		if u := w.last(); u.State != Failed || u.Reason != ReasonGaveUp {
			t.Errorf("told %s %s", u.State, u.Reason)
		}
	})
	t.Run("a server that is busy for ever is 503", func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.GiveUp = 200 * time.Millisecond })
		w.raw(listed, answerWith("HTTP/1.1 507 Insufficient Storage\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n"))
		got := w.put("/u/s/f", sample(1000))
		if got.status != 503 || !strings.HasSuffix(got.reason, "The server is full") {
			t.Error(got)
		}
	})
	t.Run("a server that never answers is 504", func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.GiveUp = 200 * time.Millisecond })
		end := make(chan struct{})
		defer close(end)
		w.raw(listed, func(_ *tls.Conn, br *bufio.Reader) { <-end })
		if got := w.put("/u/s/f", sample(1000)); got.status != 504 {
			t.Error(got)
		}
	})
	t.Run("time offline does not count", func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.GiveUp = 100 * time.Millisecond; c.BackOff = time.Hour; c.MaxBackOff = time.Hour })
		w.r.SetOnline(false)
		k := &keep{}
		done := make(chan result, 1)
		go func() { done <- w.put("/u/s/f", sample(1000)) }()
		w.await("offline", func(u Upload) bool { return u.Reason == ReasonOffline })
		<-time.After(500 * time.Millisecond) // five times as long as GiveUp
		w.serve(listed, k)
		w.r.SetOnline(true)
		if got := <-done; !got.stored() {
			t.Error(got)
		}
	})
}

func TestLostAnswer(t *testing.T) {
	body := sample(200_000)
	sum := sumOf(body)
	good := "sha-512=:AAAA:, sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	for _, tc := range []struct {
		name    string
		digest  string
		content []byte
		want    int
	}{
		{"a digest that is ours", good, nil, 201},
		{"a digest of another file", "sha-256=:" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + ":", body, 409},
		{"no digest, the same bytes", "", body, 201},
		{"no digest, other bytes of the same length", "", sample(200_001)[1:], 409},
		{"no digest, a longer file", "", append(bytes.Clone(body), 0), 409},
		{"no digest, half of the file", "", body[:100_000], 409},
		{"nothing there", "", nil, 409},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, nil)
			var puts atomic.Int32
			w.serve(listed, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
				if req.Header.Get("Holdfast-Upload") != "" && req.Method == http.MethodHead {
					rw.WriteHeader(http.StatusOK) // as an ordinary server has it
					return
				}
				if req.Method != http.MethodPut {
					if req.URL.RawQuery != "" || req.Header.Get("Authorization") != "" {
						t.Errorf("%s with the slot's credentials", req.Method)
					}
					if tc.digest != "" {
						rw.Header().Set("Repr-Digest", tc.digest)
					}
					if tc.content == nil && tc.digest == "" {
						http.NotFound(rw, req)
						return
					}
					http.ServeContent(rw, req, "f", time.Time{}, bytes.NewReader(tc.content))
					return
				}
				if puts.Add(1) == 1 {
					_, _ = io.Copy(io.Discard, req.Body)
					panic(http.ErrAbortHandler) // stored, and the answer gets lost
				}
				rw.WriteHeader(http.StatusConflict)
			}))
			got := w.putWith(w.client("Gajim 1.7.3"), "/u/s/f?v=1", bytes.NewReader(body), func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") })
			if got.status != tc.want {
				t.Error(got)
			}
			if tc.want == 201 && !got.stored() {
				t.Error(got)
			}
		})
	}
}

func TestClientThatLeavesEndsTheUpload(t *testing.T) {
	t.Run("in the middle of the body", func(t *testing.T) {
		w := newWorld(t, nil)
		upstreamEnded := make(chan struct{})
		w.raw(listed, func(_ *tls.Conn, br *bufio.Reader) {
			_, _ = io.Copy(io.Discard, br)
			close(upstreamEnded)
		})
		c, _ := w.dialTLS()
		fmt.Fprintf(c, "PUT /u/s/f HTTP/1.1\r\nHost: %s\r\nContent-Length: 500000\r\n\r\n%s", listed, sample(100_000))
		w.await("sending", func(u Upload) bool { return u.State == Sending })
		_ = c.NetConn().Close()
		<-upstreamEnded
		u := w.await("cancelled", func(u Upload) bool { return u.State == Cancelled })
		if u.Reason != ReasonClientGone {
			t.Errorf("reason %q", u.Reason)
		}
	})
	t.Run("while it waits for the answer", func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.Interim = time.Hour })
		w.point(listed+":443", "127.0.0.1:1")
		c, _ := w.dialTLS()
		fmt.Fprintf(c, "PUT /u/s/f HTTP/1.1\r\nHost: %s\r\nContent-Length: 5\r\n\r\nhello", listed)
		w.await("waiting", func(u Upload) bool { return u.State == Waiting })
		_ = c.Close()
		w.await("cancelled", func(u Upload) bool { return u.State == Cancelled && u.Reason == ReasonClientGone })
		w.r.mu.Lock()
		defer w.r.mu.Unlock()
		if w.r.reserved != 0 {
			// finish is told before the room is given back
			w.r.mu.Unlock()
			<-time.After(100 * time.Millisecond)
			w.r.mu.Lock()
		}
		if w.r.reserved != 0 || len(w.r.uploads) != 0 {
			t.Errorf("%d bytes of spool still reserved", w.r.reserved)
		}
	})
}

func TestCancelAnswersTheClient(t *testing.T) {
	w := newWorld(t, nil)
	w.point(listed+":443", "127.0.0.1:1")
	done := make(chan result, 1)
	go func() { done <- w.put("/u/s/f", sample(1000)) }()
	u := w.await("waiting", func(u Upload) bool { return u.State == Waiting })
	if !w.r.Cancel(u.ID) || w.r.Cancel("nobody") {
		t.Error("Cancel does not know its uploads")
	}
	if got := <-done; got.status != 503 || got.reason != "The upload was cancelled in Holdfast" {
		t.Error(got)
	}
	if u := w.last(); u.State != Cancelled || u.Reason != ReasonCancelled {
		t.Errorf("told %s %s", u.State, u.Reason)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	for _, tc := range []struct{ name, request, want string }{
		{"no length", "PUT /u/s/f HTTP/1.1\r\nHost: upload.test\r\n\r\n", "HTTP/1.1 411 An upload needs a Content-Length."},
		{"chunked", "PUT /u/s/f HTTP/1.1\r\nHost: upload.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 411 An upload needs a Content-Length."},
		{"another host inside", "PUT /u/s/f HTTP/1.1\r\nHost: other.test\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 421 This connection is for upload.test only."},
		{"absolute form inside", "GET http://upload.test/ HTTP/1.1\r\nHost: upload.test\r\n\r\n", "HTTP/1.1 400 Only paths of upload.test can be asked for here."},
		{"an upgrade", "GET / HTTP/1.1\r\nHost: upload.test\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", "HTTP/1.1 501 Only HTTP requests pass through Holdfast here."},
		{"two lengths", "PUT /u/s/f HTTP/1.1\r\nHost: upload.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 400 This is not an HTTP request."},
		{"a negative length", "PUT /u/s/f HTTP/1.1\r\nHost: upload.test\r\nContent-Length: -1\r\n\r\nab", "HTTP/1.1 400 This is not an HTTP request."},
		{"not HTTP", "hello\r\n\r\n", "HTTP/1.1 400 This is not an HTTP request."},
		{"an endless head", "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 80<<10), "HTTP/1.1 431 The request head is too large."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, nil)
			c, br := w.dialTLS()
			go func() { _, _ = io.WriteString(c, tc.request) }()
			if got := readHead(t, br); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestExpectIsAnsweredAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	w.serve(listed, &keep{})
	c, br := w.dialTLS()
	fmt.Fprintf(c, "PUT /u/s/f HTTP/1.1\r\nHost: %s\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", listed)
	if got := readHead(t, br); got != "HTTP/1.1 100 Continue" {
		t.Fatal(got)
	}
	_, _ = io.WriteString(c, "hello")
	if got := readHead(t, br); got != "HTTP/1.1 201 Created" {
		t.Error(got)
	}
}

func TestHTTP10ClientGetsNoInterimAnswer(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Interim = time.Millisecond })
	w.raw(listed, cutAfter(10), cutAfter(10), cutAfter(10), answerWith(created))
	c, br := w.dialTLS()
	_, _ = io.WriteString(c, "PUT /u/s/f HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
	if got := readHead(t, br); got != "HTTP/1.1 201 Created" {
		t.Error(got)
	}
	if _, err := br.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the connection stays open: %v", err)
	}
}

func TestEarlyRefusalReachesAClientThatStillSends(t *testing.T) {
	w := newWorld(t, nil)
	w.raw(listed, func(c *tls.Conn, br *bufio.Reader) {
		if _, err := http.ReadRequest(br); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 413 At most 1 KB\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, br)
	})
	pr, pw := io.Pipe()
	go func() {
		_, _ = pw.Write(sample(100_000))
		<-time.After(300 * time.Millisecond)
		_, _ = pw.Write(sample(100_000))
		_ = pw.Close()
	}()
	got := w.putWith(w.client("Gajim 1.7.3"), "/u/s/f", pr, func(r *http.Request) { r.ContentLength = 200_000 })
	if got.status != 413 || got.reason != "At most 1 KB" {
		t.Error(got)
	}
}

func TestStoppingAnswersClientsAndEnds(t *testing.T) {
	w := newWorld(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	l := listen(t)
	w.addr = l.Addr().String()
	ended := make(chan error, 1)
	go func() { ended <- w.r.Serve(ctx, l) }()
	w.point(listed+":443", "127.0.0.1:1")
	done := make(chan result, 1)
	go func() { done <- w.put("/u/s/f", sample(1000)) }()
	w.await("waiting", func(u Upload) bool { return u.State == Waiting })
	cancel()
	if got := <-done; got.status != 503 {
		t.Error(got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if u := w.last(); u.State != Cancelled || u.Reason != ReasonStopped {
		t.Errorf("told %s %s", u.State, u.Reason)
	}
}
