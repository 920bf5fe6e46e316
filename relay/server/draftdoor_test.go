package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/relay/server"
	"holdfast/relay/token"
)

// draft is a client of draft-ietf-httpbis-resumable-upload.
type draft struct {
	*lab
	slot
	version  string
	location string // from 104 or the answer
	interim  []textproto.MIMEHeader
}

func (l *lab) draft(version, path string, size int) *draft {
	l.tb.Helper()
	return &draft{lab: l, slot: l.sign(token.V2, path, size), version: version}
}

// start sends the PUT.
func (d *draft) start(body, complete string, headers ...string) *http.Response {
	d.tb.Helper()
	return d.startFrom(strings.NewReader(body), complete, headers...)
}

func (d *draft) startFrom(body io.Reader, complete string, headers ...string) *http.Response {
	d.tb.Helper()
	return d.send(d.tb.Context(), d.http.Transport, d.url, body, complete, headers...)
}

func (d *draft) send(ctx context.Context, t http.RoundTripper, url string, body io.Reader, complete string, headers ...string) *http.Response {
	d.tb.Helper()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		if code == 104 {
			d.interim = append(d.interim, h)
		}
		return nil
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, body)
	if err != nil {
		d.tb.Fatal(err)
	}
	req.Header.Set("Content-Type", d.typ)
	for _, h := range append([]string{"Upload-Complete: " + complete, "Upload-Draft-Interop-Version: " + d.version}, headers...) {
		if k, v, _ := strings.Cut(h, ": "); v != "" {
			req.Header.Set(k, v)
		}
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		d.tb.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		d.tb.Fatal(err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(b))
	d.location = resp.Header.Get("Location")
	if len(d.interim) > 0 {
		d.location = d.interim[0].Get("Location")
	}
	return resp
}

// at sends a request to the upload resource.
func (d *draft) at(method, body string, headers ...string) *http.Response {
	d.tb.Helper()
	return d.do(method, d.base+d.location, strings.NewReader(body), append([]string{"Upload-Draft-Interop-Version: " + d.version}, headers...)...)
}

func (d *draft) patch(offset int, body, complete string, headers ...string) *http.Response {
	d.tb.Helper()
	return d.at("PATCH", body, append([]string{
		"Content-Type: application/partial-upload", "Upload-Offset: " + strconv.Itoa(offset), "Upload-Complete: " + complete,
	}, headers...)...)
}

func (d *draft) mustBe(content string) {
	d.tb.Helper()
	resp := d.do("GET", d.base+"/upload/"+token.EscapePath(d.path), nil)
	if got := text(resp); resp.StatusCode != 200 || got != content {
		d.tb.Errorf("GET: %s with %d bytes, want %d", resp.Status, len(got), len(content))
	}
}

// receivedAt waits until n bytes of an upload have come.
func (l *lab) receivedAt(location string, n int) {
	l.tb.Helper()
	(&resuming{lab: l, id: path.Base(location)}).received(n)
}

// wantDraft checks status, Upload-Offset and Upload-Complete.
func wantDraft(tb testing.TB, resp *http.Response, status int, offset, complete string) {
	tb.Helper()
	got := []string{strconv.Itoa(resp.StatusCode), resp.Header.Get("Upload-Offset"), resp.Header.Get("Upload-Complete")}
	if diff := cmp.Diff([]string{strconv.Itoa(status), offset, complete}, got); diff != "" {
		tb.Errorf("answer (-want +got):\n%s%s", diff, text(resp))
	}
}

// wantProblem checks a refusal with a document.
func wantProblem(tb testing.TB, resp *http.Response, status int, kind string, members map[string]int64) {
	tb.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(text(resp)), &doc); err != nil || resp.Header.Get("Content-Type") != "application/problem+json" {
		tb.Errorf("%s %q: %v", resp.Status, resp.Header.Get("Content-Type"), err)
		return
	}
	delete(doc, "title")
	want := map[string]any{"type": "https://iana.org/assignments/http-problem-types#" + kind, "status": float64(status)}
	for k, v := range members {
		want[k] = float64(v)
	}
	if diff := cmp.Diff(want, doc); diff != "" || resp.StatusCode != status {
		tb.Errorf("%s (-want +got):\n%s", resp.Status, diff)
	}
}

