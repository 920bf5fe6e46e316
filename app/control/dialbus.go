package control

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"
)

// busClient is a Client over D-Bus.
type busClient struct {
	service
	conn *dbus.Conn
}

// DialBus connects to the companion on the session bus at address. Without one the error is of Kind NotRunning.
func DialBus(ctx context.Context, address string) (Client, error) {
	conn, err := connect(ctx, address)
	if err != nil {
		return nil, err
	}
	var owned bool
	err = conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, BusName).Store(&owned)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ask the session bus: %w", err), conn.Close())
	}
	if !owned {
		return nil, errors.Join(&Error{NotRunning, "no companion is running"}, conn.Close())
	}
	k := &busClient{conn: conn}
	k.service = service{k.invoke}
	return k, nil
}

// Close leaves the bus.
func (k *busClient) Close() error { return k.conn.Close() }

func (k *busClient) invoke(ctx context.Context, method string, args ...any) (string, error) {
	c := k.conn.Object(BusName, Path).CallWithContext(ctx, Interface+"."+method, dbus.FlagNoAutoStart, args...)
	if c.Err != nil {
		return "", fromBus(c.Err)
	}
	if len(c.Body) == 0 {
		return "", nil
	}
	doc, ok := c.Body[0].(string)
	if !ok {
		return "", fmt.Errorf("the companion answered %s with a %T", method, c.Body[0])
	}
	return doc, nil
}

// fromBus is the inverse of toBus.
func fromBus(err error) error {
	if e, ok := errors.AsType[dbus.Error](err); ok {
		switch kind, ours := strings.CutPrefix(e.Name, Interface+".Error."); {
		case ours:
			text, _ := "", false
			if len(e.Body) > 0 {
				text, _ = e.Body[0].(string)
			}
			return &Error{Kind(kind), text}
		case e.Name == "org.freedesktop.DBus.Error.ServiceUnknown", e.Name == "org.freedesktop.DBus.Error.NameHasNoOwner":
			return &Error{NotRunning, "no companion is running"}
		}
	}
	return fmt.Errorf("ask the companion: %w", err)
}

// Events subscribes to the signals. The first event is the present state.
func (k *busClient) Events(ctx context.Context) (<-chan Event, error) {
	ours := []dbus.MatchOption{dbus.WithMatchSender(BusName), dbus.WithMatchObjectPath(Path), dbus.WithMatchInterface(Interface)}
	owner := []dbus.MatchOption{dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchInterface("org.freedesktop.DBus"),
		dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, BusName)}
	signals := make(chan *dbus.Signal, room)
	k.conn.Signal(signals)
	for _, m := range [][]dbus.MatchOption{ours, owner} {
		if err := k.conn.AddMatchSignalContext(ctx, m...); err != nil {
			k.conn.RemoveSignal(signals)
			return nil, fmt.Errorf("subscribe to the companion: %w", err)
		}
	}
	doc, err := k.GetState(ctx)
	if err != nil {
		k.conn.RemoveSignal(signals)
		return nil, err
	}
	out := make(chan Event)
	go func() {
		defer close(out)
		defer func() {
			k.conn.RemoveSignal(signals)
			// A connection that is gone has no match rules left.
			_ = k.conn.RemoveMatchSignal(ours...)
			_ = k.conn.RemoveMatchSignal(owner...)
		}()
		next := Event{"state", doc}
		for {
			select {
			case out <- next:
			case <-ctx.Done():
				return
			}
			for next = (Event{}); next.Kind == ""; {
				select {
				case <-ctx.Done():
					return
				case <-k.conn.Context().Done():
					return
				case s, open := <-signals:
					if !open {
						return
					}
					var gone bool
					if next, gone = eventOf(s); gone {
						return
					}
				}
			}
		}
	}()
	return out, nil
}

// eventOf reads a signal; gone says that the companion has left the bus.
func eventOf(s *dbus.Signal) (e Event, gone bool) {
	switch {
	case s.Name == "org.freedesktop.DBus.NameOwnerChanged" && len(s.Body) == 3 && s.Body[0] == BusName:
		return Event{}, s.Body[2] == ""
	case s.Path != Path || len(s.Body) != 1:
		return Event{}, false
	}
	doc, ok := s.Body[0].(string)
	if !ok {
		return Event{}, false
	}
	switch s.Name {
	case Interface + ".StateChanged":
		return Event{"state", doc}, false
	case Interface + ".Upload":
		return Event{"upload", doc}, false
	}
	return Event{}, false
}
