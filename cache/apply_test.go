package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// acrossDisks is a disk on which the undo folder is another file system.
func acrossDisks(d disk) disk {
	rename := d.rename
	d.rename = func(from, to string) error {
		if strings.Contains(from, "/undo/") != strings.Contains(to, "/undo/") {
			return &os.LinkError{Op: "rename", Old: from, New: to, Err: unix.EXDEV}
		}
		return rename(from, to)
	}
	return d
}

// disks are the two ways of moving, each of which every test has to hold for.
var disks = map[string]func() engine{
	"on one file system": newEngine,
	"across file systems": func() engine {
		g := newEngine()
		g.disk = acrossDisks(g.disk)
		return g
	},
}

func TestApplyMovesAsideAndUndoRestoresByteForByte(t *testing.T) {
	for how, engine := range disks {
		for _, tt := range []struct{ fixture, client, install string }{
			{"gajim", "gajim", "native"}, {"dino-0.5", "dino", "native"}, {"flatpak-gajim", "gajim", "flatpak"},
		} {
			t.Run(tt.fixture+" "+tt.install+" "+how, func(t *testing.T) {
				g, r := engine(), home(t, tt.fixture)
				if err := os.Chmod(filepath.Dir(plan(t, r, tt.client, tt.install).Steps[0].Path), 0o755); err != nil {
					t.Fatal(err)
				}
				before, kept := tree(t, r.Home), precious(t, r)
				p := plan(t, r, tt.client, tt.install)
				e, err := g.apply(t.Context(), p, noon)
				if err != nil {
					t.Fatal(err)
				}
				if e.State != Done || e.Bytes != p.Bytes || len(e.Items) != len(p.Steps) {
					t.Errorf("entry %+v", e)
				}
				for _, s := range p.Steps {
					if there, err := exists(s.Path); there || err != nil {
						t.Errorf("%s is still there (%v)", s.Path, err)
					}
				}
				equal(t, "data and config after apply", kept, precious(t, r))
				list, err := List(r)
				if err != nil || len(list) != 1 || list[0].ID != e.ID {
					t.Errorf("list: %v %v", list, err)
				}
				if _, err := g.undo(t.Context(), r, e.ID); err != nil {
					t.Fatal(err)
				}
				equal(t, "home after undo", before, tree(t, r.Home))
				equal(t, "undo entries", []string{}, undoFolders(t, r))
			})
		}
	}
}

func TestAnEmptyPlanChangesNothing(t *testing.T) {
	r := home(t, "dino-0.4")
	before := tree(t, r.Home)
	e, err := Apply(t.Context(), plan(t, r, "dino", "native"), noon)
	if err != nil || e.ID != "" {
		t.Errorf("%+v, %v", e, err)
	}
	equal(t, "home", before, tree(t, r.Home))
	equal(t, "undo entries", []string{}, undoFolders(t, r))
}

func TestApplyFollowsWhatTheClientDidWhileItQuit(t *testing.T) {
	r := home(t, "gajim")
	base := filepath.Join(r.Cache, "gajim")
	for _, f := range []string{"cache.db-wal", "cache.db-shm"} {
		if err := os.Remove(filepath.Join(base, f)); err != nil {
			t.Fatal(err)
		}
	}
	p := plan(t, r, "gajim", "native")
	if err := os.RemoveAll(filepath.Join(base, "bob")); err != nil { // gone since
		t.Fatal(err)
	}
	write(t, filepath.Join(base, "cache.db-wal"), "written while quitting") // new since, of the same database
	write(t, filepath.Join(base, "plugins_new"), "x")                       // new since: was not shown, stays
	e, err := Apply(t.Context(), p, noon)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, it := range e.Items {
		got = append(got, strings.TrimPrefix(it.Path, base+"/"))
	}
	for name, want := range map[string]bool{"cache.db-wal": true, "cache.db": true, "bob": false, "plugins_new": false} {
		if slices.Contains(got, name) != want {
			t.Errorf("%s moved: %v, want %v", name, !want, want)
		}
	}
}

// crash is what a power cut is in these tests: nothing after it runs but the kernel's release of the lock.
type crash struct{}

// crashing runs f and says whether it got to the crash.
func crashing(f func() error) (crashed bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(crash); !ok {
				panic(r)
			}
			crashed = true
		}
	}()
	return false, f()
}

