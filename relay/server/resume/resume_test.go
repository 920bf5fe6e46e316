package resume

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"

	"holdfast/relay/server/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a core over a real store.
type rig struct {
	*Core
	tb   testing.TB
	dir  string
	disk *store.Disk
	now  time.Time
	conf Config
}

func newRig(tb testing.TB, change func(*Config)) *rig {
	tb.Helper()
	r := &rig{tb: tb, dir: tb.TempDir(), now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	var err error
	if r.disk, err = store.Open(r.dir, store.Options{}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := r.disk.Close(); err != nil {
			tb.Error(err)
		}
	})
	r.conf = Config{Store: r.disk, Now: func() time.Time { return r.now }}
	if change != nil {
		change(&r.conf)
	}
	r.restart()
	return r
}

// restart reads everything from disk again.
func (r *rig) restart() {
	r.tb.Helper()
	var err error
	if r.Core, err = Open(r.tb.Context(), r.conf); err != nil {
		r.tb.Fatal(err)
	}
}

func (r *rig) file(id ID) string { return filepath.Join(r.dir, ".holdfast", "uploads", id.key()) }

func (r *rig) create(id ID, path string, size int) *Hold {
	r.tb.Helper()
	h, err := r.Create(r.tb.Context(), id, Facts{Path: path, Size: int64(size), Source: "s"}, nil)
	if err != nil {
		r.tb.Fatal(err)
	}
	return h
}

func (r *rig) take(id ID) *Hold {
	r.tb.Helper()
	h, err := r.Take(r.tb.Context(), id, nil)
	if err != nil {
		r.tb.Fatal(err)
	}
	return h
}

func (r *rig) append(h *Hold, b []byte) {
	r.tb.Helper()
	if n, err := h.Append(bytes.NewReader(b), nil, false); err != nil || n != int64(len(b)) {
		r.tb.Fatalf("Append: %d, %v", n, err)
	}
}

func (r *rig) release(h *Hold) {
	r.tb.Helper()
	if err := h.Release(); err != nil {
		r.tb.Fatal(err)
	}
}

// crash leaves what a power cut may leave of an upload that somebody writes to: any length behind the mark, with
// anything in it, and a torn write of the next mark.
func (r *rig) crash(rng *rand.Rand, id ID, h *Hold) {
	r.tb.Helper()
	if err := h.part.Close(); err != nil {
		r.tb.Fatal(err)
	}
	mark := h.part.Mark().Offset
	b, err := os.ReadFile(r.file(id))
	if err != nil {
		r.tb.Fatal(err)
	}
	b = b[:mark+rng.Int64N(int64(len(b))-mark+1)]
	for range rng.IntN(3) * 5000 {
		b = append(b, byte(rng.Uint32()))
	}
	for i := mark; i < int64(len(b)); i++ {
		if rng.IntN(2) == 0 {
			b[i] = 0
		}
	}
	if err := os.WriteFile(r.file(id), b, 0o600); err != nil {
		r.tb.Fatal(err)
	}
	state, err := os.ReadFile(r.file(id) + ".state")
	if err != nil {
		r.tb.Fatal(err)
	}
	number := func(at int) uint64 { // of a valid mark
		m := state[at:][:28]
		if crc32.Checksum(m[:24], crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(m[24:]) {
			return 0
		}
		return binary.BigEndian.Uint64(m[4:])
	}
	next := 0 // the place that the next mark goes to
	if number(0) > number(64) {
		next = 64
	}
	for range rng.IntN(20) {
		state[next+rng.IntN(28)] = byte(rng.Uint32())
	}
	if err := os.WriteFile(r.file(id)+".state", state, 0o600); err != nil {
		r.tb.Fatal(err)
	}
	r.restart()
}

// For any sequence of cuts, repeats, checked pieces, questions, restarts and power cuts the published bytes are the sent ones,
// and no offset that was told goes back.
func TestAnySequenceOfCutsStoresWhatWasSent(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			r := newRig(t, func(c *Config) { c.SyncBytes, c.SyncEvery = 50_000, time.Millisecond })
			body := make([]byte, rng.IntN(600_000))
			for i := range body {
				body[i] = byte(rng.Uint32())
			}
			id, told := NewID(), int64(0)
			r.release(r.create(id, "a/b", len(body)))
			if rng.IntN(2) == 0 {
				r.restart()
			}
			for {
				h := r.take(id)
				at := h.Offset()
				if at < told {
					t.Fatalf("%d was told, now it is %d", told, at)
				}
				piece := body[at:][:rng.IntN(int(int64(len(body))-at)+1)]
				switch rng.IntN(7) {
				case 0: // a question
				case 1: // cut in the middle
					cut := io.MultiReader(bytes.NewReader(piece), iotest.ErrReader(io.ErrUnexpectedEOF))
					if n, err := h.Append(iotest.OneByteReader(cut), nil, false); !errors.Is(err, io.ErrUnexpectedEOF) || n != int64(len(piece)) {
						t.Fatalf("a cut body: %d, %v", n, err)
					}
				case 2: // a wrong checksum
					if n, err := h.Append(bytes.NewReader(piece), &Check{sha256.New(), []byte("x")}, false); !errors.Is(err, ErrChecksum) || n != 0 {
						t.Fatalf("a wrong checksum: %d, %v", n, err)
					}
				case 3:
					sum := sha256.Sum256(piece)
					if n, err := h.Append(bytes.NewReader(piece), &Check{sha256.New(), sum[:]}, false); err != nil || n != int64(len(piece)) {
						t.Fatalf("a right checksum: %d, %v", n, err)
					}
				case 4: // the power goes while bytes stream in, after a mark or not
					gone := errors.New("power cut")
					err := h.copy(io.MultiReader(bytes.NewReader(piece), iotest.ErrReader(gone)), func(int64) bool {
						if rng.IntN(3) == 0 && h.part.Sync(h.part.Size()) != nil {
							t.Error("not synced")
						}
						return true
					})
					if !errors.Is(err, gone) {
						t.Fatal(err)
					}
					told = h.part.Mark().Offset
					r.crash(rng, id, h)
					continue
				case 5: // the whole again
					if err := h.Match(bytes.NewReader(body)); err != nil {
						t.Fatal(err)
					}
				default:
					r.append(h, piece)
				}
				told = h.Offset()
				if rng.IntN(4) == 0 && told == int64(len(body)) {
					if err := h.Publish(store.Meta{}); err != nil {
						t.Fatal(err)
					}
					r.release(h)
					break
				}
				r.release(h)
				if rng.IntN(8) == 0 {
					r.restart()
				}
			}
			if got, err := os.ReadFile(filepath.Join(r.dir, "a/b")); err != nil || !bytes.Equal(got, body) {
				t.Fatalf("published %d bytes, %v; sent %d", len(got), err, len(body))
			}
			r.restart()
			if st, ok := r.Look(id); !ok || !st.Done || st.Offset != int64(len(body)) {
				t.Errorf("after publishing: %+v, %v", st, ok)
			}
		})
	}
}

