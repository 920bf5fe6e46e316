package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// upload does what the server does for a PUT: publish, or compare with what is there.
func uploadOrCompare(d *Disk, w *word, path string, data []byte, meta Meta) (err error) {
	w.sending(path, data)
	defer func() {
		if err == nil {
			w.acknowledged(path, data)
		}
	}()
	if f, err := d.Open(path); err == nil {
		got := make([]byte, len(data)+1)
		n, _ := f.ReadAt(got, 0)
		_ = f.Close()
		if !bytes.Equal(got[:n], data) {
			return fs.ErrExist
		}
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	u, err := d.Create(context.Background(), path, int64(len(data)), meta)
	if err != nil {
		return err
	}
	defer func() { _ = u.Discard() }() // the server only logs that
	if _, err := u.ReadFrom(bytes.NewReader(data)); err != nil {
		return err
	}
	if err = u.Publish(); !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := d.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if same, err := u.SameAs(f); err != nil || !same {
		return errors.Join(err, fs.ErrExist)
	}
	return nil
}

func removeFile(d *Disk, w *word, path string) error {
	w.removing(path)
	err := d.Remove(path)
	if err == nil {
		w.removed(path)
	}
	return err
}

var faultMeta = Meta{Type: "image/png", Digest: make([]byte, 32), Retain: time.Unix(2e9, 0).UTC()}

// faultScenarios are what a fault can strike. before runs without faults.
var faultScenarios = []struct {
	name        string
	before, run func(*Disk, *word) error
}{
	{
		"the first upload of a store", nil,
		func(d *Disk, w *word) error { return uploadOrCompare(d, w, "a/b/file", storeBytes(130<<10), faultMeta) },
	},
	{
		"an upload of nothing into a folder that is there",
		func(d *Disk, w *word) error { return uploadOrCompare(d, w, "a/other", storeBytes(9), Meta{}) },
		func(d *Disk, w *word) error { return uploadOrCompare(d, w, "a/file", nil, Meta{}) },
	},
	{
		"a repeat of the same bytes",
		func(d *Disk, w *word) error { return uploadOrCompare(d, w, "a/file", storeBytes(9), Meta{}) },
		func(d *Disk, w *word) error { return uploadOrCompare(d, w, "a/file", storeBytes(9), Meta{}) },
	},
	{
		"the loser of two uploads at once", nil,
		func(d *Disk, w *word) error {
			u, err := d.Create(context.Background(), "a/file", 3, Meta{})
			if err != nil {
				return err
			}
			w.sending("a/file", []byte("one"))
			_, err = u.Write([]byte("one"))
			other := uploadOrCompare(d, w, "a/file", []byte("two"), Meta{})
			if err == nil {
				if err = u.Publish(); err == nil {
					w.acknowledged("a/file", []byte("one"))
				} else if errors.Is(err, fs.ErrExist) {
					err = nil
				}
			}
			_ = u.Discard()
			return errors.Join(err, other)
		},
	},
	{
		"a removal with its folders",
		func(d *Disk, w *word) error { return uploadOrCompare(d, w, "a/b/file", storeBytes(9), Meta{}) },
		func(d *Disk, w *word) error { return removeFile(d, w, "a/b/file") },
	},
	{
		"an upload of bytes that are there, as a link",
		func(d *Disk, w *word) error { return uploadOrCompare(d, w, "a/file", storeBytes(999), Meta{}) },
		func(d *Disk, w *word) error { return uploadOrCompare(d, w, "b/file", storeBytes(999), Meta{}) },
	},
	{
		"an upload of bytes that are there, of another type",
		func(d *Disk, w *word) error { return uploadOrCompare(d, w, "a/file", storeBytes(999), Meta{}) },
		func(d *Disk, w *word) error { return uploadOrCompare(d, w, "b/file", storeBytes(999), faultMeta) },
	},
	{
		"an upload after a removal",
		func(d *Disk, w *word) error { return uploadOrCompare(d, w, "a/b/file", storeBytes(9), Meta{}) },
		func(d *Disk, w *word) error {
			return errors.Join(removeFile(d, w, "a/b/file"), uploadOrCompare(d, w, "a/b/next", storeBytes(10), Meta{}))
		},
	},
}

func storeBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// Every step of the file system fails once, in every way, and then from there on.
func TestWhateverStepFailsNothingAcknowledgedIsLostAndTheStoreGoesOn(t *testing.T) {
	kinds := []struct {
		name    string
		fault   fault
		forever bool
	}{
		{"is refused with EIO", fault{err: unix.EIO}, false},
		{"is refused with ENOSPC", fault{err: unix.ENOSPC}, false},
		{"is refused with EROFS from then on", fault{err: unix.EROFS}, true},
		{"is refused with EIO from then on", fault{err: unix.EIO}, true},
		{"is half done, ENOSPC", fault{err: unix.ENOSPC, torn: true}, false},
		{"is done and said to have failed", fault{err: unix.EIO, done: true}, false},
	}
	for _, sc := range faultScenarios {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			total, struck := 0, 0
			for _, kind := range kinds {
				for k := 1; ; k++ {
					steps, hit := strike(t, k, kind.fault, kind.forever, sc.before, sc.run, fmt.Sprintf("step %d %s", k, kind.name))
					if !hit {
						total = steps
						break
					}
					struck++
					if t.Failed() {
						return
					}
				}
			}
			t.Logf("%d steps, %d faults", total, struck)
			if total < 2 {
				t.Errorf("only %d steps: the hook does not see the store's work", total)
			}
		})
	}
}

