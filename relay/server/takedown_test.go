package server_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast/relay/server"
	"holdfast/relay/token"
)

// admin sends an order to the admin's side.
func admin(t *testing.T, l *lab, verb string, o server.AdminOrder) server.AdminResult {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	l.srv.AdminHandler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/files/"+verb, bytes.NewReader(b)))
	var res server.AdminResult
	if err := json.Unmarshal(w.Body.Bytes(), &res); err != nil {
		t.Fatalf("%s: %v: %s", verb, err, w.Body)
	}
	return res
}

func listed(t *testing.T, l *lab, query string) []string {
	t.Helper()
	w := httptest.NewRecorder()
	l.srv.AdminHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/files"+query, nil))
	var paths []string
	for d := json.NewDecoder(w.Body); d.More(); {
		var f server.Found
		if err := d.Decode(&f); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, f.Path)
	}
	slices.Sort(paths)
	return paths
}

func paths(found []server.Found) []string {
	var out []string
	for _, f := range found {
		out = append(out, f.Path)
	}
	slices.Sort(out)
	return out
}

func sum(s string) string {
	d := sha256.Sum256([]byte(s))
	return hex.EncodeToString(d[:])
}

func TestAFileThatIsTakenDownDoesNotComeBackUnderItsURL(t *testing.T) {
	l := newLab(t, quota(100, 0))
	first := l.sign(token.JWT, "td/one.txt", 60)
	body := strings.Repeat("x", 60)
	want(t, l.put(first, body), 201, "")
	want(t, l.put(l.sign(token.JWT, "td/two.txt", 41), strings.Repeat("x", 41)), 413, "quota")
	res := admin(t, l, "rm", server.AdminOrder{Path: "td/one.txt"})
	if len(res.Removed) != 1 || res.Removed[0].Size != 60 || res.Removed[0].Type != "text/plain" || res.Error != "" || res.Missing {
		t.Fatalf("rm says %+v", res)
	}
	check := func() {
		t.Helper()
		want(t, l.do(http.MethodGet, l.base+"/upload/td/one.txt", nil), 404, "not-found")
		want(t, l.put(first, body), 409, "slot-used")
		want(t, l.put(l.sign(token.JWT, "td/one.txt", 5), "other"), 409, "slot-used")
	}
	check()
	if res := admin(t, l, "rm", server.AdminOrder{Path: "td/one.txt"}); !res.Missing || res.Error != "" {
		t.Errorf("rm of what is gone says %+v", res)
	}
	want(t, l.put(l.sign(token.JWT, "td/two.txt", 41), strings.Repeat("x", 41)), 201, "") // its room came back
	l.stop()
	l.start(quota(100, 0))
	first.url = rebase(first.url, l.base)
	check()
	if got := metric(t, l, "holdfast_files_removed_total"); !strings.HasSuffix(got, " 0") {
		t.Errorf("the metric of a new process says %q", got)
	}
}

func TestARunningUploadToATakenDownPathIsNotPublished(t *testing.T) {
	l := newLab(t)
	s := l.sign(token.V2, "td/parts", 10)
	part := func(offset string, last string, body string) *http.Response {
		return l.do(http.MethodPatch, s.url, strings.NewReader(body), "Holdfast-Upload: AAAAAAAAAAAAAAAAAAAAAA", "Upload-Length: 10",
			"Holdfast-Slot-Type: text/plain", "Content-Type: application/partial-upload", "Upload-Offset: "+offset, "Upload-Complete: "+last)
	}
	want(t, part("0", "?0", "hello"), 204, "")
	want(t, l.put(s, "otherbytes"), 201, "") // another upload of the same slot wins
	admin(t, l, "rm", server.AdminOrder{Path: "td/parts"})
	want(t, part("5", "?1", "world"), 409, "slot-used")
	want(t, l.do(http.MethodGet, s.url, nil), 404, "not-found")
}