// blocked is a body that gives some bytes and then waits until it is stopped.
type blocked struct {
	io.Reader
	waits chan struct{} // closed when it waits
	ends  chan struct{}
	once  sync.Once
}

func newBlocked(b []byte) *blocked {
	return &blocked{Reader: bytes.NewReader(b), waits: make(chan struct{}), ends: make(chan struct{})}
}

func (b *blocked) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	b.once.Do(func() { close(b.waits) })
	<-b.ends
	return n, os.ErrDeadlineExceeded
}

func (b *blocked) stop() { close(b.ends) }

func TestANewerTakeEndsTheOlder(t *testing.T) {
	r := newRig(t, nil)
	id := NewID()
	body := make([]byte, 300_000)
	src := newBlocked(body[:200_000])
	old, err := r.Create(t.Context(), id, Facts{Path: "a/b", Size: int64(len(body))}, src.stop)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		n, err := old.Append(src, nil, true)
		if n != 200_000 {
			t.Errorf("the older kept %d bytes", n)
		}
		ended <- errors.Join(err, old.Release())
	}()
	<-src.waits
	began := time.Now()
	h := r.take(id)
	if took := time.Since(began); took > 200*time.Millisecond {
		t.Errorf("the newer waited %s", took) // 10 ms is what is meant; a busy machine gets more
	}
	if err := <-ended; !errors.Is(err, ErrSuperseded) {
		t.Errorf("the older ended with %v", err)
	}
	if h.Offset() != 200_000 {
		t.Errorf("the newer begins at %d", h.Offset())
	}
	r.append(h, body[200_000:])
	r.release(h)
	r.release(h)
}