// crashAt makes the engine crash before its n-th change on disk.
func crashAt(g engine, n int) engine {
	g.disk.before = func(string) {
		if n--; n < 0 {
			panic(crash{})
		}
	}
	return g
}

func TestUndoRestoresAfterACrashAtAnyPoint(t *testing.T) {
	for how, engine := range disks {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			for n := 0; ; n++ {
				r := home(t, "gajim-small")
				before := tree(t, r.Home)
				p := plan(t, r, "gajim", "native")
				crashed, err := crashing(func() error {
					_, err := crashAt(engine(), n).apply(t.Context(), p, noon)
					return err
				})
				if err != nil {
					t.Fatalf("crash %d: %v", n, err)
				}
				if !crashed {
					if n < 5 {
						t.Fatalf("only %d points to crash at", n)
					}
					return
				}
				list, err := List(r)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range list {
					if e.State != Started {
						t.Errorf("crash %d: state %s", n, e.State)
					}
					if _, err := engine().undo(t.Context(), r, e.ID); err != nil {
						t.Fatalf("crash %d: undo: %v", n, err)
					}
				}
				equal(t, fmt.Sprintf("home after crash %d and undo", n), before, tree(t, r.Home))
			}
		})
	}
}

func TestACrashedUndoCanBeRepeated(t *testing.T) {
	for how, engine := range disks {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			for n := 0; ; n++ {
				r := home(t, "gajim-small")
				before := tree(t, r.Home)
				e, err := engine().apply(t.Context(), plan(t, r, "gajim", "native"), noon)
				if err != nil {
					t.Fatal(err)
				}
				// The client ran meanwhile.
				write(t, filepath.Join(r.Cache, "gajim/cache.db"), "new")
				write(t, filepath.Join(r.Cache, "gajim/cache.db-wal"), "new log")
				write(t, filepath.Join(r.Cache, "gajim/avatars/new"), "new picture")
				crashed, err := crashing(func() error {
					_, err := crashAt(engine(), n).undo(t.Context(), r, e.ID)
					return err
				})
				if err != nil {
					t.Fatalf("crash %d: %v", n, err)
				}
				if crashed {
					if _, err := engine().undo(t.Context(), r, e.ID); err != nil {
						t.Fatalf("crash %d: second undo: %v", n, err)
					}
				}
				equal(t, fmt.Sprintf("home after crash %d", n), before, tree(t, r.Home))
				for _, want := range []string{"new", "new log", "new picture"} {
					if !holds(t, filepath.Join(r.State, "undo", e.ID), want) {
						t.Errorf("crash %d: %q is not kept aside", n, want)
					}
				}
				if !crashed {
					return
				}
			}
		})
	}
}

// holds says whether a file of this text lies anywhere below dir.
func holds(t *testing.T, dir, text string) bool {
	t.Helper()
	found := false
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		found = found || string(b) == text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAFailingMoveIsTakenBack(t *testing.T) {
	full := func(io.Writer, io.Reader) (int64, error) {
		return 0, &os.PathError{Op: "write", Path: "x", Err: unix.ENOSPC}
	}
	tests := []struct {
		name string
		make func() engine
		want error
	}{
		{"the fourth rename is not permitted", func() engine {
			g, n := newEngine(), 0
			g.disk.rename = func(from, to string) error {
				if n++; n == 4 {
					return unix.EACCES
				}
				return os.Rename(from, to)
			}
			return g
		}, unix.EACCES},
		{"the disk is full at the first file", func() engine {
			g := newEngine()
			g.disk = acrossDisks(g.disk)
			g.disk.copy = full
			return g
		}, ErrNoSpace},
		{"the disk is full at the sixth file, in the middle of a folder", func() engine {
			g, n := newEngine(), 0
			g.disk = acrossDisks(g.disk)
			g.disk.copy = func(w io.Writer, r io.Reader) (int64, error) {
				if n++; n == 6 {
					return full(w, r)
				}
				return io.Copy(w, r)
			}
			return g
		}, ErrNoSpace},
		{"a copy differs", func() engine {
			g := newEngine()
			g.disk = acrossDisks(g.disk)
			g.disk.copy = func(w io.Writer, r io.Reader) (int64, error) { return io.Copy(w, io.LimitReader(r, 3)) }
			return g
		}, ErrInUse},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := home(t, "gajim")
			before := tree(t, r.Home)
			_, err := tt.make().apply(t.Context(), plan(t, r, "gajim", "native"), noon)
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			equal(t, "home", before, tree(t, r.Home))
			equal(t, "undo entries", []string{}, undoFolders(t, r))
		})
	}
}

