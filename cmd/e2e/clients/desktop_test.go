package clients

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"holdfast/cmd/lab"
)

//go:embed testdata/press.py
var pressScript string

// desktop is the screen, the buses and the companion of person.
type desktop struct {
	*world
	user      lab.User
	env       []string
	bus       *dbus.Conn
	companion *lab.Process
	relay     string // address of the relay
	runtime   string
	logs      string
}

// newDesktop starts a private screen with a window manager and a session bus, and everything of newWorld.
func newDesktop(t *testing.T) *desktop {
	t.Helper()
	for program, debianPackage := range map[string]string{
		"openbox": "openbox", "xdotool": "xdotool", "import": "imagemagick", "bwrap": "bubblewrap", "gajim": "gajim", "dino-im": "dino-im",
	} {
		lab.Need(t, program, debianPackage)
	}
	d := &desktop{world: newWorld(t), user: person()}
	d.emptyHome()
	d.logs = filepath.Join(d.dir, "logs")
	if err := os.MkdirAll(d.logs, 0o755); err != nil {
		t.Fatal(err)
	}
	d.runtime = shortDir(t)
	if err := os.Chown(d.runtime, int(d.user.ID), int(d.user.ID)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(d.runtime, 0o700); err != nil {
		t.Fatal(err)
	}
	address := lab.Bus(t)
	d.env = []string{
		"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + d.user.Home, "USER=" + d.user.Name, "LOGNAME=" + d.user.Name,
		"DISPLAY=" + lab.Screen(t, "1280x900"), "XDG_RUNTIME_DIR=" + d.runtime, "XDG_CURRENT_DESKTOP=XFCE",
		"DBUS_SESSION_BUS_ADDRESS=" + address, "DBUS_SYSTEM_BUS_ADDRESS=" + lab.SystemBus(t),
		"GSETTINGS_BACKEND=memory", "GSK_RENDERER=cairo", "LIBGL_ALWAYS_SOFTWARE=1", "GTK_A11Y=atspi",
	}
	var err error
	if d.bus, err = dbus.Connect(address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.bus.Close() })
	d.start("openbox.log", nil, "openbox")
	launcher, err := filepath.Glob("/usr/libexec/at-spi-bus-launcher")
	if err != nil || len(launcher) == 0 {
		t.Fatal("at-spi-bus-launcher is missing (Debian package at-spi2-core)")
	}
	d.start("atspi.log", nil, launcher[0], "--launch-immediately")
	d.waitName("org.a11y.Bus", true, 20*time.Second)
	return d
}

// emptyHome removes what an earlier test left.
func (d *desktop) emptyHome() {
	entries, err := os.ReadDir(d.user.Home)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(d.user.Home, e.Name())); err != nil {
			d.t.Fatal(err)
		}
	}
}

// start runs a program of person until the test ends. env is added to the desktop's.
func (d *desktop) start(log string, env []string, name string, args ...string) *lab.Process {
	d.t.Helper()
	return start(d.root, filepath.Join(d.logs, log), d.user.Command(append(append([]string{}, d.env...), env...), name, args...))
}

// step runs a part of the test; what it starts stays until the whole test ends.
func (d *desktop) step(name string, f func(t *testing.T)) {
	d.root.Helper()
	d.root.Run(name, func(t *testing.T) {
		d.t = t
		defer func() { d.t = d.root }()
		f(t)
	})
}

// run runs a program of person to its end.
func (d *desktop) run(limit time.Duration, name string, args ...string) (string, error) {
	cmd := d.user.Command(d.env, name, args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return "", err
	}
	stop := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	err := cmd.Wait()
	return out.String(), err
}

// press waits for something on the screen and presses it.
func (d *desktop) press(limit time.Duration, application, role, name string) error {
	out, err := d.run(limit+10*time.Second, debianPython, "-c", pressScript, fmt.Sprint(limit.Seconds()), application, role, name, "press")
	if err != nil {
		return fmt.Errorf("press %s %q of %s: %w\n%s", role, name, application, err, out)
	}
	return nil
}

// seen is everything that an application shows, for the log of a failed test.
func (d *desktop) seen(application string) string {
	out, err := d.run(20*time.Second, debianPython, "-c", pressScript, "1", application, "tree")
	if err != nil {
		return err.Error() + "\n" + out
	}
	return out
}

