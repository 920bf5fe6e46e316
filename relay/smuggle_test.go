package relay

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// What two readers of one connection could take for two different requests: the upstream sees exactly one, or none.
func TestNothingIsSmuggledBehindARequest(t *testing.T) {
	const inner = "PUT /u/s/evil HTTP/1.1\r\nHost: upload.test\r\nContent-Length: 0\r\n\r\n"
	put := func(headers, body string) string {
		return "PUT http://upload.test/u/s/f HTTP/1.1\r\nHost: upload.test\r\n" + headers + "\r\n" + body
	}
	for _, tc := range []struct {
		name, request string
		status        int
		seen          string // by the server; empty: nothing
	}{
		{"two lengths", put("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"+inner), 400, ""},
		{"two equal lengths", put("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 201, "PUT 5"},
		{"a list of lengths", put("Content-Length: 5, 5\r\n", "hello"+inner), 400, ""},
		{"a length with a sign", put("Content-Length: +5\r\n", "hello"+inner), 400, ""},
		{"a length and chunks", put("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+inner), 411, ""},
		{"chunks alone", put("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"+inner), 411, ""},
		{"chunks twice", put("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+inner), 400, ""},
		{"another coding", put("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"+inner), 400, ""},
		{"a space before the colon", put("Content-Length: 5\r\nTransfer-Encoding : chunked\r\n", "0\r\n\r\n"+inner), 400, ""},
		{"a folded line", put("Content-Length: 5\r\nX: a\r\n Transfer-Encoding: chunked\r\n", "hello"), 201, "PUT 5"},
		{"a bare CR in a value", put("Content-Length: 5\r\nX: a\rTransfer-Encoding: chunked\r\n", "hello"+inner), 400, ""},
		{"bare LF", strings.ReplaceAll(put("Content-Length: 5\r\nX: a\nY: b\r\n", "hello"), "\r\n", "\n"), 201, "PUT 5"},
		{"a NUL in a value", put("Content-Length: 5\r\nX: a\x00b\r\n", "hello"+inner), 400, ""},
		{"a length named by Connection", put("Content-Length: 5\r\nConnection: Content-Length\r\n", "hello"), 201, "PUT 5"},
		{"two hosts", put("Host: evil.test\r\nContent-Length: 5\r\n", "hello"), 400, ""},
		{"a folded first line", "PUT http://upload.test/u/s/f HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: upload.test\r\nContent-Length: 5\r\n\r\nhello" + inner, 400, ""},
		{"a GET with chunks and a length", "GET http://upload.test/u/s/f HTTP/1.1\r\nHost: upload.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, 201, "GET 0"},
		{"a GET with a body", "GET http://upload.test/u/s/f HTTP/1.1\r\nHost: upload.test\r\nContent-Length: 64\r\n\r\n" + inner, 201, "GET 64"},
		{"chunks in HTTP/1.0", "PUT http://upload.test/u/s/f HTTP/1.0\r\nHost: upload.test\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, 411, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, nil)
			seen := make(chan string, 10)
			srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				n, err := io.Copy(io.Discard, r.Body)
				if r.URL.Path != "/u/s/f" || err != nil {
					t.Errorf("the server saw %s %s, %v", r.Method, r.URL.Path, err)
				}
				seen <- fmt.Sprint(r.Method, " ", n)
				rw.WriteHeader(http.StatusCreated)
			}))
			t.Cleanup(srv.Close)
			w.point("upload.test:80", srv.Listener.Addr().String())
			c, err := net.Dial("tcp", w.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.WriteString(c, tc.request); err != nil {
				t.Fatal(err)
			}
			br := bufio.NewReader(c)
			status := http.StatusProcessing
			for status == http.StatusProcessing {
				resp, err := http.ReadResponse(br, nil)
				if err != nil {
					t.Fatal(err)
				}
				status = resp.StatusCode
			}
			close(seen) // a second request would be one too many, and panic
			var got []string
			for s := range seen {
				got = append(got, s)
			}
			if status != tc.status || strings.Join(got, ", ") != tc.seen {
				t.Errorf("%d, the server saw %q; want %d and %q", status, got, tc.status, tc.seen)
			}
		})
	}
}
