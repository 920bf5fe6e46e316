package cache

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Client is a running client, as far as a reset needs one. desktop.Controller is one.
type Client interface {
	// Running says whether the client of the plan's kind and install runs.
	Running(ctx context.Context) (bool, error)
	// Quit asks it to quit and returns when its process is gone, or with an error while it still runs. It never kills.
	Quit(ctx context.Context) error
	// Start starts it again as it was before Quit.
	Start(ctx context.Context) error
}

// startLimit is for starting a client again after the caller's context ended.
const startLimit = 45 * time.Second

// Result says what a reset or an undo did. It is the JSON document that views show.
type Result struct {
	Client    string `json:"client"`
	Install   string `json:"install"`
	DryRun    bool   `json:"dry_run"`
	Running   bool   `json:"running"`           // it ran when we came
	Quit      bool   `json:"quit"`              // it was asked to quit and did
	Moved     []Step `json:"moved"`             // dry run: what would be moved
	Bytes     int64  `json:"bytes"`             // of Moved
	UndoID    string `json:"undo_id,omitempty"` // empty: nothing was moved
	Restarted bool   `json:"restarted"`
	// Backup is the copy of the databases that was made before, if one was asked for. Dry run: what would be copied.
	Backup *Backup `json:"backup,omitempty"`
}

// Reset quits the client if it runs, moves its cache aside, and starts it again if it ran. A dry run only asks whether it
// runs; there c may be nil, where no session bus can tell. Whatever goes wrong after the client has quit, it is started
// again; the Result then says what was done before the error.
func Reset(ctx context.Context, c Client, p Plan, dryRun bool) (Result, error) {
	return newEngine().reset(ctx, c, p, dryRun, false, time.Now())
}

// ResetWithBackup is Reset, with a copy of the client's databases made after it has quit and before anything is moved.
// Without the copy nothing is moved.
func ResetWithBackup(ctx context.Context, c Client, p Plan, dryRun bool) (Result, error) {
	return newEngine().reset(ctx, c, p, dryRun, true, time.Now())
}

func (g engine) reset(ctx context.Context, c Client, p Plan, dryRun, backup bool, now time.Time) (Result, error) {
	res := Result{Client: p.Client, Install: p.Install, DryRun: dryRun, Moved: []Step{}}
	if backup { // what would be refused is refused before the client is disturbed
		b, err := BackupFor(p.roots, p.Client, p.Install)
		if err != nil {
			return res, err
		}
		if dryRun {
			res.Backup = &b
		}
	}
	if dryRun {
		res.Moved, res.Bytes = p.Steps, p.Bytes
		if c == nil {
			return res, nil
		}
		var err error
		res.Running, err = c.Running(ctx)
		return res, err
	}
	// What would be refused is refused before the client is disturbed.
	if _, err := again(p); err != nil {
		return res, err
	}
	undo, unlock, err := lock(p.roots.State)
	if err != nil {
		return res, err
	}
	defer unlock()
	err = around(ctx, c, &res, func() error {
		if backup {
			b, err := g.backup(ctx, p.roots, p.Client, p.Install, now)
			if err != nil {
				return err
			}
			res.Backup = &b
		}
		e, err := g.applyLocked(ctx, undo, p, now)
		res.fill(e)
		return err
	})
	return res, err
}

// UndoReset undoes one entry: it quits the client if it runs, restores, and starts it again.
func UndoReset(ctx context.Context, c Client, r Roots, id string) (Result, error) {
	return newEngine().undoReset(ctx, c, r, id)
}

func (g engine) undoReset(ctx context.Context, c Client, r Roots, id string) (Result, error) {
	e, err := Lookup(r, id)
	if err != nil {
		return Result{Moved: []Step{}}, err
	}
	res := Result{Client: e.Client, Install: e.Install, Moved: []Step{}}
	undo, unlock, err := lock(r.State)
	if err != nil {
		return res, err
	}
	defer unlock()
	err = around(ctx, c, &res, func() error {
		e, err := g.undoLocked(ctx, r, undo, id)
		res.fill(e)
		return err
	})
	return res, err
}

// Lookup returns one entry, so that the caller knows which client an undo is for.
func Lookup(r Roots, id string) (Entry, error) {
	return load(undoDir(r), id)
}

// around runs work while the client is away.
func around(ctx context.Context, c Client, res *Result, work func() error) error {
	var err error
	if res.Running, err = c.Running(ctx); err != nil {
		return fmt.Errorf("see whether the client runs: %w", err)
	}
	if !res.Running {
		return work()
	}
	if err := c.Quit(ctx); err != nil {
		return err
	}
	res.Quit = true
	err = work()
	// The caller may have gone meanwhile; the person still wants the client back.
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startLimit)
	defer cancel()
	if serr := c.Start(sctx); serr != nil {
		return errors.Join(err, serr)
	}
	res.Restarted = true
	return err
}

// fill takes over what an entry says was moved.
func (r *Result) fill(e Entry) {
	r.UndoID, r.Bytes = e.ID, e.Bytes
	for _, it := range e.Items {
		s := Step{Path: it.Path, To: it.To, Reason: it.Reason}
		for _, f := range it.Files {
			if f.Mode.IsRegular() {
				s.Size += f.Size
				s.Files++
			}
		}
		r.Moved = append(r.Moved, s)
	}
}
