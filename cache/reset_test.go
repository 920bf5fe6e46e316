package cache

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeClient notes what is asked of it.
type fakeClient struct {
	running   bool
	calls     []string
	failQuit  error
	failStart error
	onQuit    func()
}

func (c *fakeClient) Running(context.Context) (bool, error) { return c.running, nil }

func (c *fakeClient) Quit(context.Context) error {
	c.calls = append(c.calls, "quit")
	if c.failQuit != nil {
		return c.failQuit
	}
	c.running = false
	if c.onQuit != nil {
		c.onQuit()
	}
	return nil
}

func (c *fakeClient) Start(ctx context.Context) error {
	c.calls = append(c.calls, "start")
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.running = c.failStart == nil
	return c.failStart
}

func TestResetQuitsMovesAndStartsAgain(t *testing.T) {
	r := home(t, "gajim")
	before := tree(t, r.Home)
	p := plan(t, r, "gajim", "native")
	c := &fakeClient{running: true}
	res, err := Reset(t.Context(), c, p, false)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "calls", []string{"quit", "start"}, c.calls)
	if !res.Running || !res.Quit || !res.Restarted || res.DryRun || res.UndoID == "" || res.Bytes != p.Bytes || len(res.Moved) != len(p.Steps) {
		t.Errorf("result %+v", res)
	}
	b, err := json.Marshal(res)
	if err != nil || !strings.Contains(string(b), `"undo_id":"`) || !strings.Contains(string(b), `"reason":"avatars"`) {
		t.Errorf("%s %v", b, err)
	}
	c.calls = nil
	if res, err = UndoReset(t.Context(), c, r, res.UndoID); err != nil || !res.Restarted {
		t.Errorf("undo: %+v %v", res, err)
	}
	equal(t, "calls of the undo", []string{"quit", "start"}, c.calls)
	equal(t, "home", before, tree(t, r.Home))
}

func TestResetOfAClientThatDoesNotRunDoesNotStartIt(t *testing.T) {
	r := home(t, "gajim")
	c := &fakeClient{}
	res, err := Reset(t.Context(), c, plan(t, r, "gajim", "native"), false)
	if err != nil || res.Quit || res.Restarted || res.UndoID == "" || len(c.calls) > 0 {
		t.Errorf("%+v %v %v", res, c.calls, err)
	}
}

func TestResetWithoutACacheIsARestart(t *testing.T) {
	r := home(t, "dino-0.4")
	c := &fakeClient{running: true}
	kept := precious(t, r)
	res, err := Reset(t.Context(), c, plan(t, r, "dino", "native"), false)
	if err != nil || !res.Quit || !res.Restarted || res.UndoID != "" || len(res.Moved) > 0 {
		t.Errorf("%+v %v", res, err)
	}
	equal(t, "data", kept, precious(t, r))
}

func TestDryRunOnlyPlans(t *testing.T) {
	r := home(t, "gajim")
	before := tree(t, r.Home)
	p := plan(t, r, "gajim", "native")
	c := &fakeClient{running: true}
	res, err := Reset(t.Context(), c, p, true)
	if err != nil || !res.DryRun || !res.Running || res.Bytes != p.Bytes || len(res.Moved) != len(p.Steps) || len(c.calls) > 0 {
		t.Errorf("%+v %v %v", res, c.calls, err)
	}
	if res, err := Reset(t.Context(), nil, p, true); err != nil || len(res.Moved) != len(p.Steps) {
		t.Errorf("without a session bus: %+v %v", res, err)
	}
	equal(t, "home", before, tree(t, r.Home))
	if there, err := exists(r.State); there || err != nil {
		t.Errorf("a dry run made %s (%v)", r.State, err)
	}
}

func TestNothingMovesWhenTheClientDoesNotQuit(t *testing.T) {
	r := home(t, "gajim")
	before := tree(t, r.Home)
	stuck := errors.New("gajim did not quit within 20 s; close its window and try again")
	c := &fakeClient{running: true, failQuit: stuck}
	res, err := Reset(t.Context(), c, plan(t, r, "gajim", "native"), false)
	if !errors.Is(err, stuck) || res.Quit || res.Restarted {
		t.Errorf("%+v %v", res, err)
	}
	equal(t, "calls", []string{"quit"}, c.calls)
	equal(t, "home", before, tree(t, r.Home))
	equal(t, "undo entries", []string{}, undoFolders(t, r))
}

func TestTheClientComesBackWhateverGoesWrong(t *testing.T) {
	t.Run("the cache became strange while it quit", func(t *testing.T) {
		r := home(t, "gajim")
		c := &fakeClient{running: true, onQuit: func() {
			if err := os.Symlink("/", filepath.Join(r.Cache, "gajim/avatars/link")); err != nil {
				t.Error(err)
			}
		}}
		res, err := Reset(t.Context(), c, plan(t, r, "gajim", "native"), false)
		if !errors.Is(err, ErrRefused) || !res.Quit || !res.Restarted || res.UndoID != "" {
			t.Errorf("%+v %v", res, err)
		}
	})
	t.Run("the caller goes away while it quits", func(t *testing.T) {
		r := home(t, "gajim")
		before := tree(t, r.Home)
		ctx, cancel := context.WithCancel(t.Context())
		c := &fakeClient{running: true, onQuit: cancel}
		res, err := Reset(ctx, c, plan(t, r, "gajim", "native"), false)
		if !errors.Is(err, context.Canceled) || !res.Restarted {
			t.Errorf("%+v %v", res, err)
		}
		equal(t, "home", before, tree(t, r.Home))
	})
	t.Run("it was refused before, so it is not disturbed at all", func(t *testing.T) {
		r := home(t, "gajim")
		p := plan(t, r, "gajim", "native")
		if err := os.Symlink("/", filepath.Join(r.Cache, "gajim/avatars/link")); err != nil {
			t.Fatal(err)
		}
		c := &fakeClient{running: true}
		if _, err := Reset(t.Context(), c, p, false); !errors.Is(err, ErrRefused) || len(c.calls) > 0 {
			t.Errorf("%v %v", c.calls, err)
		}
	})
	t.Run("it does not start again: the result still names the undo", func(t *testing.T) {
		r := home(t, "gajim")
		gone := errors.New("start Gajim: it did not appear")
		res, err := Reset(t.Context(), &fakeClient{running: true, failStart: gone}, plan(t, r, "gajim", "native"), false)
		if !errors.Is(err, gone) || res.Restarted || res.UndoID == "" {
			t.Errorf("%+v %v", res, err)
		}
	})
}
