package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"
	"github.com/godbus/dbus/v5/prop"

	"holdfast/app/agent"
)

// ErrNameTaken means that another companion answers on this bus already.
var ErrNameTaken = errors.New("the bus name " + BusName + " is taken")

// Bus is the D-Bus transport of a companion. Open it with ListenBus, run it with Serve.
type Bus struct {
	conn  *dbus.Conn
	props *prop.Properties
	hub   *Hub
	log   *slog.Logger
	calls sync.WaitGroup // running methods
}

// ListenBus connects to the session bus at address, exports everything, and then requests the name.
func ListenBus(ctx context.Context, address string, s Service, hub *Hub, version string, log *slog.Logger) (*Bus, error) {
	conn, err := connect(ctx, address)
	if err != nil {
		return nil, err
	}
	b := &Bus{conn: conn, hub: hub, log: log}
	if err := b.export(context.WithoutCancel(ctx), s, version); err != nil {
		return nil, errors.Join(fmt.Errorf("export the control interface: %w", err), conn.Close())
	}
	// Last: with D-Bus activation the first call comes the moment the name is owned.
	reply, err := conn.RequestName(BusName, dbus.NameFlagDoNotQueue)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("request the bus name: %w", err), conn.Close())
	}
	if reply != dbus.RequestNameReplyPrimaryOwner {
		return nil, errors.Join(ErrNameTaken, conn.Close())
	}
	return b, nil
}

// connect makes a private connection. It never lets the library launch a bus by itself.
func connect(ctx context.Context, address string) (*dbus.Conn, error) {
	if address == "" {
		return nil, errors.New("there is no session bus")
	}
	conn, err := dbus.Dial(address, dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		return nil, fmt.Errorf("connect to the session bus: %w", err)
	}
	// Auth and Hello take no context; closing the connection ends them.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err = conn.Auth(nil)
	if err == nil {
		err = conn.Hello()
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to the session bus: %w", err), conn.Close())
	}
	return conn, nil
}

// Serve sends signals until ctx ends or the bus goes; then it finishes running calls and leaves the bus.
func (b *Bus) Serve(ctx context.Context) error {
	events, leave := b.hub.listen()
	defer leave()
	var shown agent.State
	for {
		select {
		case <-ctx.Done():
			done := make(chan struct{})
			go func() { b.calls.Wait(); close(done) }()
			select {
			case <-done:
			case <-time.After(5 * time.Second):
			}
			// A round trip: replies written before it have left when it is answered.
			if _, err := b.conn.ReleaseName(BusName); err != nil {
				b.log.Debug("bus name not released", "error", err)
			}
			err := b.conn.Close()
			<-done // closing the bus ended what the calls were waiting for; Run owns their service
			return err
		case <-b.conn.Context().Done():
			return errors.Join(errors.New("the session bus has gone"), b.conn.Close())
		case e, open := <-events:
			if !open {
				events = nil
				continue
			}
			if e.state != nil {
				b.show(shown, *e.state)
				shown = *e.state
			}
			signal := Interface + ".Upload"
			if e.Kind == "state" {
				signal = Interface + ".StateChanged"
			}
			if err := b.conn.Emit(Path, signal, e.JSON); err != nil {
				b.log.Debug("signal not sent", "error", err)
			}
		}
	}
}

// show brings the properties up to date; each that changed is one PropertiesChanged.
func (b *Bus) show(old, s agent.State) {
	if old.Status != s.Status {
		b.props.SetMust(Interface, "Status", string(s.Status))
	}
	if now, _ := b.props.GetMust(Interface, "AutoFix").(bool); now != s.AutoFix {
		b.props.SetMust(Interface, "AutoFix", s.AutoFix)
	}
	if p := pausedUntil(s); p != pausedUntil(old) {
		b.props.SetMust(Interface, "PausedUntil", p)
	}
}

// pausedUntil is the property: seconds since 1970; 0 not paused, -1 until resumed.
func pausedUntil(s agent.State) int64 {
	switch {
	case !s.PausedUntil.IsZero():
		return s.PausedUntil.Unix()
	case s.Paused:
		return -1
	}
	return 0
}

func toBus(err error) *dbus.Error {
	if err == nil {
		return nil
	}
	return dbus.NewError(Interface+".Error."+string(KindOf(err)), []any{err.Error()})
}

