package server_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/relay/server"
	"holdfast/relay/server/ledger"
	"holdfast/relay/token"
)

func quota(perUser, total int64) change {
	return func(c *server.Config) {
		c.Settings.QuotaPerUser, c.Settings.QuotaTotal = perUser, total
	}
}

func TestAPersonsQuota(t *testing.T) {
	l := newLab(t, quota(100, 0))
	body := func(n int) string { return strings.Repeat("x", n) }
	bob := user("bob@example.org")
	first := l.sign(token.JWT, "q/1", 60)
	want(t, l.put(first, body(60)), 201, "")
	want(t, l.put(first, body(60)), 201, "") // a repeat charges nothing
	over := l.put(l.sign(token.JWT, "q/2", 41), body(41))
	want(t, over, 413, "quota")
	if b := text(over); !strings.Contains(b, "room") {
		t.Errorf("the sentence: %q", b)
	}
	want(t, l.put(l.sign(token.JWT, "q/3", 40), body(40)), 201, "")
	want(t, l.put(l.sign(token.JWT, "q/4", 1), body(1)), 413, "quota")
	want(t, l.put(first, body(60)), 201, "") // a repeat is no new file
	want(t, l.put(l.sign(token.JWT, "q/5", 0), ""), 201, "")
	want(t, l.put(l.sign(token.JWT, "q/6", 100, bob), body(100)), 201, "")      // somebody else's room
	want(t, l.put(l.sign(token.V2, "q/7", 500), body(500)), 201, "")            // nobody's
	want(t, l.put(l.sign(token.JWT, "q/8", 101, bob), body(101)), 413, "quota") // more than all of it

	l.stop()
	l.start(quota(100, 0))
	want(t, l.put(l.sign(token.JWT, "q/9", 1), body(1)), 413, "quota")

	// A file that is deleted by hand is noticed, and its slot stays used.
	if err := os.Remove(filepath.Join(l.files(), "q", "1")); err != nil {
		t.Fatal(err)
	}
	l.srv.Walk(t.Context())
	want(t, l.put(l.sign(token.JWT, "q/9", 61), body(61)), 413, "quota")
	want(t, l.put(l.sign(token.JWT, "q/9", 60), body(60)), 201, "")
	first.url = rebase(first.url, l.base)
	want(t, l.put(first, body(60)), 409, "slot-used")
}

func TestUploadsAtOnceShareAQuota(t *testing.T) {
	l := newLab(t, quota(1000, 0))
	var wg sync.WaitGroup
	stored := make(chan bool, 40)
	for i := range 40 {
		wg.Go(func() {
			resp := l.put(l.sign(token.JWT, fmt.Sprintf("many/%d", i), 100), strings.Repeat("x", 100))
			if resp.StatusCode == 201 {
				stored <- true
			} else {
				want(t, resp, 413, "quota")
			}
		})
	}
	wg.Wait()
	if n := len(stored); n != 10 {
		t.Errorf("%d files of a tenth of the quota were stored", n)
	}
}

func TestResumableUploadsCountForAQuota(t *testing.T) {
	l := newLab(t, quota(1000, 0))
	sl := l.sign(token.JWT, "parts/1", 600)
	patch := func(offset, n int, complete string) *http.Response {
		return l.do(http.MethodPatch, sl.url, strings.NewReader(strings.Repeat("x", n)), "Authorization: "+sl.auth,
			"Holdfast-Upload: AAAAAAAAAAAAAAAAAAAAAA", "Upload-Length: 600", "Holdfast-Slot-Type: text/plain", "Content-Type: application/partial-upload",
			fmt.Sprintf("Upload-Offset: %d", offset), "Upload-Complete: "+complete)
	}
	want(t, patch(0, 100, "?0"), 204, "")
	other := l.sign(token.JWT, "parts/2", 500)
	want(t, l.put(other, strings.Repeat("y", 500)), 413, "quota")
	want(t, l.put(other, strings.Repeat("y", 500), "Holdfast-Upload: BBBBBBBBBBBBBBBBBBBBBA"), 413, "quota")
	want(t, patch(100, 500, "?1"), 201, "")
	want(t, l.put(other, strings.Repeat("y", 500)), 413, "quota")
	want(t, l.put(l.sign(token.JWT, "parts/3", 400), strings.Repeat("y", 400)), 201, "")
}

