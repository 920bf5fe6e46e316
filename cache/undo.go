package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// Undo puts back what a reset moved, byte for byte, and returns the entry as it is then. The client must not be
// running. What the client has written since lies in the way; it is put aside, not overwritten. An entry is
// checked as a whole before anything changes, and an interrupted Undo can be repeated.
func Undo(ctx context.Context, r Roots, id string) (Entry, error) {
	return newEngine().undo(ctx, r, id)
}

func (g engine) undo(ctx context.Context, r Roots, id string) (Entry, error) {
	undo, unlock, err := lock(r.State)
	if err != nil {
		return Entry{}, err
	}
	defer unlock()
	return g.undoLocked(ctx, r, undo, id)
}

func (g engine) undoLocked(ctx context.Context, r Roots, undo, id string) (Entry, error) {
	e, err := load(undo, id)
	if err != nil {
		return Entry{}, err
	}
	if e.State == Undone {
		return Entry{}, fmt.Errorf("%w: %s was undone already", ErrNoEntry, id)
	}
	dir := filepath.Join(undo, id)
	todo, err := g.check(r, dir, e)
	if err != nil {
		return Entry{}, err
	}
	if err := context.Cause(ctx); err != nil {
		return Entry{}, err
	}
	// Everything that is in the way goes first, so that no old file ever lies beside a new one of the same database.
	if err := g.setAside(undo, &e, todo); err != nil {
		return Entry{}, plainError(err)
	}
	for _, it := range todo {
		if err := os.MkdirAll(filepath.Dir(it.Path), 0o700); err != nil {
			return Entry{}, fmt.Errorf("restore %s: %w", it.Path, err)
		}
		if err := g.disk.move(filepath.Join(dir, it.To), it.Path, it.Files); err != nil {
			return Entry{}, plainError(fmt.Errorf("restore %s: %w; undo %s can be tried again", it.Path, err, id))
		}
	}
	e.State = Undone
	if len(e.Aside) == 0 {
		g.disk.before("remove " + dir)
		return e, os.RemoveAll(dir)
	}
	return e, save(undo, e)
}

// check makes sure that the whole entry can be restored, and returns the items still to restore, a database before
// its write-ahead log: alone, it is complete up to its last checkpoint.
func (g engine) check(r Roots, dir string, e Entry) ([]Item, error) {
	l, err := layoutOf(r, e.Client, e.Install)
	if err != nil {
		return nil, err
	}
	var todo []Item
	var steps []Step
	for _, it := range slices.Backward(e.Items) {
		if err := place(l, r, it.Path, e.Client); err != nil {
			return nil, err
		}
		kept, err := exists(filepath.Join(dir, it.To))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		there, err := exists(it.Path)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		if !kept {
			if there {
				continue // never moved, or restored already
			}
			return nil, fmt.Errorf("%w: %s is in neither place", ErrDamaged, it.Path)
		}
		ok, err := same(filepath.Join(dir, it.To), it.Files)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if !ok {
			return nil, fmt.Errorf("%w: %s", ErrDamaged, filepath.Join(dir, it.To))
		}
		if there {
			if _, _, err := measure(it.Path); err != nil {
				return nil, err
			}
			steps = append(steps, Step{Path: it.Path})
		}
		todo = append(todo, it)
	}
	return todo, g.unused(steps)
}

// place makes sure that a path from a manifest is a known part of this client's cache.
func place(l layout, r Roots, path, client string) error {
	parent, name := filepath.Dir(path), filepath.Base(path)
	if _, ok := reasonOf(client, name); !ok || filepath.Dir(parent) != l.root {
		return fmt.Errorf("%w: %s is no part of a cache of %s", ErrDamaged, path, client)
	}
	if there, err := exists(parent); err != nil || !there {
		return err // it is made again
	}
	if _, err := plainFolder(parent); err != nil {
		return err
	}
	return separate(l, parent, r.State)
}

// setAside moves what lies where something is to be restored into the entry.
func (g engine) setAside(undo string, e *Entry, todo []Item) error {
	dir := filepath.Join(undo, e.ID)
	var lying []Aside
	seen := map[string]bool{}
	for _, it := range todo {
		for _, p := range append([]string{it.Path}, companions(it.Path)...) {
			if seen[p] || slices.ContainsFunc(e.Items, func(o Item) bool { return o.Path == p && !contains(todo, p) }) {
				continue // the second: restored by an attempt before this one
			}
			seen[p] = true
			if there, err := exists(p); err != nil {
				return err
			} else if !there {
				continue
			}
			to := filepath.Join("aside", strconv.Itoa(len(e.Aside)+len(lying)))
			lying = append(lying, Aside{Path: p, To: to})
		}
	}
	if len(lying) == 0 {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(dir, "aside"), 0o700); err != nil {
		return fmt.Errorf("make room: %w", err)
	}
	e.Aside = append(e.Aside, lying...)
	g.disk.before("save " + dir)
	if err := save(undo, *e); err != nil {
		return err
	}
	for _, a := range lying {
		files, err := scan(a.Path)
		if err == nil {
			err = g.disk.move(a.Path, filepath.Join(dir, a.To), files)
		}
		if err != nil {
			return fmt.Errorf("put %s aside: %w", a.Path, err)
		}
	}
	return nil
}

func contains(items []Item, path string) bool {
	return slices.ContainsFunc(items, func(i Item) bool { return i.Path == path })
}

func undoDir(r Roots) string { return filepath.Join(r.State, "undo") }

// List returns what can be undone, newest first. Entries that cannot be read are left out.
func List(r Roots) ([]Entry, error) {
	undo := undoDir(r)
	names, err := os.ReadDir(undo)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list undo entries: %w", err)
	}
	var out []Entry
	for _, n := range slices.Backward(names) { // an id begins with its time
		if e, err := load(undo, n.Name()); err == nil && e.State != Undone {
			out = append(out, e)
		}
	}
	return out, nil
}

// Prune deletes entries older than Keep and returns their ids.
func Prune(r Roots, now time.Time) ([]string, error) {
	if there, err := exists(undoDir(r)); err != nil || !there {
		return nil, err
	}
	undo, unlock, err := lock(r.State)
	if err != nil {
		return nil, err
	}
	defer unlock()
	names, err := os.ReadDir(undo)
	if err != nil {
		return nil, fmt.Errorf("prune undo entries: %w", err)
	}
	var gone []string
	for _, n := range names {
		if !n.IsDir() || !idForm.MatchString(n.Name()) {
			continue
		}
		made, err := time.Parse("20060102T150405Z", n.Name()[:16])
		if err != nil || now.Sub(made) <= Keep {
			continue
		}
		if err := os.RemoveAll(filepath.Join(undo, n.Name())); err != nil {
			return gone, fmt.Errorf("prune undo entries: %w", err)
		}
		gone = append(gone, n.Name())
	}
	return gone, nil
}
