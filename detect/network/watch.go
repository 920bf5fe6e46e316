package network

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// settle is how long a source must be quiet before its state is read. One switch of NetworkManager is up to
	// a hundred signals, and the last of them come half a second after the first.
	settle = 750 * time.Millisecond
	// settleMax bounds settling, so that a source which never rests cannot hide a change.
	settleMax = 3 * time.Second
	// settlingMax is how long an outcome is waited for while the system says it is between two states: a VPN that
	// takes over the default route passes through "connecting" for about two seconds.
	settlingMax = 5 * time.Second
	// readTimeout bounds one reading of the state, and is the pause before it is tried again.
	readTimeout = 3 * time.Second
	// wakeMax is how long after sleep a network is waited for before "offline" is told: Wi-Fi has to be found first.
	wakeMax = 15 * time.Second
)

// errEnded is returned when a source stops by itself without saying why.
var errEnded = errors.New("the network source ended")

// Watch settles what src tells (750 ms without news, at most 3 s) and sends an Event for each
// difference to the snapshot sent last; the first one compares with the zero Snapshot and is always sent,
// at once. A change that is not Material is sent too: views show it, nobody acts on it.
//
// Before the machine sleeps an Event says so, and then nothing is read or sent. After it, an Event says first that it woke
// and how long it slept, and the next one says what the network is now; that one is always sent, since connections do
// not outlive a sleep even where the network is the same.
//
// It blocks until ctx ends and then returns nil; an error means that the source has given up.
func Watch(ctx context.Context, src Source, sleep Sleeper, out func(Event)) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wake := make(chan struct{}, 1)
	naps := make(chan Sleep)
	ended := make(chan error, 1)
	asleep := make(chan error, 1)
	parts.Go(func() {
		ended <- src.Run(ctx, func() {
			select {
			case wake <- struct{}{}:
			default: // one is waiting already
			}
		})
	})
	parts.Go(func() {
		asleep <- sleep.Run(ctx, func(s Sleep) {
			select {
			case naps <- s:
			case <-ctx.Done():
			}
		})
	})

	w := watcher{src: src, out: out}
	due := time.NewTimer(w.read(ctx, time.Now()))
	defer due.Stop()
	for {
		select {
		case err := <-ended:
			if ctx.Err() != nil {
				return nil
			}
			if err == nil {
				err = errEnded
			}
			return fmt.Errorf("watch the network: %w", err)
		case err := <-asleep:
			if err != nil && ctx.Err() == nil {
				return fmt.Errorf("watch for sleep: %w", err)
			}
			asleep = nil
		case s := <-naps:
			due.Reset(w.slept(s, time.Now()))
		case <-wake:
			due.Reset(w.woken(time.Now()))
		case <-due.C:
			due.Reset(w.read(ctx, time.Now()))
		}
	}
}

// never is a pause longer than any session.
const never = 100 * 365 * 24 * time.Hour

// watcher is the state of one Watch. Its methods return the pause until read is due.
type watcher struct {
	src      Source
	out      func(Event)
	sent     bool
	last     Snapshot
	since    time.Time // first news that have not been read yet; zero: none
	settling time.Time // since when the outcome of a change is waited for; zero: not
	asleep   bool
	awake    time.Time // when it woke; zero: what the network is now has been sent
	nap      time.Duration
}

// woken takes note of news.
func (w *watcher) woken(now time.Time) time.Duration {
	if w.asleep {
		return never
	}
	if w.since.IsZero() {
		w.since = now
	}
	return max(0, min(settle, w.since.Add(settleMax).Sub(now)))
}

// slept takes note of a sleep, and sends that it is over.
func (w *watcher) slept(s Sleep, now time.Time) time.Duration {
	w.since, w.settling = time.Time{}, time.Time{}
	if s.Asleep {
		w.asleep = true
		w.out(Event{Change: Change{Old: w.last, New: w.last, Words: []string{"asleep"}}, At: time.Now()})
		return never
	}
	w.asleep, w.awake, w.nap = false, now, s.Slept
	w.out(Event{Change: Change{Old: w.last, New: w.last, Slept: s.Slept, Words: []string{"resumed"}}, At: time.Now()})
	return settle
}

// read reads the state and sends an Event if it differs.
func (w *watcher) read(ctx context.Context, now time.Time) time.Duration {
	w.since = time.Time{}
	if ctx.Err() != nil || w.asleep {
		return never
	}
	rctx, cancel := context.WithTimeout(ctx, readTimeout)
	snap, err := w.src.Snapshot(rctx)
	cancel()
	if err != nil {
		return readTimeout
	}
	if !w.awake.IsZero() {
		return w.readAwake(snap, now)
	}
	change := Diff(w.last, snap)
	if w.sent && len(change.Words) == 0 {
		w.settling = time.Time{}
		return never
	}
	if w.sent && snap.Settling {
		if w.settling.IsZero() {
			w.settling = now
		}
		if left := w.settling.Add(settlingMax).Sub(now); left > 0 {
			return left
		}
	}
	w.send(change, snap)
	return never
}

// readAwake sends the first state after a sleep. Without a network it waits a while for one.
func (w *watcher) readAwake(snap Snapshot, now time.Time) time.Duration {
	if left := w.awake.Add(wakeMax).Sub(now); left > 0 && (!snap.Online || snap.Settling) {
		return left
	}
	change := Diff(w.last, snap)
	change.Slept = w.nap
	change.Material = change.Material || snap.Online
	if len(change.Words) == 0 {
		change.Words = []string{"same"}
	}
	w.awake = time.Time{}
	w.send(change, snap)
	return never
}

func (w *watcher) send(c Change, snap Snapshot) {
	w.settling = time.Time{}
	w.sent, w.last = true, snap
	w.out(Event{Change: c, At: time.Now()})
}
