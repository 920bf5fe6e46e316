package window

import (
	"context"
	"fmt"
	"time"

	"holdfast/app/control"
)

// Times of the follower.
const (
	redial     = time.Second            // between looks for a companion
	panelEvery = 5 * time.Second        // between looks for a panel that starts late
	drawEvery  = 200 * time.Millisecond // no faster, however many events come
)

// follow keeps the model up to date with the companion until ctx ends. The model is touched only on Fyne's goroutine.
func (d *desk) follow(ctx context.Context) {
	first := time.NewTimer(0)
	defer first.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case name := <-d.Raise:
			d.later(func() { d.raise(name) })
			continue
		case <-first.C:
			first.Reset(redial)
		}
		noTray := d.NoTray != nil && d.NoTray()
		client, err := d.Dial(ctx)
		if err == nil {
			err = d.attend(ctx, client, noTray)
			_ = client.Close() // the connection is gone or of no more use
		}
		if ctx.Err() != nil {
			return
		}
		d.Log.Debug("no companion", "error", err)
		d.later(func() {
			d.noTray, d.client = noTray, nil
			d.model.Gone()
			d.draw()
		})
	}
}

// attend shows one companion until it goes.
func (d *desk) attend(ctx context.Context, client control.Client, noTray bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events, err := client.Events(ctx)
	if err != nil {
		return fmt.Errorf("subscribe to the companion's news: %w", err)
	}
	state, err := client.GetState(ctx)
	if err != nil {
		return fmt.Errorf("ask the companion for its state: %w", err)
	}
	list, err := client.Uploads(ctx, shown)
	if err != nil {
		return fmt.Errorf("ask the companion for its uploads: %w", err)
	}
	d.now(func() {
		d.noTray, d.client = noTray, client
		d.take(control.Event{Kind: "state", JSON: state})
		if err := d.model.List(list, time.Now()); err != nil {
			d.Log.Warn("the companion said something unreadable", "error", err)
		}
		d.draw()
	})
	panel := time.NewTicker(panelEvery)
	defer panel.Stop()
	if !noTray {
		panel.Stop()
	}
	var pending []control.Event
	tick := time.NewTimer(drawEvery)
	tick.Stop()
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case name := <-d.Raise:
			d.later(func() { d.raise(name) })
		case <-panel.C:
			if !d.NoTray() {
				panel.Stop()
				d.later(func() { d.noTray = false; d.draw() })
			}
		case e, ok := <-events:
			if !ok {
				return nil
			}
			if pending = append(pending, e); len(pending) == 1 {
				tick.Reset(drawEvery)
			}
		case <-tick.C:
			batch := pending
			pending = nil
			d.later(func() {
				for _, e := range batch {
					d.take(e)
				}
				d.draw()
			})
		}
	}
}

func (d *desk) take(e control.Event) {
	if err := d.model.Take(e, time.Now()); err != nil {
		d.Log.Warn("the companion said something unreadable", "error", err)
	}
}