// Many requests want the same upload at once. Whoever has it writes at its end what belongs there.
func TestManyWritersNeverMixBytes(t *testing.T) {
	r := newRig(t, func(c *Config) { c.SyncBytes = 4096 })
	id := NewID()
	body := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(body)
	r.release(r.create(id, "a/b", len(body)))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 2))
			for {
				src := &stoppable{}
				h, err := r.Take(t.Context(), id, src.stop)
				if errors.Is(err, ErrSuperseded) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if h.Done() {
					_ = h.Release()
					return
				}
				at := h.Offset()
				src.Reader = bytes.NewReader(body[at:][:min(rng.Int64N(60_000), int64(len(body))-at)])
				_, err = h.Append(src, nil, true)
				if err != nil && !errors.Is(err, ErrSuperseded) {
					t.Error(err)
				}
				if err == nil && h.Offset() == int64(len(body)) {
					if err := h.Publish(store.Meta{}); err != nil {
						t.Error(err)
					}
				}
				if err := h.Release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got, err := os.ReadFile(filepath.Join(r.dir, "a/b")); err != nil || !bytes.Equal(got, body) {
		t.Errorf("published %d bytes, %v", len(got), err)
	}
}

// stoppable is a body that a newer request may stop.
type stoppable struct {
	io.Reader
	mu      sync.Mutex
	stopped bool
}

func (s *stoppable) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
}

func (s *stoppable) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return 0, os.ErrDeadlineExceeded
	}
	return s.Reader.Read(p[:min(len(p), 1000)])
}

func TestLimits(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits = Limits{Bytes: 100, PerSource: 2} })
	create := func(path string, size int64, source string) (ID, error) {
		id := NewID()
		h, err := r.Create(t.Context(), id, Facts{Path: path, Size: size, Source: source}, nil)
		if err == nil {
			r.release(h)
		}
		return id, err
	}
	a1, err := create("a/1", 10, "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := create("a/2", 20, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := create("a/3", 1, "a"); !errors.Is(err, ErrLimit) {
		t.Errorf("a third of one source: %v", err)
	}
	if _, err := create("b/1", 71, "b"); !errors.Is(err, ErrLimit) {
		t.Errorf("more bytes than there is room: %v", err)
	}
	if _, err := create("b/1", 70, "b"); err != nil {
		t.Errorf("as many bytes as there is room: %v", err)
	}
	r.restart() // the limits count what is on disk
	if _, err := create("c/1", 1, "c"); !errors.Is(err, ErrLimit) {
		t.Errorf("after a restart: %v", err)
	}
	h := r.take(a1)
	r.append(h, make([]byte, 10))
	if err := h.Publish(store.Meta{}); err != nil {
		t.Fatal(err)
	}
	r.release(h)
	if _, err := create("a/4", 10, "a"); err != nil {
		t.Errorf("a published upload still counts: %v", err)
	}
	r.now = r.now.Add(72 * time.Hour)
	r.Sweep(t.Context())
	if _, err := create("b/2", 100, "b"); err != nil {
		t.Errorf("expired uploads still count: %v", err)
	}
	if names, err := r.disk.Parts(t.Context()); err != nil || len(names) != 1 {
		t.Errorf("%d parts are left, %v", len(names), err)
	}
}

