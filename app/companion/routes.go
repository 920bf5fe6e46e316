package companion

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"holdfast/app/control"
	"holdfast/app/words"
	"holdfast/detect/client/desktop"
	"holdfast/relay/route"
)

// RoutePlanDocument is the document of RoutePlan and RouteApply.
type RoutePlanDocument struct {
	Schema  int         `json:"schema"`
	PlanID  string      `json:"plan_id"`
	Mode    string      `json:"mode"`
	Remove  bool        `json:"remove"`
	Applied bool        `json:"applied"`
	Steps   []RouteStep `json:"steps"`
	Warning string      `json:"warning,omitempty"` // what else it takes, as one sentence or two
}

// RouteStep is one file or setting.
type RouteStep struct {
	route.Step
	Text string `json:"text"` // the reason as a sentence
}

// routes plans and applies ways to the relay; it needs no companion.
type routes struct {
	paths  Paths
	words  *words.Words
	getenv func(string) string
	listen string // where the relay answers
	trusts trusts
}

// machine is this computer as a route sees it.
func (r routes) machine() route.Machine {
	m := route.Machine{
		Data: r.paths.XDG.Data, Config: r.paths.XDG.Config, State: r.paths.State, DataDirs: r.dataDirs(),
		Listen: r.listen, PAC: route.PACEngine("/"),
		Running: func(kind string) bool {
			running, err := unreachable{desktop.Kind(kind), r.words}.Running(context.Background())
			return running || err != nil
		},
	}
	if exists(r.trusts.bundle) {
		m.Bundle = r.trusts.bundle
	}
	for _, c := range desktop.Find(r.paths.dirs(r.getenv)) {
		m.Clients = append(m.Clients, clientOf(c))
	}
	// One whose program was removed is still known by what was changed for it.
	for _, k := range desktop.Kinds() {
		if !slices.ContainsFunc(m.Clients, func(c route.Client) bool { return c.Kind == string(k) }) {
			m.Clients = append(m.Clients, clientOf(desktop.Client{Kind: k}))
		}
	}
	if bus := SessionBus(r.getenv); bus != "" {
		m.Settings = r.settings(bus)
	}
	return m
}

// dataDirs are where desktop entries lie besides the person's own: XDG_DATA_DIRS, and the exports of Flatpak, which a
// companion that systemd started may not have in it.
func (r routes) dataDirs() []string {
	dirs := filepath.SplitList(r.getenv("XDG_DATA_DIRS"))
	if len(dirs) == 0 {
		dirs = []string{"/usr/local/share", "/usr/share"}
	}
	exports := []string{filepath.Join(r.paths.XDG.Data, "flatpak", "exports", "share"), "/var/lib/flatpak/exports/share"}
	for _, dir := range slices.Backward(exports) {
		if !slices.Contains(dirs, dir) {
			dirs = slices.Insert(dirs, 0, dir)
		}
	}
	return slices.DeleteFunc(dirs, func(d string) bool { return !filepath.IsAbs(d) })
}

// settings are the desktop's. Without a bus gsettings would start one.
func (r routes) settings(bus string) route.Settings {
	g := route.GSettings{Env: []string{"DBUS_SESSION_BUS_ADDRESS=" + bus, "HOME=" + r.paths.Home, "LC_ALL=C.UTF-8"}}
	for _, name := range []string{"PATH", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_DATA_DIRS", "XDG_CURRENT_DESKTOP", "DCONF_PROFILE", "GSETTINGS_BACKEND", "GSETTINGS_SCHEMA_DIR"} {
		if v := r.getenv(name); v != "" {
			g.Env = append(g.Env, name+"="+v)
		}
	}
	find := func(name string) string {
		for _, dir := range append(filepath.SplitList(r.getenv("PATH")), "/usr/bin") {
			p := filepath.Join(dir, name)
			if st, err := os.Stat(p); filepath.IsAbs(dir) && err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o111 != 0 {
				return p
			}
		}
		return ""
	}
	g.GSettings, g.DConf = find("gsettings"), find("dconf")
	return g
}

// plan is RoutePlan. Without a mode it is the usual one.
func (r routes) plan(mode string, remove bool) (string, error) {
	if mode == "" {
		mode = string(route.Launcher)
	}
	p, err := r.machine().Make(route.Mode(mode), remove)
	if err != nil {
		return "", r.explain(err)
	}
	return r.document(p, false)
}

