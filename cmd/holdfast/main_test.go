package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"

	"holdfast"
	"holdfast/app"
	"holdfast/cmd/lab"
)

const deadline = 30 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv("HOLDFAST_TEST_COMMAND") != "" {
		main() // the test binary is the command
		return
	}
	os.Exit(m.Run())
}

// person is somebody's home and session, all of it private.
type person struct {
	t   *testing.T
	env []string
}

func newPerson(t *testing.T, env ...string) *person {
	t.Helper()
	home, run := t.TempDir(), filepath.Join(t.TempDir(), "r")
	if err := os.Mkdir(run, 0o700); err != nil {
		t.Fatal(err)
	}
	return &person{t, append([]string{"HOLDFAST_TEST_COMMAND=1", "HOME=" + home, "XDG_RUNTIME_DIR=" + run, "PATH=" + os.Getenv("PATH"), "TZ=UTC"}, env...)}
}

func (p *person) command(args ...string) *exec.Cmd {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = p.env
	return cmd
}

// started is a command that runs.
type started struct {
	*exec.Cmd
	t    *testing.T
	done chan struct{}
	out  bytes.Buffer
	err  error
}

func (p *person) start(args ...string) *started {
	p.t.Helper()
	s := &started{Cmd: p.command(args...), t: p.t, done: make(chan struct{})}
	s.Stdout, s.Stderr = &s.out, &s.out
	if err := s.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		s.err = s.Wait()
	}()
	p.t.Cleanup(func() {
		_ = s.Process.Kill() // it may have ended
		<-s.done
		p.t.Logf("%v:\n%s", args, s.out.String())
	})
	return s
}

// ends waits for the exit code.
func (s *started) ends(want int) {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(deadline):
		s.t.Fatalf("%v does not end", s.Args[1:])
	}
	if got := s.ProcessState.ExitCode(); got != want {
		s.t.Fatalf("%v ended with %d, want %d", s.Args[1:], got, want)
	}
}

func TestCommandLine(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"--help explains and is no error", []string{"--help"}, 0, "Usage:", ""},
		{"help does the same", []string{"help"}, 0, "Usage:", ""},
		{"version is that of FyneApp.toml", []string{"version"}, 0, "holdfast " + holdfast.Version(), ""},
		{"an unknown verb is a wrong argument", []string{"fly"}, 2, "", `"fly" is not known; see holdfast --help`},
		{"an unknown flag too", []string{"-fly"}, 2, "", "see holdfast --help"},
		{"an unknown window too", []string{"window", "fly"}, 2, "", "the windows are uploads, stop and quit"},
		{"a window without a screen says what to do instead", []string{"window", "uploads"}, 4, "", "There is no screen to open a window on. Use holdfastctl uploads instead."},
		{"a tray without a session too", nil, 4, "", "Use holdfastctl run instead."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := newPerson(t).command(tt.args...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if got := cmd.ProcessState.ExitCode(); got != tt.code {
				t.Errorf("exit code %d, want %d", got, tt.code)
			}
			if !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("stdout %q, stderr %q", stdout.String(), stderr.String())
			}
			if strings.Contains(stderr.String(), "goroutine") {
				t.Error("a person sees a stack trace")
			}
		})
	}
}

// panel shows tray icons on a private bus and says who registered.
func panel(t *testing.T, addr string) (*dbus.Conn, <-chan string) {
	t.Helper()
	const name, path = "org.kde.StatusNotifierWatcher", "/StatusNotifierWatcher"
	conn, err := dbus.Connect(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	items := make(chan string, 4)
	register := func(sender dbus.Sender, _ string) *dbus.Error { items <- string(sender); return nil }
	if err := conn.ExportMethodTable(map[string]any{"RegisterStatusNotifierItem": register}, path, name); err != nil {
		t.Fatal(err)
	}
	if _, err := prop.Export(conn, path, prop.Map{name: {"IsStatusNotifierHostRegistered": {Value: true}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(name, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return conn, items
}

func TestTrayWithARealCompanionInside(t *testing.T) {
	addr := lab.Bus(t)
	conn, items := panel(t, addr)
	p := newPerson(t, "DBUS_SESSION_BUS_ADDRESS="+addr)
	tray := p.start("-log", "debug")
	var item string
	select {
	case item = <-items:
	case <-tray.done:
		t.Fatal("the tray ended")
	case <-time.After(deadline):
		t.Fatal("no icon")
	}
	// The icon's tooltip follows the companion; "not running" is what it begins with.
	changes := make(chan *dbus.Signal, 64)
	if err := conn.AddMatchSignal(dbus.WithMatchInterface("org.kde.StatusNotifierItem")); err != nil {
		t.Fatal(err)
	}
	conn.Signal(changes)
	late := time.After(deadline)
	for {
		v, err := conn.Object(item, "/StatusNotifierItem").GetProperty("org.kde.StatusNotifierItem.ToolTip")
		if err != nil {
			t.Fatal(err)
		}
		if tip := v.String(); !strings.Contains(tip, "not running") {
			break
		}
		select {
		case <-changes:
		case <-late:
			t.Fatal("the tray never found its companion")
		}
	}
	p.start().ends(0) // a second start raises the first
	if err := tray.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	tray.ends(0)
}

func TestWindowIsOnePerSessionAndRemembersItsSize(t *testing.T) {
	xdotool := lab.Need(t, "xdotool", "xdotool")
	addr := lab.Bus(t)
	display := lab.Screen(t, "1000x800")
	p := newPerson(t, "DBUS_SESSION_BUS_ADDRESS="+addr, "DISPLAY="+display, "LIBGL_ALWAYS_SOFTWARE=1")
	first := p.start("-log", "debug", "window", "uploads")
	search := exec.Command(xdotool, "search", "--sync", "--onlyvisible", "--name", "Uploads - Holdfast")
	search.Env = p.env
	found := make(chan error, 1)
	var id bytes.Buffer
	search.Stdout = &id
	if err := search.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { found <- search.Wait() }()
	select {
	case err := <-found:
		if err != nil {
			t.Fatal(err)
		}
	case <-first.done:
		_ = search.Process.Kill()
		t.Fatal("the window's process ended")
	case <-time.After(deadline):
		_ = search.Process.Kill()
		t.Fatal("no window")
	}
	p.start("window", "uploads").ends(0)
	select {
	case <-first.done:
		t.Fatal("the second call ended the first")
	default:
	}
	session, err := app.OpenSession(func(k string) string { return map[string]string{"DBUS_SESSION_BUS_ADDRESS": addr}[k] })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	if err := session.Ask(app.WindowName, app.WindowPath, app.Request{Action: "uploads", Token: "t"}); err != nil {
		t.Errorf("raise the window: %v", err)
	}
	window := strings.Fields(id.String())[0]
	for _, args := range [][]string{{"windowfocus", "--sync", window}, {"key", "ctrl+w"}} {
		cmd := exec.Command(xdotool, args...)
		cmd.Env = p.env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("xdotool %v: %v %s", args, err, out)
		}
	}
	first.ends(0)
	var home string
	for _, v := range p.env {
		if s, ok := strings.CutPrefix(v, "HOME="); ok {
			home = s
		}
	}
	b, err := os.ReadFile(filepath.Join(home, ".config", "fyne", "im.holdfast.Holdfast", "preferences.json"))
	if err != nil || !strings.Contains(string(b), "uploads.width") {
		t.Errorf("the size is not remembered: %v %s", err, b)
	}
}
