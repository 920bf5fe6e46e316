package network

import (
	"context"
	"errors"
	"fmt"
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
)

// errEnded is returned when a source stops by itself without saying why.
var errEnded = errors.New("the network source ended")

// Watch settles what src tells (750 ms without news, at most 3 s) and sends an Event for each
// difference to the snapshot sent last; the first one compares with the zero Snapshot and is always sent,
// at once. A change that is not Material is sent too: views show it, nobody acts on it.
// It blocks until ctx ends and then returns nil; an error means that the source has given up.
func Watch(ctx context.Context, src Source, out func(Event)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wake := make(chan struct{}, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- src.Run(ctx, func() {
			select {
			case wake <- struct{}{}:
			default: // one is waiting already
			}
		})
	}()

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
}

// woken takes note of news.
func (w *watcher) woken(now time.Time) time.Duration {
	if w.since.IsZero() {
		w.since = now
	}
	return max(0, min(settle, w.since.Add(settleMax).Sub(now)))
}

// read reads the state and sends an Event if it differs.
func (w *watcher) read(ctx context.Context, now time.Time) time.Duration {
	w.since = time.Time{}
	if ctx.Err() != nil {
		return never
	}
	rctx, cancel := context.WithTimeout(ctx, readTimeout)
	snap, err := w.src.Snapshot(rctx)
	cancel()
	if err != nil {
		return readTimeout
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
	w.settling = time.Time{}
	w.sent, w.last = true, snap
	w.out(Event{Change: change, At: time.Now()})
	return never
}
