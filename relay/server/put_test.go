package server_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/relay/server"
	"holdfast/relay/token"
)

func TestEverySchemeIsTakenAndAnsweredWithAnEmpty201(t *testing.T) {
	l := newLab(t)
	for _, s := range token.Schemes() {
		t.Run(string(s), func(t *testing.T) {
			sl := l.sign(s, string(s)+"/file.txt", 5)
			resp := l.put(sl, "hello")
			want(t, resp, 201, "")
			if resp.ContentLength != 0 || len(resp.TransferEncoding) > 0 || text(resp) != "" {
				t.Errorf("201 has a body: length %d, encoding %v", resp.ContentLength, resp.TransferEncoding)
			}
			if got := resp.Header.Get("Holdfast-Api"); got != "/upload/.holdfast/v1/" {
				t.Errorf("Holdfast-Api is %q", got)
			}
			got := l.do(http.MethodGet, l.base+"/upload/"+sl.path, nil)
			if text(got) != "hello" || got.Header.Get("Content-Type") != "text/plain" {
				t.Errorf("got back %s, %s", got.Status, got.Header.Get("Content-Type"))
			}
		})
	}
}

func TestWhatAPutIsRefusedFor(t *testing.T) {
	l := newLab(t)
	good := func(path string) slot { return l.sign(token.V2, path, 5) }
	tests := []struct {
		name    string
		slot    slot
		body    string
		headers []string
		status  int
		code    string
	}{
		{"no token", slot{url: l.base + "/upload/a/no"}, "hello", nil, 403, "token-missing"},
		{"a token for another path", slot{url: strings.Replace(good("a/other").url, "other", "mine", 1), typ: "text/plain"}, "hello", nil, 403, "token-invalid"},
		{"a body longer than signed", good("a/long"), "hello!", nil, 403, "token-invalid"},
		{"a body shorter than signed", good("a/short"), "hell", nil, 403, "token-invalid"},
		{"a jwt of another size", l.sign(token.JWT, "a/jwtsize", 6), "hello", nil, 413, "size-mismatch"},
		{"another type than signed", slot{url: good("a/type").url, typ: "image/png"}, "hello", nil, 403, "token-invalid"},
		{"v3 of a bare path, without an expiry", slot{url: strings.Split(l.sign(token.V3, "a/v3", 5).url, "&")[0]}, "hello", nil, 403, "token-invalid"},
		{"larger than the limit", l.sign(token.JWT, "a/large", 65<<20), strings.Repeat("x", 65<<20), nil, 413, "too-large"},
		{"one segment", slot{url: l.base + "/upload/file?v2=00"}, "hello", nil, 400, "bad-path"},
		{"nine segments", slot{url: l.base + "/upload/1/2/3/4/5/6/7/8/9?v2=00"}, "hello", nil, 400, "bad-path"},
		{"dots that would climb", slot{url: l.base + "/upload/a/%2e%2e/b?v2=00"}, "hello", nil, 400, "bad-path"},
		{"a slash within a segment that makes dots", slot{url: l.base + "/upload/a/..%2fb?v2=00"}, "hello", nil, 400, "bad-path"},
		{"a NUL", slot{url: l.base + "/upload/a/x%00y?v2=00"}, "hello", nil, 400, "bad-path"},
		{"a line break", slot{url: l.base + "/upload/a/x%0d%0ay?v2=00"}, "hello", nil, 400, "bad-path"},
		{"bytes that are no UTF-8", slot{url: l.base + "/upload/a/x%ff?v2=00"}, "hello", nil, 400, "bad-path"},
		{"a segment of 256 bytes", slot{url: l.base + "/upload/a/" + strings.Repeat("x", 256) + "?v2=00"}, "hello", nil, 400, "bad-path"},
		{"an empty segment", slot{url: l.base + "/upload/a//b?v2=00"}, "hello", nil, 400, "bad-path"},
		{"the reserved first segment", slot{url: l.base + "/upload/.holdfast/tmp?v2=00"}, "hello", nil, 400, "bad-path"},
		{"a part of a file", good("a/part"), "hello", []string{"Content-Range: bytes 0-4/10"}, 400, "bad-request"},
		{"a digest that does not fit", good("a/digest"), "hello", []string{"Repr-Digest: sha-256=:" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + ":"}, 400, "digest-mismatch"},
		{"a digest that is none", good("a/digest"), "hello", []string{"Repr-Digest: sha-256=:AAAA:"}, 400, "bad-request"},
		{"a token from the future", l.sign(token.JWT, "a/future", 5, func(c *token.Claims) {
			c.IssuedAt, c.Expires = l.now().Add(11*time.Minute), l.now().Add(20*time.Minute)
		}), "hello", nil, 403, "token-invalid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := l.put(tt.slot, tt.body, tt.headers...)
			want(t, resp, tt.status, tt.code)
			if resp.Header.Get("Content-Length") == "" || text(resp) == "" {
				t.Error("a refusal says nothing")
			}
		})
	}
	if got := published(t, l.files()); len(got) > 0 {
		t.Errorf("files were stored: %q", got)
	}
}

