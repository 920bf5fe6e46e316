package app

import (
	"errors"
	"fmt"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"
)

// Names of the two programs a person starts, as org.freedesktop.Application.
const (
	TrayName   = "im.holdfast.Holdfast"
	TrayPath   = "/im/holdfast/Holdfast"
	WindowName = "im.holdfast.Holdfast.Window"
	WindowPath = "/im/holdfast/Holdfast/Window"

	applicationInterface = "org.freedesktop.Application"
)

// Actions of the tray that the windows ask for. Any other brings the tray to the front.
const (
	ActionQuit      = "quit"       // at once
	ActionQuitLater = "quit-later" // after running uploads
	ActionStart     = "start"      // a companion
)

// ErrRunning means that the name has an owner, which was told to come to the front.
var ErrRunning = errors.New("already running")

// Request is what a second start, or the desktop, asks of the first.
type Request struct {
	Action string // empty: come to the front
	Token  string // lets a window come to the front under Wayland
}

// application answers org.freedesktop.Application. Its methods return at once.
type application struct{ requests chan<- Request }

func (a application) send(action string, platform map[string]dbus.Variant) *dbus.Error {
	token, _ := platform["activation-token"].Value().(string)
	if token == "" {
		token, _ = platform["desktop-startup-id"].Value().(string)
	}
	select {
	case a.requests <- Request{Action: action, Token: token}:
	default: // so many are waiting that this one is among them
	}
	return nil
}

// Activate brings the program to the front.
func (a application) Activate(platform map[string]dbus.Variant) *dbus.Error {
	return a.send("", platform)
}

// Open would open files; Holdfast has none to open.
func (a application) Open(_ []string, platform map[string]dbus.Variant) *dbus.Error {
	return a.send("", platform)
}

// ActivateAction does one named thing.
func (a application) ActivateAction(name string, _ []dbus.Variant, platform map[string]dbus.Variant) *dbus.Error {
	return a.send(name, platform)
}

// Own makes this process the only one with the name. Everything is exported before the name is asked for: with
// D-Bus activation the first call arrives in the same moment. If another process has the name, it gets ask, and
// the error is ErrRunning.
func (s *Session) Own(name, path string, requests chan<- Request, ask Request) error {
	if err := s.conn.Export(application{requests}, dbus.ObjectPath(path), applicationInterface); err != nil {
		return fmt.Errorf("export %s: %w", applicationInterface, err)
	}
	node := &introspect.Node{Name: path, Interfaces: []introspect.Interface{
		introspect.IntrospectData,
		{Name: applicationInterface, Methods: introspect.Methods(application{requests})},
	}}
	if err := s.conn.Export(introspect.NewIntrospectable(node), dbus.ObjectPath(path), "org.freedesktop.DBus.Introspectable"); err != nil {
		return fmt.Errorf("export introspection: %w", err)
	}
	reply, err := s.conn.RequestName(name, dbus.NameFlagDoNotQueue)
	if err != nil {
		return fmt.Errorf("ask for the name %s: %w", name, err)
	}
	if reply == dbus.RequestNameReplyPrimaryOwner || reply == dbus.RequestNameReplyAlreadyOwner {
		return nil
	}
	if err := s.Ask(name, path, ask); err != nil {
		return err
	}
	return ErrRunning
}

// Ask sends a request to the owner of a name, without starting one.
func (s *Session) Ask(name, path string, r Request) error {
	platform := map[string]dbus.Variant{}
	if r.Token != "" {
		platform["activation-token"] = dbus.MakeVariant(r.Token)
		platform["desktop-startup-id"] = dbus.MakeVariant(r.Token)
	}
	obj := s.conn.Object(name, dbus.ObjectPath(path))
	var call *dbus.Call
	if r.Action == "" {
		call = obj.Call(applicationInterface+".Activate", dbus.FlagNoAutoStart, platform)
	} else {
		call = obj.Call(applicationInterface+".ActivateAction", dbus.FlagNoAutoStart, r.Action, []dbus.Variant{}, platform)
	}
	if call.Err != nil {
		return fmt.Errorf("ask %s to come to the front: %w", name, call.Err)
	}
	return nil
}