func TestACancelledApplyIsTakenBack(t *testing.T) {
	r := home(t, "gajim")
	before := tree(t, r.Home)
	ctx, cancel := context.WithCancel(t.Context())
	g, n := newEngine(), 0
	g.disk.rename = func(from, to string) error {
		if n++; n == 3 {
			cancel()
		}
		return os.Rename(from, to)
	}
	if _, err := g.apply(ctx, plan(t, r, "gajim", "native"), noon); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	equal(t, "home", before, tree(t, r.Home))
	equal(t, "undo entries", []string{}, undoFolders(t, r))
}

func TestTwoAtOnceIsBusy(t *testing.T) {
	r := home(t, "gajim")
	p := plan(t, r, "gajim", "native")
	before := tree(t, r.Home)
	_, unlock, err := lock(r.State)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(t.Context(), p, noon); !errors.Is(err, ErrBusy) {
		t.Errorf("Apply: %v", err)
	}
	if _, err := Undo(t.Context(), r, "20260504T120000Z-gajim-00000000"); !errors.Is(err, ErrBusy) {
		t.Errorf("Undo: %v", err)
	}
	if _, err := Prune(r, noon); !errors.Is(err, ErrBusy) {
		t.Errorf("Prune: %v", err)
	}
	c := &fakeClient{running: true}
	if _, err := Reset(t.Context(), c, p, false); !errors.Is(err, ErrBusy) || len(c.calls) > 0 {
		t.Errorf("Reset: %v, client saw %v", err, c.calls)
	}
	equal(t, "home", before, tree(t, r.Home))
	unlock()
	if _, err := Apply(t.Context(), p, noon); err != nil {
		t.Errorf("after the first was done: %v", err)
	}
}

func TestUndoPutsNewerFilesAside(t *testing.T) {
	r := home(t, "gajim")
	if err := os.Remove(filepath.Join(r.Cache, "gajim/cache.db-wal")); err != nil {
		t.Fatal(err)
	}
	before := tree(t, r.Home)
	e, err := Apply(t.Context(), plan(t, r, "gajim", "native"), noon)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(r.Cache, "gajim/cache.db"), "newer")
	write(t, filepath.Join(r.Cache, "gajim/cache.db-wal"), "a log that must not meet the old database")
	write(t, filepath.Join(r.Cache, "gajim/avatars/newer"), "newer picture")
	got, err := Undo(t.Context(), r, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "home", before, tree(t, r.Home))
	if len(got.Aside) != 3 {
		t.Errorf("aside %v", got.Aside)
	}
	for _, a := range got.Aside {
		if there, err := exists(filepath.Join(r.State, "undo", e.ID, a.To)); !there || err != nil {
			t.Errorf("%s is not kept (%v)", a.Path, err)
		}
	}
	if list, err := List(r); err != nil || len(list) != 0 {
		t.Errorf("an undone entry is listed: %v %v", list, err)
	}
	if _, err := Undo(t.Context(), r, e.ID); !errors.Is(err, ErrNoEntry) {
		t.Errorf("second undo: %v", err)
	}
}

