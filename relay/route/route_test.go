package route_test

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/cmd/lab"
	"holdfast/relay/route"
)

var (
	dino  = route.Client{Kind: "dino", ID: "im.dino.Dino", Program: "dino-im"}
	gajim = route.Client{Kind: "gajim", ID: "org.gajim.Gajim", Program: "gajim"}
)

const dinoEntry = "[Desktop Entry]\nName=Dino\nExec=dino-im %U\n"

// desk is a person's home and a system with Dino and Gajim.
type desk struct {
	t    *testing.T
	home string
	m    route.Machine
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	home, system := t.TempDir(), t.TempDir()
	d := &desk{t, home, route.Machine{
		Data: filepath.Join(home, ".local/share"), Config: filepath.Join(home, ".config"), State: filepath.Join(home, ".local/state/holdfast"),
		DataDirs: []string{system}, Listen: "127.0.0.1:5380", Clients: []route.Client{dino, gajim}, Running: func(string) bool { return false },
	}}
	d.write(filepath.Join(system, "applications/im.dino.Dino.desktop"), dinoEntry)
	d.write(filepath.Join(system, "applications/org.gajim.Gajim.desktop"), "[Desktop Entry]\nExec=gajim %u\nActions=A;\n[Desktop Action A]\nExec=gajim --start-chat\n")
	d.write(filepath.Join(system, "dbus-1/services/im.dino.Dino.service"), "[D-BUS Service]\nName=im.dino.Dino\nExec=dino-im\n")
	return d
}

func (d *desk) write(path, text string) {
	d.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) read(path string) string {
	d.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(b)
}

// picture is every path below the home with its kind, permissions and content.
func (d *desk) picture() map[string]string {
	d.t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(d.home, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := e.Info()
		if err != nil {
			return err
		}
		line := st.Mode().String()
		if st.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %x %v", sha256.Sum256(b), st.ModTime())
		}
		if to, err := os.Readlink(path); err == nil {
			line += " " + to
		}
		out[strings.TrimPrefix(path, d.home)] = line
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

func (d *desk) apply(mode route.Mode, remove bool) route.Plan {
	d.t.Helper()
	p, err := d.m.Make(mode, remove)
	if err != nil {
		d.t.Fatal(err)
	}
	done, err := d.m.Apply(p.ID)
	if err != nil {
		d.t.Fatal(err)
	}
	files := func(p route.Plan) []string { // the folders of the record itself are there by now
		return slices.DeleteFunc(say(p), func(s string) bool { return strings.HasPrefix(s, "make-folder") })
	}
	if diff := cmp.Diff(files(p), files(done)); diff != "" {
		d.t.Errorf("done is not what was planned:\n%s", diff)
	}
	return done
}

func say(p route.Plan) []string {
	var out []string
	for _, s := range p.Steps {
		out = append(out, fmt.Sprintf("%s %s %s %s %s", s.Action, filepath.Base(s.Path), s.Reason, s.Mode, s.Value))
	}
	return out
}

func TestTheMenuStartsClientsWithHoldfastAndAfterwardsAsBefore(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(d *desk)
	}{
		{"an empty home", func(*desk) {}},
		{"folders of other programs", func(d *desk) { d.write(d.m.Data+"/applications/x.desktop", "x") }},
		{"an entry of the person's own", func(d *desk) {
			d.write(d.m.Data+"/applications/im.dino.Dino.desktop", "[Desktop Entry]\nName=Mine\nExec=env A=B dino-im %U\n")
			if err := os.Chmod(d.m.Data+"/applications/im.dino.Dino.desktop", 0o600); err != nil {
				d.t.Fatal(err)
			}
		}},
		{"an entry that is a link", func(d *desk) {
			d.write(d.home+"/dotfiles/dino", "[Desktop Entry]\nExec=dino-im %U\n")
			d.write(d.m.Data+"/applications/y", "")
			if err := os.Symlink("../../../dotfiles/dino", d.m.Data+"/applications/im.dino.Dino.desktop"); err != nil {
				d.t.Fatal(err)
			}
		}},
		{"an entry that is not understood", func(d *desk) {
			d.write(d.m.Data+"/applications/im.dino.Dino.desktop", "[Desktop Entry]\nExec=sh -c 'dino-im'\n")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t)
			c.prepare(d)
			before := d.picture()
			plan, err := d.m.Make(route.Launcher, false)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, d.picture()); diff != "" {
				t.Errorf("planning has changed something:\n%s", diff)
			}
			d.apply(route.Launcher, false)
			if got := d.m.Installed(); len(got) != 1 || got[0] != route.Launcher {
				t.Errorf("installed: %v", got)
			}
			script := d.m.Data + "/holdfast/bin/gajim"
			if got := d.read(d.m.Data + "/applications/org.gajim.Gajim.desktop"); !strings.Contains(got, "Exec="+script+" %u\n") || !strings.Contains(got, "Exec="+script+" --start-chat\n") {
				t.Errorf("Gajim's entry: %s", got)
			}
			if again, err := d.m.Make(route.Launcher, false); err != nil || len(again.Steps) > 0 && again.Steps[0].Action != route.Keep || again.ID == plan.ID {
				t.Errorf("once more: %q, %v", say(again), err)
			}
			d.apply(route.Launcher, true)
			if diff := cmp.Diff(before, d.picture()); diff != "" {
				t.Errorf("-before +after:\n%s", diff)
			}
		})
	}
}

