package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"

	"holdfast/app"
	"holdfast/app/agent"
	"holdfast/app/control"
	"holdfast/app/words"
	"holdfast/cmd/lab"
)

const deadline = 15 * time.Second

// trayProcess is what the test binary does as a tray: systray keeps its state in package variables, so every tray of a
// test gets a process. It prints what it would open.
func trayProcess() int {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM) // until the process ends
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	bus, err := app.OpenSession(os.Getenv)
	if err != nil {
		fmt.Println("error", err)
		return 4
	}
	local := &app.Local{Connect: func(ctx context.Context) (control.Client, error) {
		return control.Dial(ctx, os.Getenv("TRAY_TEST_DIR"))
	}}
	if os.Getenv("TRAY_TEST_INSIDE") != "" {
		local.RunInside = func() error { return serveCompanion(ctx, os.Getenv("TRAY_TEST_DIR"), newCompanion()) }
	}
	after, _ := time.ParseDuration(os.Getenv("TRAY_TEST_HOST_AFTER"))
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	err = app.Run(ctx, app.Config{Session: bus, Words: words.For("en"), Companion: local, Windows: printer{}, Log: log, HostAfter: after})
	stop()
	fmt.Println("end", err)
	if werr := errors.Join(local.Wait(), bus.Close()); werr != nil {
		fmt.Println("error", werr)
	}
	return 0
}

type printer struct{}

func (printer) Open(name, token string) error { fmt.Println("open", name, token); return nil }
func (printer) Possible() bool                { return os.Getenv("TRAY_TEST_SCREEN") != "" }

// companion is a Service that notes what it was asked and tells its hub like a real one.
type companion struct {
	control.Service // what the tray does not use
	hub             *control.Hub
	stopped         chan struct{}

	mu    sync.Mutex // guards all following fields
	asked []string
	state agent.State
	fail  error
}

func newCompanion() *companion {
	c := &companion{hub: control.NewHub(), stopped: make(chan struct{})}
	c.change(func(s *agent.State) {
		*s = agent.State{Schema: 1, Status: agent.Ready, AutoFix: true, Network: agent.Network{Kind: "wifi", Name: "home_5G", Online: true},
			Clients: []agent.Client{{Kind: "dino", Install: "native", Running: true}}}
	})
	return c
}

func (c *companion) change(f func(*agent.State)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.state)
	c.hub.State(c.state)
}

func (c *companion) note(format string, args ...any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, fmt.Sprintf(format, args...))
	return c.fail
}

func (c *companion) wasAsked(call string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.asked, call)
}

func (c *companion) GetState(context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, err := json.Marshal(c.state)
	return string(b), err
}

func (c *companion) SetAutoFix(_ context.Context, on bool) error {
	err := c.note("autofix %v", on)
	if err == nil {
		c.change(func(s *agent.State) { s.AutoFix = on })
	}
	return err
}

func (c *companion) Pause(_ context.Context, d time.Duration) error {
	c.change(func(s *agent.State) { s.Status = agent.Paused })
	return c.note("pause %v", d)
}

func (c *companion) Resume(context.Context) error {
	c.change(func(s *agent.State) { s.Status = agent.Ready })
	return c.note("resume")
}

func (c *companion) Reset(_ context.Context, clients []string, dry bool) (string, error) {
	if dry {
		return `{"schema":1,"clients":[{"client":"dino","steps":[]}]}`, nil
	}
	return `{"schema":1}`, c.note("reset %s", strings.Join(clients, " "))
}

func (c *companion) Stop(context.Context) error {
	defer close(c.stopped)
	return c.note("stop")
}

// serveCompanion answers on the socket in dir until ctx ends or it is stopped.
func serveCompanion(ctx context.Context, dir string, c *companion) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	socket, err := control.ListenSocket(dir, os.Getuid(), c, c.hub, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	go func() {
		select {
		case <-c.stopped:
		case <-ctx.Done():
		}
		c.hub.Close()
		cancel()
	}()
	return socket.Serve(ctx)
}

// desktop is a private bus, and what a panel would be.
type desktop struct {
	t     *testing.T
	addr  string
	dir   string
	conn  *dbus.Conn
	items chan string // unique names of registered items

	session *app.Session
}

func newDesktop(t *testing.T) *desktop {
	t.Helper()
	d := &desktop{t: t, addr: lab.Bus(t), dir: filepath.Join(t.TempDir(), "h"), items: make(chan string, 8)}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	conn, err := dbus.Connect(d.addr, dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	d.conn = conn
	d.session, err = app.OpenSession(func(k string) string { return map[string]string{"DBUS_SESSION_BUS_ADDRESS": d.addr}[k] })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.session.Close() })
	return d
}

