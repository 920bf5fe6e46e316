package store

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParts(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, Options{})
	for _, name := range []string{"", "a.b", "a/b", "..", "a\x00", strings.Repeat("x", 129)} {
		if _, err := d.NewPart(name, 1, nil); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("NewPart %q: %v", name, err)
		}
		if _, err := d.OpenPart(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("OpenPart %q: %v", name, err)
		}
	}
	p, err := d.NewPart("one", 10, []byte("facts"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.NewPart("one", 10, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the same name twice: %v", err)
	}
	write(t, p, "hello")
	if err := p.Sync(5); err != nil {
		t.Fatal(err)
	}
	write(t, p, " worldly")
	if err := p.Truncate(4); err == nil {
		t.Error("cut below the mark")
	}
	if err := p.Truncate(11); err != nil {
		t.Fatal(err)
	}
	closePart(t, p)

	p = openPart(t, d, "one") // what is behind the mark is gone
	if string(p.Facts()) != "facts" || p.Size() != 5 || p.Mark() != (Mark{Offset: 5}) {
		t.Errorf("opened: %q, %d, %+v", p.Facts(), p.Size(), p.Mark())
	}
	write(t, p, " world")
	put(t, d, "taken/file", "hello world", Meta{})
	put(t, d, "taken/other", "Hello world", Meta{})
	for path, want := range map[string]bool{"taken/file": true, "taken/other": false} {
		if err := p.Publish(path, Meta{}); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Publish onto %s: %v", path, err)
		}
		f, err := d.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := p.SameAs(f); err != nil || same != want {
			t.Errorf("SameAs %s: %v, %v", path, same, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := p.Publish("new/file", Meta{Type: "a/b"}); err != nil {
		t.Fatal(err)
	}
	closePart(t, p)
	if got, err := os.ReadFile(filepath.Join(dir, "new/file")); err != nil || string(got) != "hello world" {
		t.Errorf("published: %q, %v", got, err)
	}
	p = openPart(t, d, "one")
	if p.Mark() != (Mark{Offset: 11, Done: true}) {
		t.Errorf("after Publish: %+v", p.Mark())
	}
	if _, err := p.Write([]byte("x")); err == nil {
		t.Error("written to a part that is done")
	}
	closePart(t, p)

	p, err = d.NewPart("two", 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, p, "abc")
	if err := p.Finish(); err != nil {
		t.Fatal(err)
	}
	closePart(t, p)
	p = openPart(t, d, "two")
	if p.Mark() != (Mark{Offset: 3, Done: true}) {
		t.Errorf("after Finish: %+v", p.Mark())
	}
	closePart(t, p)
	if names, err := d.Parts(t.Context()); err != nil || len(names) != 2 {
		t.Errorf("Parts: %v, %v", names, err)
	}
	for range 2 {
		if err := d.RemovePart("two"); err != nil {
			t.Error(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, privateDir, "uploads")); err != nil { // somebody's find -delete
		t.Fatal(err)
	}
	p, err = d.NewPart("three", 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	closePart(t, p)
}

// When the process dies between the mark and the move, or right after the move, the next one sees what happened.
func TestAPartThatWasAboutToMove(t *testing.T) {
	for _, tt := range []struct {
		name  string
		moved bool
	}{
		{"not moved", false},
		{"moved", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := open(t, t.TempDir(), Options{})
			p, err := d.NewPart("one", 5, nil)
			if err != nil {
				t.Fatal(err)
			}
			write(t, p, "hello")
			if err := p.Sync(5); err != nil {
				t.Fatal(err)
			}
			if err := p.(*part).state.save(5, moving, true); err != nil {
				t.Fatal(err)
			}
			closePart(t, p)
			if tt.moved {
				if err := os.Remove(filepath.Join(d.root.Name(), partsDir, "one")); err != nil {
					t.Fatal(err)
				}
			}
			p = openPart(t, d, "one")
			if p.Mark() != (Mark{Offset: 5, Done: tt.moved}) {
				t.Errorf("%+v", p.Mark())
			}
			closePart(t, p)
		})
	}
}

func write(t *testing.T, p Part, s string) {
	t.Helper()
	if n, err := p.Write([]byte(s)); err != nil || n != len(s) {
		t.Fatalf("Write: %d, %v", n, err)
	}
}

func openPart(t *testing.T, d *Disk, name string) Part {
	t.Helper()
	p, err := d.OpenPart(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func closePart(t *testing.T, p Part) {
	t.Helper()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// failing refuses the k-th step with an error, once.
type failing struct {
	k, n int
	err  error
	step Step
}

func (f *failing) Do(s Step, do func() error) error {
	if f.n++; f.n == f.k {
		f.step = s
		return f.err
	}
	return do()
}

// Every step of an upload in parts fails once, each in turn. What was acknowledged is there afterwards, and what is
// published is right.
func TestEveryStepOfAPartMayFail(t *testing.T) {
	for _, fault := range []error{unix.EIO, unix.ENOSPC} {
		for k := 1; ; k++ {
			dir := t.TempDir()
			hook := &failing{k: k, err: fault}
			hook.n = -1 << 30
			d, err := Open(dir, Options{Hook: hook})
			if err != nil {
				t.Fatal(err)
			}
			hook.n = 0
			acked, published := partInPieces(d)
			reached := hook.n >= k
			step := hook.step
			hook.n = -1 << 30
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			d = open(t, dir, Options{})
			got, err := os.ReadFile(filepath.Join(dir, "a/b"))
			there := err == nil
			if there && string(got) != "hello world" || published && !there {
				t.Errorf("step %d (%s %s): published %q, %v", k, step.Op, step.Path, got, err)
			}
			p, err := d.OpenPart("one")
			switch {
			case err == nil:
				b := make([]byte, acked)
				if !p.Mark().Done {
					if _, err := p.ReadAt(b, 0); err != nil || p.Size() < acked || !bytes.Equal(b, []byte("hello world")[:acked]) {
						t.Errorf("step %d (%s %s): %d acknowledged, %d there, %q, %v", k, step.Op, step.Path, acked, p.Size(), b, err)
					}
				} else if !there {
					t.Errorf("step %d (%s %s): marked as published, and nothing is there", k, step.Op, step.Path)
				}
				closePart(t, p)
			case acked > 0 && !there && !(step.Op == "sync" && step.Path == "a"): // the one fault that costs the upload
				t.Errorf("step %d (%s %s): %d acknowledged, %v", k, step.Op, step.Path, acked, err)
			}
			if !reached {
				t.Logf("%d steps", k-1)
				break
			}
		}
	}
}

// partInPieces uploads, and tells what was acknowledged and whether it was published.
func partInPieces(d *Disk) (acked int64, published bool) {
	p, err := d.NewPart("one", 11, []byte("facts"))
	if err != nil {
		return 0, false
	}
	for _, piece := range []string{"hello", " ", "world"} {
		_, err := p.Write([]byte(piece))
		if err == nil {
			err = p.Sync(p.Size())
		}
		if err == nil {
			acked = p.Size()
		}
		if cerr := p.Close(); err != nil || cerr != nil {
			return acked, false
		}
		if p, err = d.OpenPart("one"); err != nil {
			return acked, false
		}
	}
	err = p.Publish("a/b", Meta{Type: "x/y"})
	_ = p.Close() // a fault of it changes nothing that was said
	return acked, err == nil
}

func FuzzPartState(f *testing.F) {
	good := make([]byte, factsAt)
	copy(good, appendMark(nil, 2, 7, growing))
	copy(good[markStride:], appendMark(nil, 3, 9, moving))
	good = appendFacts(good, []byte(`{"path":"a/b"}`))
	f.Add(good)
	f.Add(good[:130])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseState(b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("error is %v", err)
			}
			return
		}
		again, err := parseState(appendFacts(append(append(append(append([]byte{}, appendMark(nil, s.number, s.offset, s.phase)...), make([]byte, markStride-markSize)...), b[markStride:][:markSize]...), make([]byte, markStride-markSize)...), s.facts))
		if err != nil || again.number != s.number || again.offset != s.offset || again.phase != s.phase || !bytes.Equal(again.facts, s.facts) {
			t.Errorf("not read back: %+v, %v", again, err)
		}
	})
}
