package companion

import (
	"context"
	"errors"
	"path/filepath"

	"holdfast/app/agent"
	"holdfast/detect/client/desktop"
	"holdfast/relay/route"
)

// dirs says where clients are looked for.
func (p Paths) dirs(getenv func(string) string) desktop.Dirs {
	return desktop.Dirs{Home: p.Home, Data: p.XDG.Data, Path: filepath.SplitList(getenv("PATH"))}
}

// lookAtClients lists the installed clients and how they run. session may be nil.
func lookAtClients(ctx context.Context, session *desktop.Session, dirs desktop.Dirs, view view) ([]agent.Client, error) {
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
		a := agent.Client{Kind: string(c.Kind), Install: string(c.Install), Version: c.Version, Hosts: view.trusts.hosts, State: view.still(c)}
		if in, ok := running[c.Kind]; ok && in.Install == c.Install {
			a.Running, a.PID, a.State = true, in.PID, view.running(c, in)
			delete(running, c.Kind)
		}
		out = append(out, a)
	}
	// One that runs from a place nobody looked at is a client all the same.
	for _, k := range desktop.Kinds() {
		if in, ok := running[k]; ok {
			out = append(out, agent.Client{
				Kind: string(k), Install: string(in.Install), Running: true, PID: in.PID, Hosts: view.trusts.hosts,
				State: view.running(desktop.Client{Kind: k, Install: in.Install}, in),
			})
		}
	}
	return out, errors.Join(errs...)
}

// view is what the state of a client depends on besides the client.
type view struct {
	listen string // where the relay answers
	trusts trusts
	routes []route.Mode // that are installed
}

// running is the state of a client that runs (docs/companion.md). That an upload came through is the agent's to say.
func (v view) running(c desktop.Client, in desktop.Instance) string {
	routed := clientOf(c).Routed(in.Env, v.listen) || route.Live(v.routes, clientOf(c), in.Env)
	switch {
	case !routed && len(v.routes) > 0:
		return "needs-restart"
	case !routed:
		return "not-routed"
	case !v.trusts.instance(in, ownHTTP(c)):
		return "not-trusted"
	}
	return "ready"
}

// still is the state of a client that does not run: what it would be, were it started from the menu.
func (v view) still(c desktop.Client) string {
	switch {
	case !v.trusts.all(func(host string) bool { return v.trusts.app(host) || v.trusts.system(host) }):
		return "not-trusted"
	case len(v.routes) == 0:
		return "not-routed"
	}
	return "ready"
}
