package server_test

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/relay/server/resume"
	"holdfast/relay/token"
)

const tusEndpoint = "/upload/.holdfast/v1/tus/"

// tus is a client of tus 1.0 with a slot.
type tus struct {
	*lab
	slot
	location string
}

func (l *lab) tus(t testing.TB, s token.Scheme, path string, size int, edit ...func(*token.Claims)) *tus {
	t.Helper()
	return &tus{lab: l, slot: l.sign(s, path, size, edit...)}
}

// header is what a creation sends. more replaces or, with an empty value, removes.
func (c *tus) header(size int, more ...string) []string {
	m := map[string]string{
		"Tus-Resumable": "1.0.0", "Upload-Length": strconv.Itoa(size), "Authorization": c.auth,
		"Upload-Metadata": "filename " + b64("a file") + ",filetype " + b64(c.typ),
		"Holdfast-Slot":   strings.TrimPrefix(c.url, c.base),
	}
	for _, h := range more {
		k, v, _ := strings.Cut(h, ": ")
		m[strings.TrimSuffix(k, ":")] = v
	}
	var out []string
	for k, v := range m {
		out = append(out, k+": "+v)
	}
	return out
}

func (c *tus) create(t testing.TB, size int, body string, more ...string) *http.Response {
	t.Helper()
	resp := c.do("POST", c.base+tusEndpoint, strings.NewReader(body), c.header(size, more...)...)
	c.location = resp.Header.Get("Location")
	return resp
}

func (c *tus) at(method, body string, more ...string) *http.Response {
	c.tb.Helper()
	return c.do(method, c.base+c.location, strings.NewReader(body), append([]string{"Tus-Resumable: 1.0.0"}, more...)...)
}

func (c *tus) patch(offset int, body string, more ...string) *http.Response {
	c.tb.Helper()
	return c.at("PATCH", body, append([]string{"Content-Type: application/offset+octet-stream", "Upload-Offset: " + strconv.Itoa(offset)}, more...)...)
}

