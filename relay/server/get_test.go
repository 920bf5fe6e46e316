package server_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/relay/token"
)

func TestRangesAndConditions(t *testing.T) {
	l := newLab(t)
	want(t, l.put(l.sign(token.V2, "get/file.txt", 10), "0123456789"), 201, "")
	url := l.base + "/upload/get/file.txt"
	head := l.do(http.MethodHead, url, nil)
	etag, mod := head.Header.Get("Etag"), head.Header.Get("Last-Modified")
	if !strings.HasPrefix(etag, `"`) || mod == "" || head.ContentLength != 10 || text(head) != "" {
		t.Fatalf("HEAD: etag %q, last-modified %q, length %d", etag, mod, head.ContentLength)
	}
	tests := []struct {
		name    string
		headers []string
		status  int
		body    string
		rang    string
	}{
		{"all of it", nil, 200, "0123456789", ""},
		{"the first bytes", []string{"Range: bytes=0-3"}, 206, "0123", "bytes 0-3/10"},
		{"the last bytes", []string{"Range: bytes=-5"}, 206, "56789", "bytes 5-9/10"},
		{"from the middle", []string{"Range: bytes=7-"}, 206, "789", "bytes 7-9/10"},
		{"past the end", []string{"Range: bytes=10-"}, 416, "", "bytes */10"},
		{"a unit that is not known is ignored", []string{"Range: lines=1"}, 200, "0123456789", ""},
		{"no unit at all", []string{"Range: 1"}, 200, "0123456789", ""},
		{"the unit in capitals", []string{"Range: BYTES=0-3"}, 206, "0123", "bytes 0-3/10"},
		{"the last no bytes", []string{"Range: bytes=-0"}, 416, "", "bytes */10"},
		{"the last no bytes among others", []string{"Range: bytes=-0, 2-3"}, 206, "23", "bytes 2-3/10"},
		{"an end before the beginning", []string{"Range: bytes=5-2"}, 416, "", ""},
		{"unchanged", []string{"If-None-Match: " + etag}, 304, "", ""},
		{"unchanged since", []string{"If-Modified-Since: " + mod}, 304, "", ""},
		{"another one", []string{`If-None-Match: "x"`}, 200, "0123456789", ""},
		{"a range of this very file", []string{"Range: bytes=0-3", "If-Range: " + etag}, 206, "0123", "bytes 0-3/10"},
		{"a range of another file", []string{"Range: bytes=0-3", `If-Range: "x"`}, 200, "0123456789", ""},
		{"only if it is another one", []string{`If-Match: "x"`}, 412, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := l.do(http.MethodGet, url, nil, tt.headers...)
			if resp.StatusCode != tt.status || (tt.body != "" && text(resp) != tt.body) || (tt.rang != "" && resp.Header.Get("Content-Range") != tt.rang) {
				t.Errorf("got %s, range %q", resp.Status, resp.Header.Get("Content-Range"))
			}
		})
	}
	if resp := l.do(http.MethodHead, url, nil, "Range: bytes=0-3"); resp.StatusCode != 200 || resp.ContentLength != 10 {
		t.Errorf("HEAD with a range, which is for GET alone: %s, length %d", resp.Status, resp.ContentLength)
	}
	several := l.do(http.MethodGet, url, nil, "Range: bytes=0-1,4-5")
	if b := text(several); several.StatusCode != 206 || !strings.HasPrefix(several.Header.Get("Content-Type"), "multipart/byteranges") || !strings.Contains(b, "01") || !strings.Contains(b, "45") {
		t.Errorf("several ranges: %s, %s", several.Status, several.Header.Get("Content-Type"))
	}
}

