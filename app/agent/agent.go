package agent

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"holdfast/detect/network"
)

// Carrier is what carries the uploads: the relay.
type Carrier interface {
	Refresh()
	SetOnline(online bool)
	Hold(held bool)
}

// Herald shows notices to the person. None of its methods blocks. A notice that cannot be shown is told with Unheard.
type Herald interface {
	Announce(Notice)
	Withdraw(key string)
}

// Hands do to clients and uploads what was decided. None of their methods blocks; the answers come as events.
type Hands interface {
	LookAtSound(kind string, pid int)
	Restart(kind string, pid int, byItself bool)
	Open(kind string)
	Try(id string)
	Cancel(id string)
}

// Keeper keeps uploads that have ended. An error is shown as a problem and the upload is not offered again.
type Keeper interface {
	Keep(Upload) error
}

// Config is all an Agent needs.
type Config struct {
	Version  string
	AutoFix  bool
	Last     *Upload // of an earlier run; nil: none
	Carrier  Carrier
	Keeper   Keeper                      // nil: nothing is kept
	Herald   Herald                      // nil: nothing is shown, and so no client is restarted by itself
	Hands    Hands                       // nil: clients are left alone
	Phrases  Phrases                     // nil: problems show their codes
	Describe func(network.Change) string // says what happened to the network; nil: as in logs
	Log      *slog.Logger
	OnState  func(State)  // called from Run after changes, at most 4 times a second; must not block
	OnUpload func(Upload) // called from Run for every snapshot of an upload; must not block
}

// pace is the shortest time between two OnState calls. Views draw no faster than that.
const pace = 250 * time.Millisecond

// patience is how long uploads are kept waiting for the network before they are tried all the same.
const patience = 30 * time.Second

// Agent is the one place that decides. Make it with New, run it with Run.
type Agent struct {
	c    Config
	wake chan struct{} // has room for one: the queue is not empty

	mu    sync.Mutex // guards all following fields
	queue []told
	state State
	ended bool
}

type told struct {
	event Event
	done  chan struct{} // closed when the event has been taken in; may be nil
}

// New returns an Agent that knows nothing yet.
func New(c Config) *Agent {
	if c.Phrases == nil {
		c.Phrases = func(i Issue) Problem { return Problem{Code: string(i.Code), Text: string(i.Code)} }
	}
	if c.Describe == nil {
		c.Describe = network.Change.String
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.OnState == nil {
		c.OnState = func(State) {}
	}
	if c.OnUpload == nil {
		c.OnUpload = func(Upload) {}
	}
	a := &Agent{c: c, wake: make(chan struct{}, 1)}
	a.state = a.first().state(c.Phrases, c.Describe)
	return a
}

func (a *Agent) first() model {
	m := newModel(a.c.Version, a.c.AutoFix)
	m.last = a.c.Last
	return m
}

// State is what the agent knew after the last event it took in.
func (a *Agent) State() State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

// Tell hands over an event and returns at once.
func (a *Agent) Tell(e Event) { a.put(told{event: e}) }

// Do hands over an event and waits until State shows what it changed.
func (a *Agent) Do(ctx context.Context, e Event) error {
	done := make(chan struct{})
	if !a.put(told{event: e, done: done}) {
		return context.Canceled
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *Agent) put(t told) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return false
	}
	a.queue = append(a.queue, t)
	select {
	case a.wake <- struct{}{}:
	default:
	}
	return true
}

// take empties the queue.
func (a *Agent) take() []told {
	a.mu.Lock()
	defer a.mu.Unlock()
	q := a.queue
	a.queue = nil
	return q
}

// Run takes in events until ctx ends; what was told before is taken in first. It may be called once.
func (a *Agent) Run(ctx context.Context) error {
	m := a.first()
	var (
		shown   time.Time // of the last OnState
		due     bool      // something changed since
		publish = newAlarm()
		pause   = newAlarm()
		retry   = newAlarm()
	)
	defer publish.stop()
	defer pause.stop()
	defer retry.stop()
	defer a.end()
	for {
		var batch []told
		select {
		case <-ctx.Done():
			batch = a.take()
		case <-a.wake:
			batch = a.take()
		case <-publish.C():
		case <-pause.C():
			batch = []told{{event: Elapsed{}}}
		case <-retry.C():
			retry.stop()
			batch = []told{{event: StillOffline{}}}
		}
		for _, t := range batch {
			m = a.step(m, t)
			due = true
		}
		pause.stop()
		if at := m.next(); !at.IsZero() {
			// A clock that stands still while the machine sleeps would end a pause late: look once a minute.
			pause.set(min(time.Until(at), time.Minute))
		}
		if held := m.held(); !held {
			retry.stop()
		} else if !retry.isSet() {
			retry.set(patience)
		}
		if ctx.Err() != nil {
			return nil
		}
		if due {
			if wait := pace - time.Since(shown); wait > 0 {
				publish.set(wait)
			} else {
				publish.stop()
				shown, due = time.Now(), false
				a.c.OnState(a.State())
			}
		}
	}
}