// panel makes the desktop show tray icons.
func (d *desktop) panel() {
	d.t.Helper()
	const name, path = "org.kde.StatusNotifierWatcher", "/StatusNotifierWatcher"
	register := func(sender dbus.Sender, _ string) *dbus.Error { d.items <- string(sender); return nil }
	if err := d.conn.ExportMethodTable(map[string]any{"RegisterStatusNotifierItem": register}, path, name); err != nil {
		d.t.Fatal(err)
	}
	if _, err := prop.Export(d.conn, path, prop.Map{name: {"IsStatusNotifierHostRegistered": {Value: true}}}); err != nil {
		d.t.Fatal(err)
	}
	if reply, err := d.conn.RequestName(name, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		d.t.Fatalf("own %s: %v %v", name, reply, err)
	}
}

// process is a running tray.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string

	stderr bytes.Buffer // until the process has ended
}

func (d *desktop) start(env ...string) *process {
	d.t.Helper()
	self, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	p := &process{t: d.t, cmd: exec.Command(self), lines: make(chan string, 64)}
	p.cmd.Env = append([]string{"HOLDFAST_TEST_TRAY=1", "DBUS_SESSION_BUS_ADDRESS=" + d.addr, "TRAY_TEST_DIR=" + d.dir, "PATH=" + os.Getenv("PATH"), "TZ=UTC", "GORACE=exitcode=0"}, env...)
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
		close(p.lines)
	}()
	d.t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-done
		err := p.cmd.Wait()
		d.t.Logf("%s", p.stderr.String())
		if err != nil {
			d.t.Errorf("the tray ended badly: %v", err)
		}
		for block := range strings.SplitSeq(p.stderr.String(), "==================") {
			// The library counts menu revisions without its lock 150 ms after the first look at the menu
			// (systray v1.12.3-0.20260810170012, GetLayout). Only races with our code in them are ours.
			if strings.Contains(block, "DATA RACE") && strings.Contains(block, "holdfast/app") {
				d.t.Error("the race detector found something in the tray, see above")
			}
		}
	})
	return p
}

// says waits for a line.
func (p *process) says(want string) {
	p.t.Helper()
	late := time.After(deadline)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("the tray ended and never said %q", want)
			}
			if strings.TrimSpace(line) == want {
				return
			}
		case <-late:
			p.t.Fatalf("the tray never said %q", want)
		}
	}
}

// ends waits for the process to end without an error.
func (p *process) ends() {
	p.t.Helper()
	p.says("end <nil>")
}

// menu is the tray's menu as a panel sees it.
type menu struct {
	t       *testing.T
	conn    *dbus.Conn
	name    string
	updates chan *dbus.Signal
}

// item is one line of it.
type item struct {
	id               int32
	label            string
	enabled, visible bool
	toggle           string
	on               bool
}

func (d *desktop) menu() *menu {
	d.t.Helper()
	select {
	case name := <-d.items:
		m := &menu{t: d.t, conn: d.conn, name: name, updates: make(chan *dbus.Signal, 256)}
		if err := d.conn.AddMatchSignal(dbus.WithMatchInterface("com.canonical.dbusmenu")); err != nil {
			d.t.Fatal(err)
		}
		d.conn.Signal(m.updates)
		return m
	case <-time.After(deadline):
		d.t.Fatal("no tray icon was registered")
		return nil
	}
}

type node struct {
	ID       int32
	Props    map[string]dbus.Variant
	Children []dbus.Variant
}

func (m *menu) items() []item {
	m.t.Helper()
	var revision uint32
	var root node
	call := m.conn.Object(m.name, "/StatusNotifierItem/menu").Call("com.canonical.dbusmenu.GetLayout", 0, int32(0), int32(-1), []string{})
	if err := call.Store(&revision, &root); err != nil {
		m.t.Fatalf("GetLayout: %v", err)
	}
	var out []item
	for _, child := range root.Children {
		var n node
		if err := dbus.Store([]any{child.Value()}, &n); err != nil {
			m.t.Fatal(err)
		}
		it := item{id: n.ID, visible: true, enabled: true}
		for k, v := range n.Props {
			switch k {
			case "label":
				it.label = v.Value().(string)
			case "enabled":
				it.enabled = v.Value().(bool)
			case "visible":
				it.visible = v.Value().(bool)
			case "toggle-type":
				it.toggle = v.Value().(string)
			case "toggle-state":
				it.on = v.Value().(int32) == 1
			}
		}
		out = append(out, it)
	}
	return out
}

// until waits for an item with that label to be as wanted.
func (m *menu) until(label string, want func(item) bool) item {
	m.t.Helper()
	late := time.After(deadline)
	for {
		items := m.items()
		for _, it := range items {
			if it.label == label && want(it) {
				return it
			}
		}
		select {
		case <-m.updates:
		case <-late:
			m.t.Fatalf("%q did not become as wanted; the menu is %+v", label, items)
		}
	}
}

