package companion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"holdfast/app/control"
	"holdfast/app/words"
	"holdfast/cache"
	"holdfast/detect/client/desktop"
)

// resets does resets and undoes them; it needs no companion.
type resets struct {
	roots cache.Roots
	dirs  desktop.Dirs
	bus   string // address of the session bus; "": clients can neither be seen nor restarted
	words *words.Words
	log   *slog.Logger

	backup bool // copy the databases before anything is moved
}

func (p Paths) roots() cache.Roots {
	return cache.Roots{Home: p.Home, Config: p.XDG.Config, Data: p.XDG.Data, Cache: p.XDG.Cache, State: p.State}
}

// ResetEntry is what was done, or would be, with one installed client.
type ResetEntry struct {
	cache.Result
	Steps []cache.Step `json:"steps"`
	Error string       `json:"error,omitempty"`
}

// ResetDocument is the document of Reset and Undo.
type ResetDocument struct {
	Schema  int          `json:"schema"`
	DryRun  bool         `json:"dry_run"`
	Clients []ResetEntry `json:"clients"`
}

// reset resets the named clients, or all that are installed. done is told which were.
func (r resets) reset(ctx context.Context, kinds []string, dryRun bool, done func(kind string)) (string, error) {
	var wanted []desktop.Kind
	for _, k := range kinds {
		kind, err := desktop.ParseKind(k)
		if err != nil {
			return "", &control.Error{Kind: control.UnknownClient, Text: fmt.Sprintf(r.words.Ctl.UnknownClient, k)}
		}
		wanted = append(wanted, kind)
	}
	installed := r.known()
	var targets []desktop.Client
	if len(wanted) == 0 {
		targets = installed
		if len(targets) == 0 {
			return "", &control.Error{Kind: control.Failed, Text: r.words.Ctl.ResetNone}
		}
	}
	seen := map[desktop.Kind]bool{}
	for _, k := range wanted {
		if seen[k] {
			continue
		}
		seen[k] = true
		found := false
		for _, c := range installed {
			if c.Kind == k {
				targets, found = append(targets, c), true
			}
		}
		if !found {
			return "", &control.Error{Kind: control.Failed, Text: fmt.Sprintf(r.words.Ctl.NoClientFound, k)}
		}
	}
	session, controller := r.open(ctx)
	defer closeSession(session)
	doc := ResetDocument{Schema: 1, DryRun: dryRun, Clients: []ResetEntry{}}
	var first error
	failed := 0
	for _, c := range targets {
		res, err := r.one(ctx, controller(c.Kind, c.Install), c, dryRun)
		entry := ResetEntry{Result: res, Steps: res.Moved}
		if err != nil {
			failed++
			entry.Error = err.Error()
			if first == nil {
				first = err
			}
			r.log.Warn("client not reset", "client", c.Kind, "install", c.Install, "error", err)
		} else if !dryRun {
			r.log.Info("client reset", "client", c.Kind, "install", c.Install, "bytes", res.Bytes, "undo", res.UndoID)
			done(string(c.Kind))
		}
		doc.Clients = append(doc.Clients, entry)
	}
	if failed == len(targets) {
		return "", r.explain(first)
	}
	if !dryRun {
		r.prune()
	}
	return render(doc)
}

// known lists the installed clients, and those whose program is not found but whose cache is there: the program may
// lie outside of PATH or just have been removed, and its cache can be moved aside all the same.
func (r resets) known() []desktop.Client {
	installed := desktop.Find(r.dirs)
	for _, kind := range desktop.Kinds() {
		if slices.ContainsFunc(installed, func(c desktop.Client) bool { return c.Kind == kind }) {
			continue
		}
		plan, err := cache.PlanFor(r.roots, string(kind), string(desktop.Native))
		if err != nil || len(plan.Steps) > 0 {
			installed = append(installed, desktop.Client{Kind: kind, Install: desktop.Native})
		}
	}
	return installed
}

// open connects to the session bus. Where there is none, clients can only be looked for among the processes.
func (r resets) open(ctx context.Context) (session *desktop.Session, controller func(desktop.Kind, desktop.Install) cache.Client) {
	session, err := desktop.Open(ctx, desktop.Options{Address: r.bus, Log: r.log})
	if err != nil {
		return nil, func(k desktop.Kind, _ desktop.Install) cache.Client { return unreachable{k, r.words} }
	}
	return session, func(k desktop.Kind, i desktop.Install) cache.Client { return session.Controller(k, i) }
}

func closeSession(s *desktop.Session) {
	if s != nil {
		_ = s.Close() // only asked
	}
}

func (r resets) one(ctx context.Context, client cache.Client, c desktop.Client, dryRun bool) (cache.Result, error) {
	empty := cache.Result{Client: string(c.Kind), Install: string(c.Install), DryRun: dryRun, Moved: []cache.Step{}}
	plan, err := cache.PlanFor(r.roots, string(c.Kind), string(c.Install))
	if err != nil {
		return empty, err
	}
	reset := cache.Reset
	if r.backup {
		reset = cache.ResetWithBackup
	}
	res, err := reset(ctx, client, plan, dryRun)
	if res.Moved == nil {
		res.Moved = []cache.Step{}
	}
	return res, err
}

// undo puts back what one reset moved aside.
func (r resets) undo(ctx context.Context, id string, done func(kind string)) (string, error) {
	entry, err := cache.Lookup(r.roots, id)
	if err != nil {
		return "", r.explain(err)
	}
	session, controller := r.open(ctx)
	defer closeSession(session)
	client := controller(desktop.Kind(entry.Client), desktop.Install(entry.Install))
	res, err := cache.UndoReset(ctx, client, r.roots, id)
	if err != nil {
		return "", r.explain(err)
	}
	done(entry.Client)
	return render(ResetDocument{Schema: 1, Clients: []ResetEntry{{Result: res, Steps: res.Moved}}})
}

// prune removes what was kept long enough.
func (r resets) prune() {
	if gone, err := cache.Prune(r.roots, time.Now()); err != nil {
		r.log.Warn("old undo entries stay", "error", err)
	} else if len(gone) > 0 {
		r.log.Info("old undo entries removed", "count", len(gone))
	}
}

// explain gives an error of a reset its kind.
func (r resets) explain(err error) error {
	kind := control.Failed
	switch {
	case errors.Is(err, cache.ErrBusy), errors.Is(err, cache.ErrInUse):
		kind = control.Busy
	case errors.Is(err, cache.ErrRefused):
		kind = control.Denied
	case errors.Is(err, cache.ErrNoEntry):
		kind = control.Invalid
	}
	return &control.Error{Kind: kind, Text: err.Error()}
}
