package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/relay/server/resume"
	"holdfast/relay/token"
)

const chunkSize = 5 << 20

// chunked is a client of numbered chunks with a slot.
type chunked struct {
	*lab
	slot
	body    string
	session string
}

// chunkedDoc is any of the answers.
type chunkedDoc struct {
	Session   string  `json:"session_id"`
	ChunkSize int64   `json:"chunk_size"`
	Chunks    int64   `json:"total_chunks"`
	Success   bool    `json:"success"`
	Message   string  `json:"message"`
	Chunk     int64   `json:"chunk"`
	Uploaded  int64   `json:"uploaded_bytes"`
	Total     int64   `json:"total_size"`
	Progress  float64 `json:"progress"`
	Completed bool    `json:"completed"`
	Filename  string  `json:"filename"`
	Size      int64   `json:"size"`
	Duration  string  `json:"duration"`
	Last      string  `json:"last_activity"`
	Count     int64   `json:"chunks"`
}

func (l *lab) chunked(s token.Scheme, path, body string) *chunked {
	l.tb.Helper()
	return &chunked{lab: l, slot: l.sign(s, path, len(body)), body: body}
}

func (c *chunked) slotHeaders(more ...string) []string {
	return append([]string{"Holdfast-Slot: " + strings.TrimPrefix(c.url, c.base), "Authorization: " + c.auth}, more...)
}

func (c *chunked) begin(more ...string) *http.Response {
	c.tb.Helper()
	return c.do("POST", c.base+"/chunked-upload", nil, c.slotHeaders(append([]string{
		"X-Filename: file.bin", "X-Total-Size: " + strconv.Itoa(len(c.body)), "Content-Type: " + c.typ,
	}, more...)...)...)
}

// part is the body of chunk n.
func (c *chunked) part(n int) string { return c.body[n*chunkSize : min((n+1)*chunkSize, len(c.body))] }

func (c *chunked) send(n int, more ...string) *http.Response {
	c.tb.Helper()
	return c.chunk(strconv.Itoa(n), c.part(n), more...)
}

func (c *chunked) chunk(n, body string, more ...string) *http.Response {
	c.tb.Helper()
	return c.do("PUT", c.base+"/chunked-upload", strings.NewReader(body), c.slotHeaders(append([]string{
		"X-Upload-Session-ID: " + c.session, "X-Chunk-Number: " + n, "Content-Type: application/octet-stream",
	}, more...)...)...)
}

func (c *chunked) status(more ...string) *http.Response {
	c.tb.Helper()
	return c.do("GET", c.base+"/upload-status?session_id="+c.session, nil, c.slotHeaders(more...)...)
}

func (c *chunked) mustBe(t testing.TB) {
	t.Helper()
	resp := c.do("GET", c.base+"/upload/"+token.EscapePath(c.path), nil)
	if got := text(resp); resp.StatusCode != 200 || got != c.body || resp.Header.Get("Content-Type") != c.typ {
		t.Errorf("GET: %s with %d bytes, want %d", resp.Status, len(got), len(c.body))
	}
}

// answer reads a document.
func answer(t testing.TB, resp *http.Response, status int) chunkedDoc {
	t.Helper()
	var d chunkedDoc
	b := text(resp)
	if err := json.Unmarshal([]byte(b), &d); err != nil || resp.StatusCode != status || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s %q: %v", resp.Status, b, err)
	}
	return d
}

// started begins an upload of size bytes.
func (l *lab) started(t testing.TB, path string, size int) *chunked {
	t.Helper()
	c := l.chunked(token.V2, path, content(size))
	d := answer(t, c.begin(), 201)
	c.session = d.Session
	return c
}

