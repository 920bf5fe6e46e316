// Package notify shows notifications of the desktop, with buttons, over org.freedesktop.Notifications.
// https://specifications.freedesktop.org/notification-spec/1.2/
//
// # Invariants
//   - One notification of each key is on the screen: a newer one replaces it.
//   - Text is never read as markup: where a server knows markup, it is escaped.
//   - A note that needs buttons is only shown where buttons are; else it counts as not shown.
//   - Nothing waits for the notification server: Show and Withdraw return at once, and what became of a note is told.
//   - Only buttons of our own notifications are told; those of other programs are not looked at.
//
// # Concurrency
//
// Everything happens in the goroutine of Run; the functions of a Notifier may be called from any other. Callbacks come from
// Run's goroutine and must not block. The connection is private.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

// Errors that a Note's Failed gets.
var (
	ErrNoServer  = errors.New("nobody shows notifications")
	ErrNoActions = errors.New("notifications have no buttons here")
)

const (
	name    = "org.freedesktop.Notifications"
	path    = dbus.ObjectPath("/org/freedesktop/Notifications")
	busName = "org.freedesktop.DBus"

	// callLimit is how long a server may take; one that is started by the bus needs a moment.
	callLimit = 5 * time.Second
)

// Button is one of a Note.
type Button struct{ ID, Label string }

// Note is one notification.
type Note struct {
	Key        string // what it is about; one of each is shown
	Summary    string
	Body       string
	Buttons    []Button
	NeedsReply bool          // without buttons it is not shown
	Lasts      time.Duration // 0: as the desktop likes
	Category   string        // of the specification, e.g. "transfer.error"; may be empty
}

// Options of New.
type Options struct {
	// Address of the session bus; it is asked for before each connection, since a bus may come later.
	Address func() string
	App     string // name of the program, for people
	Entry   string // id of its desktop entry
	Icon    string // name of its icon
	Log     *slog.Logger
	Clicked func(key, button string)  // may be nil
	Failed  func(key string, e error) // a note was not shown; may be nil
}

// Notifier shows notes. Make it with New, run it with Run.
type Notifier struct {
	o    Options
	wake chan struct{} // has room for one

	mu    sync.Mutex // guards queue
	queue []order
}

// order is what somebody asked for.
type order struct {
	note     Note
	withdraw bool
}

// New opens nothing yet.
func New(o Options) *Notifier {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clicked == nil {
		o.Clicked = func(string, string) {}
	}
	if o.Failed == nil {
		o.Failed = func(string, error) {}
	}
	return &Notifier{o: o, wake: make(chan struct{}, 1)}
}

// Show shows a note, in place of one with the same key.
func (n *Notifier) Show(note Note) { n.put(order{note: note}) }

// Withdraw takes a note away. One that is not there is no error.
func (n *Notifier) Withdraw(key string) { n.put(order{note: Note{Key: key}, withdraw: true}) }

func (n *Notifier) put(o order) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queue = append(n.queue, o)
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *Notifier) take() []order {
	n.mu.Lock()
	defer n.mu.Unlock()
	q := n.queue
	n.queue = nil
	return q
}

// Run shows what is asked for until ctx ends; then it takes away what is still on the screen.
func (n *Notifier) Run(ctx context.Context) error {
	var s *server
	defer func() {
		if s != nil {
			s.leave()
		}
	}()
	for {
		var signals <-chan *dbus.Signal
		if s != nil {
			signals = s.signals
		}
		select {
		case <-ctx.Done():
			return nil
		case sig, ok := <-signals:
			if !ok {
				s.close()
				s = nil
				continue
			}
			if key, button := s.heard(sig); button != "" {
				n.o.Clicked(key, button)
			}
		case <-n.wake:
			for _, o := range n.take() {
				if s == nil && !o.withdraw {
					var err error
					if s, err = connect(ctx, n.o.Address()); err != nil {
						n.o.Log.Info("notification not shown", "error", err)
						n.o.Failed(o.note.Key, err)
						continue
					}
				}
				if s == nil {
					continue
				}
				if err := s.do(ctx, o, n.o); err != nil {
					n.o.Log.Info("notification not shown", "error", err)
					if !o.withdraw {
						n.o.Failed(o.note.Key, err)
					}
				}
			}
		}
	}
}

// server is a connection to whoever shows notifications.
type server struct {
	conn      *dbus.Conn
	signals   chan *dbus.Signal
	abilities []string          // read again for each owner of the name
	known     bool              // abilities are
	shown     map[string]uint32 // key: number
}

