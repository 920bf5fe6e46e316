package server_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/relay/server"
	"holdfast/relay/server/store"
	"holdfast/relay/token"
)

// badDisk is a file system on which the k-th step after arm fails.
type badDisk struct {
	mu      sync.Mutex
	left    int // steps until the fault; 0: none
	forever bool
	err     error
	what    string // the step that failed
}

func (b *badDisk) arm(k int, err error, forever bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left, b.err, b.forever, b.what = k, err, forever, ""
}

func (b *badDisk) struck() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.what != ""
}

// disarm makes the disk well and tells what failed.
func (b *badDisk) disarm() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = 0
	return b.what
}

// Do implements store.Hook.
func (b *badDisk) Do(s store.Step, do func() error) error {
	b.mu.Lock()
	strike := b.left == 1
	if b.left > 1 {
		b.left--
	}
	if strike {
		if b.what == "" {
			b.what = s.Op + " " + s.Path
		}
		if !b.forever {
			b.left = 0
		}
	}
	b.mu.Unlock()
	switch {
	case strike && s.Op == "write":
		return store.Torn{N: len(s.Data) / 2, Err: b.err}
	case strike:
		return b.err
	}
	return do()
}

func TestWhateverStepOfTheDiskFailsNoAnswerIsALie(t *testing.T) {
	bad := &badDisk{}
	l := newLab(t, func(c *server.Config) {
		d, err := store.Open(t.TempDir(), store.Options{Hook: bad})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		c.Store = d
	})
	body := strings.Repeat("every byte counts ", 10_000)
	want(t, l.put(l.sign(token.V2, "there/already", 5), "hello"), 201, "")
	for _, kind := range []struct {
		name    string
		err     error
		forever bool
		status  int
	}{
		{"eio", unix.EIO, false, 503}, {"enospc", unix.ENOSPC, false, 507}, {"erofs", unix.EROFS, true, 503}, {"dead", unix.EIO, true, 503},
	} {
		faults := 0
		for k := 1; ; k++ {
			path := kind.name + strings.Repeat("x", k) + "/file"
			sl := l.sign(token.V2, path, len(body))
			bad.arm(k, kind.err, kind.forever)
			resp := l.put(sl, body)
			struck := bad.struck()
			other := l.do(http.MethodGet, l.base+"/upload/there/already", nil)
			what := bad.disarm()
			if !struck {
				break // the upload has fewer steps
			}
			faults++
			switch {
			case resp.StatusCode == 201:
			case (strings.HasPrefix(what, "stat ") || what == "open "+path) && resp.StatusCode == 503: // whatever the error: the store could not look
			case resp.StatusCode != kind.status:
				t.Errorf("%s fails with %v: %s, want %d", what, kind.err, resp.Status, kind.status)
			case resp.Header.Get("Retry-After") == "":
				t.Errorf("%s fails with %v: no Retry-After", what, kind.err)
			}
			if other.StatusCode == 200 && text(other) != "hello" || other.StatusCode != 200 && !kind.forever {
				t.Errorf("%s fails with %v: a download answers %s", what, kind.err, other.Status)
			}
			get := l.do(http.MethodGet, strings.Split(sl.url, "?")[0], nil)
			switch {
			case get.StatusCode == 200 && text(get) != body:
				t.Errorf("%s fails with %v: other bytes are served", what, kind.err)
			case get.StatusCode != 200 && resp.StatusCode == 201:
				t.Errorf("%s fails with %v: 201, and then %s", what, kind.err, get.Status)
			case get.StatusCode != 200 && get.StatusCode != 404:
				t.Errorf("%s fails with %v: %s for good", what, kind.err, get.Status)
			}
			want(t, l.put(sl, body), 201, "") // the disk is well again, without a restart
			if t.Failed() {
				return
			}
		}
		t.Logf("%s: %d faults", kind.name, faults)
		if faults < 10 {
			t.Errorf("%s: %d faults are too few for an upload", kind.name, faults)
		}
	}
}