func TestBlockedBytesDoNotComeBackUnderAnotherSlot(t *testing.T) {
	l := newLab(t)
	const bad, good = "forbidden bytes", "allowed bytes 1"
	for _, p := range []string{"b/1", "b/2", "c/3"} {
		want(t, l.put(l.sign(token.V2, p, len(bad)), bad), 201, "")
	}
	want(t, l.put(l.sign(token.V2, "b/good", len(good)), good), 201, "")
	// A file of another server has no attributes, and is found all the same.
	if err := os.WriteFile(filepath.Join(l.files(), "c", "old"), []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	res := admin(t, l, "block", server.AdminOrder{Path: "b/2"})
	if res.SHA256 != sum(bad) || res.Error != "" || !slices.Equal(paths(res.Removed), []string{"b/1", "b/2", "c/3", "c/old"}) {
		t.Fatalf("block says %+v", res)
	}
	if got := listed(t, l, ""); !slices.Equal(got, []string{"b/good"}) {
		t.Errorf("there are %q", got)
	}
	digest := sha256.Sum256([]byte(bad))
	draft := func(path string) *http.Response {
		s := l.sign(token.V2, path, len(bad))
		return l.do(http.MethodPut, s.url, strings.NewReader(bad), "Upload-Complete: ?1", "Upload-Draft-Interop-Version: 6", "Content-Type: text/plain")
	}
	slotDoor := func(path string) *http.Response {
		return l.put(l.sign(token.V2, path, len(bad)), bad, "Holdfast-Upload: AAAAAAAAAAAAAAAAAAAAAA")
	}
	check := func(path string) {
		t.Helper()
		refused := l.put(l.sign(token.V2, path, len(bad)), bad)
		want(t, refused, 403, "blocked")
		if got := text(refused); got != "This file is not allowed on this server.\n" {
			t.Errorf("the sentence is %q", got)
		}
		want(t, l.put(l.sign(token.V2, path, len(bad)), bad, "Expect: 100-continue", "Repr-Digest: sha-256=:"+base64.StdEncoding.EncodeToString(digest[:])+":"), 403, "blocked")
		want(t, slotDoor(path), 403, "blocked")
		want(t, draft(path), 403, "blocked")
		want(t, l.do(http.MethodGet, l.base+"/upload/"+path, nil), 404, "not-found")
		want(t, l.put(l.sign(token.V2, path, len(good)), good), 201, "") // the slot itself is not used up
		if left, err := filepath.Glob(filepath.Join(l.files(), ".holdfast", "*", "*")); err != nil || len(left) > 0 {
			t.Errorf("left over: %q, %v", left, err)
		}
	}
	check("b/4")
	l.stop()
	l.start()
	check("b/5")
	for _, p := range []string{"b/1", "c/old"} {
		want(t, l.put(l.sign(token.V2, p, len(bad)), bad), 409, "slot-used")
	}

	w := httptest.NewRecorder()
	l.srv.AdminHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/files/blocked", nil))
	var blocks []server.AdminBlock
	if err := json.Unmarshal(w.Body.Bytes(), &blocks); err != nil || len(blocks) != 1 || blocks[0].SHA256 != sum(bad) {
		t.Errorf("blocked: %s, %v", w.Body, err)
	}
	if res := admin(t, l, "unblock", server.AdminOrder{SHA256: sum(bad)}); res.Missing || res.Error != "" {
		t.Errorf("unblock says %+v", res)
	}
	if res := admin(t, l, "unblock", server.AdminOrder{SHA256: sum(bad)}); !res.Missing {
		t.Errorf("the second unblock says %+v", res)
	}
	want(t, l.put(l.sign(token.V2, "b/6", len(bad)), bad), 201, "")
}

func TestBytesThatNobodySentYetCanBeBlocked(t *testing.T) {
	l := newLab(t)
	if res := admin(t, l, "block", server.AdminOrder{SHA256: sum("never seen")}); res.Error != "" || len(res.Removed) != 0 || res.SHA256 != sum("never seen") {
		t.Errorf("block says %+v", res)
	}
	want(t, l.put(l.sign(token.V2, "b/1", 10), "never seen"), 403, "blocked")
	for _, o := range []server.AdminOrder{{SHA256: "abc"}, {SHA256: strings.Repeat("g", 64)}, {}} {
		if res := admin(t, l, "block", o); res.Error == "" {
			t.Errorf("block of %+v says %+v", o, res)
		}
	}
	if res := admin(t, l, "block", server.AdminOrder{Path: "no/such"}); !res.Missing {
		t.Errorf("block of a file that is not there says %+v", res)
	}
}

func TestFilesOfOnePersonAreListed(t *testing.T) {
	l := newLab(t)
	want(t, l.put(l.sign(token.JWT, "l/1", 5, user("alice@example.org")), "hello"), 201, "")
	want(t, l.put(l.sign(token.JWT, "l/2", 5, user("bob@example.org")), "hello"), 201, "")
	want(t, l.put(l.sign(token.V2, "l/3", 5), "hello"), 201, "")
	if got := listed(t, l, "?user=alice@example.org"); !slices.Equal(got, []string{"l/1"}) {
		t.Errorf("of Alice: %q", got)
	}
	if got := listed(t, l, ""); !slices.Equal(got, []string{"l/1", "l/2", "l/3"}) {
		t.Errorf("of all: %q", got)
	}
	if _, err := l.srv.TakeDown(t.Context(), "../state/ledger.db"); err == nil || !strings.Contains(err.Error(), "exist") {
		t.Errorf("a path outside of the store: %v, want %v", err, fs.ErrNotExist)
	}
}

// The first block of all comes while an upload runs that nobody hashes.
func TestAnUploadThatWasNotHashedDoesNotSlipPastTheFirstBlock(t *testing.T) {
	l := newLab(t)
	s := l.sign(token.V2, "b/slow", 10)
	r, w := io.Pipe()
	answer := make(chan *http.Response, 1)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.url, r)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 10
	req.Header.Set("Content-Type", "text/plain")
	go func() {
		resp, err := l.http.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		answer <- resp
	}()
	if _, err := io.WriteString(w, "hello"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the upload runs", func() bool { return strings.HasSuffix(metric(t, l, "holdfast_uploads_running"), " 1") })
	admin(t, l, "block", server.AdminOrder{SHA256: sum("helloworld")})
	if _, err := io.WriteString(w, "world"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	resp := <-answer
	if resp == nil {
		t.Fatal("no answer")
	}
	if code := resp.Header.Get("Holdfast-Error"); code != "unavailable" && code != "blocked" {
		t.Errorf("got %s %q", resp.Status, code)
	}
	want(t, l.put(s, "helloworld"), 403, "blocked")
}