// strike runs one scenario with a fault at its k-th step. hit: it has that many.
func strike(t *testing.T, k int, f fault, forever bool, before, run func(*Disk, *word) error, name string) (steps int, hit bool) {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, w := newShadow(), newWord()
	d, err := Open(dir, Options{Hook: s, Dedup: Link, Contents: newShelf()})
	if err != nil {
		t.Fatal(err)
	}
	if before != nil {
		if err := before(d, w); err != nil {
			t.Fatal(err)
		}
	}
	start, what := s.steps, ""
	s.fail = func(n int, st Step) fault {
		if n == start+k || forever && n > start+k {
			if n == start+k {
				hit, what = true, st.Op+" "+st.Path
			}
			return f
		}
		return fault{}
	}
	err = run(d, w)
	steps = s.steps - start
	s.fail = nil
	problem := func(format string, args ...any) {
		t.Errorf("%s (%s), told %v: %s", name, what, err, fmt.Sprintf(format, args...))
	}
	if hit && err == nil && what == "" {
		problem("no step")
	}
	if errors.Is(f.err, unix.ENOSPC) && hit && err != nil && !errors.Is(err, ErrFull) {
		problem("a full disk is not called ErrFull")
	}
	luck := rand.New(rand.NewPCG(uint64(k), 1)) //nolint:gosec // to be repeated
	for _, wrong := range append(w.survives(t, s, nil), w.survives(t, s, luck)...) {
		problem("after a power cut: %s", wrong)
	}
	for _, wrong := range w.heldBy(t, d, dir) {
		problem("%s", wrong)
	}
	// The disk is well again: everything works, with the same paths too.
	if err := run(d, w); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
		problem("the same again: %v", err)
	}
	if err := uploadOrCompare(d, w, "fresh/file", storeBytes(11), Meta{}); err != nil {
		problem("another upload: %v", err)
	}
	for _, wrong := range append(w.heldBy(t, d, dir), w.survives(t, s, nil)...) {
		problem("afterwards: %s", wrong)
	}
	if err := d.Close(); err != nil {
		problem("close: %v", err)
	}
	return steps, hit
}

// The power goes before every step; what was acknowledged by then is there, and nothing half is.
func TestThePowerMayGoBeforeEveryStep(t *testing.T) {
	for _, sc := range faultScenarios {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			s, w := newShadow(), newWord()
			d := open(t, t.TempDir(), Options{Hook: s, Dedup: Link, Contents: newShelf()})
			if sc.before != nil {
				if err := sc.before(d, w); err != nil {
					t.Fatal(err)
				}
			}
			cuts := 0
			s.cut = func(n int, st Step) {
				for luck := range 6 {
					r := rand.New(rand.NewPCG(uint64(n), uint64(luck))) //nolint:gosec // to be repeated
					if luck == 0 {
						r = nil
					}
					cuts++
					for _, wrong := range w.survives(t, s, r) {
						t.Errorf("before step %d (%s %s), luck %d: %s", n, st.Op, st.Path, luck, wrong)
					}
				}
			}
			if err := sc.run(d, w); err != nil {
				t.Error(err)
			}
			s.cut = nil
			t.Logf("%d power cuts", cuts)
		})
	}
}

// Many uploads and removals at once, most in the same few folders, with power cuts in between.
func TestThePowerMayGoWhileManyUploadAtOnce(t *testing.T) {
	s, w := newShadow(), newWord()
	d := open(t, t.TempDir(), Options{Hook: s, Dedup: Link, Contents: newShelf()})
	cuts := 0
	s.cut = func(n int, st Step) {
		if n%37 != 0 {
			return
		}
		cuts++
		var luck *rand.Rand
		if n%2 == 0 {
			luck = rand.New(rand.NewPCG(uint64(n), 0)) //nolint:gosec // to be repeated
		}
		for _, wrong := range w.survives(t, s, luck) {
			t.Errorf("before step %d (%s %s): %s", n, st.Op, st.Path, wrong)
		}
	}
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 7)) //nolint:gosec // to be repeated
			for i := range 40 {
				name := fmt.Sprintf("%d/%d/%d-%d", r.IntN(2), r.IntN(3), g, i)
				if err := uploadOrCompare(d, w, name, storeBytes(r.IntN(2000)), Meta{Type: "a/b"}); err != nil {
					t.Error(err)
				}
				if r.IntN(3) > 0 {
					if err := removeFile(d, w, name); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	s.cut = nil
	t.Logf("%d steps, %d power cuts", s.steps, cuts)
}

// Where exclusive moves are made of a link and a removal, each of the two may fail.
func TestALinkWhoseFirstNameStaysIsPublished(t *testing.T) {
	dir := t.TempDir()
	s, w := newShadow(), newWord()
	s.fail = func(_ int, st Step) fault {
		switch {
		case st.Op == "rename":
			return fault{err: unix.EINVAL}
		case st.Op == "remove" && strings.HasPrefix(st.Path, tmpDir):
			return fault{err: unix.EIO}
		}
		return fault{}
	}
	d := open(t, dir, Options{Hook: s})
	if err := uploadOrCompare(d, w, "a/file", storeBytes(9), Meta{}); err != nil {
		t.Fatal(err)
	}
	if left := tree(t, filepath.Join(dir, tmpDir)); len(left) != 1 {
		t.Fatalf("leftovers: %v, want the first name", left)
	}
	for _, wrong := range append(w.heldBy(t, d, dir), w.survives(t, s, nil)...) {
		t.Error(wrong)
	}
}
