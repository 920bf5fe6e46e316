package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"golang.org/x/sys/unix"
)

func TestSpoolIsReadWhileItGrowsAndOnceMore(t *testing.T) {
	body := sample(1 << 20)
	for _, tc := range []struct {
		name       string
		room       int64
		repeatable bool
	}{
		{"with room for all", 1 << 20, true},
		{"with room for a part", 300_000, false},
		{"with room for nothing", 0, false},
		{"with room for all but the last byte", 1<<20 - 1, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := newSpool(dir, int64(len(body)), tc.room)
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			if entries, _ := os.ReadDir(dir); len(entries) > 0 {
				t.Errorf("the file has a name: %v", entries)
			}
			pr, pw := io.Pipe()
			filled := make(chan error, 1)
			go func() { filled <- s.fill(t.Context(), iotest.HalfReader(pr)) }()
			go func() { _, _ = pw.Write(body); _ = pw.Close() }()
			first, err := io.ReadAll(s.open(t.Context(), 0, s.size, nil))
			if err != nil || !bytes.Equal(first, body) {
				t.Fatalf("%d bytes, %v", len(first), err)
			}
			if err := <-filled; err != nil {
				t.Fatal(err)
			}
			s.leave()
			second, err := io.ReadAll(s.open(t.Context(), 0, s.size, nil))
			if s.repeatable() != tc.repeatable {
				t.Errorf("repeatable %v", s.repeatable())
			}
			if tc.repeatable && (err != nil || !bytes.Equal(second, body)) {
				t.Errorf("once more: %d bytes, %v", len(second), err)
			}
			if !tc.repeatable && !errors.Is(err, errNoCopy) {
				t.Errorf("once more: %d bytes, %v; want errNoCopy", len(second), err)
			}
			sum, err := s.sum()
			if tc.room == int64(len(body)) && (err != nil || sum != sumOf(body)) || tc.room < int64(len(body)) && !errors.Is(err, errNoCopy) {
				t.Errorf("sum: %v", err)
			}
		})
	}
}

func TestSpoolGoesOnWhenTheDiskIsFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no /dev/full")
	}
	body := sample(600_000)
	s := &spool{size: int64(len(body)), room: int64(len(body)), file: full, wake: make(chan struct{})}
	defer s.close()
	filled := make(chan error, 1)
	go func() { filled <- s.fill(t.Context(), bytes.NewReader(body)) }()
	got, err := io.ReadAll(s.open(t.Context(), 0, s.size, nil))
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := <-filled; err != nil {
		t.Error(err)
	}
	if !s.overflown() || s.repeatable() {
		t.Error("claims to have a copy")
	}
}

func TestSpoolReaderLearnsThatTheClientLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := newSpool(t.TempDir(), 100, 100)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		got := make(chan error, 2)
		ctx, cancel := context.WithCancelCause(t.Context())
		for range 2 {
			go func() { _, err := io.ReadAll(s.open(ctx, 0, s.size, nil)); got <- err }()
		}
		synctest.Wait()
		if r := s.current(); !r.starved() {
			t.Error("a reader that waits for the client does not say so")
		}
		_ = s.fill(t.Context(), strings.NewReader("short"))
		for range 2 {
			if err := <-got; !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("got %v", err)
			}
		}
		cancel(errCancelled)
		if _, err := s.open(ctx, 0, s.size, nil).Read(make([]byte, 1)); !errors.Is(err, errCancelled) {
			t.Errorf("after cancel: %v", err)
		}
	})
}

func TestSpoolRoom(t *testing.T) {
	const gib = 1 << 30
	for _, tc := range []struct {
		name                       string
		size, free, reserved, want int64
	}{
		{"a small file", 1000, 10 * gib, 0, 1000},
		{"half of the free space", 4 * gib, 2 * gib, 0, gib},
		{"at most 4 GiB", 100 * gib, 100 * gib, 0, 4 * gib},
		{"all uploads together", 4 * gib, 100 * gib, 3 * gib, gib},
		{"nothing free", 1000, 0, 0, 0},
		{"more reserved than free", 1000, gib, 2 * gib, 0},
	} {
		if got := spoolRoom(tc.size, tc.free, tc.reserved); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestSpoolFileIsClosedToOthers(t *testing.T) {
	dir := t.TempDir()
	f, err := unnamedFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Mode&0o777 != 0o600 || st.Nlink != 0 {
		t.Errorf("mode %o, %d names, %v", st.Mode&0o777, st.Nlink, err)
	}
	if _, err := newSpool(filepath.Join(dir, "missing"), 10, 10); err == nil {
		t.Error("no error for a folder that is not there")
	}
}

func TestUploadLargerThanTheSpoolPassesButIsNotRepeated(t *testing.T) {
	t.Run("it passes", func(t *testing.T) {
		w := newWorld(t, nil)
		w.r.free = func(string) int64 { return 2_000_000 }
		k := &keep{}
		w.serve(listed, k)
		body := sample(8 << 20)
		if got := w.put("/u/s/f", body); !got.stored() {
			t.Fatal(got)
		}
		if !bytes.Equal(k.file("/u/s/f"), body) {
			t.Error("the server has other bytes")
		}
		if !strings.Contains(w.log.String(), "upload goes on without a full copy") {
			t.Error("nobody was told")
		}
	})
	t.Run("a cut ends it with a sentence", func(t *testing.T) {
		w := newWorld(t, nil)
		w.r.free = func(string) int64 { return 200_000 }
		w.raw(listed, cutAfter(4_000_000), answerWith(created))
		got := w.put("/u/s/f", sample(16<<20))
		if got.status != 504 && got.status != 502 || !strings.Contains(got.reason, "too large to keep a copy. Send it again") {
			t.Error(got)
		}
		if u := w.last(); u.State != Failed || u.Reason != ReasonNoCopy {
			t.Errorf("told %s %s", u.State, u.Reason)
		}
	})
	t.Run("a cut before the room is used up is repeated", func(t *testing.T) {
		w := newWorld(t, nil)
		w.r.free = func(string) int64 { return 2_000_000 }
		var got []byte
		var mu sync.Mutex
		w.raw(listed, cutAfter(10_000), store(&got, &mu, created))
		body := sample(990_000)
		if r := w.put("/u/s/f", body); !r.stored() || !bytes.Equal(got, body) {
			t.Error(r)
		}
	})
	t.Run("without any folder for spools", func(t *testing.T) {
		w := newWorld(t, nil)
		if err := os.RemoveAll(w.r.c.SpoolDir); err != nil {
			t.Fatal(err)
		}
		w.serve(listed, http.HandlerFunc((&keep{}).ServeHTTP))
		if got := w.put("/u/s/f", sample(3<<20)); !got.stored() {
			t.Error(got)
		}
	})
}