// picture keeps what is on the screen.
func (d *desktop) picture(name string) {
	d.t.Helper()
	file := filepath.Join(d.user.Home, name+".png")
	if out, err := d.run(20*time.Second, "import", "-window", "root", file); err != nil {
		d.t.Errorf("take a picture: %v\n%s", err, out)
		return
	}
	b, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(filepath.Join(os.Getenv(picsEnv), name+".png"), b, 0o644)
	}
	if err != nil {
		d.t.Errorf("keep a picture: %v", err)
	}
}

// owner is the process that owns a name on the session bus; 0: nobody.
func (d *desktop) owner(name string) int {
	var pid uint32
	err := d.bus.BusObject().Call("org.freedesktop.DBus.GetConnectionUnixProcessID", 0, name).Store(&pid)
	if err != nil {
		return 0
	}
	return int(pid)
}

// waitName waits until a name on the session bus has an owner, or none.
func (d *desktop) waitName(name string, owned bool, limit time.Duration) {
	d.t.Helper()
	d.until(limit, fmt.Sprintf("%s to be owned: %v", name, owned), func() bool { return (d.owner(name) != 0) == owned })
}

// until asks ok until it says yes.
func (d *desktop) until(limit time.Duration, what string, ok func() bool) {
	d.t.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			d.picture("failed-" + strings.NewReplacer("/", "-", " ", "-").Replace(d.t.Name()))
			d.t.Fatalf("waited %s in vain for %s", limit, what)
		}
		select {
		case <-d.t.Context().Done():
			d.t.Fatal(context.Cause(d.t.Context()))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// startCompanion starts `holdfastctl run` for person.
func (d *desktop) startCompanion() {
	d.t.Helper()
	folder := filepath.Join(d.user.Home, ".config", "holdfast")
	config := filepath.Join(folder, "config.toml")
	if _, err := os.Stat(config); err != nil {
		port, err := lab.FreePort("127.0.0.1")
		if err != nil {
			d.t.Fatal(err)
		}
		if err := d.user.Own(folder); err != nil {
			d.t.Fatal(err)
		}
		d.relay = fmt.Sprintf("127.0.0.1:%d", port)
		ca, err := os.ReadFile(d.ca.File)
		if err != nil {
			d.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "public.pem"), ca, 0o644); err != nil {
			d.t.Fatal(err)
		}
		text := fmt.Sprintf("[relay]\nlisten = %q\nhosts = [%q]\nupstream_ca = \"public.pem\"\n", d.relay, uploadHost)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			d.t.Fatal(err)
		}
		for _, f := range []string{config, filepath.Join(folder, "public.pem")} {
			if err := d.user.Chown(f); err != nil {
				d.t.Fatal(err)
			}
		}
	}
	d.companion = d.start("companion.log", nil, program("holdfastctl"), "run")
	if err := lab.WaitTCP(d.relay, d.companion, 20*time.Second); err != nil {
		d.t.Fatalf("holdfastctl run: %v\n%s", err, lab.Tail(filepath.Join(d.logs, "companion.log"), 4<<10))
	}
}

// ctl runs a verb of holdfastctl as person.
func (d *desktop) ctl(args ...string) string {
	d.t.Helper()
	out, err := d.run(2*time.Minute, program("holdfastctl"), args...)
	if err != nil {
		d.t.Fatalf("holdfastctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// upload is what `holdfastctl uploads --json` says of one upload.
type upload struct {
	Host, File, State string
	Size, Sent        int64
	Repeats, Resumed  int
}

func (d *desktop) uploads() []upload {
	d.t.Helper()
	var list struct{ Uploads []upload }
	out := d.ctl("uploads", "--json")
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		d.t.Fatalf("holdfastctl uploads --json: %v\n%s", err, out)
	}
	return list.Uploads
}

// file makes a file of random bytes in the home and returns its path and SHA-256 in hex.
func (d *desktop) file(name string, size int64) (path, sum string) {
	d.t.Helper()
	path = filepath.Join(d.user.Home, name)
	f, err := os.Create(path)
	if err != nil {
		d.t.Fatal(err)
	}
	h := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, h), rand.Reader, size); err != nil {
		d.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		d.t.Fatal(err)
	}
	if err := d.user.Chown(path); err != nil {
		d.t.Fatal(err)
	}
	return path, hex.EncodeToString(h.Sum(nil))
}