func TestWhatAnUploadedFileMayDo(t *testing.T) {
	l := newLab(t)
	tests := []struct {
		name, typ       string
		wantType, wantC string
	}{
		{"picture.jpg", "image/jpeg", "image/jpeg", "inline"},
		{"picture.jpg", "IMAGE/JPEG", "IMAGE/JPEG", "inline"},
		{"note.txt", "text/plain; charset=utf-8", "text/plain; charset=utf-8", "inline"},
		{"film.mp4", "video/mp4", "video/mp4", "inline"},
		{"page.html", "text/html", "text/html", "attachment"},
		{"drawing.svg", "image/svg+xml", "image/svg+xml", "attachment"},
		{"data.xml", "application/xml", "application/xml", "attachment"},
		{"page.xhtml", "application/xhtml+xml", "application/xhtml+xml", "attachment"},
		{"odd.bin", "application/octet-stream", "application/octet-stream", "attachment"},
	}
	for i, tt := range tests {
		t.Run(tt.name+" as "+tt.typ, func(t *testing.T) {
			sl := l.sign(token.V2, fmt.Sprintf("%d/%s", i, tt.name), 5, func(c *token.Claims) { c.Type = tt.typ })
			want(t, l.put(sl, "hello"), 201, "")
			h := l.do(http.MethodGet, l.base+"/upload/"+sl.path, nil).Header
			got := map[string]string{}
			for _, k := range []string{"Content-Type", "Content-Disposition", "X-Content-Type-Options", "Content-Security-Policy", "X-Frame-Options", "Cache-Control", "Access-Control-Allow-Origin"} {
				got[k] = h.Get(k)
			}
			diff := cmp.Diff(map[string]string{
				"Content-Type":                tt.wantType,
				"Content-Disposition":         fmt.Sprintf("%s; filename=%q; filename*=UTF-8''%s", tt.wantC, tt.name, tt.name),
				"X-Content-Type-Options":      "nosniff",
				"Content-Security-Policy":     "default-src 'none'; frame-ancestors 'none'; sandbox",
				"X-Frame-Options":             "DENY",
				"Cache-Control":               "public, max-age=31556952, immutable",
				"Access-Control-Allow-Origin": "*",
			}, got)
			if diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFilesOfATakenOverStoreGetATypeByTheirEnding(t *testing.T) {
	l := newLab(t)
	for name, typ := range map[string]string{"a.png": "image/png", "a.HTML": "text/html; charset=utf-8", "a": "application/octet-stream"} {
		dir := filepath.Join(l.files(), "old")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := l.do(http.MethodGet, l.base+"/upload/old/"+name, nil).Header.Get("Content-Type"); got != typ {
			t.Errorf("%s is %s, want %s", name, got, typ)
		}
	}
}

func TestPathsAreNotCleaned(t *testing.T) {
	l := newLab(t)
	want(t, l.put(l.sign(token.V2, "clean/file", 5), "hello"), 201, "")
	for _, p := range []string{
		"/upload/clean/../clean/file", "/upload/clean//file", "/upload/./clean/file", "/upload/%2e%2e/upload/clean/file", "/upload/..%2f..%2fetc/passwd",
		"/upload/.holdfast/tmp/x", "/upload/.holdfast/lock", "//upload/clean/file", "/upload/abc/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/upload/clean/file/",
		"/", "/index.html", "/uploadclean/file", "/upload/.holdfast/v1/", "/upload/.holdfast/v1/../../clean/file",
	} {
		c := dial(t, l)
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", p)
		b, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		if s := string(b); !strings.HasPrefix(s, "HTTP/1.1 404 ") && !strings.HasPrefix(s, "HTTP/1.1 400 ") {
			t.Errorf("%s: %q", p, s)
		}
	}
}

func TestMethodsAndCORS(t *testing.T) {
	l := newLab(t)
	for _, tt := range []struct{ method, path string }{
		{"POST", "/upload/"}, {"POST", "/upload"}, {"POST", "/upload/a/b"}, {"DELETE", "/upload/a/b"}, {"PATCH", "/upload/a/b"}, {"PROPFIND", "/upload/a/b"},
	} {
		resp := l.do(tt.method, l.base+tt.path, strings.NewReader("x"))
		want(t, resp, 405, "method-not-allowed")
		if got := resp.Header.Get("Allow"); got != "GET, HEAD, OPTIONS, PUT" {
			t.Errorf("%s %s: Allow is %q", tt.method, tt.path, got)
		}
	}
	resp := l.do("OPTIONS", l.base+"/upload/a/b", nil, "Origin: https://web.example.org", "Access-Control-Request-Method: PUT")
	got := []string{resp.Status, resp.Header.Get("Access-Control-Allow-Origin"), resp.Header.Get("Access-Control-Allow-Methods"), resp.Header.Get("Access-Control-Allow-Headers")}
	if diff := cmp.Diff([]string{"204 No Content", "*", "OPTIONS, HEAD, GET, PUT", "Authorization, Content-Type"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestInfoAndHealth(t *testing.T) {
	l := newLab(t)
	a, b := l.do("GET", l.base+"/.well-known/holdfast", nil), l.do("GET", l.base+"/upload/.holdfast/v1/info", nil)
	wantDoc := fmt.Sprintf(`{"version":1,"api":"/upload/.holdfast/v1/","tus_endpoint":"/upload/.holdfast/v1/tus/","max_upload_size":%d,"resume":["slot-url","draft-8","draft-6","tus-1.0"],"resign":[],"now":%d}`+"\n", 64<<20, l.now().Unix())
	if x, y := text(a), text(b); x != y || x != wantDoc {
		t.Errorf("info is %s and %s, want %s", x, y, wantDoc)
	}
	if resp := l.do("GET", l.base+"/health", nil); resp.StatusCode != 200 || text(resp) != "OK\n" {
		t.Errorf("health is %s", resp.Status)
	}
	if got := text(l.do("GET", l.base+"/health?verbose", nil)); got != "OK\n" {
		t.Errorf("the public side says %q", got)
	}
	if got := metric(t, l, "holdfast_uploads_running"); !strings.HasSuffix(got, " 0") {
		t.Errorf("metric %q", got)
	}
}
