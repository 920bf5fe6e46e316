package app

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"

	"holdfast/app/agent"
	"holdfast/app/control"
)

// Waits between looks for a companion. The bus tells of a new one at once; the waits are for sessions where the
// companion has only its socket.
const (
	firstWait = 200 * time.Millisecond
	lastWait  = 30 * time.Second
)

// follow keeps a connection to the companion and sends every state to out, until ctx ends. It starts a companion
// once, if there is none in the beginning.
func follow(ctx context.Context, c Config, kick <-chan struct{}, out chan<- news) error {
	owners := c.Session.watchOwner(control.BusName)
	send := func(n news) bool {
		select {
		case out <- n:
			return true
		case <-ctx.Done():
			return false
		}
	}
	off := agent.State{Status: agent.Off}
	started := false
	wait := firstWait
	for ctx.Err() == nil {
		client, err := c.Companion.Dial(ctx)
		if err == nil {
			wait = firstWait
			started = true
			off.Problems = nil
			err = attend(ctx, client, send)
			if cerr := client.Close(); cerr != nil {
				c.Log.Debug("close the connection to the companion", "error", cerr)
			}
			c.Log.Info("the companion has gone", "error", err)
		}
		if !send(news{state: off}) {
			return nil
		}
		if !started {
			started = true
			if err := c.Companion.Start(ctx); err != nil {
				c.Log.Error("start the companion", "error", err)
				off.Problems = []agent.Problem{{Code: "not-started", Text: fmt.Sprintf(c.Words.Tray.Window.NoStart, err)}}
			}
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
			wait = min(2*wait, lastWait)
		case <-owners:
			wait = firstWait
		case <-kick:
			wait = firstWait
		}
		timer.Stop()
	}
	return nil
}

// attend sends the states of one companion until it goes.
func attend(ctx context.Context, client control.Client, send func(news) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events, err := client.Events(ctx) // before GetState, so that no change falls between
	if err != nil {
		return fmt.Errorf("subscribe to the companion's news: %w", err)
	}
	doc, err := client.GetState(ctx)
	if err != nil {
		return fmt.Errorf("ask the companion for its state: %w", err)
	}
	kinds := "-" // of the clients whose reset was asked for last
	for {
		var s agent.State
		if err := json.Unmarshal([]byte(doc), &s); err != nil {
			return fmt.Errorf("read the companion's state: %w", err)
		}
		n := news{client: client, state: s}
		if k := clientKinds(s); k != kinds {
			kinds = k
			n.empty = restartOnly(ctx, client, s)
		}
		if !send(n) {
			return nil
		}
		for doc = ""; doc == ""; {
			e, ok := <-events
			if !ok {
				return nil
			}
			if e.Kind == "state" {
				doc = e.JSON
			}
		}
	}
}

// clientKinds changes when a client is installed, started or ended: then its cache may have come or gone.
func clientKinds(s agent.State) string {
	k := ""
	for _, c := range s.Clients {
		k += fmt.Sprintln(c.Kind, c.Install, c.Version, c.Running)
	}
	return k
}

// watchOwner returns a channel that gets a value when name has a new owner.
func (s *Session) watchOwner(name string) <-chan struct{} {
	out := make(chan struct{}, 1)
	if err := s.conn.AddMatchSignal(dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"),
		dbus.WithMatchArg(0, name)); err != nil {
		return out // the slow timer still looks
	}
	signals := make(chan *dbus.Signal, 8)
	s.conn.Signal(signals)
	go func() { // ends when the connection closes, which closes signals
		for sig := range signals {
			if len(sig.Body) == 3 && sig.Body[0] == name && sig.Body[2] != "" {
				select {
				case out <- struct{}{}:
				default:
				}
			}
		}
	}()
	return out
}