func TestTheQuotaOfAll(t *testing.T) {
	l := newLab(t)
	want(t, l.put(l.sign(token.V2, "old/file", 300), strings.Repeat("x", 300)), 201, "") // before there was one
	l.stop()
	l.start(quota(0, 1000))
	want(t, l.put(l.sign(token.V2, "all/1", 600), strings.Repeat("x", 600)), 201, "")
	full := l.put(l.sign(token.V2, "all/2", 101), strings.Repeat("x", 101))
	want(t, full, 507, "storage-full")
	if full.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	want(t, l.put(l.sign(token.V2, "all/3", 100), strings.Repeat("x", 100)), 201, "")
	if err := os.RemoveAll(filepath.Join(l.files(), "old")); err != nil {
		t.Fatal(err)
	}
	l.srv.Walk(t.Context())
	want(t, l.put(l.sign(token.V2, "all/4", 301), strings.Repeat("x", 301)), 507, "storage-full")
	want(t, l.put(l.sign(token.V2, "all/4", 300), strings.Repeat("x", 300)), 201, "")

	// Set while the server runs, it holds as soon as the files are counted.
	set := l.conf.Settings
	set.QuotaTotal = 1100
	if err := l.srv.Update(set); err != nil {
		t.Fatal(err)
	}
	want(t, l.put(l.sign(token.V2, "all/5", 101), strings.Repeat("x", 101)), 507, "storage-full")
	want(t, l.put(l.sign(token.V2, "all/6", 100), strings.Repeat("x", 100)), 201, "")
}

func TestRetentionGivesBackWhatAFileCounted(t *testing.T) {
	l := newLab(t, quota(100, 150), func(c *server.Config) { c.Settings.Retention = 24 * time.Hour })
	want(t, l.put(l.sign(token.JWT, "gone/1", 100), strings.Repeat("x", 100)), 201, "")
	want(t, l.put(l.sign(token.JWT, "gone/2", 1), "x"), 413, "quota")
	l.clock.Add(int64(25 * time.Hour / time.Second))
	l.srv.Sweep(t.Context())
	want(t, l.put(l.sign(token.JWT, "gone/3", 100), strings.Repeat("x", 100)), 201, "")
	want(t, l.put(l.sign(token.V2, "gone/4", 50), strings.Repeat("x", 50)), 201, "")
	want(t, l.put(l.sign(token.V2, "gone/5", 1), "x"), 507, "storage-full")
}

// Files of a store that was taken over go by their age, in any number, and their slots stay used: that is on disk before they go.
func TestOldFilesOfATakenOverStoreGoAndTheirSlotsStayUsed(t *testing.T) {
	l := newLab(t)
	l.stop()
	old, young := time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)
	for i := range 1200 {
		when := old
		if i%3 == 0 {
			when = young
		}
		name := filepath.Join(l.files(), fmt.Sprintf("taken-%d", i%40), fmt.Sprint(i))
		if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("hello"), 0o640); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, when, when); err != nil {
			t.Fatal(err)
		}
	}
	order := &orderly{}
	l.start(func(c *server.Config) {
		c.Settings.Retention = 24 * time.Hour
		order.Ledger, order.Store = c.Ledger, c.Store
		c.Ledger, c.Store = order, orderlyStore{c.Store, order}
	})
	l.srv.Walk(t.Context())
	left := 0
	err := l.disk.Walk(t.Context(), time.Time{}, func(string, int64, time.Time) error { left++; return nil })
	if err != nil || left != 400 {
		t.Errorf("%d files are left, %v, want 400", left, err)
	}
	if order.early > 0 {
		t.Errorf("%d files went before their slots were on disk as used", order.early)
	}
	want(t, l.put(l.sign(token.V2, "taken-1/1", 5), "hello"), 409, "slot-used")
	want(t, l.do(http.MethodGet, l.base+"/upload/taken-1/1", nil), 404, "not-found")
	want(t, l.do(http.MethodGet, l.base+"/upload/taken-0/0", nil), 200, "")
}

// orderly notices files that are removed before their slots are on disk as used.
type orderly struct {
	server.Ledger
	server.Store
	burnt map[string]bool // and synced
	noted []string
	early int
}

func (o *orderly) Burn(path string, until time.Time) {
	o.noted = append(o.noted, path)
	o.Ledger.Burn(path, until)
}

func (o *orderly) Sync() error {
	if o.burnt == nil {
		o.burnt = make(map[string]bool)
	}
	for _, path := range o.noted {
		o.burnt[path] = true
	}
	o.noted = nil
	return o.Ledger.Sync()
}

type orderlyStore struct {
	server.Store
	o *orderly
}

func (s orderlyStore) Remove(path string) error {
	if !s.o.burnt[path] {
		s.o.early++
	}
	return s.Store.Remove(path)
}

func TestALedgerThatCannotSayWhatIsUsedIsNoRefusalOfTheFile(t *testing.T) {
	l := newLab(t, quota(100, 0), func(c *server.Config) { c.Ledger = &unused{c.Ledger} })
	resp := l.put(l.sign(token.JWT, "q/1", 60), strings.Repeat("x", 60))
	want(t, resp, 503, "unavailable")
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

type unused struct{ server.Ledger }

func (*unused) Used(context.Context, string) (int64, error) { return 0, ledger.ErrCorrupt }
