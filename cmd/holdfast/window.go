package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"fyne.io/fyne/v2"
	fyneapp "fyne.io/fyne/v2/app"

	"holdfast"
	"holdfast/app"
	"holdfast/app/window"
	"holdfast/assets"
)

// window opens one window, or brings it to the front in the process that has the windows.
func (s session) window(ctx context.Context, name string) error {
	if !window.HasDisplay(s.getenv) {
		return errPlace{s.words.Tray.NoDisplay}
	}
	raise := make(chan string, 8)
	bus, err := app.OpenSession(s.getenv)
	switch {
	case err == nil:
		defer func() { _ = bus.Close() }() // nothing of ours is on the way
		requests := make(chan app.Request, 8)
		err := bus.Own(app.WindowName, app.WindowPath, requests, app.Request{Action: name, Token: token(s.getenv)})
		if errors.Is(err, app.ErrRunning) {
			return nil // it has come to the front
		}
		if err != nil {
			return err
		}
		passed := make(chan struct{})
		pctx, cancel := context.WithCancel(ctx)
		defer func() { cancel(); <-passed }()
		go func() {
			defer close(passed)
			pass(pctx, requests, raise)
		}()
	case errors.Is(err, app.ErrNoBus):
		bus = nil // a window of its own, then
	default:
		return err
	}
	m := holdfast.AppMetadata()
	fyneapp.SetMetadata(fyne.AppMetadata{
		ID: m.Details.ID, Name: m.Details.Name, Version: m.Details.Version, Build: m.Details.Build,
		Icon: fyne.NewStaticResource("holdfast.png", assets.AppIcon()), Release: true, Migrations: m.Migrations,
	})
	a := fyneapp.NewWithID(m.Details.ID)
	a.SetIcon(fyne.NewStaticResource("holdfast.png", assets.AppIcon()))
	local, _, err := s.dialer()
	if err != nil {
		return err
	}
	return window.Run(ctx, a, window.Config{
		Words: s.words, Log: s.log, Raise: raise,
		Dial:   local.Dial,
		Start:  func(ctx context.Context) error { return s.startCompanion(ctx, bus, local) },
		Quit:   func(later bool) error { return quitTray(bus, later) },
		NoTray: func() bool { return bus == nil || !bus.HasTray() },

		Trust: trust, Distrust: distrust,
	}, name)
}

// trust has holdfastctl do it, which asks for the password where it must: what runs as root is that program, in a
// folder of root's.
func trust(ctx context.Context, system bool) error {
	args := []string{"trust", "install"}
	if system {
		args = append(args, "--system")
	}
	return holdfastctl(ctx, args...)
}

func distrust(ctx context.Context) error { return holdfastctl(ctx, "trust", "remove") }

// holdfastctl runs the program that lies beside this one, else the one of PATH.
func holdfastctl(ctx context.Context, args ...string) error {
	program := "holdfastctl"
	if self, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(self), program); isFile(beside) {
			program = beside
		}
	}
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

func isFile(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular()
}

// token is what a launcher gave this process so that its window may come to the front.
func token(getenv func(string) string) string {
	if t := getenv("XDG_ACTIVATION_TOKEN"); t != "" {
		return t
	}
	return getenv("DESKTOP_STARTUP_ID")
}

// pass turns requests of the desktop into names of windows.
func pass(ctx context.Context, requests <-chan app.Request, raise chan<- string) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-requests:
			name := r.Action
			if !window.Known(name) {
				name = window.Uploads
			}
			select {
			case raise <- name:
			case <-ctx.Done():
				return
			}
		}
	}
}

// startCompanion starts one from a window: as a unit, else by the tray, which can have it inside.
func (s session) startCompanion(ctx context.Context, bus *app.Session, local *app.Local) error {
	err := local.Start(ctx)
	if err == nil {
		return nil
	}
	if bus == nil {
		return errors.New(s.words.Tray.NoBus)
	}
	if bus.Ask(app.TrayName, app.TrayPath, app.Request{Action: app.ActionStart}) == nil {
		return nil
	}
	return newOpener(s.getenv).start("")
}

func quitTray(bus *app.Session, later bool) error {
	if bus == nil {
		return errors.New("there is no session bus")
	}
	action := app.ActionQuit
	if later {
		action = app.ActionQuitLater
	}
	return bus.Ask(app.TrayName, app.TrayPath, app.Request{Action: action})
}

// opener starts this program again, for a window or for the tray.
type opener struct {
	getenv func(string) string
}

func newOpener(getenv func(string) string) opener { return opener{getenv} }

// Possible says whether there is a screen.
func (o opener) Possible() bool { return window.HasDisplay(o.getenv) }

// Open opens a window; a second call brings it to the front.
func (o opener) Open(name, token string) error {
	if !o.Possible() {
		return window.ErrNoDisplay
	}
	return o.start(token, "window", name)
}

func (o opener) start(token string, args ...string) error {
	env := os.Environ()
	if token != "" {
		env = append(env, "XDG_ACTIVATION_TOKEN="+token, "DESKTOP_STARTUP_ID="+token)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = env
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", self, err)
	}
	// The new process outlives this one; here it is only reaped, so nobody waits for this goroutine.
	go func() { _ = cmd.Wait() }()
	return nil
}
