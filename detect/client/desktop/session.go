package desktop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/godbus/dbus/v5"
)

// Errors a caller branches on.
var (
	// ErrNoBus: there is no session bus, so nothing can be said about running clients.
	ErrNoBus = errors.New("there is no session bus")
	// ErrNotRunning: the client does not run.
	ErrNotRunning = errors.New("the client is not running")
	// ErrStillRunning: the client was asked to quit and did not in time.
	ErrStillRunning = errors.New("the client did not quit")
)

const (
	busName     = "org.freedesktop.DBus"
	application = "org.freedesktop.Application"
	systemd     = "org.freedesktop.systemd1"
)

// Options of Open. The zero value of each field but Address is right outside tests.
type Options struct {
	// Address of the session bus: DBUS_SESSION_BUS_ADDRESS, else "unix:path=$XDG_RUNTIME_DIR/bus".
	Address string
	Log     *slog.Logger
	// QuitTimeout is how long a client may take to quit; 0: 20 s.
	QuitTimeout time.Duration
	// StartTimeout is how long a client may take to appear on the bus; 0: 20 s.
	StartTimeout time.Duration
}

// Session is a private connection to the session bus of the person.
type Session struct {
	conn  *dbus.Conn
	log   *slog.Logger
	quit  time.Duration
	start time.Duration
	addr  string
	proc  string
}

// connectLimit is how long a bus may take to answer.
const connectLimit = 5 * time.Second

// Open connects to the session bus, or fails with ErrNoBus. It never starts a bus.
func Open(ctx context.Context, opts Options) (*Session, error) {
	if opts.Address == "" {
		return nil, ErrNoBus
	}
	// godbus itself would wait for ever for a bus that does not answer.
	life, end := context.WithCancel(context.Background()) // of the connection, which outlives ctx
	limit, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	keep := context.AfterFunc(limit, end)
	conn, err := dbus.Connect(opts.Address, dbus.WithContext(life), dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if !keep() && err == nil {
		_ = conn.Close() // the limit came just now
		err = context.Cause(limit)
	}
	if err != nil {
		end()
		return nil, fmt.Errorf("%w: %w", ErrNoBus, err)
	}
	s := &Session{conn: conn, log: opts.Log, quit: opts.QuitTimeout, start: opts.StartTimeout, addr: opts.Address, proc: "/proc"}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.quit == 0 {
		s.quit = 20 * time.Second
	}
	if s.start == 0 {
		s.start = 20 * time.Second
	}
	return s, nil
}

// Close ends the connection.
func (s *Session) Close() error { return s.conn.Close() }

// Running returns the running instance of a client. Not running is ErrNotRunning.
func (s *Session) Running(ctx context.Context, k Kind) (Instance, error) {
	pid, err := s.owner(ctx, k.BusName())
	if err != nil {
		return Instance{}, err
	}
	in, err := readInstance(s.proc, k, pid)
	if err != nil {
		return Instance{}, fmt.Errorf("look at %s (process %d): %w", k, pid, err)
	}
	return in, nil
}

// owner returns the process that owns a name, or ErrNotRunning.
func (s *Session) owner(ctx context.Context, name string) (int, error) {
	var pid uint32
	err := s.conn.BusObject().CallWithContext(ctx, busName+".GetConnectionUnixProcessID", dbus.FlagNoAutoStart, name).Store(&pid)
	if err == nil {
		return int(pid), nil
	}
	var e dbus.Error
	if errors.As(err, &e) && e.Name == "org.freedesktop.DBus.Error.NameHasNoOwner" {
		return 0, ErrNotRunning
	}
	return 0, fmt.Errorf("ask the session bus: %w", err)
}

// ReloadServices has the bus look again for programs that it can start.
func (s *Session) ReloadServices(ctx context.Context) error {
	return s.conn.BusObject().CallWithContext(ctx, busName+".ReloadConfig", 0).Err
}

// Watch calls notify once as soon as it listens, and each time a client appears on or leaves the bus.
// It blocks until ctx ends (then it returns nil) or the bus goes away. notify must not block.
func (s *Session) Watch(ctx context.Context, notify func()) error {
	signals := make(chan *dbus.Signal, 16)
	s.conn.Signal(signals)
	defer s.conn.RemoveSignal(signals)
	for _, k := range Kinds() {
		rule := []dbus.MatchOption{
			dbus.WithMatchSender(busName), dbus.WithMatchInterface(busName),
			dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, k.BusName()),
		}
		if err := s.conn.AddMatchSignalContext(ctx, rule...); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("listen for clients: %w", err)
		}
		defer func() { _ = s.conn.RemoveMatchSignal(rule...) }() // the connection may be gone; nothing depends on it
	}
	notify()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-signals:
			if !ok {
				return fmt.Errorf("listen for clients: %w", ErrNoBus)
			}
			notify()
		}
	}
}

// Quit asks a client to quit and waits until its bus name has no owner and its process is gone. It never kills.
// An error wraps ErrStillRunning if the client did not go in time; it may still do so later.
func (s *Session) Quit(ctx context.Context, in Instance) error {
	gone, err := watchExit(s.proc, in.PID, in.started)
	if err != nil {
		return fmt.Errorf("watch %s: %w", in.Kind, err)
	}
	defer gone.close()
	// GApplication runs the action and may be gone before it answers, so the answer is not waited for.
	call := s.conn.Object(in.Kind.BusName(), dbus.ObjectPath(in.Kind.objectPath())).GoWithContext(ctx,
		application+".ActivateAction", dbus.FlagNoAutoStart|dbus.FlagNoReplyExpected, nil,
		"quit", []dbus.Variant{}, map[string]dbus.Variant{})
	if call.Err != nil {
		return fmt.Errorf("ask %s to quit: %w", in.Kind, call.Err)
	}
	wait, cancel := context.WithTimeout(ctx, s.quit)
	defer cancel()
	if err := gone.wait(wait); err != nil {
		return s.notGone(ctx, in.Kind, err)
	}
	// The bus notices the closed socket a moment later.
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		pid, err := s.owner(wait, in.Kind.BusName())
		switch {
		case errors.Is(err, ErrNotRunning):
			return nil
		case err != nil:
			return s.notGone(ctx, in.Kind, err)
		case pid != in.PID:
			return fmt.Errorf("%w: %s was started again meanwhile (process %d); close it and try again", ErrStillRunning, in.Kind, pid)
		}
		select {
		case <-wait.Done():
			return s.notGone(ctx, in.Kind, wait.Err())
		case <-tick.C:
		}
	}
}

// Activate brings a running client to the front, as its entry in the menu does. Not running is ErrNotRunning; it is not started.
func (s *Session) Activate(ctx context.Context, k Kind) error {
	if _, err := s.owner(ctx, k.BusName()); err != nil {
		return err
	}
	call := s.conn.Object(k.BusName(), dbus.ObjectPath(k.objectPath())).CallWithContext(ctx,
		application+".Activate", dbus.FlagNoAutoStart, map[string]dbus.Variant{})
	if call.Err != nil {
		return fmt.Errorf("bring %s to the front: %w", k, call.Err)
	}
	return nil
}

// notGone turns a wait that ended into the error a person reads.
func (s *Session) notGone(ctx context.Context, k Kind, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("wait for %s to quit: %w", k, context.Cause(ctx))
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %s did not quit within %s; close its window and try again", ErrStillRunning, k, s.quit)
	}
	return fmt.Errorf("wait for %s to quit: %w", k, err)
}
