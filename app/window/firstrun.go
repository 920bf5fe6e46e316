package window

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"fyne.io/fyne/v2"

	"holdfast/app/control"
)

// launcher is the way that the first run sets up: the menu of the desktop starts clients through Holdfast.
const launcher = "launcher"

// sendTime is how long the last page waits before it says what is missing.
const sendTime = time.Minute

// passwordTime is how long a person may take to type the password.
const passwordTime = 3 * time.Minute

// errIncomplete says that the companion's answer lacks what it must have.
var errIncomplete = errors.New("the companion's answer is not complete")

// setUp carries out the steps of the first run, and remembers what Cancel has to take back.
type setUp struct {
	d       *desk
	added   string // the upload server that was not there before
	applied bool
	leave   func()
}

func (d *desk) welcomeWindow() fyne.Window {
	var w fyne.Window
	s := &setUp{d: d, leave: func() { w.Close() }}
	v := newWelcome(d.Words, Steps{
		Look: s.look, Suggest: s.suggest, Probe: s.probe, Plan: s.plan, Apply: s.apply, Restart: s.restart, Undo: s.undo,
		Wait: func(then func()) {
			timer := time.AfterFunc(sendTime, func() { d.later(then) })
			context.AfterFunc(d.ctx, func() { timer.Stop() })
		},
		Leave: s.leave,
	})
	w = d.paneWindow(Welcome, d.Words.Welcome.Title, v, fyne.NewSize(640, 560))
	return w
}

// look takes in the state anew; the companion looks at the clients by itself.
func (s *setUp) look() {
	var state string
	s.d.do(func(ctx context.Context, c control.Client) (err error) {
		state, err = c.GetState(ctx)
		return err
	}, func() {
		s.d.take(control.Event{Kind: "state", JSON: state})
		s.d.draw()
	})
}

// suggest asks for upload servers in the clients' own histories. Not to know one is no mistake.
func (s *setUp) suggest(then func([]string)) {
	var names []string
	s.d.do(func(ctx context.Context, c control.Client) error {
		doc, err := c.Hosts(ctx, "suggest", "")
		if err == nil {
			names, err = suggested(doc)
		}
		if err != nil {
			s.d.Log.Debug("no upload server is suggested", "error", err)
		}
		return nil
	}, func() { then(names) })
}

// suggested reads the document of Hosts with the verb "suggest".
func suggested(doc string) ([]string, error) {
	var d struct {
		Suggestions []struct {
			Host string `json:"host"`
		} `json:"suggestions"`
	}
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		return nil, fmt.Errorf("read the suggestions: %w", err)
	}
	names := make([]string, len(d.Suggestions))
	for i, h := range d.Suggestions {
		names[i] = h.Host
	}
	return names, nil
}

func (s *setUp) probe(host string, then func(Probe)) {
	var p Probe
	s.d.do(func(ctx context.Context, c control.Client) error {
		doc, err := c.Hosts(ctx, "probe", host)
		if err != nil {
			return err
		}
		return json.Unmarshal([]byte(doc), &p)
	}, func() { then(p) })
}

// plan adds the upload server, which has to have its certificate, and asks what a route would change.
func (s *setUp) plan(host string, then func(Plan)) {
	var p Plan
	added := false
	s.d.do(func(ctx context.Context, c control.Client) error {
		doc, err := c.Hosts(ctx, "add", host)
		if err != nil {
			return err
		}
		var changed struct {
			Changed bool `json:"changed"`
		}
		if err := json.Unmarshal([]byte(doc), &changed); err != nil {
			return err
		}
		added = changed.Changed
		if doc, err = c.RoutePlan(ctx, launcher, false); err != nil {
			return err
		}
		p, err = readPlan(doc)
		return err
	}, func() {
		if added {
			s.added = host
		}
		then(p)
	})
}

// readPlan reads the document of RoutePlan.
func readPlan(doc string) (Plan, error) {
	var d struct {
		ID    string `json:"plan_id"`
		Steps []struct {
			Action string `json:"action"`
			Path   string `json:"path"`
			Text   string `json:"text"`
		} `json:"steps"`
	}
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		return Plan{}, fmt.Errorf("read the plan: %w", err)
	}
	if d.ID == "" {
		return Plan{}, fmt.Errorf("read the plan: %w", errIncomplete)
	}
	p := Plan{ID: d.ID}
	for _, s := range d.Steps {
		if s.Action != "make-folder" { // they follow from the files
			p.Lines = append(p.Lines, PlanLine{What: s.Path, Why: s.Text})
		}
	}
	return p, nil
}

func (s *setUp) apply(p Plan, system bool, then func()) {
	if s.d.client == nil {
		return
	}
	s.d.within(passwordTime, s.d.client, func(ctx context.Context, c control.Client) error {
		if err := s.d.Trust(ctx, system); err != nil {
			return fmt.Errorf(s.d.Words.Welcome.TrustRefused, err)
		}
		_, err := c.RouteApply(ctx, p.ID)
		return err
	}, func() {
		s.applied = true
		then()
	})
}

func (s *setUp) restart(kind string, then func()) {
	s.d.do(func(ctx context.Context, c control.Client) error {
		_, err := c.Reset(ctx, []string{kind}, false)
		return err
	}, then)
}

// undo takes back what this window did: the route first, then the upload server.
func (s *setUp) undo(then func()) {
	if !s.applied && s.added == "" {
		then()
		return
	}
	if s.d.client == nil {
		return
	}
	s.d.within(passwordTime, s.d.client, func(ctx context.Context, c control.Client) error {
		if s.applied {
			doc, err := c.RoutePlan(ctx, launcher, true)
			if err != nil {
				return err
			}
			p, err := readPlan(doc)
			if err != nil {
				return err
			}
			if _, err := c.RouteApply(ctx, p.ID); err != nil {
				return err
			}
			if err := s.d.Distrust(ctx); err != nil {
				return err
			}
		}
		if s.added != "" {
			_, err := c.Hosts(ctx, "remove", s.added)
			return err
		}
		return nil
	}, then)
}
