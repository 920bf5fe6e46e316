package companion

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"holdfast/app/control"
	"holdfast/app/launch"
	"holdfast/detect/client/desktop"
	"holdfast/relay/authority"
	"holdfast/relay/route"
)

// Launching gathers what the start of a client depends on, but for where the relay answers. It makes the bundle
// afresh. The client itself is looked for once, natives before Flatpaks.
func Launching(ctx context.Context, p Paths, o Options, client string) (launch.Facts, error) {
	o = o.filled()
	kind, err := desktop.ParseKind(client)
	if err != nil {
		return launch.Facts{}, &control.Error{Kind: control.UnknownClient, Text: fmt.Sprintf(o.Words.Ctl.UnknownClient, client)}
	}
	f := launch.Facts{PAC: route.PACEngine("/"), Roots: roots()}
	machine := route.Machine{State: p.State}
	found := false
	for _, c := range desktop.Find(p.dirs(o.Getenv)) {
		if c.Kind == kind {
			f.Client, f.Flatpak = clientOf(c), c.Install == desktop.Flatpak
			f.Command = c.DefaultLaunch(nil).Argv
			// The menu's own command, if it is for the same kind of install.
			if menu := machine.Command(client); len(menu) > 0 && f.Flatpak == slices.Contains(menu, "run") {
				f.Command = menu
			}
			found = true
			break
		}
	}
	if !found {
		return launch.Facts{}, &control.Error{Kind: control.Failed, Text: fmt.Sprintf(o.Words.Ctl.NoClientFound, kind)}
	}
	if config, _, err := (configFile{p.Config, o.Words}).read(); err == nil {
		store, err := authority.Open(p.Authority)
		if err != nil {
			return launch.Facts{}, err
		}
		t := trusts{store, config.Hosts, p.Bundle()}
		f.Trusted = t.all(t.system)
		if err := t.refresh(); err != nil {
			o.Log.Warn("certificates for clients not refreshed", "error", err)
		}
		if t.all(t.app) && exists(p.Bundle()) {
			f.Bundle = p.Bundle()
		}
	}
	if f.Bundle != "" && !f.Trusted && !f.Client.OwnHTTP && !f.Flatpak {
		f.Bwrap = bubblewrap(ctx, o.Getenv)
	}
	return f, nil
}

// Instance looks whether a client runs already, and whether it was started with the relay at listen.
func Instance(ctx context.Context, o Options, c route.Client, listen string) (running, routed bool, pid int) {
	o = o.filled()
	session, err := desktop.Open(ctx, desktop.Options{Address: SessionBus(o.Getenv), Log: o.Log})
	if err != nil {
		return false, false, 0
	}
	defer closeSession(session)
	in, err := session.Running(ctx, desktop.Kind(c.Kind))
	if err != nil {
		return !errors.Is(err, desktop.ErrNotRunning), false, 0
	}
	return true, c.Routed(in.Env, listen), in.PID
}

// clientOf is what a route depends on.
func clientOf(c desktop.Client) route.Client {
	return route.Client{Kind: string(c.Kind), ID: c.Kind.BusName(), Program: c.Kind.Program(), OwnHTTP: ownHTTP(c), Sandbox: c.Install == desktop.Flatpak}
}

// ownHTTP says whether a client reads the proxy variables itself, whatever the desktop: Gajim does from 2.4 on, where
// uploads go through httpx instead of GLib.
func ownHTTP(c desktop.Client) bool {
	major, rest, _ := strings.Cut(c.Version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(major)
	m, merr := strconv.Atoi(minor)
	return c.Kind == desktop.Gajim && err == nil && (n > 2 || n == 2 && merr == nil && m >= 4)
}