// published lists the files of a store and fails on leftovers of uploads.
func published(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		if strings.HasPrefix(rel, ".holdfast/tmp/") {
			t.Errorf("left over: %s", rel)
		} else if !strings.HasPrefix(rel, ".holdfast/") {
			out = append(out, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAPutWithoutALengthIs411(t *testing.T) {
	l := newLab(t)
	resp := l.do(http.MethodPut, l.sign(token.V2, "a/chunked", 5).url, io.MultiReader(strings.NewReader("hello")), "Content-Type: text/plain")
	want(t, resp, 411, "length-required")
}

func TestAPutWithTwoTypesIsRefused(t *testing.T) {
	l := newLab(t)
	sl := l.sign(token.V2, "a/types", 5)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, sl.url, strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header["Content-Type"] = []string{"text/plain", "text/html"}
	resp, err := l.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	want(t, resp, 400, "bad-request")
}

func TestAPutThatSaysNothingOfItsLengthIsNotAnEmptyFile(t *testing.T) {
	l := newLab(t)
	base, err := url.Parse(l.base)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, field string
		want        string
	}{
		{"without Content-Length", "", "HTTP/1.1 411 "},
		{"with an empty body said so", "Content-Length: 0\r\n", "HTTP/1.1 201 "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := net.Dial("tcp", base.Host)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			target := strings.TrimPrefix(l.sign(token.V, "a/empty", 0).url, base.Scheme+"://"+base.Host)
			if _, err := fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", target, tt.field); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(c)
			if err != nil || !strings.HasPrefix(string(answer), tt.want) {
				t.Errorf("got %q, %v; want %s", answer, err, tt.want)
			}
		})
	}
}

func TestASlotTakesOneFile(t *testing.T) {
	l := newLab(t)
	sl := l.sign(token.V2, "once/file.txt", 5)
	want(t, l.put(sl, "hello"), 201, "")
	before := l.do(http.MethodHead, l.base+"/upload/once/file.txt", nil)
	want(t, l.put(sl, "hello"), 201, "")
	want(t, l.put(sl, "HELLO"), 409, "slot-used")
	want(t, l.put(l.sign(token.V2, "once/file.txt", 6), "hello!"), 409, "slot-used")
	after := l.do(http.MethodHead, l.base+"/upload/once/file.txt", nil)
	if before.Header.Get("Etag") != after.Header.Get("Etag") || before.Header.Get("Last-Modified") != after.Header.Get("Last-Modified") {
		t.Error("a repeat changed the file")
	}
	if err := os.Remove(filepath.Join(l.files(), "once/file.txt")); err != nil {
		t.Fatal(err)
	}
	want(t, l.put(sl, "hello"), 409, "slot-used")
	want(t, l.do(http.MethodGet, l.base+"/upload/once/file.txt", nil), 404, "not-found")
	l.stop()
	l.start()
	want(t, l.put(l.sign(token.V2, "once/file.txt", 5), "hello"), 409, "slot-used")
}

func TestABearerTokenIsGoodForOnePath(t *testing.T) {
	l := newLab(t)
	sl := l.sign(token.Bearer, "one/file.txt", 5)
	want(t, l.put(sl, "hello"), 201, "")
	second := sl
	second.url = strings.Replace(sl.url, "/one/", "/two/", 1)
	want(t, l.put(second, "hello"), 409, "token-used")
	want(t, l.put(sl, "hello"), 201, "")
}

func TestAV2SlotIsNoBearerToken(t *testing.T) {
	l := newLab(t)
	// A v2 MAC over "path NUL 9 NUL 1000000000" must not verify as a bearer MAC over "user NUL file NUL size".
	sl := l.sign(token.V2, "a/b", 9, func(c *token.Claims) { c.Type = "1000000000" })
	mac := strings.TrimPrefix(sl.url[strings.Index(sl.url, "?")+1:], "v2=")
	raw := make([]byte, 32)
	if _, err := fmt.Sscanf(mac, "%x", &raw); err != nil {
		t.Fatal(err)
	}
	resp := l.do(http.MethodPut, l.base+"/upload/a/9?user=a/b", strings.NewReader(strings.Repeat("x", 9)),
		"Authorization: Bearer "+base64.StdEncoding.EncodeToString(raw))
	want(t, resp, 403, "token-invalid")
}

func TestNamesAreKeptAsTheyAre(t *testing.T) {
	l := newLab(t)
	for _, name := range []string{
		".hidden", "trailing.", "quote\"s.txt", "emoji \U0001F600.png", "a+b.txt", "percent%2e%2e.txt", "hash#.txt", "ask?.txt",
		"right\u202eleft.txt", "back\\slash", "semi;colon", strings.Repeat("x", 255), "...", "\u00e9.txt",
	} {
		t.Run(name, func(t *testing.T) {
			sl := l.sign(token.V2, "names/"+name, 5)
			want(t, l.put(sl, "hello"), 201, "")
			resp := l.do(http.MethodGet, strings.Split(sl.url, "?")[0], nil)
			if text(resp) != "hello" {
				t.Errorf("got back %s", resp.Status)
			}
			if _, err := os.Stat(filepath.Join(l.files(), "names", name)); err != nil {
				t.Error(err)
			}
			cd := resp.Header.Get("Content-Disposition")
			if strings.ContainsFunc(cd, func(r rune) bool { return r < ' ' || r > '~' }) || strings.Count(cd, `"`) != 2 {
				t.Errorf("Content-Disposition is %q", cd)
			}
		})
	}
}

func TestEmptyFilesAreFiles(t *testing.T) {
	l := newLab(t)
	sl := l.sign(token.V2, "empty/file", 0)
	want(t, l.put(sl, ""), 201, "")
	want(t, l.put(sl, ""), 201, "")
	resp := l.do(http.MethodGet, l.base+"/upload/empty/file", nil)
	if resp.StatusCode != 200 || resp.ContentLength != 0 {
		t.Errorf("got %s with %d bytes", resp.Status, resp.ContentLength)
	}
}

func TestFoldersAreNoFiles(t *testing.T) {
	l := newLab(t)
	want(t, l.put(l.sign(token.V2, "dir/sub/file", 5), "hello"), 201, "")
	want(t, l.put(l.sign(token.V2, "dir/sub", 5), "hello"), 409, "slot-used")
	want(t, l.put(l.sign(token.V2, "dir/sub/file/below", 5), "hello"), 409, "slot-used")
	for _, p := range []string{"dir/sub", "dir/sub/", "dir", "dir/", ""} {
		want(t, l.do(http.MethodGet, l.base+"/upload/"+p, nil), 404, "not-found")
	}
}

func TestNothingIsWrittenThroughALink(t *testing.T) {
	l := newLab(t)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(l.files(), "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if resp := l.put(l.sign(token.V2, "link/file", 5), "hello"); resp.StatusCode == 201 {
		t.Errorf("stored through a link: %s", resp.Status)
	}
	want(t, l.do(http.MethodGet, l.base+"/upload/link/secret", nil), 404, "not-found")
	if _, err := os.Stat(filepath.Join(outside, "file")); err == nil {
		t.Error("a file was written outside of the store")
	}
}

func TestTwoPutsAtOnceToOneSlot(t *testing.T) {
	l := newLab(t)
	bodies := []string{strings.Repeat("a", 300<<10), strings.Repeat("b", 300<<10)}
	for round := range 10 {
		sl := l.sign(token.V2, fmt.Sprintf("race/%d", round), 300<<10)
		status := make([]int, 8)
		var wg sync.WaitGroup
		for i := range status {
			wg.Go(func() { status[i] = l.put(sl, bodies[i%2]).StatusCode })
		}
		wg.Wait()
		got := text(l.do(http.MethodGet, strings.Split(sl.url, "?")[0], nil))
		for i, st := range status {
			switch {
			case bodies[i%2] == got && st != 201:
				t.Errorf("round %d: the stored bytes were answered with %d", round, st)
			case bodies[i%2] != got && st != 409:
				t.Errorf("round %d: other bytes than stored were answered with %d", round, st)
			}
		}
	}
	published(t, l.files())
}

func TestACutUploadLeavesNothingAndTheSlotIsStillGood(t *testing.T) {
	l := newLab(t)
	sl := l.sign(token.V2, "cut/file", 1<<20)
	c := dial(t, l)
	fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", strings.TrimPrefix(sl.url, l.base), 1<<20, strings.Repeat("x", 5000))
	eventually(t, "the upload has begun", func() bool { return strings.Contains(metric(t, l, "holdfast_uploads_running"), " 1") })
	_ = c.Close()
	eventually(t, "the cut is logged", func() bool { return strings.Contains(l.log.String(), "upload cut") })
	if got := published(t, l.files()); len(got) > 0 {
		t.Errorf("a cut upload left %q", got)
	}
	want(t, l.do(http.MethodGet, l.base+"/upload/cut/file", nil), 404, "not-found")
	want(t, l.put(sl, strings.Repeat("y", 1<<20)), 201, "")

	// An aborted repeat leaves the file alone.
	c = dial(t, l)
	fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", strings.TrimPrefix(sl.url, l.base), 1<<20, strings.Repeat("y", 5000))
	_ = c.Close()
	if got := text(l.do(http.MethodGet, l.base+"/upload/cut/file", nil)); got != strings.Repeat("y", 1<<20) {
		t.Error("an aborted repeat changed the file")
	}
}

func dial(t testing.TB, l *lab) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(l.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestABodyThatHardlyMovesIsCut(t *testing.T) {
	l := newLab(t, func(c *server.Config) { c.Idle = 300 * time.Millisecond })
	sl := l.sign(token.V2, "slow/file", 1<<20)
	c := dial(t, l)
	fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", strings.TrimPrefix(sl.url, l.base), 1<<20)
	stop := make(chan struct{})
	defer close(stop)
	go func() { // a byte now and then is not progress
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
			}
		}
	}()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 408 The upload stopped moving.") {
		t.Errorf("got %q, %v", line, err)
	}
	published(t, l.files())
}