func shows(it item) bool  { return it.visible }
func hidden(it item) bool { return !it.visible }

func (m *menu) click(label string) {
	m.t.Helper()
	it := m.until(label, func(it item) bool { return it.visible && it.enabled })
	call := m.conn.Object(m.name, "/StatusNotifierItem/menu").Call("com.canonical.dbusmenu.Event", 0, it.id, "clicked", dbus.MakeVariant(""), uint32(0))
	var gone dbus.Error
	if errors.As(call.Err, &gone) && gone.Name == "org.freedesktop.DBus.Error.NoReply" {
		return // it quit so fast that the answer was not sent any more
	}
	if call.Err != nil {
		m.t.Fatalf("click %s: %v", label, call.Err)
	}
}

func (m *menu) property(name string) any {
	m.t.Helper()
	v, err := m.conn.Object(m.name, "/StatusNotifierItem").GetProperty("org.kde.StatusNotifierItem." + name)
	if err != nil {
		m.t.Fatal(err)
	}
	return v.Value()
}

// serve runs a companion in the test and returns what stops it.
func (d *desktop) serve(c *companion) (stop func()) {
	d.t.Helper()
	ctx, cancel := context.WithCancel(d.t.Context())
	done := make(chan error, 1)
	go func() { done <- serveCompanion(ctx, d.dir, c) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			d.t.Error(err)
		}
	})
	d.t.Cleanup(stop)
	return stop
}

func TestTrayShowsTheCompanionAndClicksReachIt(t *testing.T) {
	d := newDesktop(t)
	d.panel()
	c := newCompanion()
	d.serve(c)
	tray := d.start()
	m := d.menu()

	m.until("Ready - send a file to see it work", shows)
	m.until("Wi-Fi home__5G", shows) // the escape of an access key
	m.until("Restart Dino", shows)   // its dry run moves nothing
	m.until("Reset Gajim", hidden)   // it is not installed
	m.until("Start Holdfast", hidden)
	if id := m.property("Id"); id != "holdfast" {
		t.Errorf("the Id is %v; desktops remember it", id)
	}
	if title := m.property("Title"); title != "Holdfast" {
		t.Errorf("the title is %v", title)
	}
	ids := func() (out []int32) {
		for _, it := range m.items() {
			out = append(out, it.id)
		}
		return out
	}
	before := ids()
	icon := m.property("IconPixmap")

	auto := m.until("Auto-fix", shows)
	if auto.toggle != "checkmark" || !auto.on {
		t.Errorf("auto-fix is %+v", auto)
	}
	m.click("Auto-fix")
	m.until("Auto-fix", func(it item) bool { return it.toggle == "checkmark" && !it.on })
	if !c.wasAsked("autofix false") {
		t.Errorf("the companion was asked %v", c.asked)
	}
	m.click("Pause for 1 hour")
	m.until("Paused", shows)
	m.until("Pause for 1 hour", hidden)
	m.click("Resume")
	m.until("Resume", hidden)
	m.click("Pause for 15 minutes")
	m.until("Paused", shows)
	c.change(func(s *agent.State) { s.Status, s.Paused = agent.Attention, true })
	m.until("Resume", shows) // something else needs a person, but the pause can be ended
	m.click("Resume")
	c.change(func(s *agent.State) { s.Status, s.Paused = agent.Ready, false })
	m.until("Resume", hidden)
	m.click("Pause until resumed")
	m.until("Paused", shows)
	m.click("Resume")
	m.until("Resume", hidden)
	for _, call := range []string{"pause 1h0m0s", "pause 15m0s", "pause 0s", "resume"} {
		if !c.wasAsked(call) {
			t.Errorf("the companion was asked %v, not %s", c.asked, call)
		}
	}
	c.change(func(s *agent.State) { s.Status, s.Uploads.Active = agent.Working, 2 })
	m.until("Uploading 2 files", shows)
	if slices.Equal(fmt.Append(nil, icon), fmt.Append(nil, m.property("IconPixmap"))) {
		t.Error("the icon did not change")
	}
	if after := ids(); !slices.Equal(before, after) {
		t.Errorf("ids changed: %v, then %v", before, after)
	}

	c.mu.Lock()
	c.fail = &control.Error{Kind: control.Failed, Text: "Dino did not quit."}
	c.mu.Unlock()
	m.click("Restart Dino")
	m.until("Dino did not quit.", shows)

	m.click("Uploads...")
	tray.says("open uploads")
	m.click("Network check...")
	tray.says("open check")
	m.click("Settings...")
	tray.says("open settings")
	m.click("Quit tray")
	tray.ends()
}