func connect(ctx context.Context, address string) (*server, error) {
	if address == "" {
		return nil, ErrNoServer
	}
	life, end := context.WithCancel(context.Background()) // of the connection, which outlives ctx
	limit, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	keep := context.AfterFunc(limit, end)
	conn, err := dbus.Connect(address, dbus.WithContext(life), dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if !keep() && err == nil {
		_ = conn.Close() // the limit came just now
		err = context.Cause(limit)
	}
	if err != nil {
		end()
		return nil, fmt.Errorf("%w: %w", ErrNoServer, err)
	}
	s := &server{conn: conn, signals: make(chan *dbus.Signal, 64), shown: map[string]uint32{}}
	conn.Signal(s.signals)
	for _, rule := range [][]dbus.MatchOption{
		{dbus.WithMatchSender(name), dbus.WithMatchInterface(name), dbus.WithMatchObjectPath(path)},
		{dbus.WithMatchSender(busName), dbus.WithMatchInterface(busName), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, name)},
	} {
		if err := conn.AddMatchSignalContext(limit, rule...); err != nil {
			s.close()
			return nil, fmt.Errorf("%w: %w", ErrNoServer, err)
		}
	}
	return s, nil
}

func (s *server) close() { _ = s.conn.Close() } // nothing is lost: notes are shown by the server

// leave takes away what is on the screen: nobody would hear its buttons any more.
func (s *server) leave() {
	for _, id := range s.shown {
		_ = s.call(context.Background(), "CloseNotification", nil, id) // it goes by itself, too
	}
	s.close()
}

// call asks the server. What was begun is ended also when ctx ends meanwhile: a note whose number is lost stays for ever.
func (s *server) call(ctx context.Context, method string, answer any, args ...any) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callLimit)
	defer cancel()
	call := s.conn.Object(name, path).CallWithContext(ctx, name+"."+method, 0, args...)
	if call.Err != nil || answer == nil {
		return call.Err
	}
	return call.Store(answer)
}

// do shows or withdraws one note.
func (s *server) do(ctx context.Context, o order, opts Options) error {
	id, there := s.shown[o.note.Key]
	if o.withdraw {
		if !there {
			return nil
		}
		delete(s.shown, o.note.Key)
		if err := s.call(ctx, "CloseNotification", nil, id); err != nil {
			return fmt.Errorf("take a notification away: %w", err)
		}
		return nil
	}
	if !s.known {
		if err := s.call(ctx, "GetCapabilities", &s.abilities); err != nil {
			return fmt.Errorf("%w: %w", ErrNoServer, err)
		}
		s.known = true
	}
	buttons := []string{}
	if slices.Contains(s.abilities, "actions") {
		for _, b := range o.note.Buttons {
			buttons = append(buttons, b.ID, b.Label)
		}
	} else if o.note.NeedsReply {
		return ErrNoActions
	}
	body := o.note.Body
	if slices.Contains(s.abilities, "body-markup") {
		body = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(body)
	}
	hints := map[string]dbus.Variant{"desktop-entry": dbus.MakeVariant(opts.Entry), "urgency": dbus.MakeVariant(byte(1))}
	if o.note.Category != "" {
		hints["category"] = dbus.MakeVariant(o.note.Category)
	}
	lasts := int32(-1)
	if o.note.Lasts > 0 {
		lasts = int32(min(o.note.Lasts, time.Hour).Milliseconds())
	}
	var number uint32
	if err := s.call(ctx, "Notify", &number, opts.App, id, opts.Icon, o.note.Summary, body, buttons, hints, lasts); err != nil {
		return fmt.Errorf("%w: %w", ErrNoServer, err)
	}
	s.shown[o.note.Key] = number
	return nil
}

// heard reads a signal: which button of which note was clicked, if it says that.
func (s *server) heard(sig *dbus.Signal) (key, button string) {
	switch sig.Name {
	case busName + ".NameOwnerChanged": // another server, which knows nothing of our notes
		s.shown, s.known = map[string]uint32{}, false
	case name + ".NotificationClosed":
		var id, reason uint32
		if dbus.Store(sig.Body, &id, &reason) == nil {
			maps.DeleteFunc(s.shown, func(_ string, n uint32) bool { return n == id })
		}
	case name + ".ActionInvoked":
		var id uint32
		if dbus.Store(sig.Body, &id, &button) != nil {
			return "", ""
		}
		for k, n := range s.shown {
			if n == id {
				return k, button
			}
		}
	}
	return "", ""
}