func TestThePlanNamesEveryFileWithReasonAndPermissions(t *testing.T) {
	d := newDesk(t)
	d.write(d.m.Data+"/applications/im.dino.Dino.desktop", dinoEntry)
	p, err := d.m.Make(route.Launcher, false)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"make-folder holdfast folder 0700 ", "make-folder bin folder 0700 ", "write dino script 0755 ", "replace im.dino.Dino.desktop entry 0644 ",
		"make-folder dbus-1 folder 0755 ", "make-folder services folder 0755 ", "write im.dino.Dino.service service 0644 ",
		"write gajim script 0755 ", "write org.gajim.Gajim.desktop entry 0644 ",
	}
	if diff := cmp.Diff(want, say(p)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	d.apply(route.Launcher, false)
	if p, err = d.m.Make(route.Launcher, true); err != nil {
		t.Fatal(err)
	}
	want = []string{
		"remove org.gajim.Gajim.desktop made  ", "remove gajim made  ", "remove im.dino.Dino.service made  ", "restore im.dino.Dino.desktop before  ", "remove dino made  ",
		"remove-folder services made  ", "remove-folder dbus-1 made  ", "remove-folder bin made  ", "remove-folder holdfast made  ",
	}
	if diff := cmp.Diff(want, say(p)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAScriptStartsTheClientWithAndWithoutHoldfast(t *testing.T) {
	d := newDesk(t)
	d.apply(route.Launcher, false)
	bin := t.TempDir()
	for name, text := range map[string]string{"dino-im": "echo dino \"$@\"", "gajim": "echo gajim \"$@\""} {
		d.write(bin+"/"+name, "#!/bin/sh\n"+text+"\n")
		if err := os.Chmod(bin+"/"+name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run := func(kind string) string {
		cmd := exec.Command(d.m.Data+"/holdfast/bin/"+kind, "a b", "xmpp:x")
		cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	for _, kind := range []string{"dino", "gajim"} {
		if got := run(kind); got != kind+" a b xmpp:x\n" {
			t.Errorf("without Holdfast: %q", got)
		}
	}
	d.write(bin+"/holdfastctl", "#!/bin/sh\necho ctl \"$@\"\n")
	if err := os.Chmod(bin+"/holdfastctl", 0o755); err != nil {
		t.Fatal(err)
	}
	if got := run("dino"); got != "ctl launch dino -- a b xmpp:x\n" {
		t.Errorf("with it: %q", got)
	}
	if got := strings.Join(d.m.Command("dino"), " "); got != "dino-im" {
		t.Errorf("the command without Holdfast is %q", got)
	}
}

func TestAStalePlanIsRefused(t *testing.T) {
	d := newDesk(t)
	p, err := d.m.Make(route.Launcher, false)
	if err != nil {
		t.Fatal(err)
	}
	d.write(d.m.Data+"/applications/im.dino.Dino.desktop", dinoEntry+"X=1\n")
	before := d.picture()
	if _, err := d.m.Apply(p.ID); !errors.Is(err, route.ErrStale) {
		t.Errorf("Apply: %v", err)
	}
	for _, id := range []string{"", "launcher", "launcher-install-0", "launcher-explode-" + strings.Repeat("0", 24), "../x-install-y"} {
		if _, err := d.m.Apply(id); !errors.Is(err, route.ErrStale) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if diff := cmp.Diff(before, d.picture()); diff != "" {
		t.Errorf("a refused plan has changed something:\n%s", diff)
	}
	if _, err := d.m.Make("carrier-pigeon", false); !errors.Is(err, route.ErrUnknownMode) {
		t.Errorf("unknown mode: %v", err)
	}
}

func TestWhatSomebodyChangedSinceStaysAndStillStarts(t *testing.T) {
	d := newDesk(t)
	d.apply(route.Launcher, false)
	entry := d.m.Data + "/applications/im.dino.Dino.desktop"
	edited := d.read(entry) + "NoDisplay=true\n"
	d.write(entry, edited)
	p := d.apply(route.Launcher, true)
	if got := d.read(entry); got != edited {
		t.Errorf("the edited entry is %q", got)
	}
	if _, err := os.Stat(d.m.Data + "/holdfast/bin/dino"); err != nil {
		t.Errorf("the script that it starts: %v; plan %q", err, say(p))
	}
	if _, err := os.Stat(d.m.Data + "/holdfast/bin/gajim"); err == nil {
		t.Error("the other script is still there")
	}
	if len(d.m.Installed()) != 0 {
		t.Error("the way counts as installed")
	}
}

func TestCopiesFollowTheOriginals(t *testing.T) {
	d := newDesk(t)
	d.apply(route.Launcher, false)
	if p, old := d.m.Outdated(route.Launcher); old {
		t.Errorf("outdated at once: %q", say(p))
	}
	d.write(d.m.DataDirs[0]+"/applications/im.dino.Dino.desktop", dinoEntry+"Keywords=new;\n")
	p, old := d.m.Outdated(route.Launcher)
	if !old {
		t.Fatal("a new version of the client is not noticed")
	}
	if _, err := d.m.Apply(p.ID); err != nil {
		t.Fatal(err)
	}
	if got := d.read(d.m.Data + "/applications/im.dino.Dino.desktop"); !strings.Contains(got, "Keywords=new;") {
		t.Errorf("the copy is %q", got)
	}
	// The client is removed: so is what would start it.
	for _, f := range []string{"applications/im.dino.Dino.desktop", "dbus-1/services/im.dino.Dino.service"} {
		if err := os.Remove(filepath.Join(d.m.DataDirs[0], f)); err != nil {
			t.Fatal(err)
		}
	}
	if p, old = d.m.Outdated(route.Launcher); !old {
		t.Fatal("a removed client is not noticed")
	}
	if _, err := d.m.Apply(p.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(d.m.Data + "/applications/im.dino.Dino.desktop"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the copy: %v", err)
	}
	// What the person deletes by hand does not come back by itself.
	if err := os.Remove(d.m.Data + "/applications/org.gajim.Gajim.desktop"); err != nil {
		t.Fatal(err)
	}
	if p, old := d.m.Outdated(route.Launcher); old {
		t.Errorf("it comes back: %q", say(p))
	}
}

func TestOverridesOfFlatpaksComeAndGo(t *testing.T) {
	sandboxed := route.Client{Kind: "gajim", ID: "org.gajim.Gajim", Program: "gajim", OwnHTTP: true, Sandbox: true}
	for _, c := range []struct{ name, before string }{
		{"none", ""}, {"with a person's own", "[Context]\nfilesystems=home;\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t)
			d.m.Clients, d.m.Bundle = []route.Client{dino, sandboxed}, "/h/bundle.pem"
			path := d.m.Data + "/flatpak/overrides/org.gajim.Gajim"
			if c.before != "" {
				d.write(path, c.before)
			}
			before := d.picture()
			d.apply(route.Flatpak, false)
			got := d.read(path)
			for _, want := range []string{"https_proxy=http://127.0.0.1:5380\n", "SSL_CERT_FILE=/h/bundle.pem\n", "/h/bundle.pem:ro;\n"} {
				if !strings.Contains(got, want) {
					t.Errorf("%q is missing in:\n%s", want, got)
				}
			}
			if strings.Contains(got, "\nhttp_proxy") {
				t.Error("XMPP would go through the relay")
			}
			d.m.Listen = "127.0.0.1:5399"
			if p, old := d.m.Outdated(route.Flatpak); !old {
				t.Error("a new port is not noticed")
			} else if _, err := d.m.Apply(p.ID); err != nil {
				t.Error(err)
			}
			if got := d.read(path); !strings.Contains(got, ":5399") || strings.Contains(got, ":5380") {
				t.Errorf("after the port changed:\n%s", got)
			}
			d.apply(route.Flatpak, true)
			if diff := cmp.Diff(before, d.picture()); diff != "" {
				t.Errorf("-before +after:\n%s", diff)
			}
			// Changed by the person meanwhile: only ours is taken out.
			d.apply(route.Flatpak, false)
			d.write(path, d.read(path)+"LANG=C\n")
			d.apply(route.Flatpak, true)
			if got := d.read(path); strings.Contains(got, "5399") || strings.Contains(got, "bundle") || !strings.Contains(got, "LANG=C") {
				t.Errorf("what is left:\n%s", got)
			}
		})
	}
	d := newDesk(t)
	if _, err := d.m.Make(route.Flatpak, false); !errors.Is(err, route.ErrNothingThere) {
		t.Errorf("without a Flatpak: %v", err)
	}
}

// gajimDesk has settings of the form that Gajim 1.7.3 makes.
func gajimDesk(t *testing.T, app, account string) (*desk, string) {
	d := newDesk(t)
	path := d.m.Config + "/gajim/settings.sqlite"
	d.write(path, "")
	d.sql(path, `CREATE TABLE settings (name TEXT UNIQUE, settings TEXT)`, `CREATE TABLE account_settings (account TEXT UNIQUE, settings TEXT)`,
		`INSERT INTO settings VALUES ('app', '`+app+`'), ('proxies', '{"Tor": {"type": "socks5"}}')`,
		`INSERT INTO account_settings VALUES ('a', '{"account": `+account+`}')`, `PRAGMA user_version=5`)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return d, path
}

func (d *desk) sql(path string, statements ...string) {
	d.t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			d.t.Fatalf("%s: %v", s, err)
		}
	}
}

func (d *desk) settings(path, name string) string {
	d.t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var v string
	if err := db.QueryRow(`SELECT settings FROM settings WHERE name = ?`, name).Scan(&v); err != nil {
		d.t.Fatal(err)
	}
	return v
}

func TestGajimsOwnProxyComesAndGoes(t *testing.T) {
	d, path := gajimDesk(t, `{"z": 1, "a": "ü"}`, `{"name": "a", "proxy": ""}`)
	before := d.picture()
	d.apply(route.Gajim, false)
	if got := d.settings(path, "app"); got != `{"z":1,"a":"ü","global_proxy":"Holdfast"}` {
		t.Errorf("app: %s", got)
	}
	if got := d.settings(path, "proxies"); !strings.Contains(got, `"Tor"`) ||
		!strings.Contains(got, `"Holdfast":{"type":"http","host":"127.0.0.1","port":5380,"useauth":false,"user":"","pass":""}`) {
		t.Errorf("proxies: %s", got)
	}
	if p, err := d.m.Make(route.Gajim, false); err != nil || len(p.Steps) != 0 {
		t.Errorf("once more: %q, %v", say(p), err)
	}
	d.apply(route.Gajim, true)
	if diff := cmp.Diff(before, d.picture()); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
	// Gajim ran and changed its settings: only the proxy is taken out.
	d.apply(route.Gajim, false)
	d.sql(path, `UPDATE settings SET settings = json_set(settings, '$.seen', 3) WHERE name = 'app'`)
	d.apply(route.Gajim, true)
	if app, proxies := d.settings(path, "app"), d.settings(path, "proxies"); app != `{"z":1,"a":"ü","seen":3}` || proxies != `{"Tor":{"type":"socks5"}}` {
		t.Errorf("what is left: %s %s", app, proxies)
	}
}

func TestGajimsProxyIsOnlyTouchedWhenItIsSafe(t *testing.T) {
	for _, c := range []struct {
		name         string
		app, account string
		prepare      func(d *desk, path string)
		want         error
	}{
		{"a proxy for all accounts", `{"global_proxy": "Tor"}`, `{}`, func(*desk, string) {}, route.ErrOwnProxy},
		{"a proxy for one account", `{}`, `{"proxy": "Tor"}`, func(*desk, string) {}, route.ErrOwnProxy},
		{"it runs", `{}`, `{}`, func(d *desk, _ string) { d.m.Running = func(string) bool { return true } }, route.ErrRunning},
		{"it cannot be told whether it runs", `{}`, `{}`, func(d *desk, _ string) { d.m.Running = nil }, route.ErrRunning},
		{"it crashed", `{}`, `{}`, func(d *desk, path string) { d.write(path+"-wal", "x") }, route.ErrUnclean},
		{"it never ran", `{}`, `{}`, func(d *desk, path string) { _ = os.Remove(path) }, route.ErrNothingThere},
		{"its settings have another form", `{}`, `{}`, func(d *desk, path string) { d.sql(path, `DROP TABLE account_settings`) }, route.ErrNothingThere},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, path := gajimDesk(t, c.app, c.account)
			c.prepare(d, path)
			before := d.picture()
			if p, err := d.m.Make(route.Gajim, false); !errors.Is(err, c.want) {
				t.Errorf("%q, %v", say(p), err)
			}
			if diff := cmp.Diff(before, d.picture()); diff != "" {
				t.Errorf("-before +after:\n%s", diff)
			}
		})
	}
}

// session is a private bus with the real dconf of the system, in a home of its own.
func session(t *testing.T) (env []string, g route.GSettings) {
	t.Helper()
	daemon := lab.Need(t, "dbus-daemon", "dbus-daemon")
	lab.Need(t, "gsettings", "libglib2.0-bin")
	lab.Need(t, "dconf", "dconf-cli")
	home := t.TempDir()
	run, err := os.MkdirTemp("", "dconf-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	config := filepath.Join(run, "bus.conf")
	text := `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path=` + run + `/bus</listen><servicedir>` + run + `</servicedir>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/></policy></busconfig>`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	service := "[D-BUS Service]\nName=ca.desrt.dconf\nExec=/usr/libexec/dconf-service\n"
	if err := os.WriteFile(filepath.Join(run, "ca.desrt.dconf.service"), []byte(service), 0o600); err != nil {
		t.Fatal(err)
	}
	env = []string{"HOME=" + home, "XDG_RUNTIME_DIR=" + run, "DBUS_SESSION_BUS_ADDRESS=unix:path=" + run + "/bus", "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "GSETTINGS_BACKEND=dconf"}
	cmd := exec.Command(daemon, "--config-file="+config, "--nofork", "--nopidfile", "--print-address=1")
	cmd.Env = env
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := lab.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return env, route.GSettings{Env: env, GSettings: "/usr/bin/gsettings", DConf: "/usr/bin/dconf"}
}

func TestTheDesktopsProxyIsSetAndGivenBackExactly(t *testing.T) {
	env, g := session(t)
	dconf := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("dconf", args...)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("dconf %q: %v: %s", args, err, out)
		}
		return string(out)
	}
	if _, _, err := g.Read("/system/proxy/mode"); err != nil {
		t.Skipf("no schema of GNOME here: %v", err)
	}
	d := newDesk(t)
	d.m.Settings = g
	for _, c := range []struct {
		name   string
		pac    bool
		before map[string]string
		want   string
	}{
		{"nothing set, with an engine", true, nil, "mode='auto'"},
		{"nothing set, without an engine", false, nil, "mode='manual'"},
		{"old values that are not in use", false, map[string]string{"/system/proxy/https/host": "'old.example'", "/system/proxy/https/port": "3128", "/system/proxy/mode": "'none'"}, "host='127.0.0.1'"},
		{"an old script that is not in use", true, map[string]string{"/system/proxy/autoconfig-url": "'http://old.example/x.pac'"}, "autoconfig-url='http://127.0.0.1:5380/proxy.pac'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dconf("reset", "-f", "/")
			dconf("write", "/org/other/x", "'y'")
			for path, value := range c.before {
				dconf("write", path, value)
			}
			before, files := dconf("dump", "/"), d.picture()
			d.m.PAC = c.pac
			d.apply(route.Gnome, false)
			if got := dconf("dump", "/"); !strings.Contains(got, c.want) {
				t.Errorf("set:\n%s", got)
			}
			if p, err := d.m.Make(route.Gnome, false); err != nil || len(p.Steps) != 0 {
				t.Errorf("once more: %q, %v", say(p), err)
			}
			d.apply(route.Gnome, true)
			if diff := cmp.Diff(before, dconf("dump", "/")); diff != "" {
				t.Errorf("dconf dump / -before +after:\n%s", diff)
			}
			if diff := cmp.Diff(files, d.picture()); diff != "" {
				t.Errorf("-before +after:\n%s", diff)
			}
		})
	}
	t.Run("a proxy of one's own is not touched", func(t *testing.T) {
		dconf("reset", "-f", "/")
		dconf("write", "/system/proxy/mode", "'manual'")
		before := dconf("dump", "/")
		if p, err := d.m.Make(route.Gnome, false); !errors.Is(err, route.ErrOwnProxy) {
			t.Errorf("%q, %v", say(p), err)
		}
		if diff := cmp.Diff(before, dconf("dump", "/")); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("what was changed since stays", func(t *testing.T) {
		dconf("reset", "-f", "/")
		d.m.PAC = false
		d.apply(route.Gnome, false)
		dconf("write", "/system/proxy/mode", "'auto'")
		d.apply(route.Gnome, true)
		if got := dconf("dump", "/"); got != "[system/proxy]\nmode='auto'\n\n" && got != "[system/proxy]\nmode='auto'\n" {
			t.Errorf("%q", got)
		}
	})
}

func TestALostRecordDoesNotLoseAClient(t *testing.T) {
	d := newDesk(t)
	before := d.picture()
	d.apply(route.Launcher, false)
	if err := os.RemoveAll(d.m.State); err != nil {
		t.Fatal(err)
	}
	d.apply(route.Launcher, false) // takes its own files for its own
	d.apply(route.Launcher, true)
	after := d.picture()
	for path := range after {
		if _, ok := before[path]; !ok && !strings.HasSuffix(path, ".local") && after[path][0] != 'd' {
			t.Errorf("%s is left", path)
		}
	}
}
