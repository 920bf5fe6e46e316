package cache

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// engine is the parts of Apply and Undo that tests replace.
type engine struct {
	disk disk
	proc string
}

func newEngine() engine { return engine{disk: realDisk(), proc: "/proc"} }

// Apply moves what the plan lists to the undo folder. The client must not be running. It looks again first: what
// is gone meanwhile is left out, what has become strange is refused. When a move fails, those before it are taken
// back, and nothing has changed.
//
// An empty plan gives an Entry without ID and changes nothing.
func Apply(ctx context.Context, p Plan, now time.Time) (Entry, error) {
	return newEngine().apply(ctx, p, now)
}

func (g engine) apply(ctx context.Context, p Plan, now time.Time) (Entry, error) {
	// Before anything is made, also the lock: the undo folder itself may be in a wrong place.
	if _, err := again(p); err != nil {
		return Entry{}, err
	}
	undo, unlock, err := lock(p.roots.State)
	if err != nil {
		return Entry{}, err
	}
	defer unlock()
	return g.applyLocked(ctx, undo, p, now)
}

func (g engine) applyLocked(ctx context.Context, undo string, p Plan, now time.Time) (Entry, error) {
	steps, err := again(p)
	if err != nil || len(steps) == 0 {
		return Entry{}, err
	}
	if err := g.unused(steps); err != nil {
		return Entry{}, err
	}
	e, err := g.prepare(ctx, undo, p, steps, now)
	if err == nil {
		err = g.moveAll(ctx, undo, e)
	}
	if err != nil {
		return Entry{}, plainError(err)
	}
	e.State = Done
	if err := save(undo, e); err != nil {
		// Everything is moved and the entry can be undone as it is; only its state says "started".
		e.State = Started
	}
	return e, nil
}

// again plans anew and keeps the steps that the person was shown, and what belongs to the same database: a client
// that quits may leave its write-ahead log, or remove it.
func again(p Plan) ([]Step, error) {
	fresh, err := PlanFor(p.roots, p.Client, p.Install)
	if err != nil {
		return nil, err
	}
	shown := map[string]bool{}
	for _, s := range p.Steps {
		shown[s.Path] = true
		for _, c := range companions(s.Path) {
			shown[c] = true
		}
	}
	var out []Step
	for _, s := range fresh.Steps {
		if shown[s.Path] {
			out = append(out, s)
		}
	}
	return out, nil
}

// companions are the files that belong to an SQLite database (https://sqlite.org/tempfiles.html), or the database
// and its other files if path is one of them. They are moved together or not at all.
func companions(path string) []string {
	db := path
	for _, s := range []string{"-wal", "-shm", "-journal"} {
		db = strings.TrimSuffix(db, s)
	}
	if filepath.Ext(db) != ".db" {
		return nil
	}
	return []string{db + "-wal", db + "-shm", db + "-journal", db}
}

// unused refuses while another program has the cache open: the profile may be in use in another session.
func (g engine) unused(steps []Step) error {
	var paths []string
	for _, s := range steps {
		real, err := filepath.EvalSymlinks(s.Path)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		paths = append(paths, real)
	}
	if pid, path := opener(g.proc, paths); pid != 0 {
		return fmt.Errorf("%w: process %d has %s open; close that program and try again", ErrInUse, pid, path)
	}
	return nil
}

// prepare makes the undo entry: everything is listed and written down before the first move.
func (g engine) prepare(ctx context.Context, undo string, p Plan, steps []Step, now time.Time) (e Entry, err error) {
	var r [4]byte
	if _, err := rand.Read(r[:]); err != nil {
		return Entry{}, err
	}
	now = now.UTC().Truncate(time.Second)
	e = Entry{
		Schema: schema, State: Started, Client: p.Client, Install: p.Install, Created: now,
		ID: now.Format("20060102T150405Z") + "-" + p.Client + "-" + hex.EncodeToString(r[:]),
	}
	dir := filepath.Join(undo, e.ID)
	g.disk.before("make " + dir)
	if err := os.MkdirAll(filepath.Join(dir, "files"), 0o700); err != nil {
		return Entry{}, fmt.Errorf("make the undo entry: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir)) // nothing was moved into it
		}
	}()
	for i, s := range steps {
		if err := ctx.Err(); err != nil {
			return Entry{}, context.Cause(ctx)
		}
		files, err := scan(s.Path)
		if err != nil {
			return Entry{}, fmt.Errorf("%w: list %s: %w", ErrRefused, s.Path, err)
		}
		e.Items = append(e.Items, Item{Path: s.Path, To: filepath.Join("files", strconv.Itoa(i)), Reason: s.Reason, Files: files})
		e.Bytes += s.Size
	}
	if err := space(steps[0].Path, dir, e.Bytes); err != nil {
		return Entry{}, err
	}
	g.disk.before("save " + dir)
	return e, save(undo, e)
}

// moveAll moves every item, or none.
func (g engine) moveAll(ctx context.Context, undo string, e Entry) error {
	dir := filepath.Join(undo, e.ID)
	for i, it := range e.Items {
		err := context.Cause(ctx)
		if err == nil {
			err = g.disk.move(it.Path, filepath.Join(dir, it.To), it.Files)
		}
		if err == nil {
			continue
		}
		err = fmt.Errorf("move %s aside: %w", it.Path, err)
		if back := g.takeBack(dir, e.Items[:i+1]); back != nil {
			return fmt.Errorf("%w; taking back what was moved did not work either: %w; undo %s restores it", err, back, e.ID)
		}
		return errors.Join(err, os.RemoveAll(dir)) // everything is back
	}
	return nil
}

// takeBack restores the items of an apply that could not be finished, last first.
func (g engine) takeBack(dir string, items []Item) error {
	for i := len(items) - 1; i >= 0; i-- {
		it := items[i]
		kept := filepath.Join(dir, it.To)
		if ok, err := exists(kept); err != nil {
			return err
		} else if !ok {
			continue
		}
		if err := clearRest(it.Path, it.Files); err != nil {
			return err
		}
		if err := g.disk.move(kept, it.Path, it.Files); err != nil {
			return err
		}
	}
	return nil
}

// clearRest removes what a move across file systems left of an original whose complete copy is kept. If there is
// anything that the copy does not hold, it is left alone.
func clearRest(path string, files []File) error {
	if there, err := exists(path); err != nil || !there {
		return err
	}
	rest, err := scan(path)
	if err != nil {
		return err
	}
	for _, r := range rest {
		if !slices.ContainsFunc(files, func(f File) bool { return f.Path == r.Path && f.SHA256 == r.SHA256 }) {
			return fmt.Errorf("%w: %s was written to meanwhile", ErrInUse, filepath.Join(path, r.Path))
		}
	}
	return os.RemoveAll(path)
}
