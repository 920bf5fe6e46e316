package desktop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"go.uber.org/goleak"

	"holdfast/cmd/lab"
)

const (
	fakeEnv     = "HOLDFAST_TEST_CLIENT" // the kind of client this program is to play
	behaviour   = "HOLDFAST_TEST_BEHAVIOUR"
	sayFile     = "HOLDFAST_TEST_SAY" // where it writes that it runs
	secretValue = "swordfish"
)

// TestMain lets this test program play a client.
func TestMain(m *testing.M) {
	if k := os.Getenv(fakeEnv); k != "" {
		if err := playClient(Kind(k)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// playClient does on the bus what Dino and Gajim do: it owns its name and takes the action "quit".
func playClient(k Kind) error {
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	quit := make(chan struct{}, 1)
	action := func(name string, _ []dbus.Variant, _ map[string]dbus.Variant) *dbus.Error {
		if name == "quit" && os.Getenv(behaviour) != "stubborn" {
			quit <- struct{}{}
		}
		return nil
	}
	err = conn.ExportMethodTable(map[string]any{"ActivateAction": action}, dbus.ObjectPath(k.objectPath()), application)
	if err != nil {
		return err
	}
	if r, err := conn.RequestName(k.BusName(), dbus.NameFlagDoNotQueue); err != nil || r != dbus.RequestNameReplyPrimaryOwner {
		return fmt.Errorf("own %s: %v %w", k.BusName(), r, err)
	}
	wd, _ := os.Getwd()
	sid, _ := syscall.Getpgid(0)
	line := fmt.Sprintf("pid=%d pgid=%d dir=%s args=%q token=%q secret=%q\n", os.Getpid(), sid, wd, os.Args[1:], os.Getenv("XDG_ACTIVATION_TOKEN"), os.Getenv("SECRET"))
	if err := os.WriteFile(os.Getenv(sayFile), []byte(line), 0o600); err != nil {
		return err
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	select {
	case <-quit:
	case <-term:
	case <-conn.Context().Done():
	}
	if os.Getenv(behaviour) == "lingers" { // off the bus at once, still writing its files
		if _, err := conn.ReleaseName(k.BusName()); err != nil {
			return err
		}
		_ = conn.Close()
		time.Sleep(time.Second)
	}
	return nil
}

// desk is a session bus with a fake client.
type desk struct {
	t       *testing.T
	address string
	say     string
	log     bytes.Buffer
	session *Session
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, address: lab.Bus(t), say: filepath.Join(t.TempDir(), "say")}
	s, err := Open(t.Context(), Options{
		Address: d.address, QuitTimeout: 5 * time.Second, StartTimeout: 10 * time.Second,
		Log: slog.New(slog.NewTextHandler(&d.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	d.session = s
	t.Cleanup(func() { d.endAll(); _ = s.Close() })
	return d
}

// endAll ends the clients that this test started, which are nobody's children.
func (d *desk) endAll() {
	for _, k := range Kinds() {
		in, err := d.session.Running(context.Background(), k)
		if err != nil {
			continue
		}
		gone, err := watchExit("/proc", in.PID, in.started)
		if err != nil {
			d.t.Error(err)
			continue
		}
		if err := syscall.Kill(in.PID, syscall.SIGKILL); err != nil {
			d.t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if err := gone.wait(ctx); err != nil {
			d.t.Error(err)
		}
		cancel()
		gone.close()
	}
}

// env is the environment of the fake client.
func (d *desk) env(k Kind, how string) []string {
	return []string{
		fakeEnv + "=" + string(k), behaviour + "=" + how, sayFile + "=" + d.say,
		"DBUS_SESSION_BUS_ADDRESS=" + d.address, "PATH=/usr/bin:/bin", "HOME=" + filepath.Dir(d.say),
		"XDG_ACTIVATION_TOKEN=of-the-first-start", "SECRET=" + secretValue,
	}
}

// start starts the fake client the way the code under test does.
func (d *desk) start(k Kind, how string, args ...string) Instance {
	d.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	in, err := d.session.Start(d.t.Context(), k, Launch{Argv: append([]string{exe}, args...), Env: d.env(k, how), Dir: d.t.TempDir()})
	if err != nil {
		d.t.Fatal(err)
	}
	return in
}

// said waits until the client has written its line and returns it.
func (d *desk) said() string {
	d.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if b, err := os.ReadFile(d.say); err == nil && bytes.HasSuffix(b, []byte("\n")) {
			return string(b)
		}
		if time.Now().After(deadline) {
			d.t.Fatal("the client said nothing")
		}
		<-time.After(10 * time.Millisecond)
	}
}

// alive says whether a process runs. One that has ended and waits to be reaped does not.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(b[bytes.LastIndexByte(b, ')'):], []byte(") Z "))
}

func TestAClientIsQuitAndStartedAgainAsItWas(t *testing.T) {
	t.Parallel()
	for _, k := range Kinds() {
		d := newDesk(t)
		first := d.start(k, "", "--gapplication-service", "-p", "work", "xmpp:room@example.org?join")
		line := d.said()
		if !strings.Contains(line, `"--gapplication-service" "-p" "work" "xmpp:room@example.org?join"`) {
			t.Errorf("first start: %s", line)
		}
		c := d.session.Controller(k, Native)
		if running, err := c.Running(t.Context()); !running || err != nil {
			t.Fatalf("running %v, %v", running, err)
		}
		if err := c.Quit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if alive(first.PID) {
			t.Errorf("process %d is still there", first.PID)
		}
		if running, err := c.Running(t.Context()); running || err != nil {
			t.Errorf("after quit: running %v, %v", running, err)
		}
		if err := os.Remove(d.say); err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		second, err := d.session.Running(t.Context(), k)
		if err != nil || second.PID == first.PID {
			t.Fatalf("%v %v", second, err)
		}
		line = d.said()
		for _, want := range []string{`args=["-p" "work"]`, `token=""`, `secret="` + secretValue + `"`, "dir=" + first.dir, fmt.Sprintf("pgid=%d ", second.PID)} {
			if !strings.Contains(line, want) {
				t.Errorf("second start: %s, want %s", line, want)
			}
		}
		if ppid := parent(t, second.PID); ppid == os.Getpid() {
			t.Error("the client is our child")
		}
		if v, ok := second.Env("SECRET"); v != secretValue || !ok {
			t.Errorf("Env: %q %v", v, ok)
		}
		d.session.log.Info("client", "instance", second)
		if text := d.log.String() + fmt.Sprint(second) + fmt.Sprintf("%v", second); strings.Contains(text, secretValue) {
			t.Errorf("the environment was logged: %s", text)
		}
	}
}

// parent is field 4 of /proc/PID/stat.
func parent(t *testing.T, pid int) (ppid int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))[1], &ppid); err != nil {
		t.Fatal(err)
	}
	return ppid
}

func TestQuitWaitsForTheProcessAndNotOnlyForTheName(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	in := d.start(Gajim, "lingers")
	begin := time.Now()
	if err := d.session.Quit(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if alive(in.PID) || time.Since(begin) < 900*time.Millisecond {
		t.Errorf("alive %v after %v", alive(in.PID), time.Since(begin))
	}
}

func TestAClientThatDoesNotQuitIsLeftAlone(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	in := d.start(Dino, "stubborn")
	d.session.quit = 300 * time.Millisecond
	err := d.session.Quit(t.Context(), in)
	if !errors.Is(err, ErrStillRunning) || !strings.Contains(err.Error(), "Dino did not quit within 300ms; close its window and try again") {
		t.Errorf("error %v", err)
	}
	if !alive(in.PID) {
		t.Error("it was ended")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.session.Quit(ctx, in); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	c := d.session.Controller(Dino, Native)
	if err := c.Quit(t.Context()); !errors.Is(err, ErrStillRunning) {
		t.Errorf("controller: %v", err)
	}
	if err := c.Start(t.Context()); err == nil {
		t.Error("started what was not quit")
	}
}

func TestAClientThatIsAlreadyGoneHasQuit(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	in := d.start(Dino, "")
	if err := d.session.Quit(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if err := d.session.Quit(t.Context(), in); err != nil {
		t.Errorf("second quit: %v", err)
	}
	if _, err := d.session.Running(t.Context(), Dino); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Running: %v", err)
	}
}

func TestAnotherInstallOfTheSameClientIsLeftAlone(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	in := d.start(Gajim, "")
	c := d.session.Controller(Gajim, Flatpak)
	if running, err := c.Running(t.Context()); running || err != nil {
		t.Errorf("running %v, %v", running, err)
	}
	if err := c.Quit(t.Context()); err != nil || !alive(in.PID) {
		t.Errorf("quit: %v, alive %v", err, alive(in.PID))
	}
}

func TestLookingStartsNothing(t *testing.T) {
	t.Parallel()
	// This bus would start Dino if it were asked without NO_AUTO_START.
	dir := t.TempDir()
	mark, socket := filepath.Join(dir, "started"), filepath.Join(dir, "bus")
	files := map[string]string{
		"im.dino.Dino.service": "[D-BUS Service]\nName=im.dino.Dino\nExec=/usr/bin/touch " + mark + "\n",
		"bus.conf": `<busconfig><type>session</type><listen>unix:path=` + socket + `</listen><auth>EXTERNAL</auth><servicedir>` + dir + `</servicedir>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/></policy></busconfig>`,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := lab.Start(exec.Command(lab.Need(t, "dbus-daemon", "dbus-daemon"), "--config-file="+filepath.Join(dir, "bus.conf"), "--nofork", "--nopidfile"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	var s *Session
	for deadline := time.Now().Add(10 * time.Second); ; {
		if s, err = Open(t.Context(), Options{Address: "unix:path=" + socket}); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond)
	}
	defer func() { _ = s.Close() }()
	if _, err := s.Running(t.Context(), Dino); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Running: %v", err)
	}
	// A client that ended since it was looked at must not be started by asking it to quit.
	if err := s.Quit(t.Context(), Instance{Kind: Dino, PID: 1 << 22, started: "0"}); err != nil {
		t.Errorf("Quit: %v", err)
	}
	if err := s.conn.BusObject().CallWithContext(t.Context(), busName+".GetId", 0).Err; err != nil { // all calls before are done
		t.Fatal(err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the bus started Dino")
	}
}

func TestWatchTellsWhenAClientComesAndGoes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	news := make(chan struct{}, 16)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.session.Watch(ctx, func() { news <- struct{}{} }) }()
	wait := func(what string) {
		t.Helper()
		select {
		case <-news:
		case <-time.After(10 * time.Second):
			t.Fatalf("no news of %s", what)
		}
	}
	wait("listening")
	in := d.start(Gajim, "")
	wait("the start")
	if err := d.session.Quit(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	wait("the end")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestStartUnderSystemdMakesAScope(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	// A stand-in for systemd on the bus, and for systemd-run, which notes its arguments and runs the command.
	conn, err := dbus.Connect(d.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.RequestName(systemd, 0); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, script string }{
		{"it works", "#!/bin/sh\necho \"$@\" >\"$NOTE\"\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n"},
		{"it fails, and the client is started without it", "#!/bin/sh\necho \"$@\" >\"$NOTE\"\nexit 1\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bin, note := t.TempDir(), filepath.Join(t.TempDir(), "note")
			if err := os.WriteFile(filepath.Join(bin, "systemd-run"), []byte(tt.script), 0o755); err != nil {
				t.Fatal(err)
			}
			d.session.start = 4 * time.Second
			env := append(d.env(Gajim, ""), "PATH="+bin+":/usr/bin:/bin", "NOTE="+note)
			env = slices.DeleteFunc(env, func(s string) bool { return s == "PATH=/usr/bin:/bin" })
			in, err := d.session.Start(t.Context(), Gajim, Launch{Argv: []string{exe}, Env: env, Dir: "/does/not/exist"})
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(note)
			if err != nil || !strings.HasPrefix(string(b), "--user --scope --collect --quiet --slice=app.slice -- "+exe) {
				t.Errorf("systemd-run was called with %s (%v)", b, err)
			}
			if err := d.session.Quit(t.Context(), in); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.session.start = 300 * time.Millisecond
	for _, tt := range []struct {
		name   string
		launch Launch
		says   string
	}{
		{"no command line", Launch{}, "start it from the menu"},
		{"a program that is gone", Launch{Argv: []string{"/does/not/exist"}, Env: []string{"PATH=/usr/bin:/bin"}}, "did not appear within 300ms"},
		{"a program that never comes to the bus", Launch{Argv: []string{"true"}, Env: []string{"PATH=/usr/bin:/bin"}}, "did not appear within 300ms"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := d.session.Start(t.Context(), Dino, tt.launch)
			if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.HasPrefix(err.Error(), "start Dino: ") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestOpenWithoutABus(t *testing.T) {
	for _, address := range []string{"", "unix:path=" + filepath.Join(t.TempDir(), "none"), "nonsense"} {
		if _, err := Open(t.Context(), Options{Address: address}); !errors.Is(err, ErrNoBus) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestLaunchOfASandboxedClient(t *testing.T) {
	for install, want := range map[Install]string{Flatpak: "[flatpak run im.dino.Dino]", Snap: "[snap run dino]"} {
		in := Instance{Kind: Dino, Install: install, argv: []string{"/app/bin/dino"}, env: []string{"A=B"}, dir: "/app"}
		l := in.Launch()
		if fmt.Sprint(l.Argv) != want || l.Env != nil || l.Dir != "" {
			t.Errorf("%s: %+v", install, l)
		}
	}
	c := Client{Kind: Gajim, Install: Native, Program: "/usr/bin/gajim"}
	if l := c.DefaultLaunch([]string{"A=B"}); fmt.Sprint(l.Argv, l.Env) != "[/usr/bin/gajim] [A=B]" {
		t.Errorf("%+v", l)
	}
	c.Install = Flatpak
	if l := c.DefaultLaunch(nil); fmt.Sprint(l.Argv) != "[flatpak run org.gajim.Gajim]" {
		t.Errorf("%+v", l)
	}
}

func TestReadInstance(t *testing.T) {
	proc := t.TempDir()
	dir := filepath.Join(proc, "7")
	stat := "7 (a ) name) S 1 7 7 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0"
	write := func(name, text string) {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := readInstance(proc, Dino, 7); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no process: %v", err)
	}
	if _, err := readInstance(proc, Dino, 0); err == nil {
		t.Error("process 0 was accepted")
	}
	write("stat", stat)
	write("cmdline", "/usr/bin/python3\x00/usr/bin/gajim\x00\x00")
	write("environ", "A=1\x00EMPTY=\x00")
	in, err := readInstance(proc, Gajim, 7)
	if err != nil || in.started != "4242" || in.Install != Native || strings.Join(in.argv, " ") != "/usr/bin/python3 /usr/bin/gajim" {
		t.Errorf("%+v %v", in, err)
	}
	if v, ok := in.Env("EMPTY"); v != "" || !ok {
		t.Errorf("EMPTY %q %v", v, ok)
	}
	if _, ok := in.Env("B"); ok {
		t.Error("B is set")
	}
	write("environ", "SNAP_NAME=gajim\x00")
	if in, _ := readInstance(proc, Gajim, 7); in.Install != Snap {
		t.Errorf("install %s", in.Install)
	}
	write("root/.flatpak-info", "[Application]\n")
	if in, _ := readInstance(proc, Gajim, 7); in.Install != Flatpak {
		t.Errorf("install %s", in.Install)
	}
	write("stat", "7 (short) S 1")
	if _, err := readInstance(proc, Gajim, 7); err == nil {
		t.Error("a short status was accepted")
	}
	if os.Geteuid() == 0 {
		write("stat", stat)
		if err := os.Chown(dir, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		if _, err := readInstance(proc, Gajim, 7); !errors.Is(err, errForeign) {
			t.Errorf("another user's process: %v", err)
		}
	}
}
