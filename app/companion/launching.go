package companion

import (
	"context"
	"errors"
	"fmt"
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
	c, command, ok := choose(desktop.Find(p.dirs(o.Getenv)), kind, route.Machine{State: p.State}.Command(client))
	if !ok {
		return launch.Facts{}, &control.Error{Kind: control.Failed, Text: fmt.Sprintf(o.Words.Ctl.NoClientFound, kind)}
	}
	f.Client, f.Flatpak, f.Command = clientOf(c), c.Install == desktop.Flatpak, command
	if config, _, err := (configFile{p.Config, o.Words}).read(); err == nil {
		store, err := authority.Open(p.Authority)
		if err != nil {
			return launch.Facts{}, err
		}
		t := trusts{store: store, hosts: config.Hosts, bundle: p.Bundle()}
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

// choose finds the client to start: the one that the menu starts, if a route knows its command, else the first.
func choose(found []desktop.Client, kind desktop.Kind, menu []string) (c desktop.Client, command []string, ok bool) {
	sandboxed := len(menu) > 0 && strings.HasSuffix(menu[0], "flatpak")
	for _, candidate := range found {
		if candidate.Kind != kind {
			continue
		}
		if len(menu) > 0 && sandboxed == (candidate.Install == desktop.Flatpak) {
			return candidate, menu, true
		}
		if !ok {
			c, command, ok = candidate, candidate.DefaultLaunch(nil).Argv, true
		}
	}
	return c, command, ok
}

// Instance looks whether a client runs already, and whether it was started with the relay at listen.
func Instance(ctx context.Context, p Paths, o Options, c route.Client, listen string) (running, routed bool, pid int) {
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
	live := route.Live(route.Machine{State: p.State}.Installed(), c, in.Env)
	return true, live || c.Routed(in.Env, listen), in.PID
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
