// Package sleep tells when the machine goes to sleep and wakes: by logind's PrepareForSleep on the system bus, and by the
// wall clock where there is no logind or its word does not come.
//
// # Invariants
//   - It only listens: no inhibitor is taken, no method is called that changes anything, and nothing is ever started.
//   - Each sleep is told once, whoever notices it first.
//   - A machine whose clock ticks on for a minute after it said that it will sleep is awake: a lost word of logind never
//     leaves the network unwatched.
//   - No logind is no error: the clock is looked at every 15 s in any case.
//
// # Concurrency
//
// The connection is private to Run, and its signals arrive in order. tell is called from the goroutine of Run.
package sleep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/godbus/dbus/v5"

	"holdfast/detect/network"
)

const (
	name      = "org.freedesktop.login1"
	path      = dbus.ObjectPath("/org/freedesktop/login1")
	manager   = name + ".Manager"
	preparing = "PrepareForSleep"
)

const (
	connectLimit = 5 * time.Second
	// lookAgain is the pause before a bus that is not there is looked for again.
	lookAgain = 2 * time.Minute
)

// Options of New; the zero value is right for a desktop.
type Options struct {
	// Address of the bus; empty: DBUS_SYSTEM_BUS_ADDRESS, else the well-known system bus.
	Address string
	// Log gets lost connections; nil: nothing is logged.
	Log *slog.Logger
}

// Source is logind and the clock as a network.Sleeper.
type Source struct {
	opts Options
	log  *slog.Logger
	now  func() time.Time
	tick func(time.Duration) (<-chan time.Time, func())
}

var _ network.Sleeper = (*Source)(nil)

// New opens nothing yet.
func New(opts Options) *Source {
	s := &Source{opts: opts, log: opts.Log, now: time.Now, tick: func(d time.Duration) (<-chan time.Time, func()) {
		t := time.NewTicker(d)
		return t.C, t.Stop
	}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Run tells of sleeps until ctx ends.
func (s *Source) Run(ctx context.Context, tell func(network.Sleep)) error {
	ticks, stop := s.tick(poll)
	defer stop()
	n := nap{seen: s.now()}
	awake := func(slept time.Duration, news bool) {
		if news {
			tell(network.Sleep{Slept: slept})
		}
	}
	var again time.Time // when logind is looked for next
	missing := false
	conn, signals := s.listen(ctx, &missing)
	defer func() { closeBus(conn) }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks:
			awake(n.looks(s.now()))
			if conn == nil && !s.now().Before(again) {
				conn, signals = s.listen(ctx, &missing)
				again = s.now().Add(lookAgain)
			}
		case sig, ok := <-signals:
			if !ok { // the bus is gone: whatever was said before cannot be unsaid any more
				closeBus(conn)
				conn, signals, again = nil, nil, s.now()
				if !n.since.IsZero() {
					awake(n.wakes(s.now()))
				}
				continue
			}
			will, ok := prepare(sig)
			switch {
			case !ok:
			case will:
				if n.sleeps(s.now()) {
					tell(network.Sleep{Asleep: true})
				}
			default:
				awake(n.wakes(s.now()))
			}
		}
	}
}

// prepare reads a PrepareForSleep(b).
func prepare(sig *dbus.Signal) (will, ok bool) {
	if sig == nil || sig.Name != manager+"."+preparing || len(sig.Body) != 1 {
		return false, false
	}
	will, ok = sig.Body[0].(bool)
	return will, ok
}

func closeBus(c *dbus.Conn) {
	if c != nil {
		_ = c.Close() // it was only listened to
	}
}

// listen connects and subscribes. Without a bus it returns nils, and says so once.
func (s *Source) listen(ctx context.Context, missing *bool) (*dbus.Conn, <-chan *dbus.Signal) {
	conn, err := s.connect(ctx)
	if err == nil {
		signals := make(chan *dbus.Signal, 64)
		conn.Signal(signals)
		err = conn.AddMatchSignalContext(ctx, dbus.WithMatchSender(name), dbus.WithMatchInterface(manager),
			dbus.WithMatchMember(preparing), dbus.WithMatchObjectPath(path))
		if err == nil {
			*missing = false
			return conn, signals
		}
		_ = conn.Close() // the first error is the one to tell
	}
	if !*missing && ctx.Err() == nil {
		s.log.Info("no system bus: sleep is seen by the clock only", "error", err)
		*missing = true
	}
	return nil, nil
}

// connect gives up after connectLimit or with ctx: godbus itself would wait for a bus that does not answer for ever.
func (s *Source) connect(ctx context.Context) (*dbus.Conn, error) {
	life, end := context.WithCancel(context.Background()) // of the connection, which outlives ctx
	limit, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	keep := context.AfterFunc(limit, end)
	opts := []dbus.ConnOption{dbus.WithContext(life), dbus.WithSignalHandler(dbus.NewSequentialSignalHandler())}
	var conn *dbus.Conn
	var err error
	if s.opts.Address != "" {
		conn, err = dbus.Connect(s.opts.Address, opts...)
	} else {
		conn, err = dbus.ConnectSystemBus(opts...)
	}
	if !keep() && err == nil {
		_ = conn.Close() // the limit came just now
		err = errors.New("the bus does not answer")
	}
	if err != nil {
		end()
		return nil, fmt.Errorf("connect to the system bus: %w", err)
	}
	return conn, nil
}