func TestDraftDoor(t *testing.T) {
	const size = 300_000
	body := content(size)
	l := newLab(t)
	for _, v := range []string{"6", "8"} {
		partial := map[string]int{"6": 201, "8": 204}[v]
		age := map[string]string{"6": "expires", "8": "max-age"}[v]
		start := func(t *testing.T, name string) *draft {
			d := l.draft(v, "draft"+v+"/"+name, size)
			d.tb = t
			return d
		}
		t.Run("interop "+v, func(t *testing.T) {
			t.Run("a whole upload is announced and stored", func(t *testing.T) {
				d := start(t, "whole")
				resp := d.start(body, "?1", "Upload-Length: "+strconv.Itoa(size))
				wantDraft(t, resp, 201, strconv.Itoa(size), "?1")
				if len(d.interim) != 1 {
					t.Fatalf("%d interim answers", len(d.interim))
				}
				h := d.interim[0]
				if diff := cmp.Diff([]string{v, fmt.Sprintf("max-size=%d, %s=259200", 64<<20, age)}, []string{h.Get("Upload-Draft-Interop-Version"), h.Get("Upload-Limit")}); diff != "" {
					t.Error(diff)
				}
				if !strings.HasPrefix(d.location, "/upload/.holdfast/v1/draft/") || len(d.location) != len("/upload/.holdfast/v1/draft/")+22 || resp.Header.Get("Location") != d.location {
					t.Errorf("Location is %q, then %q", d.location, resp.Header.Get("Location"))
				}
				d.mustBe(body)
				wantAt(t, d.at("HEAD", ""), 204, size, "?1")
				d.interim = nil
				wantDraft(t, d.start(body, "?1"), 201, strconv.Itoa(size), "?1")
				if len(d.interim) > 0 {
					t.Error("a repeat was announced as an upload")
				}
				want(t, d.start("x"+body[1:], "?1"), 409, "slot-used")
			})
			t.Run("parts", func(t *testing.T) {
				d := start(t, "parts")
				resp := d.start(body[:1000], "?0", "Upload-Length: "+strconv.Itoa(size))
				wantDraft(t, resp, 201, "1000", "?0")
				if d.location == "" || resp.Header.Get("Location") != d.location || resp.Header.Get("Upload-Limit") == "" {
					t.Errorf("Location %q, then %q", d.location, resp.Header.Get("Location"))
				}
				wantDraft(t, d.patch(1000, body[1000:5000], "?0"), partial, "5000", "?0")
				wantDraft(t, d.patch(5000, "", "?0"), partial, "5000", "?0")
				resp = d.at("HEAD", "")
				wantAt(t, resp, 204, 5000, "?0")
				if resp.Header.Get("Upload-Length") != strconv.Itoa(size) || !strings.Contains(resp.Header.Get("Upload-Limit"), age+"=") {
					t.Errorf("HEAD: %v", resp.Header)
				}
				want(t, l.do("GET", l.base+"/upload/"+d.path, nil), 404, "not-found")
				wantDraft(t, d.patch(5000, body[5000:], "?1"), 201, strconv.Itoa(size), "?1")
				d.mustBe(body)
			})
			t.Run("all bytes are here, and an empty part ends the upload", func(t *testing.T) {
				d := start(t, "empty-end")
				wantDraft(t, d.start(body, "?0", "Upload-Length: "+strconv.Itoa(size)), 201, strconv.Itoa(size), "?0")
				wantAt(t, d.at("HEAD", ""), 204, size, "?0")
				want(t, l.do("GET", l.base+"/upload/"+d.path, nil), 404, "not-found")
				wantDraft(t, d.patch(size, "", "?1"), 201, strconv.Itoa(size), "?1")
				d.mustBe(body)
			})
			t.Run("a cut keeps what came", func(t *testing.T) {
				d := start(t, "cut")
				u, _ := url.Parse(d.url)
				c := dialHost(t, u.Host)
				fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\nUpload-Complete: ?1\r\nUpload-Draft-Interop-Version: %s\r\n\r\n%s", u.RequestURI(), d.typ, size, v, body[:200_000])
				buf := make([]byte, 4096)
				n, err := c.Read(buf)
				if err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 104 Upload Resumption Supported\r\n") {
					t.Fatalf("%v: %q", err, buf[:n])
				}
				_, rest, _ := strings.Cut(string(buf[:n]), "Location: ")
				d.location, _, _ = strings.Cut(rest, "\r\n")
				l.receivedAt(d.location, 131072)
				_ = c.(*net.TCPConn).SetLinger(0)
				_ = c.Close()
				resp := d.at("HEAD", "")
				at, _ := strconv.Atoi(resp.Header.Get("Upload-Offset"))
				wantAt(t, resp, 204, at, "?0")
				wantDraft(t, d.patch(at, body[at:], "?1"), 201, strconv.Itoa(size), "?1")
				d.mustBe(body)
			})
			t.Run("a newer request ends the older", func(t *testing.T) {
				d := start(t, "newer")
				r, w := io.Pipe()
				done := make(chan *http.Response, 1)
				wantDraft(t, d.start("", "?0", "Upload-Length: "+strconv.Itoa(size)), 201, "0", "?0")
				location := d.location
				go func() {
					done <- l.do("PATCH", l.base+location, r, "Content-Type: application/partial-upload", "Upload-Offset: 0", "Upload-Complete: ?0", "Upload-Draft-Interop-Version: "+v)
				}()
				_, _ = io.WriteString(w, body[:200_000])
				l.receivedAt(location, 131072)
				resp := d.at("HEAD", "")
				at, _ := strconv.Atoi(resp.Header.Get("Upload-Offset"))
				wantAt(t, resp, 204, at, "?0")
				_ = w.Close()
				if resp := <-done; resp.StatusCode != 409 {
					t.Errorf("the older one got %s", resp.Status)
				}
				wantDraft(t, d.patch(at, body[at:], "?1"), 201, strconv.Itoa(size), "?1")
				d.mustBe(body)
			})
			t.Run("a wrong offset is told as a problem", func(t *testing.T) {
				d := start(t, "offset")
				d.start(body[:100], "?0", "Upload-Length: "+strconv.Itoa(size))
				for _, at := range []int{0, 99, 101, 1 << 40} {
					resp := d.patch(at, "xyz", "?0")
					wantDraft(t, resp, 409, "100", "?0")
					resp.Body = io.NopCloser(strings.NewReader(text(d.patch(at, "xyz", "?0"))))
					wantProblem(t, resp, 409, "mismatching-upload-offset", map[string]int64{"expected-offset": 100, "provided-offset": int64(at)})
				}
				wantAt(t, d.at("HEAD", ""), 204, 100, "?0")
			})
			t.Run("lengths that do not fit together", func(t *testing.T) {
				d := start(t, "lengths")
				wantProblem(t, d.start(body[:100], "?1", "Upload-Length: "+strconv.Itoa(size)), 400, "inconsistent-upload-length", nil)
				wantProblem(t, d.start(body, "?0", "Upload-Length: 100"), 400, "inconsistent-upload-length", nil)
				want(t, d.start(body[:100], "?0"), 411, "length-required")
				want(t, d.startFrom(io.MultiReader(strings.NewReader(body)), "?1"), 411, "length-required")
				if len(d.interim) > 0 {
					t.Error("announced and refused")
				}
				d.start(body[:100], "?0", "Upload-Length: "+strconv.Itoa(size))
				wantProblem(t, d.patch(100, "x", "?1"), 400, "inconsistent-upload-length", nil)
				wantProblem(t, d.patch(100, "x", "?0", "Upload-Length: 1"), 400, "inconsistent-upload-length", nil)
				wantProblem(t, d.patch(100, body, "?0"), 400, "inconsistent-upload-length", nil)
				wantProblem(t, d.patch(100, "", "?1"), 400, "inconsistent-upload-length", nil)
				wantAt(t, d.at("HEAD", ""), 204, 100, "?0")
				resp := l.do("PATCH", l.base+d.location, io.MultiReader(strings.NewReader(body)), // more than fits, and not said before
					"Content-Type: application/partial-upload", "Upload-Offset: 100", "Upload-Complete: ?0", "Upload-Draft-Interop-Version: "+v)
				wantProblem(t, resp, 400, "inconsistent-upload-length", nil)
				if v == "6" {
					wantAt(t, d.at("HEAD", ""), 204, size, "?0")
				} else {
					want(t, d.at("HEAD", ""), 404, "no-upload")
				}
				want(t, l.do("GET", l.base+"/upload/"+d.path, nil), 404, "not-found")
			})
			t.Run("a chunked body with a declared length is stored", func(t *testing.T) {
				d := start(t, "chunked")
				wantDraft(t, d.startFrom(io.MultiReader(strings.NewReader(body)), "?1", "Upload-Length: "+strconv.Itoa(size)), 201, strconv.Itoa(size), "?1")
				d.mustBe(body)
			})
			t.Run("nothing is added to a complete upload", func(t *testing.T) {
				d := start(t, "complete")
				d.start(body, "?1")
				kind := map[string]string{"6": "completed-upload", "8": "inconsistent-upload-length"}[v]
				wantProblem(t, d.patch(size, "x", "?1"), 400, kind, nil)
				wantProblem(t, d.patch(0, body, "?1"), 400, kind, nil)
				wantProblem(t, d.patch(size, "", "?1"), 400, "completed-upload", nil)
				d.mustBe(body)
			})
			t.Run("a deleted upload is gone, a published file is not", func(t *testing.T) {
				d := start(t, "delete")
				d.start(body[:100], "?0", "Upload-Length: "+strconv.Itoa(size))
				want(t, d.at("DELETE", ""), 204, "")
				want(t, d.at("DELETE", ""), 404, "no-upload")
				want(t, d.at("HEAD", ""), 404, "no-upload")
				want(t, d.patch(100, "x", "?0"), 404, "no-upload")
				d.interim = nil
				wantDraft(t, d.start(body, "?1"), 201, strconv.Itoa(size), "?1")
				want(t, d.at("DELETE", ""), 204, "")
				d.mustBe(body)
				want(t, d.start("x"+body[1:], "?1"), 409, "slot-used")
			})
			t.Run("a digest that does not match", func(t *testing.T) {
				sum := func(s string) string {
					h := sha256.Sum256([]byte(s))
					return "sha-256=:" + base64.StdEncoding.EncodeToString(h[:]) + ":"
				}
				d := start(t, "digest")
				resp := d.start(body, "?1", "Repr-Digest: "+sum("x"))
				want(t, resp, 400, "digest-mismatch")
				wantDraft(t, resp, 400, strconv.Itoa(size), "?1")
				want(t, d.at("HEAD", ""), 404, "no-upload")
				d.interim = nil
				wantDraft(t, d.start(body[:100], "?0", "Upload-Length: "+strconv.Itoa(size), "Content-Digest: "+sum(body[:100])), 201, "100", "?0")
				want(t, d.patch(100, body[100:200], "?0", "Content-Digest: "+sum("x")), 400, "digest-mismatch")
				wantAt(t, d.at("HEAD", ""), 204, 100, "?0")
				wantDraft(t, d.patch(100, body[100:200], "?0", "Content-Digest: "+sum(body[100:200])), partial, "200", "?0")
				wantDraft(t, d.patch(200, body[200:], "?1", "Repr-Digest: "+sum(body)), 201, strconv.Itoa(size), "?1")
				d.mustBe(body)
			})
			t.Run("requests that are not right", func(t *testing.T) {
				d := start(t, "wrong")
				d.start(body[:100], "?0", "Upload-Length: "+strconv.Itoa(size))
				want(t, d.at("PATCH", "x", "Upload-Offset: 100", "Upload-Complete: ?0"), 415, "media-type")
				want(t, d.at("PATCH", "x", "Content-Type: application/partial-upload", "Upload-Complete: ?0"), 400, "bad-request")
				for _, offset := range []string{"-1", "NaN", "1.5", "1e2", `"100"`, "99999999999999999999", "100, 100"} {
					want(t, d.at("PATCH", "x", "Content-Type: application/partial-upload", "Upload-Complete: ?0", "Upload-Offset: "+offset), 400, "bad-request")
				}
				want(t, d.at("GET", ""), 405, "method-not-allowed")
				want(t, d.at("PUT", "x"), 405, "method-not-allowed")
				for _, h := range []string{"Upload-Offset: 1", "Upload-Complete: ?0", "Upload-Length: 1"} {
					if got, wanted := d.at("HEAD", "", h).StatusCode, map[string]int{"6": 400, "8": 204}[v]; got != wanted {
						t.Errorf("HEAD with %s: %d", h, got)
					}
				}
				if v == "6" {
					want(t, d.at("DELETE", "", "Upload-Complete: ?0"), 400, "bad-request")
					want(t, d.start(body, "?1", "Upload-Offset: 0"), 400, "bad-request")
				}
				wantAt(t, d.at("HEAD", ""), 204, 100, "?0")
				d.location = "/upload/.holdfast/v1/draft/AAAAAAAAAAAAAAAAAAAAAA"
				want(t, d.at("HEAD", ""), 404, "no-upload")
				d.location = "/upload/.holdfast/v1/draft/x"
				want(t, d.at("HEAD", ""), 404, "no-upload")
				d.location = "/upload/.holdfast/v1/draft/"
				want(t, d.at("HEAD", ""), 404, "no-upload")
			})
		})
	}
}