func (b *Bus) export(ctx context.Context, s Service, version string) error {
	props, err := prop.Export(b.conn, Path, prop.Map{Interface: {
		"Version": {Value: version, Emit: prop.EmitConst},
		"Status":  {Value: "", Emit: prop.EmitTrue},
		"AutoFix": {Value: false, Writable: true, Emit: prop.EmitTrue, Callback: func(c *prop.Change) *dbus.Error {
			b.calls.Add(1)
			defer b.calls.Done()
			on, ok := c.Value.(bool)
			if !ok {
				return toBus(&Error{Invalid, "AutoFix is a boolean"})
			}
			return toBus(s.SetAutoFix(ctx, on))
		}},
		"PausedUntil": {Value: int64(0), Emit: prop.EmitTrue},
	}})
	if err != nil {
		return err
	}
	b.props = props
	// The first values, before anybody can ask.
	if state, err := ReadState(ctx, s); err == nil {
		b.props.SetMust(Interface, "AutoFix", state.AutoFix)
		b.props.SetMust(Interface, "Status", string(state.Status))
		b.props.SetMust(Interface, "PausedUntil", pausedUntil(state))
	}
	document := func(f func() (string, error)) (string, *dbus.Error) {
		b.calls.Add(1)
		defer b.calls.Done()
		doc, err := f()
		return doc, toBus(err)
	}
	plain := func(f func() error) *dbus.Error {
		b.calls.Add(1)
		defer b.calls.Done()
		return toBus(f())
	}
	err = b.conn.ExportMethodTable(map[string]any{
		"GetState": func() (string, *dbus.Error) {
			return document(func() (string, error) { return s.GetState(ctx) })
		},
		"Reset": func(clients []string, dry bool) (string, *dbus.Error) {
			return document(func() (string, error) { return s.Reset(ctx, clients, dry) })
		},
		"Undo": func(id string) (string, *dbus.Error) {
			return document(func() (string, error) { return s.Undo(ctx, id) })
		},
		"SetAutoFix": func(on bool) *dbus.Error {
			return plain(func() error { return s.SetAutoFix(ctx, on) })
		},
		"Pause": func(seconds uint32) *dbus.Error {
			return plain(func() error { return s.Pause(ctx, pauseOf(seconds)) })
		},
		"Resume": func() *dbus.Error {
			return plain(func() error { return s.Resume(ctx) })
		},
		"Uploads": func(limit uint32) (string, *dbus.Error) {
			return document(func() (string, error) { return s.Uploads(ctx, limit) })
		},
		"Cancel": func(id string) *dbus.Error {
			return plain(func() error { return s.Cancel(ctx, id) })
		},
		"TryNow": func(id string) *dbus.Error {
			return plain(func() error { return s.TryNow(ctx, id) })
		},
		"Hosts": func(verb, host string) (string, *dbus.Error) {
			return document(func() (string, error) { return s.Hosts(ctx, verb, host) })
		},
		"TrustStatus": func() (string, *dbus.Error) {
			return document(func() (string, error) { return s.TrustStatus(ctx) })
		},
		"RouteStatus": func() (string, *dbus.Error) {
			return document(func() (string, error) { return s.RouteStatus(ctx) })
		},
		"RoutePlan": func(mode string, remove bool) (string, *dbus.Error) {
			return document(func() (string, error) { return s.RoutePlan(ctx, mode, remove) })
		},
		"RouteApply": func(id string) (string, *dbus.Error) {
			return document(func() (string, error) { return s.RouteApply(ctx, id) })
		},
		"Diagnose": func() (string, *dbus.Error) {
			return document(func() (string, error) { return s.Diagnose(ctx) })
		},
		"ReportClient": func(client string, pid uint32, event, detail string) *dbus.Error {
			return plain(func() error { return s.ReportClient(ctx, client, pid, event, detail) })
		},
		"Stop": func() *dbus.Error {
			return plain(func() error { return s.Stop(ctx) })
		},
	}, Path, Interface)
	if err != nil {
		return err
	}
	return b.conn.Export(introspect.NewIntrospectable(b.node()), Path, "org.freedesktop.DBus.Introspectable")
}

func (b *Bus) node() *introspect.Node {
	in := func(pairs ...string) []introspect.Arg { return args("in", pairs...) }
	doc := func(pairs ...string) []introspect.Arg {
		return append(in(pairs...), introspect.Arg{Name: "json", Type: "s", Direction: "out"})
	}
	return &introspect.Node{Name: Path, Interfaces: []introspect.Interface{
		introspect.IntrospectData, prop.IntrospectData,
		{Name: Interface, Methods: []introspect.Method{
			{Name: "GetState", Args: doc()},
			{Name: "Reset", Args: doc("clients", "as", "dry_run", "b")},
			{Name: "Undo", Args: doc("id", "s")},
			{Name: "SetAutoFix", Args: in("on", "b")},
			{Name: "Pause", Args: in("seconds", "u")},
			{Name: "Resume"},
			{Name: "Uploads", Args: doc("limit", "u")},
			{Name: "Cancel", Args: in("id", "s")},
			{Name: "TryNow", Args: in("id", "s")},
			{Name: "Hosts", Args: doc("verb", "s", "host", "s")},
			{Name: "TrustStatus", Args: doc()},
			{Name: "RouteStatus", Args: doc()},
			{Name: "RoutePlan", Args: doc("mode", "s", "remove", "b")},
			{Name: "RouteApply", Args: doc("plan_id", "s")},
			{Name: "Diagnose", Args: doc()},
			{Name: "ReportClient", Args: in("client", "s", "pid", "u", "event", "s", "detail", "s")},
			{Name: "Stop"},
		}, Signals: []introspect.Signal{
			{Name: "StateChanged", Args: args("", "json", "s")},
			{Name: "Upload", Args: args("", "json", "s")},
		}, Properties: b.props.Introspection(Interface)},
	}}
}

func args(direction string, pairs ...string) []introspect.Arg {
	var out []introspect.Arg
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, introspect.Arg{Name: pairs[i], Type: pairs[i+1], Direction: direction})
	}
	return out
}
