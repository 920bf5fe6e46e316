package server_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/relay/server"
	"holdfast/relay/server/resume"
	"holdfast/relay/token"
)

// resuming is a slot and the id under which a client uploads to it.
type resuming struct {
	*lab
	slot
	id   string
	size int
}

func (l *lab) resuming(path string, size int, edit ...func(*token.Claims)) *resuming {
	l.tb.Helper()
	return &resuming{l, l.sign(token.V2, path, size, edit...), string(resume.NewID()), size}
}

// headers are those that every later request has.
func (s *resuming) headers(more ...string) []string {
	return append([]string{
		"Authorization: " + s.auth, "Holdfast-Upload: " + s.id, "Upload-Length: " + strconv.Itoa(s.size), "Holdfast-Slot-Type: " + s.typ,
	}, more...)
}

func (s *resuming) head(more ...string) *http.Response {
	s.tb.Helper()
	return s.do("HEAD", s.url, nil, s.headers(more...)...)
}

// patch sends a piece that ends the upload if it reaches its size.
func (s *resuming) patch(offset int, piece string, more ...string) *http.Response {
	s.tb.Helper()
	complete := "?0"
	if offset+len(piece) == s.size {
		complete = "?1"
	}
	return s.do("PATCH", s.url, strings.NewReader(piece), s.headers(append([]string{
		"Content-Type: application/partial-upload", "Upload-Offset: " + strconv.Itoa(offset), "Upload-Complete: " + complete,
	}, more...)...)...)
}

// cut begins a PUT, sends some bytes of it, and leaves the connection open.
func (s *resuming) begin(sent string) net.Conn {
	s.tb.Helper()
	u, err := url.Parse(s.url)
	if err != nil {
		s.tb.Fatal(err)
	}
	c := dialHost(s.tb, u.Host)
	fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\nHoldfast-Upload: %s\r\n\r\n%s", u.RequestURI(), s.typ, s.size, s.id, sent)
	return c
}