func TestDraftDoorAnnouncesNothingToOthers(t *testing.T) {
	l := newLab(t)
	for i, tt := range []struct {
		name, version, complete string
		status                  int
	}{
		{"no version", "", "?1", 201},
		{"an old version", "5", "?1", 201},
		{"a version between", "7", "?1", 201},
		{"not a version", "?1", "?1", 201},
		{"not a boolean", "8", "1", 201},
		{"a part without a version", "", "?0", 400},
		{"a part of another version", "9", "?0", 400},
	} {
		d := l.draft(tt.version, fmt.Sprintf("others/%d", i), 5)
		if resp := d.start("hello", tt.complete, "Upload-Length: 5"); resp.StatusCode != tt.status || len(d.interim) > 0 || resp.Header.Get("Location") != "" {
			t.Errorf("%s: %s, %d interim answers", tt.name, resp.Status, len(d.interim))
		}
	}
	bad := l.draft("8", "others/bad", 5)
	bad.url += "0"
	if resp := bad.start("hello", "?1"); resp.StatusCode != 403 || len(bad.interim) > 0 {
		t.Errorf("a bad token: %s, %d interim answers", resp.Status, len(bad.interim))
	}
	c := dialHost(t, strings.TrimPrefix(l.base, "http://"))
	d := l.draft("8", "others/old", 5)
	u, _ := url.Parse(d.url)
	fmt.Fprintf(c, "PUT %s HTTP/1.0\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nUpload-Complete: ?1\r\nUpload-Draft-Interop-Version: 8\r\n\r\nhello", u.RequestURI())
	if b, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(b), "HTTP/1.0 201 ") {
		t.Errorf("HTTP/1.0: %q, %v", b, err)
	}
}

