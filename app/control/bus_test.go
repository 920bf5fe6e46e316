package control_test

import (
	"errors"
	"log/slog"
	"os/exec"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"holdfast/app/agent"
	"holdfast/app/control"
	"holdfast/cmd/lab"
)

func TestBusProperties(t *testing.T) {
	address := lab.Bus(t)
	s := &companion{state: agent.State{Schema: 1, Status: agent.Ready, AutoFix: true}}
	hub := control.NewHub()
	b, err := control.ListenBus(t.Context(), address, s, hub, "1.2.3", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	background(t, b.Serve)
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	o := conn.Object(control.BusName, control.Path)
	get := func(name string) any {
		v, err := o.GetProperty(control.Interface + "." + name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return v.Value()
	}
	for name, want := range map[string]any{"Version": "1.2.3", "Status": "ready", "AutoFix": true, "PausedUntil": int64(0)} {
		if got := get(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if err := o.SetProperty(control.Interface+".AutoFix", dbus.MakeVariant(false)); err != nil {
		t.Errorf("set AutoFix: %v", err)
	}
	if got := s.calls(); len(got) != 1 || got[0] != "SetAutoFix false" {
		t.Errorf("companion was asked %q", got)
	}
	if err := o.SetProperty(control.Interface+".Status", dbus.MakeVariant("off")); err == nil {
		t.Error("Status can be written")
	}
	if err := o.SetProperty(control.Interface+".AutoFix", dbus.MakeVariant("yes")); err == nil {
		t.Error("AutoFix takes a string")
	}

	changes := make(chan *dbus.Signal, 16)
	conn.Signal(changes)
	if err := conn.AddMatchSignal(dbus.WithMatchSender(control.BusName)); err != nil {
		t.Fatal(err)
	}
	hub.State(agent.State{Status: agent.Paused, Paused: true})
	seen := map[string]bool{}
	for !seen["Status"] || !seen["PausedUntil"] || !seen["signal"] {
		sig := <-changes
		if sig.Name == control.Interface+".StateChanged" {
			seen["signal"] = true
			continue
		}
		if sig.Name == "org.freedesktop.DBus.Properties.PropertiesChanged" {
			for name := range sig.Body[1].(map[string]dbus.Variant) {
				seen[name] = true
			}
		}
	}
	if got := get("PausedUntil"); got != int64(-1) {
		t.Errorf("PausedUntil is %v, want -1: until resumed", got)
	}

	s.fail(&control.Error{Kind: control.Denied, Text: "no"})
	call := o.Call(control.Interface+".Resume", 0)
	if e, ok := errors.AsType[dbus.Error](call.Err); !ok || e.Name != control.Interface+".Error.Denied" {
		t.Errorf("error on the bus: %v", call.Err)
	}
}

func TestBusNameIsForOneCompanion(t *testing.T) {
	address := lab.Bus(t)
	b, err := control.ListenBus(t.Context(), address, &companion{}, control.NewHub(), "1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	background(t, b.Serve)
	if _, err := control.ListenBus(t.Context(), address, &companion{}, control.NewHub(), "1", slog.New(slog.DiscardHandler)); !errors.Is(err, control.ErrNameTaken) {
		t.Errorf("second: %v", err)
	}
}

func TestBusctlUnderstandsTheInterface(t *testing.T) {
	busctl := lab.Need(t, "busctl", "systemd")
	address := lab.Bus(t)
	b, err := control.ListenBus(t.Context(), address, &companion{}, control.NewHub(), "1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	background(t, b.Serve)
	out, err := exec.Command(busctl, "--address="+address, "introspect", control.BusName, control.Path, control.Interface).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{".GetState", ".ReportClient", "suss", ".StateChanged", ".Upload", ".AutoFix", "writable", ".PausedUntil"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("busctl does not show %s:\n%s", want, out)
		}
	}
}