func TestUndoRestoresIntoAFolderThatIsGone(t *testing.T) {
	r := home(t, "dino-0.5")
	if err := os.RemoveAll(filepath.Join(r.Cache, "dino/unknown")); err != nil {
		t.Fatal(err)
	}
	before := tree(t, r.Home)
	e, err := Apply(t.Context(), plan(t, r, "dino", "native"), noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(r.Cache); err != nil {
		t.Fatal(err)
	}
	if _, err := Undo(t.Context(), r, e.ID); err != nil {
		t.Fatal(err)
	}
	equal(t, "home", before, tree(t, r.Home))
}

func TestUndoRefusesAndChangesNothing(t *testing.T) {
	change := func(f func(t *testing.T, r Roots, dir string)) func(*testing.T, Roots, string) { return f }
	tests := []struct {
		name string
		do   func(t *testing.T, r Roots, dir string)
		want error
	}{
		{"a kept file was changed", change(func(t *testing.T, _ Roots, dir string) { write(t, filepath.Join(dir, "files/2"), "changed") }), ErrDamaged},
		{"a kept file is missing", change(func(t *testing.T, _ Roots, dir string) {
			if err := os.Remove(filepath.Join(dir, "files/2")); err != nil {
				t.Fatal(err)
			}
		}), ErrDamaged},
		{"a file was added", change(func(t *testing.T, _ Roots, dir string) { write(t, filepath.Join(dir, "files/3/added"), "x") }), ErrDamaged},
		{"a kept folder became a link", change(func(t *testing.T, _ Roots, dir string) {
			if err := errors.Join(os.RemoveAll(filepath.Join(dir, "files/3")), os.Symlink("/", filepath.Join(dir, "files/3"))); err != nil {
				t.Fatal(err)
			}
		}), ErrDamaged},
		{"the cache folder became a link to the data", change(func(t *testing.T, r Roots, _ string) {
			if err := errors.Join(os.RemoveAll(filepath.Join(r.Cache, "gajim")), os.Symlink(filepath.Join(r.Data, "gajim"), filepath.Join(r.Cache, "gajim"))); err != nil {
				t.Fatal(err)
			}
		}), ErrRefused},
		{"the manifest names a file of the person", change(func(t *testing.T, r Roots, dir string) {
			p := filepath.Join(dir, manifestName)
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			write(t, p, strings.ReplaceAll(string(b), filepath.Join(r.Cache, "gajim/cache.db"), filepath.Join(r.Data, "gajim/logs.db")))
		}), ErrDamaged},
		{"the manifest is cut off", change(func(t *testing.T, _ Roots, dir string) { write(t, filepath.Join(dir, manifestName), `{"schema":1`) }), ErrDamaged},
		{"the manifest is of a later version", change(func(t *testing.T, _ Roots, dir string) { write(t, filepath.Join(dir, manifestName), `{"schema":2}`) }), ErrDamaged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := home(t, "gajim")
			e, err := Apply(t.Context(), plan(t, r, "gajim", "native"), noon)
			if err != nil {
				t.Fatal(err)
			}
			tt.do(t, r, filepath.Join(r.State, "undo", e.ID))
			before, undo := tree(t, r.Home), tree(t, filepath.Join(r.State, "undo"))
			if _, err := Undo(t.Context(), r, e.ID); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			equal(t, "home", before, tree(t, r.Home))
			equal(t, "undo folder", undo, tree(t, filepath.Join(r.State, "undo")))
		})
	}
	for _, id := range []string{"", ".", "..", "../../x", "20260504T120000Z-gajim-00000000", "20260504T120000Z-gajim-00000000/../x"} {
		r := home(t, "gajim")
		if _, err := Undo(t.Context(), r, id); !errors.Is(err, ErrNoEntry) {
			t.Errorf("Undo(%q): %v", id, err)
		}
	}
}

func TestPruneDeletesWhatIsOlderThanFourteenDays(t *testing.T) {
	r := home(t, "gajim")
	if ids, err := Prune(r, noon); err != nil || ids != nil {
		t.Errorf("without an undo folder: %v %v", ids, err)
	}
	old, err := Apply(t.Context(), plan(t, r, "gajim", "native"), noon)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(r.Cache, "gajim/cache.db"), "newer")
	young, err := Apply(t.Context(), plan(t, r, "gajim", "native"), noon.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(r.State, "undo/not-ours/file"), "x")
	if ids, err := Prune(r, noon.Add(Keep)); err != nil || ids != nil {
		t.Errorf("after exactly 14 days: %v %v", ids, err)
	}
	ids, err := Prune(r, noon.Add(Keep+time.Second))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "pruned", []string{old.ID}, ids)
	equal(t, "left", []string{young.ID, "not-ours"}, undoFolders(t, r))
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"schema":1,"id":"20260504T120000Z-gajim-00000000","client":"gajim","install":"native","state":"done","items":[{"path":"/h/.cache/gajim/bob","to":"files/0","files":[{"path":".","mode":2147484096,"time":"2026-05-04T12:00:00Z"}]}]}`))
	f.Add([]byte(`{"schema":1,"items":[{"path":"../x","to":"/etc"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parse(b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("error %v", err)
			}
			return
		}
		for _, it := range e.Items {
			if !filepath.IsAbs(it.Path) || !filepath.IsLocal(it.To) || strings.Contains(it.Path, "/../") {
				t.Errorf("item %q to %q", it.Path, it.To)
			}
			for _, file := range it.Files {
				if !filepath.IsLocal(file.Path) {
					t.Errorf("file %q", file.Path)
				}
			}
		}
	})
}