func TestAHeadThatNeverEndsIsCut(t *testing.T) {
	l := newLab(t, func(c *server.Config) { c.Header = 200 * time.Millisecond })
	c := dial(t, l)
	fmt.Fprintf(c, "PUT /upload/a/b HTTP/1.1\r\nHost: x\r\n")
	if b, err := io.ReadAll(c); err != nil {
		t.Errorf("got %q, %v; the connection should be closed", b, err)
	}
}

func TestASlowUploadThatMovesHasNoLimit(t *testing.T) {
	l := newLab(t, func(c *server.Config) { c.Idle = 200 * time.Millisecond })
	const pieces, piece = 12, 2 << 10
	sl := l.sign(token.V2, "steady/file", pieces*piece)
	c := dial(t, l)
	fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", strings.TrimPrefix(sl.url, l.base), pieces*piece)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range pieces {
		<-tick.C
		if _, err := c.Write(bytes.Repeat([]byte("x"), piece)); err != nil {
			t.Fatal(err)
		}
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 201 ") {
		t.Errorf("got %q, %v", line, err)
	}
}

func TestContinueIsSentOnlyAfterEveryCheck(t *testing.T) {
	l := newLab(t)
	tests := []struct {
		name, target string
		want         string
	}{
		{"a good slot", strings.TrimPrefix(l.sign(token.V2, "expect/good", 5).url, l.base), "HTTP/1.1 100 Continue\r\n"},
		{"a wrong token", "/upload/expect/bad?v2=00", "HTTP/1.1 403 The upload token does not belong to this file.\r\n"},
	}
	want(t, l.put(l.sign(token.V2, "expect/used", 4), "used"), 201, "")
	tests = append(tests, struct{ name, target, want string }{"a used slot of another size",
		strings.TrimPrefix(l.sign(token.V2, "expect/used", 5).url, l.base), "HTTP/1.1 409 This upload slot was used for another file already.\r\n"})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, l)
			fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", tt.target)
			line, err := bufio.NewReader(c).ReadString('\n')
			if err != nil || line != tt.want {
				t.Errorf("got %q, %v; want %q", line, err, tt.want)
			}
		})
	}
}