// apply is RouteApply.
func (r routes) apply(ctx context.Context, id string) (string, error) {
	p, err := r.machine().Apply(id)
	if err != nil {
		return "", r.explain(err)
	}
	if p.Mode == route.Launcher {
		r.reloadBus(ctx)
	}
	return r.document(p, true)
}

// reloadBus has the session bus look at its services again: it may not know a folder that was just made. A bus that
// does not answer reads them at its next start.
func (r routes) reloadBus(ctx context.Context) {
	if session, err := desktop.Open(ctx, desktop.Options{Address: SessionBus(r.getenv)}); err == nil {
		_ = session.ReloadServices(ctx) // see above
		closeSession(session)
	}
}

func (r routes) document(p route.Plan, applied bool) (string, error) {
	doc := RoutePlanDocument{Schema: 1, PlanID: p.ID, Mode: string(p.Mode), Remove: p.Remove, Applied: applied, Steps: []RouteStep{}}
	for _, s := range p.Steps {
		doc.Steps = append(doc.Steps, RouteStep{s, r.words.RouteReason(string(s.Reason))})
	}
	if !p.Remove {
		var warnings []string
		app := r.trusts.all(r.trusts.app)
		switch system := r.trusts.all(r.trusts.system); {
		case system:
		case p.Mode == route.Launcher && !app:
			warnings = append(warnings, r.words.Setup.RouteTrust)
		case p.Mode != route.Launcher:
			warnings = append(warnings, r.words.Setup.RouteTrustAll)
		}
		if p.Mode == route.Gnome && !route.PACEngine("/") {
			warnings = append(warnings, r.words.Setup.RouteNoScript)
		}
		doc.Warning = strings.Join(warnings, " ")
	}
	return render(doc)
}

// status is RouteStatus.
func (r routes) status() (string, error) {
	m := r.machine()
	doc := RouteDocument{
		Schema: 1, Mode: "none", Modes: []string{}, Files: []string{}, Listen: r.listen, PACURL: "http://" + r.listen + "/proxy.pac",
		Env:  route.Client{}.Environment(r.listen, false),
		Text: r.words.Ctl.RouteNone,
	}
	for i, mode := range m.Installed() {
		if i == 0 {
			doc.Mode = string(mode)
		}
		doc.Modes = append(doc.Modes, string(mode))
		changed, err := m.Changed(mode)
		if err != nil {
			return "", err
		}
		doc.Files = append(doc.Files, changed...)
	}
	if len(doc.Modes) > 0 {
		doc.Text = fmt.Sprintf(r.words.Setup.RouteInstalled, strings.Join(doc.Modes, ", "))
	}
	return render(doc)
}

// explain gives an error of a route its kind and words.
func (r routes) explain(err error) error {
	s := r.words.Setup
	for _, e := range []struct {
		is   error
		kind control.Kind
		text string
	}{
		{route.ErrUnknownMode, control.Invalid, s.RouteUnknown},
		{route.ErrStale, control.Failed, s.RouteStale},
		{route.ErrOwnProxy, control.Denied, s.RouteOwnProxy},
		{route.ErrRunning, control.Busy, s.RouteRunning},
		{route.ErrUnclean, control.Busy, s.RouteUnclean},
		{route.ErrNothingThere, control.Failed, s.RouteNothing},
	} {
		if errors.Is(err, e.is) {
			return &control.Error{Kind: e.kind, Text: fmt.Sprintf("%s (%s)", e.text, err)}
		}
	}
	return &control.Error{Kind: control.Failed, Text: err.Error()}
}

// routes of a running companion.
func (c *companion) routes() routes {
	return routes{paths: c.paths, words: c.words, getenv: c.getenv, listen: c.listen, trusts: c.trusts()}
}

// refreshRoutes brings the ways that are installed up to date: a client was updated, or the relay listens elsewhere.
func (c *companion) refreshRoutes(ctx context.Context) {
	r := c.routes()
	m := r.machine()
	for _, mode := range m.Installed() {
		p, outdated := m.Outdated(mode)
		if !outdated {
			continue
		}
		if _, err := r.apply(ctx, p.ID); err != nil {
			c.log.Warn("route not brought up to date", "mode", mode, "error", err)
			continue
		}
		c.log.Info("route brought up to date", "mode", mode, "files", len(p.Steps))
	}
	if err := r.trusts.refresh(); err != nil {
		c.log.Warn("certificates for clients not refreshed", "error", err)
	}
}