func (c *tus) mustBe(t testing.TB, content string) {
	t.Helper()
	resp := c.do("GET", c.base+"/upload/"+token.EscapePath(c.path), nil)
	if got := text(resp); resp.StatusCode != 200 || got != content || resp.Header.Get("Content-Type") != c.typ {
		t.Errorf("GET: %s, %q, %d bytes, want %d", resp.Status, resp.Header.Get("Content-Type"), len(got), len(content))
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// wantTus checks an answer that every client must understand.
func wantTus(t testing.TB, resp *http.Response, status int, offset string) {
	t.Helper()
	got := []string{strconv.Itoa(resp.StatusCode), resp.Header.Get("Upload-Offset"), resp.Header.Get("Tus-Resumable"), resp.Header.Get("Cache-Control")}
	if diff := cmp.Diff([]string{strconv.Itoa(status), offset, "1.0.0", "no-store"}, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s%s", diff, text(resp))
	}
}

func TestTusDoor(t *testing.T) {
	const size = 300_000
	body := content(size)
	l := newLab(t)
	t.Run("what the server can do", func(t *testing.T) {
		resp := l.do("OPTIONS", l.base+tusEndpoint, nil, "Origin: https://web.example.org")
		h := resp.Header
		got := []string{resp.Status, h.Get("Tus-Version"), h.Get("Tus-Extension"), h.Get("Tus-Checksum-Algorithm"), h.Get("Tus-Max-Size"), h.Get("Access-Control-Allow-Origin"), h.Get("Access-Control-Allow-Methods"), h.Get("Allow")}
		if diff := cmp.Diff([]string{
			"204 No Content", "1.0.0", "creation,creation-with-upload,checksum,termination,expiration", "sha1,sha256", strconv.Itoa(64 << 20),
			"*", "OPTIONS, POST, HEAD, PATCH, DELETE", "OPTIONS, POST",
		}, got); diff != "" {
			t.Error(diff)
		}
		for _, name := range []string{"Holdfast-Slot", "Upload-Metadata", "Tus-Resumable", "Upload-Checksum"} {
			if !strings.Contains(h.Get("Access-Control-Allow-Headers"), name) {
				t.Errorf("%s may not be sent", name)
			}
		}
		if !strings.Contains(h.Get("Access-Control-Expose-Headers"), "Upload-Offset") {
			t.Error("Upload-Offset may not be read")
		}
	})
	for _, s := range token.Schemes() {
		t.Run("a slot of scheme "+string(s), func(t *testing.T) {
			c := l.tus(t, s, "tus/"+string(s)+".txt", size)
			resp := c.create(t, size, "")
			wantTus(t, resp, 201, "")
			if !strings.HasPrefix(c.location, tusEndpoint) || len(c.location) != len(tusEndpoint)+22 || resp.Header.Get("Content-Length") != "0" {
				t.Fatalf("Location is %q", c.location)
			}
			ends, err := http.ParseTime(resp.Header.Get("Upload-Expires"))
			if err != nil || ends.Sub(l.now()) != 72*time.Hour {
				t.Errorf("Upload-Expires is %q", resp.Header.Get("Upload-Expires"))
			}
			wantTus(t, c.at("HEAD", ""), 200, "0")
			wantTus(t, c.patch(0, body[:1000]), 204, "1000")
			resp = c.patch(1000, body[1000:1000])
			wantTus(t, resp, 204, "1000")
			if resp.Header.Get("Upload-Expires") == "" {
				t.Error("no Upload-Expires")
			}
			resp = c.at("HEAD", "")
			wantTus(t, resp, 200, "1000")
			if diff := cmp.Diff([]string{strconv.Itoa(size), "filename " + b64("a file") + ",filetype " + b64("text/plain")}, []string{resp.Header.Get("Upload-Length"), resp.Header.Get("Upload-Metadata")}); diff != "" {
				t.Error(diff)
			}
			want(t, l.do("GET", l.base+"/upload/"+c.path, nil), 404, "not-found")
			wantTus(t, c.patch(1000, body[1000:]), 204, strconv.Itoa(size))
			c.mustBe(t, body)
			wantTus(t, c.at("HEAD", ""), 200, strconv.Itoa(size))
			wantTus(t, c.patch(size, ""), 204, strconv.Itoa(size))
			wantTus(t, c.patch(1000, body[1000:]), 409, strconv.Itoa(size))
		})
	}
	t.Run("creation with the whole file", func(t *testing.T) {
		c := l.tus(t, token.V2, "tus/with", size)
		wantTus(t, c.create(t, size, body, "Content-Type: application/offset+octet-stream"), 201, strconv.Itoa(size))
		c.mustBe(t, body)
		// The answer got lost, and the client begins again.
		wantTus(t, c.create(t, size, body, "Content-Type: application/offset+octet-stream"), 201, strconv.Itoa(size))
		want(t, c.create(t, size, "x"+body[1:], "Content-Type: application/offset+octet-stream"), 409, "slot-used")
		c.mustBe(t, body)
	})
	t.Run("creation with a part", func(t *testing.T) {
		c := l.tus(t, token.V2, "tus/part", size)
		wantTus(t, c.create(t, size, body[:10], "Content-Type: application/offset+octet-stream"), 201, "10")
		wantTus(t, c.patch(10, body[10:]), 204, strconv.Itoa(size))
		c.mustBe(t, body)
	})
	t.Run("a file of no bytes", func(t *testing.T) {
		c := l.tus(t, token.V2, "tus/empty", 0)
		wantTus(t, c.create(t, 0, ""), 201, "0")
		c.mustBe(t, "")
	})
	t.Run("a wrong offset", func(t *testing.T) {
		c := l.tus(t, token.V2, "tus/offset", size)
		c.create(t, size, "")
		for _, at := range []int{1, size, 1 << 40} {
			wantTus(t, c.patch(at, "x"), 409, "0")
		}
		c.patch(0, "abc")
		wantTus(t, c.patch(0, "abc"), 409, "3")
	})
	t.Run("past the end", func(t *testing.T) {
		c := l.tus(t, token.V2, "tus/past", size)
		c.create(t, size, "")
		want(t, c.patch(0, body+"x"), 413, "size-mismatch")
		wantTus(t, c.at("HEAD", ""), 200, "0")
		c.patch(0, body)
		want(t, c.patch(size, "x"), 413, "size-mismatch")
		c.mustBe(t, body)
	})
	t.Run("checksums", func(t *testing.T) {
		c := l.tus(t, token.V2, "tus/sum", size)
		c.create(t, size, "")
		s1, s256 := sha1.Sum([]byte(body[:1000])), sha256.Sum256([]byte(body[1000:]))
		for _, sum := range []string{"sha1 " + b64(strings.Repeat("x", 20)), "sha256 " + b64(strings.Repeat("x", 32))} {
			resp := c.patch(0, body[:1000], "Upload-Checksum: "+sum)
			want(t, resp, 460, "checksum-mismatch")
			if resp.Header.Get("Tus-Resumable") != "1.0.0" {
				t.Error("no Tus-Resumable")
			}
			wantTus(t, c.at("HEAD", ""), 200, "0")
		}
		for _, sum := range []string{"md5 " + b64("x"), "sha1", "sha1 ???", "sha1 " + b64("x"), "sha256 " + b64(string(s1[:]))} {
			want(t, c.patch(0, body[:1000], "Upload-Checksum: "+sum), 400, "bad-request")
		}
		wantTus(t, c.patch(0, body[:1000], "Upload-Checksum: sha1 "+b64(string(s1[:]))), 204, "1000")
		wantTus(t, c.patch(1000, body[1000:], "Upload-Checksum: sha256 "+b64(string(s256[:]))), 204, strconv.Itoa(size))
		c.mustBe(t, body)
		c = l.tus(t, token.V2, "tus/sum2", size)
		resp := c.create(t, size, body, "Content-Type: application/offset+octet-stream", "Upload-Checksum: sha1 "+b64(strings.Repeat("x", 20)))
		want(t, resp, 460, "checksum-mismatch")
		if resp.Header.Get("Location") != "" {
			t.Error("an upload was made")
		}
	})
	t.Run("termination", func(t *testing.T) {
		c := l.tus(t, token.V2, "tus/end", size)
		c.create(t, size, "")
		c.patch(0, body[:1000])
		want(t, c.at("DELETE", ""), 204, "")
		resp := c.at("HEAD", "")
		want(t, resp, 404, "no-upload")
		if resp.Header.Get("Upload-Offset") != "" {
			t.Error("an offset of nothing")
		}
		want(t, c.patch(1000, "x"), 404, "no-upload")
		want(t, c.at("DELETE", ""), 404, "no-upload")
		c.create(t, size, body, "Content-Type: application/offset+octet-stream")
		want(t, c.at("DELETE", ""), 204, "")
		c.mustBe(t, body)
	})
	t.Run("the method in a header", func(t *testing.T) {
		c := l.tus(t, token.V2, "tus/method", size)
		c.create(t, size, "")
		part := []string{"X-HTTP-Method-Override: PATCH", "Content-Type: application/offset+octet-stream", "Upload-Offset: 0"}
		wantTus(t, c.at("POST", body[:1000], part...), 204, "1000")
		want(t, c.at("POST", "", "X-HTTP-Method-Override: DELETE"), 204, "")
		want(t, c.at("POST", ""), 405, "method-not-allowed")
		want(t, c.at("GET", ""), 405, "method-not-allowed")
	})
	t.Run("another version", func(t *testing.T) {
		c := l.tus(t, token.V2, "tus/version", size)
		for _, v := range []string{"", "0.2.2", "1.0.1"} {
			resp := c.create(t, size, "", "Tus-Resumable: "+v)
			want(t, resp, 412, "tus-version")
			if resp.Header.Get("Tus-Version") != "1.0.0" {
				t.Errorf("Tus-Version is %q", resp.Header.Get("Tus-Version"))
			}
		}
		c.create(t, size, "")
		want(t, l.do("HEAD", l.base+c.location, nil), 412, "tus-version")
		want(t, l.do("PATCH", l.base+c.location, strings.NewReader("x")), 412, "tus-version")
	})
	t.Run("the URL is the credential, at this door only", func(t *testing.T) {
		c := l.tus(t, token.V2, "tus/door", size)
		c.create(t, size, "")
		id := strings.TrimPrefix(c.location, tusEndpoint)
		want(t, l.do("HEAD", l.base+"/upload/.holdfast/v1/draft/"+id, nil), 404, "no-upload")
		want(t, l.do("HEAD", l.base+tusEndpoint+string(resume.NewID()), nil, "Tus-Resumable: 1.0.0"), 404, "no-upload")
		for _, id := range []string{"x", id + "/", id + "/x", "%2e%2e", "../info"} {
			if resp := l.do("HEAD", l.base+tusEndpoint+id, nil, "Tus-Resumable: 1.0.0"); resp.StatusCode == 200 {
				t.Errorf("%q: %s", id, resp.Status)
			}
		}
	})
	t.Run("creations that are refused", func(t *testing.T) {
		c := l.tus(t, token.V2, "tus/refused", size)
		for _, tt := range []struct {
			header string
			status int
			code   string
		}{
			{"Upload-Length: ", 411, "length-required"},
			{"Upload-Length: -1", 400, "bad-request"},
			{"Upload-Length: NaN", 400, "bad-request"},
			{"Upload-Length: 1e3", 400, "bad-request"},
			{"Upload-Length: 99999999999999999999", 400, "bad-request"},
			{"Upload-Length: 300001", 403, "token-invalid"},
			{"Upload-Concat: partial", 400, "bad-request"},
			{"Upload-Metadata: filetype " + b64("image/png"), 403, "token-invalid"},
			{"Upload-Metadata: filetype", 403, "token-invalid"},
			{"Upload-Metadata: filetype !", 400, "bad-request"},
			{"Upload-Metadata: ,", 400, "bad-request"},
			{"Upload-Metadata: a, a", 400, "bad-request"},
			{"Upload-Metadata: a " + strings.Repeat("A", 5000), 400, "bad-request"},
			{"Holdfast-Slot: ", 403, "token-missing"},
			{"Holdfast-Slot: /upload/tus/refused", 403, "token-missing"},
			{"Holdfast-Slot: /upload/tus/refused?v2=00", 403, "token-invalid"},
			{"Holdfast-Slot: /upload/.holdfast/v1/tus?v2=00", 400, "bad-path"},
			{"Holdfast-Slot: /upload/a/../b?v2=00", 400, "bad-path"},
			{"Holdfast-Slot: /elsewhere/a/b?v2=00", 400, "bad-path"},
			{"Holdfast-Slot: upload/a/b?v2=00", 400, "bad-path"},
			{"Holdfast-Slot: http://x/upload/a/b?v2=00", 400, "bad-path"},
			{"Holdfast-Slot: /upload/a/%zz?v2=00", 400, "bad-path"},
			{"Holdfast-Slot: /upload/a/b?v2=00#x", 400, "bad-path"},
		} {
			resp := c.create(t, size, "", tt.header)
			want(t, resp, tt.status, tt.code)
			if t.Failed() {
				t.Fatalf("with %s", tt.header)
			}
			if c.location != "" {
				t.Errorf("%s made an upload", tt.header)
			}
		}
		want(t, c.create(t, size, "", "Upload-Length:", "Upload-Defer-Length: 1"), 411, "length-required")
		want(t, c.create(t, size, "x"), 415, "media-type")
		want(t, c.create(t, size, body+"x", "Content-Type: application/offset+octet-stream"), 413, "size-mismatch")
		big := l.tus(t, token.V2, "tus/big", 65<<20)
		want(t, big.create(t, 65<<20, ""), 413, "too-large")
		want(t, c.put(c.slot, body), 201, "")
		want(t, c.create(t, size, body[1:]+"x", "Content-Type: application/offset+octet-stream"), 409, "slot-used")
	})
	t.Run("parts that are refused", func(t *testing.T) {
		c := l.tus(t, token.V2, "tus/parts", size)
		c.create(t, size, "")
		want(t, c.at("PATCH", "x", "Upload-Offset: 0"), 415, "media-type")
		want(t, c.at("PATCH", "x", "Upload-Offset: 0", "Content-Type: text/plain"), 415, "media-type")
		want(t, c.at("PATCH", "x", "Content-Type: application/offset+octet-stream"), 400, "bad-request")
		for _, at := range []string{"-1", "NaN", "+1", "0x1", "99999999999999999999"} {
			want(t, c.at("PATCH", "x", "Content-Type: application/offset+octet-stream", "Upload-Offset: "+at), 400, "bad-request")
		}
		wantTus(t, c.at("HEAD", ""), 200, "0")
	})
	t.Run("a newer request ends the older", func(t *testing.T) {
		c := l.tus(t, token.V2, "tus/newer", size)
		c.create(t, size, "")
		r, w := io.Pipe()
		done := make(chan *http.Response, 1)
		go func() {
			done <- l.do("PATCH", l.base+c.location, r, "Tus-Resumable: 1.0.0", "Content-Type: application/offset+octet-stream", "Upload-Offset: 0")
		}()
		_, _ = io.WriteString(w, body[:200_000])
		l.receivedAt(c.location, 131072)
		resp := c.at("HEAD", "")
		at, _ := strconv.Atoi(resp.Header.Get("Upload-Offset"))
		wantTus(t, resp, 200, strconv.Itoa(at))
		_ = w.Close()
		if resp := <-done; resp.StatusCode != 409 {
			t.Errorf("the older one got %s", resp.Status)
		}
		wantTus(t, c.patch(at, body[at:]), 204, strconv.Itoa(size))
		c.mustBe(t, body)
	})
}

func TestTusDoorJudgesTimeOnce(t *testing.T) {
	l := newLab(t)
	c, late := l.tus(t, token.JWT, "late/a", 5), l.tus(t, token.JWT, "late/b", 5)
	c.create(t, 5, "")
	l.clock.Add(int64((30 * time.Hour).Seconds()))
	want(t, late.create(t, 5, ""), 403, "token-late")
	wantTus(t, c.patch(0, "hello"), 204, "5")
	c.mustBe(t, "hello")
	l.clock.Add(int64((43 * time.Hour).Seconds()))
	want(t, c.at("HEAD", ""), 404, "no-upload")
	c.mustBe(t, "hello")
}

func TestTusDoorOverARestart(t *testing.T) {
	l := newLab(t)
	body := content(300_000)
	c := l.tus(t, token.V2, "restart/a", len(body))
	c.create(t, len(body), body[:1000], "Content-Type: application/offset+octet-stream")
	l.stop()
	l.start()
	wantTus(t, c.at("HEAD", ""), 200, "1000")
	wantTus(t, c.patch(1000, body[1000:]), 204, strconv.Itoa(len(body)))
	c.mustBe(t, body)
}

// Whoever reads the log must not be able to go on with somebody's upload.
func TestUploadIDsAreNotLogged(t *testing.T) {
	l := newLab(t)
	c := l.tus(t, token.V2, "log/a", 5)
	d := l.draft("8", "log/b", 5)
	s := l.started(t, "log/c", 5)
	c.create(t, 5, "")
	d.start("", "?0", "Upload-Length: 5")
	for _, method := range []string{"HEAD", "PATCH", "DELETE", "GET", "PUT"} {
		l.do(method, l.base+c.location, nil)
		l.do(method, l.base+c.location+"/x", nil, "Tus-Resumable: 1.0.0")
		l.do(method, l.base+d.location, nil)
		l.do(method, l.base+"/upload-status?session_id="+s.session, nil)
	}
	c.patch(1, "x")
	c.patch(0, "hello")
	d.patch(1, "x", "?0")
	s.chunk("7", "x")
	log := l.log.String()
	if !strings.Contains(log, tusEndpoint+"***") {
		t.Error("no line about a request for an upload")
	}
	for _, id := range []string{strings.TrimPrefix(c.location, tusEndpoint), strings.TrimPrefix(d.location, "/upload/.holdfast/v1/draft/"), s.session} {
		if len(id) != 22 || strings.Contains(log, id) {
			t.Errorf("id %q is in the log", id)
		}
	}
}

func TestTusDoorKeepsTheLimits(t *testing.T) {
	l := newLab(t)
	for i := range 21 {
		c := l.tus(t, token.V2, fmt.Sprintf("limit/%d", i), 5)
		resp := c.create(t, 5, "")
		if i < 20 {
			want(t, resp, 201, "")
		} else {
			want(t, resp, 507, "storage-full")
			if resp.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
	}
}