func TestDraftDoorOverHTTP2(t *testing.T) {
	l := newLab(t)
	secure, pool, _ := tlsLab(t, l)
	body := content(300_000)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	d := l.draft("8", "h2/a", len(body))
	resp := d.send(t.Context(), tr, rebase(d.url, secure), strings.NewReader(body[:1000]), "?0", "Upload-Length: "+strconv.Itoa(len(body)))
	wantDraft(t, resp, 201, "1000", "?0")
	if resp.ProtoMajor != 2 || len(d.interim) != 1 || d.interim[0].Get("Location") == "" {
		t.Errorf("%s with %d interim answers", resp.Proto, len(d.interim))
	}
	wantDraft(t, d.patch(1000, body[1000:], "?1"), 201, strconv.Itoa(len(body)), "?1")
	d.mustBe(body)
}

func TestDraftDoorTellsProgress(t *testing.T) {
	l := newLab(t, func(c *server.Config) { c.SyncBytes = 64 << 10 })
	body := content(300_000)
	d := l.draft("8", "progress/a", len(body))
	r, w := io.Pipe()
	answer := make(chan *http.Response, 1)
	go func() { answer <- d.startFrom(r, "?1", "Upload-Length: "+strconv.Itoa(len(body))) }()
	_, _ = io.WriteString(w, body[:200_000])
	for at := 200_000; at < 200_100; at++ { // until the server thinks that it is time
		_, _ = io.WriteString(w, body[at:at+1])
		tick := time.NewTimer(30 * time.Millisecond)
		<-tick.C
	}
	_, _ = io.WriteString(w, body[200_100:])
	_ = w.Close()
	wantDraft(t, <-answer, 201, strconv.Itoa(len(body)), "?1")
	if len(d.interim) < 2 {
		t.Fatalf("%d interim answers", len(d.interim))
	}
	last := d.interim[len(d.interim)-1]
	if at, err := strconv.Atoi(last.Get("Upload-Offset")); err != nil || at < 64<<10 || last.Get("Location") != "" {
		t.Errorf("progress is %v", last)
	}
}

func TestDraftDoorAnswersOptions(t *testing.T) {
	l := newLab(t)
	resp := l.do("OPTIONS", l.base+"/upload/a/b", nil)
	got := []string{resp.Status, resp.Header.Get("Accept-Patch"), resp.Header.Get("Upload-Limit"), resp.Header.Get("Allow")}
	if diff := cmp.Diff([]string{"204 No Content", "application/partial-upload", fmt.Sprintf("max-size=%d", 64<<20), "GET, HEAD, OPTIONS, PUT"}, got); diff != "" {
		t.Error(diff)
	}
	resp = l.do("OPTIONS", l.base+"/upload/a/b", nil, "Origin: https://web.example.org", "Access-Control-Request-Headers: content-type, upload-complete")
	if got := resp.Header.Get("Access-Control-Allow-Headers"); !strings.Contains(got, "Upload-Complete, ") || !strings.HasPrefix(got, "Authorization, Content-Type, ") {
		t.Errorf("allowed headers are %q", got)
	}
	resp = l.do("OPTIONS", l.base+"/upload/.holdfast/v1/draft/AAAAAAAAAAAAAAAAAAAAAA", nil)
	if resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Methods") != "OPTIONS, HEAD, PATCH, DELETE" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
}