func TestChunkDoor(t *testing.T) {
	const size = 2*chunkSize + 1000
	l := newLab(t)
	for _, s := range token.Schemes() {
		t.Run("chunks in order with a slot of scheme "+string(s), func(t *testing.T) {
			c := l.chunked(s, "chunk/"+string(s)+".txt", content(size))
			d := answer(t, c.begin(), 201)
			if diff := cmp.Diff(chunkedDoc{Session: d.Session, ChunkSize: chunkSize, Chunks: 3}, d); diff != "" || len(d.Session) != 22 {
				t.Fatal(diff)
			}
			c.session = d.Session
			d = answer(t, c.status(), 200)
			if diff := cmp.Diff(chunkedDoc{Session: c.session, Filename: string(s) + ".txt", Total: size, Last: d.Last}, d); diff != "" {
				t.Error(diff)
			}
			if last, err := time.Parse(time.RFC3339, d.Last); err != nil || !last.Equal(l.now()) {
				t.Errorf("last_activity is %q", d.Last)
			}
			for n := range 2 {
				done := int64(n+1) * chunkSize
				d := answer(t, c.send(n), 200)
				if diff := cmp.Diff(chunkedDoc{Success: true, Chunk: int64(n), Uploaded: done, Total: size, Progress: float64(done) / size}, d); diff != "" {
					t.Error(diff)
				}
			}
			if d := answer(t, c.status(), 200); d.Uploaded != 2*chunkSize || d.Count != 2 || d.Completed {
				t.Errorf("status %+v", d)
			}
			want(t, l.do("GET", l.base+"/upload/"+c.path, nil), 404, "not-found")
			d = answer(t, c.send(2), 200)
			if diff := cmp.Diff(chunkedDoc{Success: true, Filename: string(s) + ".txt", Size: size, Duration: d.Duration, Completed: true}, d); diff != "" {
				t.Error(diff)
			}
			if _, err := time.ParseDuration(d.Duration); err != nil {
				t.Error(err)
			}
			c.mustBe(t)
			if d := answer(t, c.status(), 200); !d.Completed || d.Uploaded != size || d.Progress != 1 || d.Count != 3 {
				t.Errorf("status %+v", d)
			}
			if d := answer(t, c.send(1), 200); d.Message != "Chunk already uploaded" || d.Chunk != 1 || !d.Completed {
				t.Errorf("repeated: %+v", d)
			}
		})
	}
	t.Run("chunks in any order, and repeated", func(t *testing.T) {
		c := l.started(t, "chunk/order", size)
		if d := answer(t, c.send(2), 200); d.Uploaded != 1000 || d.Completed {
			t.Errorf("%+v", d)
		}
		for range 2 {
			if d := answer(t, c.send(2), 200); d.Message != "Chunk already uploaded" || d.Chunk != 2 || d.Uploaded != 1000 {
				t.Errorf("%+v", d)
			}
		}
		if d := answer(t, c.send(0), 200); d.Uploaded != chunkSize+1000 || d.Message != "" {
			t.Errorf("%+v", d)
		}
		if d := answer(t, c.send(0), 200); d.Message == "" {
			t.Errorf("%+v", d)
		}
		if d := answer(t, c.status(), 200); d.Count != 2 || d.Uploaded != chunkSize+1000 {
			t.Errorf("%+v", d)
		}
		if d := answer(t, c.send(1), 200); !d.Completed {
			t.Errorf("%+v", d)
		}
		c.mustBe(t)
	})
	t.Run("all chunks at once", func(t *testing.T) {
		c := l.started(t, "chunk/once", 5*chunkSize+1)
		var g sync.WaitGroup
		var mu sync.Mutex
		completed := 0
		for _, n := range rand.Perm(6) {
			g.Go(func() {
				d := answer(t, c.send(n), 200)
				mu.Lock()
				defer mu.Unlock()
				if d.Completed {
					completed++
				}
			})
		}
		g.Wait()
		if completed == 0 {
			t.Error("nobody heard that the upload is complete")
		}
		c.mustBe(t)
	})
	t.Run("a file of one chunk, through the api", func(t *testing.T) {
		c := l.chunked(token.V2, "chunk/one", "hello")
		at := l.base + "/upload/.holdfast/v1/"
		d := answer(t, l.do("PUT", at+"chunked-upload", nil, c.slotHeaders("X-Filename: x", "X-Total-Size: 5", "Holdfast-Slot-Type: "+c.typ, "Content-Type: application/json")...), 201)
		c.session = d.Session
		if d := answer(t, l.do("POST", at+"chunked-upload", strings.NewReader("hello"), c.slotHeaders("X-Upload-Session-ID: "+c.session, "X-Chunk-Number: 0")...), 200); !d.Completed {
			t.Errorf("%+v", d)
		}
		if d := answer(t, l.do("GET", at+"upload-status?session_id="+c.session, nil, c.slotHeaders()...), 200); !d.Completed {
			t.Errorf("%+v", d)
		}
		c.mustBe(t)
	})
	t.Run("a chunk that is cut is sent again", func(t *testing.T) {
		c := l.started(t, "chunk/cut", size)
		before := l.parts()
		conn := dialHost(t, strings.TrimPrefix(l.base, "http://"))
		fmt.Fprintf(conn, "PUT /chunked-upload HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nX-Upload-Session-ID: %s\r\nX-Chunk-Number: 0\r\n%s\r\n\r\n%s",
			chunkSize, c.session, strings.Join(c.slotHeaders()[:1], "\r\n"), c.body[:1<<20])
		eventually(t, "the chunk has begun", func() bool { return l.parts() > before })
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
		for n := range 3 {
			answer(t, c.send(n), 200)
		}
		c.mustBe(t)
	})
	t.Run("the newer of two that send a chunk", func(t *testing.T) {
		c := l.started(t, "chunk/two", size)
		before := l.parts()
		r, w := io.Pipe()
		done := make(chan *http.Response, 1)
		go func() {
			req, _ := http.NewRequestWithContext(t.Context(), "PUT", l.base+"/chunked-upload", r)
			req.ContentLength = chunkSize
			for _, h := range c.slotHeaders("X-Upload-Session-ID: "+c.session, "X-Chunk-Number: 0") {
				if k, v, _ := strings.Cut(h, ": "); v != "" {
					req.Header.Set(k, v)
				}
			}
			resp, err := l.http.Do(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			done <- resp
		}()
		_, _ = io.WriteString(w, c.body[:1<<20])
		eventually(t, "the chunk has begun", func() bool { return l.parts() > before })
		for n := range 3 {
			answer(t, c.send(n), 200)
		}
		_ = w.Close()
		if resp := <-done; resp != nil && resp.StatusCode != 409 {
			t.Errorf("the older one got %s", resp.Status)
		}
		c.mustBe(t)
	})
	t.Run("calls that are refused", func(t *testing.T) {
		c := l.chunked(token.V2, "chunk/refused", content(size))
		for _, tt := range []struct {
			header, code string
			status       int
		}{
			{"X-Total-Size: 0", "bad-request", 400},
			{"X-Total-Size: -1", "bad-request", 400},
			{"X-Total-Size: NaN", "bad-request", 400},
			{"X-Total-Size: +5", "bad-request", 400},
			{"X-Total-Size: 1e6", "bad-request", 400},
			{"X-Total-Size: 9223372036854775808", "bad-request", 400},
			{"X-Total-Size: 1000", "token-invalid", 403},
			{"Content-Type: image/png", "token-invalid", 403},
			{"Holdfast-Slot: /upload/chunk/refused", "token-missing", 403},
			{"Holdfast-Slot: /upload/chunk/refused?v2=00", "token-invalid", 403},
		} {
			resp := c.begin(tt.header)
			if want(t, resp, tt.status, tt.code); t.Failed() {
				t.Fatalf("with %s", tt.header)
			}
		}
		want(t, l.do("POST", l.base+"/chunked-upload", nil, "X-Filename: x", "X-Total-Size: 5"), 403, "token-missing")
		want(t, l.do("POST", l.base+"/chunked-upload", nil, c.slotHeaders("X-Filename: x")...), 400, "bad-request")
		c.session = answer(t, c.begin(), 201).Session
		other := l.started(t, "chunk/other", size)
		for _, n := range []string{"", "-1", "3", "NaN", "1.0", "+1", "99999999999999999999", "0x0", "٣"} {
			want(t, c.chunk(n, c.part(0)), 400, "bad-request")
		}
		want(t, c.chunk("0", c.part(0)[1:]), 400, "bad-request")
		want(t, c.chunk("2", c.part(2)+"x"), 400, "bad-request")
		want(t, c.chunk("0", ""), 400, "bad-request")
		want(t, c.send(2, "X-Total-Size: 5"), 400, "bad-request")
		want(t, l.do("PUT", l.base+"/chunked-upload", io.MultiReader(strings.NewReader(c.part(2))), c.slotHeaders("X-Upload-Session-ID: "+c.session, "X-Chunk-Number: 2")...), 411, "length-required")
		want(t, c.send(2, "Holdfast-Slot: "+strings.TrimPrefix(other.url, l.base)), 409, "other-upload")
		want(t, c.send(2, "Holdfast-Slot: /upload/chunk/refused?v2=00"), 403, "token-invalid")
		want(t, c.status("Holdfast-Slot: "+strings.TrimPrefix(other.url, l.base)), 409, "other-upload")
		want(t, l.do("GET", l.base+"/upload-status?session_id="+c.session, nil), 403, "token-missing")
		want(t, l.do("GET", l.base+"/upload-status", nil, c.slotHeaders()...), 400, "bad-request")
		want(t, l.do("POST", l.base+"/upload-status?session_id="+c.session, nil), 405, "method-not-allowed")
		want(t, l.do("GET", l.base+"/chunked-upload", nil), 405, "method-not-allowed")
		for _, id := range []string{"x", string(resume.NewID())} {
			d := *c
			d.session = id
			want(t, d.send(2), 404, "no-upload")
			want(t, d.status(), 404, "no-upload")
		}
		if d := answer(t, c.status(), 200); d.Uploaded != 0 {
			t.Errorf("%+v", d)
		}
		// Somebody else fills the slot.
		want(t, l.put(c.slot, content(size + 1)[1:]), 201, "")
		answer(t, c.send(0), 200)
		answer(t, c.send(2), 200)
		want(t, c.send(1), 409, "slot-used")
		want(t, c.send(1), 404, "no-upload")
	})
	t.Run("a web page may ask", func(t *testing.T) {
		resp := l.do("OPTIONS", l.base+"/chunked-upload", nil, "Origin: https://web.example.org")
		if resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "X-Chunk-Number") {
			t.Errorf("%s %v", resp.Status, resp.Header)
		}
	})
}

