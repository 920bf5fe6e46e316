package companion

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"holdfast/app/agent"
	"holdfast/detect/client/desktop"
)

// dirs says where clients are looked for.
func (p Paths) dirs(getenv func(string) string) desktop.Dirs {
	return desktop.Dirs{Home: p.Home, Data: p.XDG.Data, Path: filepath.SplitList(getenv("PATH"))}
}

// lookAtClients lists the installed clients and how they run. session may be nil.
func lookAtClients(ctx context.Context, session *desktop.Session, dirs desktop.Dirs, relay string) ([]agent.Client, error) {
	var (
		out  []agent.Client
		errs []error
	)
	running := map[desktop.Kind]desktop.Instance{}
	if session != nil {
		for _, k := range desktop.Kinds() {
			in, err := session.Running(ctx, k)
			switch {
			case err == nil:
				running[k] = in
			case !errors.Is(err, desktop.ErrNotRunning):
				errs = append(errs, err)
			}
		}
	}
	for _, c := range desktop.Find(dirs) {
		a := agent.Client{Kind: string(c.Kind), Install: string(c.Install), Version: c.Version, State: "not-routed"}
		if in, ok := running[c.Kind]; ok && in.Install == c.Install {
			a.Running, a.PID = true, in.PID
			if routed(in.Env, relay, ownEnvironment(c)) {
				a.State = "ready"
			}
			delete(running, c.Kind)
		}
		out = append(out, a)
	}
	// One that runs from a place nobody looked at is a client all the same.
	for _, k := range desktop.Kinds() {
		if in, ok := running[k]; ok {
			a := agent.Client{Kind: string(k), Install: string(in.Install), Running: true, PID: in.PID, State: "not-routed"}
			if routed(in.Env, relay, false) {
				a.State = "ready"
			}
			out = append(out, a)
		}
	}
	return out, errors.Join(errs...)
}

// ownEnvironment says whether a client reads the proxy variables itself, whatever the desktop: Gajim does from 2.4 on,
// where uploads go through httpx instead of GLib.
func ownEnvironment(c desktop.Client) bool {
	major, rest, _ := strings.Cut(c.Version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(major)
	m, merr := strconv.Atoi(minor)
	return c.Kind == desktop.Gajim && err == nil && (n > 2 || n == 2 && merr == nil && m >= 4)
}

// routed says whether a process was started with the relay as its proxy, in a way that it listens to: in a GNOME
// session GLib ignores the variables unless GIO_USE_PROXY_RESOLVER says libproxy.
func routed(env func(string) (string, bool), relay string, own bool) bool {
	if relay == "" {
		return false
	}
	current, _ := env("XDG_CURRENT_DESKTOP")
	resolver, _ := env("GIO_USE_PROXY_RESOLVER")
	if !own && slices.Contains(strings.Split(current, ":"), "GNOME") && resolver != "libproxy" {
		return false
	}
	for _, name := range []string{"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"} {
		v, ok := env(name)
		if !ok || v == "" {
			continue
		}
		if !strings.Contains(v, "://") {
			v = "http://" + v
		}
		u, err := url.Parse(v)
		if err != nil {
			return false
		}
		return strings.Replace(u.Host, "localhost:", "127.0.0.1:", 1) == relay
	}
	return false
}