func dialHost(tb testing.TB, host string) net.Conn {
	tb.Helper()
	c, err := net.Dial("tcp", host)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// wantAt checks a 204 or 409 that tells an offset.
func wantAt(tb testing.TB, resp *http.Response, status, offset int, complete string) {
	tb.Helper()
	got := []string{strconv.Itoa(resp.StatusCode), resp.Header.Get("Upload-Offset"), resp.Header.Get("Upload-Complete"), resp.Header.Get("Cache-Control")}
	if diff := cmp.Diff([]string{strconv.Itoa(status), strconv.Itoa(offset), complete, "no-store"}, got); diff != "" {
		tb.Errorf("answer (-want +got):\n%s", diff)
	}
}

func (s *resuming) mustBe(content string) {
	s.tb.Helper()
	resp := s.do("GET", s.base+"/upload/"+token.EscapePath(s.path), nil)
	if got := text(resp); resp.StatusCode != 200 || got != content {
		s.tb.Errorf("GET: %s with %d bytes, want %d", resp.Status, len(got), len(content))
	}
}

func (s *resuming) received(n int) {
	s.tb.Helper()
	key := fmt.Sprintf("%x", sha256.Sum256([]byte(s.id)))
	eventually(s.tb, "bytes received", func() bool {
		fi, err := os.Stat(filepath.Join(s.files(), ".holdfast", "uploads", key))
		return err == nil && fi.Size() >= int64(n)
	})
}

func content(n int) string {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return string(b)
}

func TestSlotDoor(t *testing.T) {
	const size = 300_000
	body := content(size)
	l := newLab(t)
	t.Run("a whole PUT is a plain one", func(t *testing.T) {
		s := l.resuming("whole/a", size)
		want(t, s.put(s.slot, body, "Holdfast-Upload: "+s.id), 201, "")
		s.mustBe(body)
		wantAt(t, s.head(), 204, size, "?1")
		want(t, s.put(s.slot, body, "Holdfast-Upload: "+s.id), 201, "")
		want(t, s.put(s.slot, body[:size-1]+"x", "Holdfast-Upload: "+s.id), 409, "slot-used")
	})
	t.Run("a PUT that is cut keeps what came, and PATCH goes on", func(t *testing.T) {
		s := l.resuming("cut/a", size)
		c := s.begin(body[:200_000])
		_ = c.(*net.TCPConn).SetLinger(0)
		s.received(131072)
		_ = c.Close()
		resp := s.head()
		at, _ := strconv.Atoi(resp.Header.Get("Upload-Offset"))
		wantAt(t, resp, 204, at, "?0")
		if at < 131072 {
			t.Errorf("%d bytes kept", at)
		}
		wantAt(t, s.patch(at, body[at:at+1000]), 204, at+1000, "?0")
		wantAt(t, s.patch(at, body[at:at+1000]), 409, at+1000, "?0")
		resp = s.patch(at+1000, body[at+1000:])
		want(t, resp, 201, "")
		if got := resp.Header.Get("Content-Length"); got != "0" {
			t.Errorf("Content-Length of the 201 is %q", got)
		}
		s.mustBe(body)
		wantAt(t, s.head(), 204, size, "?1")
		want(t, s.patch(size, ""), 201, "")
		wantAt(t, s.patch(at, body[at:]), 409, size, "?1")
	})
	t.Run("the same PUT again after a cut goes on behind what is there", func(t *testing.T) {
		s := l.resuming("again/a", size)
		_ = s.begin(body[:200_000])
		s.received(131072)
		want(t, s.put(s.slot, body, "Holdfast-Upload: "+s.id), 201, "")
		s.mustBe(body)
	})
	t.Run("the same id with other bytes is refused and changes nothing", func(t *testing.T) {
		s := l.resuming("other/a", size)
		want(t, s.patch(0, body[:1000]), 204, "")
		want(t, s.put(s.slot, "x"+body[1:], "Holdfast-Upload: "+s.id), 409, "other-upload")
		wantAt(t, s.head(), 204, 1000, "?0")
		want(t, s.patch(1000, body[1000:]), 201, "")
		s.mustBe(body)
	})
	t.Run("pieces from offset 0", func(t *testing.T) {
		s := l.resuming("pieces/a", size)
		for at := 0; at < size; at += 100_000 {
			resp := s.patch(at, body[at:at+100_000])
			if at+100_000 < size {
				wantAt(t, resp, 204, at+100_000, "?0")
			} else {
				want(t, resp, 201, "")
			}
		}
		s.mustBe(body)
	})
	t.Run("a file of no bytes", func(t *testing.T) {
		s := l.resuming("empty/a", 0)
		want(t, s.patch(0, ""), 201, "")
		wantAt(t, s.head(), 204, 0, "?1")
		s = l.resuming("empty/b", 0)
		want(t, s.put(s.slot, "", "Holdfast-Upload: "+s.id), 201, "")
	})
	t.Run("nothing there", func(t *testing.T) {
		s := l.resuming("nothing/a", size)
		want(t, s.head(), 404, "no-upload")
		want(t, s.patch(1, "x"), 404, "no-upload")
		want(t, s.put(s.slot, body), 201, "")
		want(t, s.head(), 404, "no-upload")
		resp := s.do("HEAD", s.url, nil)
		if resp.StatusCode != 200 || resp.ContentLength != size {
			t.Errorf("HEAD without an id: %s, %d", resp.Status, resp.ContentLength)
		}
	})
	t.Run("another id", func(t *testing.T) {
		a := l.resuming("ids/a", size)
		want(t, a.patch(0, body[:1000]), 204, "")
		b := *a
		b.id = string(resume.NewID())
		want(t, b.head(), 409, "other-upload")
		want(t, b.patch(0, body[:10]), 409, "other-upload")
		want(t, b.patch(1000, body[1000:1010]), 409, "other-upload")
		want(t, b.put(b.slot, body, "Holdfast-Upload: "+b.id), 201, "") // the first publish wins
		want(t, a.patch(1000, body[1000:]), 201, "")                    // and the same bytes are as good
		wantAt(t, a.head(), 204, size, "?1")
		c := l.resuming("ids/c", size)
		c.id = a.id
		want(t, c.head(), 409, "other-upload")
	})
	t.Run("a plain PUT with other bytes wins, and the loser is told", func(t *testing.T) {
		s := l.resuming("lost/a", size)
		want(t, s.patch(0, body[:1000]), 204, "")
		want(t, s.put(s.slot, "x"+body[1:]), 201, "")
		want(t, s.patch(1000, body[1000:]), 409, "slot-used")
		want(t, s.head(), 404, "no-upload")
		s.mustBe("x" + body[1:])
	})
	t.Run("digest", func(t *testing.T) {
		digest := func(b string) string {
			sum := sha256.Sum256([]byte(b))
			return "Repr-Digest: sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
		}
		s := l.resuming("digest/a", size)
		want(t, s.patch(0, body[:1000]), 204, "")
		want(t, s.patch(1000, body[1000:], digest(body[1:])), 400, "digest-mismatch")
		want(t, s.head(), 404, "no-upload")
		want(t, s.patch(0, body, digest(body)), 201, "")
		resp := s.do("HEAD", s.url, nil)
		if got := "Repr-Digest: " + resp.Header.Get("Repr-Digest"); got != digest(body) {
			t.Errorf("HEAD has %s", got)
		}
		s = l.resuming("digest/b", size)
		_ = s.begin("") // declares nothing
		want(t, s.put(s.slot, body, "Holdfast-Upload: "+s.id, digest("")), 400, "digest-mismatch")
		want(t, s.put(s.slot, body, "Holdfast-Upload: "+s.id, digest(body)), 201, "")
	})
	t.Run("what is not a request of this door", func(t *testing.T) {
		s := l.resuming("bad/a", size)
		for _, tt := range []struct {
			name    string
			resp    *http.Response
			status  int
			problem string
		}{
			{"an id that is too short", s.do("HEAD", s.url, nil, "Holdfast-Upload: abc", "Upload-Length: 1"), 400, "bad-request"},
			{"no length", s.do("HEAD", s.url, nil, "Holdfast-Upload: "+s.id), 411, "length-required"},
			{"a length that is none", s.do("HEAD", s.url, nil, "Holdfast-Upload: "+s.id, "Upload-Length: x"), 400, "bad-request"},
			{"another length than signed", s.do("HEAD", s.url, nil, "Holdfast-Upload: "+s.id, "Upload-Length: 7", "Holdfast-Slot-Type: text/plain"), 403, "token-invalid"},
			{"another type than signed", s.do("HEAD", s.url, nil, "Holdfast-Upload: "+s.id, "Upload-Length: 300000"), 403, "token-invalid"},
			{"no credential", s.do("HEAD", s.base+"/upload/bad/a", nil, s.headers()...), 403, "token-missing"},
			{"past the end", s.patch(1, body), 400, "bad-request"},
			{"a huge offset", s.patch(999999999999999, "x"), 400, "bad-request"},
			{"complete too early", s.patch(0, "x", "Upload-Complete: ?1"), 400, "bad-request"},
			{"a negative offset", s.patch(-1, "x"), 400, "bad-request"},
			{"no completeness", s.patch(0, "x", "Upload-Complete:  "), 400, "bad-request"},
			{"another media type", s.patch(0, "x", "Content-Type: text/plain"), 400, "bad-request"},
			{"no content length", s.do("PATCH", s.url, io.MultiReader(strings.NewReader("x")), s.headers("Content-Type: application/partial-upload", "Upload-Offset: 0", "Upload-Complete: ?0")...), 411, "length-required"},
			{"chunked PUT", s.do("PUT", s.url, io.MultiReader(strings.NewReader("x")), s.headers()...), 411, "length-required"},
			{"PATCH without an id", s.do("PATCH", s.url, strings.NewReader("x")), 405, "method-not-allowed"},
		} {
			t.Run(tt.name, func(t *testing.T) { want(t, tt.resp, tt.status, tt.problem) })
		}
	})
}

// The older writer is ended within 10 ms, here with room for a busy machine, and what it had received is kept.
func TestANewerRequestEndsTheOlder(t *testing.T) {
	l := newLab(t)
	body := content(1 << 20)
	s := l.resuming("newer/a", len(body))
	for i := range 5 {
		at, _ := strconv.Atoi(s.head().Header.Get("Upload-Offset"))
		var c net.Conn
		if i == 0 {
			c = s.begin(body[:150_000])
		} else {
			u, err := url.Parse(s.url)
			if err != nil {
				t.Fatal(err)
			}
			c = dialHost(t, u.Host)
			fmt.Fprintf(c, "PATCH %s HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Type: application/partial-upload\r\nUpload-Offset: %d\r\nUpload-Complete: ?1\r\nContent-Length: %d\r\n\r\n%s",
				u.RequestURI(), strings.Join(s.headers()[1:], "\r\n"), at, len(body)-at, body[at:at+150_000])
		}
		s.received(at + 131072)
		began := time.Now()
		resp := s.head()
		took := time.Since(began)
		wantAt(t, resp, 204, at+150_000, "?0")
		if took > 200*time.Millisecond {
			t.Errorf("the newer request waited %s", took)
		}
		t.Logf("the newer request took %s", took)
		b, _ := io.ReadAll(c) // the older hears that it is over
		if !bytes.HasPrefix(b, []byte("HTTP/1.1 409 ")) {
			t.Errorf("the older request was answered %q", b)
		}
	}
}

func TestIncompleteLimits(t *testing.T) {
	l := newLab(t, func(c *server.Config) { c.Settings.Incomplete = resume.Limits{Bytes: 5000, PerSource: 3} })
	first := l.resuming("limit/0", 1000)
	want(t, first.patch(0, "x"), 204, "")
	want(t, l.resuming("limit/1", 1000).patch(0, "x"), 204, "")
	want(t, l.resuming("limit/2", 1000).patch(0, "x"), 204, "")
	over := l.resuming("limit/3", 1000)
	resp := over.patch(0, "x")
	want(t, resp, 507, "storage-full")
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	plain := l.sign(token.V2, "limit/plain", 4)
	want(t, l.put(plain, "four"), 201, "")
	bob := l.sign(token.JWT, "limit/bob", 2000, user("bob@example.org"))
	b := &resuming{l, bob, string(resume.NewID()), 2000}
	want(t, b.patch(0, "x"), 204, "")
	b2 := &resuming{l, l.sign(token.JWT, "limit/bob2", 1, user("bob@example.org")), string(resume.NewID()), 1}
	want(t, b2.patch(0, "x"), 507, "storage-full")
	want(t, first.patch(1, strings.Repeat("y", 999)), 201, "")
	want(t, b2.patch(0, "x"), 201, "")
	want(t, over.patch(0, "x"), 204, "")
}

func TestTimeIsJudgedOnce(t *testing.T) {
	l := newLab(t)
	s := &resuming{l, l.sign(token.JWT, "late/a", 10, func(c *token.Claims) { c.User = "alice@example.org" }), string(resume.NewID()), 10}
	want(t, s.patch(0, "hello"), 204, "")
	other := *s
	other.id = string(resume.NewID())
	l.clock.Add(int64((71 * time.Hour) / time.Second))
	wantAt(t, s.head(), 204, 5, "?0")
	want(t, other.put(other.slot, "hellohello", "Holdfast-Upload: "+other.id), 403, "token-late")
	want(t, s.patch(5, "12345"), 201, "")
	s.mustBe("hello12345")
	s = &resuming{l, l.sign(token.V2, "late/b", 10), string(resume.NewID()), 10}
	want(t, s.patch(0, "hello"), 204, "")
	l.clock.Add(int64((72 * time.Hour) / time.Second))
	want(t, s.head(), 404, "no-upload")
	want(t, s.patch(0, "12345"), 204, "") // the id may be used again
	wantAt(t, s.head(), 204, 5, "?0")
}

func TestANewerRequestEndsTheOlderOverTLS(t *testing.T) {
	l := newLab(t)
	secure, pool, _ := tlsLab(t, l)
	body := content(1 << 20)
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprintf("HTTP/%d", version), func(t *testing.T) {
			tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: version == 2}
			defer tr.CloseIdleConnections()
			client := &http.Client{Transport: tr}
			s := l.resuming(fmt.Sprintf("tls/%d", version), len(body))
			target := secure + strings.TrimPrefix(s.url, l.base)
			do := func(method string, body io.Reader, length int, headers ...string) (*http.Response, error) {
				req, err := http.NewRequestWithContext(t.Context(), method, target, body)
				if err != nil {
					return nil, err
				}
				req.ContentLength = int64(length)
				for _, h := range s.headers(headers...)[1:] {
					k, v, _ := strings.Cut(h, ": ")
					req.Header.Set(k, v)
				}
				resp, err := client.Do(req)
				if err == nil {
					_ = resp.Body.Close()
				}
				return resp, err
			}
			pr, pw := io.Pipe()
			older := make(chan error, 1)
			go func() {
				resp, err := do("PUT", pr, len(body), "Content-Type: "+s.typ)
				if err == nil && resp.StatusCode != 409 {
					err = fmt.Errorf("the older was answered %s", resp.Status)
				}
				if err == nil && resp.ProtoMajor != version {
					err = fmt.Errorf("it was %s", resp.Proto)
				}
				older <- err
			}()
			if _, err := io.WriteString(pw, body[:300_000]); err != nil {
				t.Fatal(err)
			}
			s.received(262144)
			began := time.Now()
			resp, err := do("HEAD", nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("the newer request took %s", time.Since(began))
			wantAt(t, resp, 204, 300_000, "?0")
			resp, err = do("PATCH", strings.NewReader(body[300_000:]), len(body)-300_000,
				"Content-Type: application/partial-upload", "Upload-Offset: 300000", "Upload-Complete: ?1")
			if err != nil || resp.StatusCode != 201 {
				t.Fatalf("PATCH: %v, %v", resp, err)
			}
			s.mustBe(body)
			_ = pw.Close()
			if err := <-older; err != nil && version == 2 { // over HTTP/1 the client may see its connection end first
				t.Error(err)
			}
		})
	}
}