func TestADigestIsCheckedAndHandedOut(t *testing.T) {
	l := newLab(t)
	sum := sha256.Sum256([]byte("hello"))
	field := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	want(t, l.put(l.sign(token.V2, "digest/file", 5), "hello", "Repr-Digest: "+field), 201, "")
	if got := l.do(http.MethodHead, l.base+"/upload/digest/file", nil).Header.Get("Repr-Digest"); got != field {
		t.Errorf("Repr-Digest is %q, want %q", got, field)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// RFC 9110 section 11.6.2 knows one Authorization. Which of two counts would depend on who reads.
func TestTwoAuthorizations(t *testing.T) {
	l := newLab(t)
	for i, tt := range []struct {
		name   string
		values func(good string) []string
		status int
		code   string
	}{
		{"one", func(good string) []string { return []string{good} }, 201, ""},
		{"twice the same", func(good string) []string { return []string{good, good} }, 403, "token-invalid"},
		{"a wrong one behind", func(good string) []string { return []string{good, "Bearer AAAA"} }, 403, "token-invalid"},
		{"a wrong one before", func(good string) []string { return []string{"Bearer AAAA", good} }, 403, "token-invalid"},
		{"another kind before", func(good string) []string { return []string{"Basic YTpi", good} }, 403, "token-invalid"},
		{"other kinds alone", func(string) []string { return []string{"Basic YTpi", "Digest x"} }, 403, "token-missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sl := l.sign(token.JWT, fmt.Sprintf("two/%d", i), 5)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, sl.url, strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header["Authorization"] = tt.values(sl.auth)
			resp, err := l.http.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			want(t, resp, tt.status, tt.code)
		})
	}
}