func TestChunkDoorOverARestart(t *testing.T) {
	l := newLab(t)
	c := l.started(t, "restart/chunks", 3*chunkSize)
	answer(t, c.send(2), 200)
	answer(t, c.send(0), 200)
	l.clock.Add(3600)
	l.stop()
	l.start()
	c.slot = l.sign(token.V2, "restart/chunks", len(c.body))
	if d := answer(t, c.status(), 200); d.Uploaded != 2*chunkSize || d.Count != 2 {
		t.Errorf("%+v", d)
	}
	if d := answer(t, c.send(1), 200); !d.Completed {
		t.Errorf("%+v", d)
	}
	c.mustBe(t)
}

// What the chunks of an upload take is counted once, and goes with it.
func TestChunksKeepTheLimitsAndTheTime(t *testing.T) {
	l := newLab(t)
	c := l.started(t, "limits/chunks", 30<<20)
	for n := 5; n > 0; n-- {
		answer(t, c.send(n), 200)
	}
	for i := range 19 {
		l.started(t, fmt.Sprintf("limits/%d", i), 1)
	}
	want(t, l.chunked(token.V2, "limits/more", "x").begin(), 507, "storage-full")
	l.clock.Add(int64((72 * time.Hour).Seconds()))
	want(t, c.status(), 404, "no-upload")
	l.stop()
	l.start()
	if left := l.parts(); left != 0 {
		t.Errorf("%d files are left", left)
	}
}

// parts counts the files of uploads that are not published.
func (l *lab) parts() int {
	l.tb.Helper()
	list, err := os.ReadDir(filepath.Join(l.files(), ".holdfast", "uploads"))
	if err != nil {
		l.tb.Fatal(err)
	}
	return len(list)
}
