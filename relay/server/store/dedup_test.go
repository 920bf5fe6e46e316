package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// shelf is Contents in memory.
type shelf struct {
	mu   sync.Mutex
	path map[[32]byte]string
}

func newShelf() *shelf { return &shelf{path: make(map[[32]byte]string)} }

func (s *shelf) SetContent(digest [32]byte, path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.path[digest] = path
}

func (s *shelf) Content(digest [32]byte) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.path[digest], nil
}

func (s *shelf) ForgetContent(digest [32]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.path, digest)
}

// cloner is a file system that can share blocks, as far as anybody can see from outside.
type cloner struct {
	dir    string
	clones int
}

// Do implements Hook.
func (c *cloner) Do(s Step, do func() error) error {
	if s.Op != "clone" {
		return do()
	}
	c.clones++
	data, err := os.ReadFile(filepath.Join(c.dir, s.Path))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.dir, s.To), data, 0o600)
}

// links is how many names the file has.
func links(t *testing.T, dir, name string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(dir, name), &st); err != nil {
		t.Fatal(err)
	}
	return uint64(st.Nlink) //nolint:unconvert // narrower on some processors
}

func TestFilesWithTheSameBytesShareThem(t *testing.T) {
	data := string(storeBytes(300 << 10))
	png, end := Meta{Type: "image/png"}, time.Unix(2e9, 0).UTC()
	for _, tt := range []struct {
		name          string
		dedup         Dedup
		clones        bool // the file system can
		first, second Meta
		wantLinks     uint64
		wantClones    int
	}{
		{"off", NoDedup, true, png, png, 1, 0},
		{"links, all the same", Link, true, png, png, 2, 0},
		{"links, another type", Link, true, png, Meta{Type: "text/plain"}, 1, 1},
		{"links, another end", Link, true, png, Meta{Type: "image/png", Retain: end}, 1, 1},
		{"links, another type, no reflinks", Link, false, png, Meta{Type: "text/plain"}, 1, 0},
		{"reflinks", Reflink, true, png, png, 1, 1},
		{"reflinks on a file system without", Reflink, false, png, png, 1, 0},
	} {
		for _, part := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, in parts %v", tt.name, part), func(t *testing.T) {
				dir := t.TempDir()
				c := &cloner{dir: dir}
				opt := Options{Dedup: tt.dedup, Contents: newShelf()}
				if tt.clones {
					opt.Hook = c
				}
				d := open(t, dir, opt)
				put(t, d, "one/file", data, tt.first)
				if part {
					putPart(t, d, "two/file", data, tt.second)
				} else {
					put(t, d, "two/file", data, tt.second)
				}
				if n := links(t, dir, "two/file"); n != tt.wantLinks {
					t.Errorf("%d names, want %d", n, tt.wantLinks)
				}
				if c.clones != tt.wantClones {
					t.Errorf("%d clones, want %d", c.clones, tt.wantClones)
				}
				for name, meta := range map[string]Meta{"one/file": tt.first, "two/file": tt.second} {
					f, err := d.Open(name)
					if err != nil {
						t.Fatal(err)
					}
					got, err := f.Meta()
					_ = f.Close()
					got.Digest = nil
					if diff := cmp.Diff(meta, got); diff != "" || err != nil {
						t.Errorf("%s: %v, Meta (-want +got):\n%s", name, err, diff)
					}
				}
				if left := tree(t, filepath.Join(dir, tmpDir)); left != nil {
					t.Errorf("leftovers: %v", left)
				}
				if err := d.Remove("one/file"); err != nil {
					t.Fatal(err)
				}
				if got, err := os.ReadFile(filepath.Join(dir, "two/file")); err != nil || string(got) != data {
					t.Errorf("the removal of one has changed the other: %d bytes, %v", len(got), err)
				}
				put(t, d, "three/file", data, tt.second)
			})
		}
	}
}

func putPart(t *testing.T, d *Disk, path, data string, meta Meta) {
	t.Helper()
	p, err := d.NewPart("p", int64(len(data)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := p.Write([]byte(data)); err != nil {
		t.Fatal(err)
	}
	if err := p.Sync(int64(len(data))); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(path, meta); err != nil {
		t.Fatal(err)
	}
	if m := p.Mark(); !m.Done || m.Offset != int64(len(data)) {
		t.Errorf("after Publish: %+v", m)
	}
}

func TestAWrongWordAboutContentsHarmsNothing(t *testing.T) {
	dir := t.TempDir()
	s := newShelf()
	d := open(t, dir, Options{Dedup: Link, Contents: s})
	put(t, d, "a/other", "other bytes, same length", Meta{})
	data := "these bytes, same length"
	sum, err := digestOf(bytes.NewReader([]byte(data)), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"a/other", "never/was", "a", "../outside", "", ".holdfast/lock"} {
		s.SetContent(sum, name)
		path := fmt.Sprintf("b/%d", i)
		put(t, d, path, data, Meta{})
		if n := links(t, dir, path); n != 1 {
			t.Errorf("the word %q: %d names", name, n)
		}
		if err := d.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestASharedFileIsNotOlderThanItsName(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, Options{Dedup: Link, Contents: newShelf()})
	put(t, d, "old/file", "bytes", Meta{})
	long := time.Now().Add(-1000 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "old/file"), long, long); err != nil {
		t.Fatal(err)
	}
	put(t, d, "new/file", "bytes", Meta{})
	if n := links(t, dir, "new/file"); n != 2 {
		t.Fatalf("%d names", n)
	}
	err := d.Walk(t.Context(), time.Time{}, func(name string, _ int64, mod time.Time) error {
		if time.Since(mod) > time.Hour {
			t.Errorf("%s would go by its age, %v", name, time.Since(mod))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestManyUploadsOfTheSameBytesAtOnce(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, Options{Dedup: Link, Contents: newShelf()})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 30 {
				name := fmt.Sprintf("%d/%d", g, i)
				if err := putErr(t.Context(), d, name, storeBytes(5000+i%3), Meta{}); err != nil {
					t.Error(err)
				}
				if i%2 == 0 {
					if err := d.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	for g := range 8 {
		for i := 1; i < 30; i += 2 {
			data, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%d/%d", g, i)))
			if err != nil || !bytes.Equal(data, storeBytes(5000+i%3)) {
				t.Errorf("%d/%d: %d bytes, %v", g, i, len(data), err)
			}
		}
	}
	if left := tree(t, filepath.Join(dir, tmpDir)); left != nil {
		t.Errorf("leftovers: %v", left)
	}
}