func TestTheFirstRunOpensOnceWhileNoUploadServerIsSet(t *testing.T) {
	d := newDesktop(t)
	d.panel()
	c := newCompanion()
	c.change(func(s *agent.State) {
		s.Status, s.Problems = agent.Attention, []agent.Problem{{Code: "no-hosts", Text: "No upload server is set."}}
	})
	d.serve(c)
	tray := d.start("TRAY_TEST_SCREEN=1")
	m := d.menu()
	tray.says("open welcome")
	c.change(func(s *agent.State) { s.Status = agent.Paused })
	m.until("Paused", shows)
	m.click("Set up...")
	tray.says("open welcome") // by the click, and not once more by itself before it
	c.change(func(s *agent.State) { s.Status, s.Problems = agent.Ready, nil })
	m.until("Set up...", hidden)
	m.click("Quit tray")
	tray.ends()
}

func TestSecondStartRaisesTheFirst(t *testing.T) {
	d := newDesktop(t)
	d.panel()
	d.serve(newCompanion())
	first := d.start()
	d.menu()
	second := d.start()
	second.says("end already running")
	first.says("open uploads")
	if err := d.session.Ask(app.TrayName, app.TrayPath, app.Request{Token: "token-1"}); err != nil {
		t.Fatal(err)
	}
	first.says("open uploads token-1")
	if err := d.session.Ask(app.TrayName, app.TrayPath, app.Request{Action: app.ActionQuit}); err != nil {
		t.Fatal(err)
	}
	first.ends()
}

func TestACompanionThatGoesAndComesBack(t *testing.T) {
	d := newDesktop(t)
	d.panel()
	c := newCompanion()
	stop := d.serve(c)
	d.start()
	m := d.menu()
	m.until("Ready - send a file to see it work", shows)
	c.hub.Close()
	stop()
	m.until("Holdfast is not running", shows)
	m.until("Start Holdfast", shows)
	m.until("Stop Holdfast", hidden)
	m.until("Auto-fix", func(it item) bool { return !it.enabled })
	d.serve(newCompanion())
	m.until("Ready - send a file to see it work", shows)
	m.until("Start Holdfast", hidden)
}

func TestWithoutAUnitTheCompanionRunsInside(t *testing.T) {
	d := newDesktop(t)
	d.panel()
	tray := d.start("TRAY_TEST_INSIDE=1")
	m := d.menu()
	m.until("Ready - send a file to see it work", shows)
	m.click("Stop Holdfast")
	m.until("Holdfast is not running", shows)
	m.click("Start Holdfast")
	m.until("Ready - send a file to see it work", shows)
	m.click("Quit tray")
	tray.ends()
}

func TestQuittingAndStoppingAskWhereThereIsAScreen(t *testing.T) {
	d := newDesktop(t)
	d.panel()
	tray := d.start("TRAY_TEST_INSIDE=1", "TRAY_TEST_SCREEN=1")
	m := d.menu()
	m.until("Ready - send a file to see it work", shows)
	m.click("Quit tray")
	tray.says("open quit")
	m.click("Stop Holdfast")
	tray.says("open stop")
	if err := d.session.Ask(app.TrayName, app.TrayPath, app.Request{Action: app.ActionQuitLater}); err != nil {
		t.Fatal(err)
	}
	tray.ends() // no upload runs
}

func TestQuittingLaterWaitsForUploads(t *testing.T) {
	d := newDesktop(t)
	d.panel()
	c := newCompanion()
	c.change(func(s *agent.State) { s.Status, s.Uploads.Active = agent.Working, 1 })
	d.serve(c)
	tray := d.start()
	m := d.menu()
	m.until("Uploading 1 file", shows)
	if err := d.session.Ask(app.TrayName, app.TrayPath, app.Request{Action: app.ActionQuitLater}); err != nil {
		t.Fatal(err)
	}
	m.until("Quits after the running uploads.", shows)
	c.change(func(s *agent.State) { s.Status, s.Uploads.Active = agent.Ready, 0 })
	tray.ends()
}

func TestWithoutATrayHostTheWindowOpensAndALateHostIsFine(t *testing.T) {
	d := newDesktop(t)
	d.serve(newCompanion())
	tray := d.start("TRAY_TEST_HOST_AFTER=50ms", "TRAY_TEST_SCREEN=1")
	tray.says("open uploads")
	d.panel()
	d.menu().until("Ready - send a file to see it work", shows)
}

func TestWithoutABusItSaysSo(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"nothing is set":              {},
		"a folder without a bus":      {"XDG_RUNTIME_DIR": t.TempDir()},
		"an address nobody serves":    {"DBUS_SESSION_BUS_ADDRESS": "unix:path=" + filepath.Join(t.TempDir(), "none")},
		"an address that is not one":  {"DBUS_SESSION_BUS_ADDRESS": "nonsense"},
		"a folder that does not even": {"XDG_RUNTIME_DIR": "/nonexistent"},
	} {
		_, err := app.OpenSession(func(k string) string { return env[k] })
		if !errors.Is(err, app.ErrNoBus) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