func TestTheLifeOfAnUpload(t *testing.T) {
	r := newRig(t, nil)
	id := NewID()
	if _, ok := r.Look(id); ok {
		t.Error("known before it was made")
	}
	if _, err := r.Take(t.Context(), id, nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("Take of nothing: %v", err)
	}
	h := r.create(id, "a/b", 5)
	if _, err := r.Create(t.Context(), id, Facts{Path: "a/b", Size: 5}, nil); !errors.Is(err, ErrExists) {
		t.Errorf("the same id twice: %v", err)
	}
	if r.Other("a/b", id) || !r.Other("a/b", NewID()) || r.Other("a/c", NewID()) {
		t.Error("Other")
	}
	if n, err := h.Append(strings.NewReader("helloX"), nil, false); !errors.Is(err, ErrPastEnd) || n != 5 {
		t.Errorf("past the end: %d, %v", n, err)
	}
	if err := h.Match(strings.NewReader("hellX")); !errors.Is(err, ErrDiffers) {
		t.Errorf("Match of other bytes: %v", err)
	}
	if err := h.Match(strings.NewReader("hel")); !errors.Is(err, io.EOF) {
		t.Errorf("Match of fewer bytes: %v", err)
	}
	r.now = r.now.Add(80 * time.Hour)
	r.Sweep(t.Context())
	if _, ok := r.Look(id); !ok {
		t.Error("an upload that somebody writes to is over")
	}
	r.now = r.now.Add(-80 * time.Hour)
	if err := os.MkdirAll(filepath.Join(r.dir, "a/b"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := h.Publish(store.Meta{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Publish onto a folder: %v", err)
	}
	if err := os.Remove(filepath.Join(r.dir, "a/b")); err != nil {
		t.Fatal(err)
	}
	r.release(h)
	r.restart()
	h = r.take(id)
	if err := h.Publish(store.Meta{Type: "a/b"}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Append(strings.NewReader("x"), nil, false); !errors.Is(err, ErrDone) {
		t.Errorf("Append after Publish: %v", err)
	}
	if h.Offset() != 5 || !h.Done() {
		t.Error("not done")
	}
	r.release(h)
	for range 2 {
		h = r.take(id)
		if !h.Done() || h.Offset() != 5 {
			t.Error("a published upload is not known as done")
		}
		r.release(h)
		r.restart()
	}
	h = r.take(id)
	if err := h.Drop(); err != nil {
		t.Fatal(err)
	}
	r.release(h)
	if _, err := os.Stat(filepath.Join(r.dir, "a/b")); err != nil {
		t.Errorf("Drop took the published file: %v", err)
	}
	if _, ok := r.Look(id); ok {
		t.Error("known after Drop")
	}
}

func TestWhatIsLeftAtTheStart(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(file string) error
		lives  bool
	}{
		{"nothing changed", func(string) error { return nil }, true},
		{"more bytes than marked", func(f string) error { return os.WriteFile(f, []byte("hello world"), 0o600) }, true},
		{"fewer bytes than marked", func(f string) error { return os.Truncate(f, 4) }, false},
		{"the bytes are gone", os.Remove, false},
		{"the state is gone", func(f string) error { return os.Remove(f + ".state") }, false},
		{"the state is cut short", func(f string) error { return os.Truncate(f+".state", 150) }, false},
		{"the state is empty", func(f string) error { return os.Truncate(f+".state", 0) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, nil)
			id := NewID()
			h := r.create(id, "a/b", 11)
			r.append(h, []byte("hello"))
			r.release(h)
			if err := tt.change(r.file(id)); err != nil {
				t.Fatal(err)
			}
			r.restart()
			st, ok := r.Look(id)
			if ok != tt.lives || ok && st.Offset != 5 {
				t.Errorf("%+v, %v", st, ok)
			}
			names, err := r.disk.Parts(t.Context())
			if err != nil || len(names) > 0 != tt.lives {
				t.Errorf("parts: %d, %v", len(names), err)
			}
		})
	}
}

// faulty refuses to put anything on disk while it is broken.
type faulty struct {
	Store
	broken bool
}

type faultyPart struct {
	store.Part
	f *faulty
}

var errDisk = errors.New("disk error")

func (p faultyPart) Sync(size int64) error {
	if p.f.broken {
		return errDisk
	}
	return p.Part.Sync(size)
}

func (f *faulty) OpenPart(name string) (store.Part, error) {
	p, err := f.Store.OpenPart(name)
	return faultyPart{p, f}, err
}

func TestASyncThatFailsCostsWhatItWasFor(t *testing.T) {
	f := &faulty{}
	r := newRig(t, func(c *Config) { f.Store, c.Store, c.SyncEvery = c.Store, f, time.Millisecond })
	id := NewID()
	r.release(r.create(id, "a/b", 20))
	h := r.take(id)
	r.append(h, []byte("hello"))
	f.broken = true
	if _, err := h.Append(strings.NewReader(" world"), nil, false); !errors.Is(err, errDisk) {
		t.Errorf("Append: %v", err)
	}
	if h.Offset() != 5 {
		t.Errorf("offset %d", h.Offset())
	}
	if err := h.Publish(store.Meta{}); err == nil {
		t.Error("published")
	}
	if err := h.Release(); !errors.Is(err, errDisk) {
		t.Errorf("Release: %v", err)
	}
	f.broken = false
	h = r.take(id)
	if h.Offset() != 5 {
		t.Errorf("offset %d after the fault", h.Offset())
	}
	r.append(h, []byte(" world"))
	r.release(h)
}

func TestTakeEndsWithItsContext(t *testing.T) {
	r := newRig(t, nil)
	id := NewID()
	h := r.create(id, "a/b", 5) // does not let go
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Take(ctx, id, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Take: %v", err)
	}
	if cause := context.Cause(h.Context()); !errors.Is(cause, ErrSuperseded) {
		t.Errorf("the older was told %v", cause)
	}
	r.release(h)
}

func FuzzParseID(f *testing.F) {
	f.Add("q83vEjRWeJCrze8SNFZ4kA")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := ParseID(s)
		if ok && (string(id) != s || len(s) != 22 || strings.ContainsAny(id.key(), "./")) {
			t.Errorf("%q is %q", s, id)
		}
	})
}

func TestNewIDsCanBeParsed(t *testing.T) {
	a, b := NewID(), NewID()
	if _, ok := ParseID(string(a)); !ok || a == b {
		t.Errorf("%v, %v", string(a), string(b))
	}
	if got := fmt.Sprint(a.LogValue()); got != "***" {
		t.Errorf("an id is logged as %s", got)
	}
}