// step takes in one event.
func (a *Agent) step(m model, t told) model {
	now := time.Now().Round(0) // wall time: a pause ends at an hour, also after sleep
	next, effects := reduce(m, t.event, now)
	for _, e := range effects {
		next = a.perform(next, e)
	}
	state := next.state(a.c.Phrases, a.c.Describe)
	a.mu.Lock()
	a.state = state
	a.mu.Unlock()
	if u, ok := t.event.(UploadChanged); ok {
		a.c.OnUpload(u.Upload)
	}
	if t.done != nil {
		close(t.done)
	}
	return next
}

// perform does what reduce decided. It returns the model with what was learned from doing it.
func (a *Agent) perform(m model, e Effect) model {
	switch e := e.(type) {
	case RefreshRelay:
		a.c.Log.Info("uploads go on at once", "network", m.net.Name)
		a.c.Carrier.Refresh()
	case TellOnline:
		a.c.Carrier.SetOnline(e.Online)
	case TellHeld:
		a.c.Carrier.Hold(e.Held)
	case Announce:
		if a.c.Herald == nil {
			return m.unheard(e.Notice.Key)
		}
		a.c.Log.Info("notice", "kind", string(e.Notice.Kind), "client", e.Notice.Client)
		a.c.Herald.Announce(e.Notice)
	case Withdraw:
		if a.c.Herald != nil {
			a.c.Herald.Withdraw(e.Key)
		}
	case LookAtSound, RestartClient, OpenClient, TryUpload, CancelUpload:
		a.handle(e)
	case ReportSleep:
		a.c.Log.Info("uploads went on after sleep", "slept", time.Duration(e.Sleep.Slept)*time.Second,
			"network_after", time.Duration(e.Sleep.Network)*time.Millisecond, "upload_after", time.Duration(e.Sleep.Upload)*time.Millisecond)
	case KeepUpload:
		if a.c.Keeper == nil {
			return m
		}
		if err := a.c.Keeper.Keep(e.Upload); err != nil {
			a.c.Log.Warn("history not written", "error", err)
			m.issues = raise(m.issues, Issue{Code: HistoryFailed, Args: []string{err.Error()}})
		} else {
			m.issues = without(m.issues, HistoryFailed)
		}
	}
	return m
}

// handle passes on what is done to clients and uploads.
func (a *Agent) handle(e Effect) {
	h := a.c.Hands
	if h == nil {
		return
	}
	switch e := e.(type) {
	case LookAtSound:
		h.LookAtSound(e.Kind, e.PID)
	case RestartClient:
		a.c.Log.Info("client is restarted", "client", e.Kind, "pid", e.PID, "by_itself", e.ByItself)
		h.Restart(e.Kind, e.PID, e.ByItself)
	case OpenClient:
		h.Open(e.Kind)
	case TryUpload:
		h.Try(e.ID)
	case CancelUpload:
		h.Cancel(e.ID)
	}
}

// end lets nobody wait for a loop that is gone.
func (a *Agent) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	for _, t := range a.queue {
		if t.done != nil {
			close(t.done)
		}
	}
	a.queue = nil
}

// alarm is a timer that may be unset.
type alarm struct{ t *time.Timer }

func newAlarm() *alarm { return &alarm{} }

func (a *alarm) isSet() bool { return a.t != nil }

func (a *alarm) C() <-chan time.Time {
	if a.t == nil {
		return nil
	}
	return a.t.C
}

func (a *alarm) set(d time.Duration) {
	a.stop()
	a.t = time.NewTimer(max(d, time.Millisecond))
}

func (a *alarm) stop() {
	if a.t != nil {
		a.t.Stop()
		a.t = nil
	}
}

func pidText(pid int) string { return strconv.Itoa(pid) }
