package companion

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"holdfast/app/words"
	"holdfast/detect/client/desktop"
)

func env(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

// open opens the port and closes it at the end of the test.
func open(t *testing.T, wanted, dir string) net.Listener {
	t.Helper()
	l, handed, err := listen(t.Context(), wanted, dir, env(nil))
	if err != nil || handed {
		t.Fatalf("listen: %v, handed over %v", err, handed)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestABusyPortIsReplacedAndTheChoiceIsKept(t *testing.T) {
	dir := t.TempDir()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	wanted := other.Addr().String()

	first := open(t, wanted, dir)
	used := first.Addr().String()
	if used == wanted {
		t.Fatal("two listen on one port")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, wanted, dir)
	if got := again.Addr().String(); got != used {
		t.Errorf("the next start uses %s, clients were told %s", got, used)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	// Another port in config.toml ends that.
	moved := open(t, "127.0.0.1:0", dir)
	if moved.Addr().String() == used {
		t.Error("the new setting is not used")
	}
	if _, err := os.Stat(filepath.Join(dir, "port.json")); !os.IsNotExist(err) {
		t.Errorf("the old choice is kept: %v", err)
	}
}

func TestADamagedChoiceIsIgnored(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "port.json"), `{"wanted":"127.0.0.1:0","used":"0.0.0.0:1"}`)
	l := open(t, "127.0.0.1:0", dir)
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		t.Errorf("listens on %v", l.Addr())
	}
}

func TestInheritedIgnoresWhatIsForAnotherProcess(t *testing.T) {
	for _, e := range []map[string]string{
		nil,
		{"LISTEN_PID": "1", "LISTEN_FDS": "1"},
		{"LISTEN_PID": strconv.Itoa(os.Getpid()), "LISTEN_FDS": "0"},
		{"LISTEN_PID": strconv.Itoa(os.Getpid()), "LISTEN_FDS": "many"},
	} {
		if l, err := inherited(env(e)); l != nil || err != nil {
			t.Errorf("%v: %v, %v", e, l, err)
		}
	}
}

func TestNotifyTellsSystemd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := tellSystemd(env(map[string]string{"NOTIFY_SOCKET": path}), "READY=1"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, err := l.Read(buf)
	if err != nil || string(buf[:n]) != "READY=1" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if err := tellSystemd(env(nil), "READY=1"); err != nil {
		t.Errorf("without systemd: %v", err)
	}
	if err := tellSystemd(env(map[string]string{"NOTIFY_SOCKET": path + "x"}), "READY=1"); err == nil {
		t.Error("a socket that is not there: no error")
	}
}

func TestDefaultPaths(t *testing.T) {
	p, err := DefaultPaths(env(map[string]string{"HOME": "/home/a", "XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "relative", "XDG_RUNTIME_DIR": "/run/user/7"}), 7)
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		p.Config: "/home/a/.config/holdfast/config.toml", p.State: "/s/holdfast", p.Cache: "/home/a/.cache/holdfast",
		p.Runtime: "/run/user/7/holdfast", p.Authority: "/home/a/.local/share/holdfast/authority",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if p, err := DefaultPaths(env(map[string]string{"HOME": "/home/a"}), 7); err != nil || p.Runtime != "/tmp/holdfast-7" {
		t.Errorf("without a runtime folder: %s, %v", p.Runtime, err)
	}
	if _, err := DefaultPaths(env(nil), 7); err == nil {
		t.Error("without HOME: no error")
	}
}

func TestPrivateRefusesWhatSomebodyElseMade(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "own")
	if err := os.Mkdir(own, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := private(own, os.Getuid()); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(own); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("mode is %v, %v", st.Mode(), err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(own, link); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{link, filepath.Join(own, "..", "file")} {
		if bad != link {
			write(t, bad, "")
		}
		if err := private(bad, os.Getuid()); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
	if err := private(own, os.Getuid()+1); err == nil {
		t.Error("a folder of somebody else: no error")
	}
}

func TestSessionBusIsNeverStarted(t *testing.T) {
	dir := t.TempDir()
	for want, e := range map[string]map[string]string{
		"unix:path=/x": {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/x"},
	} {
		if got := SessionBus(env(e)); got != want {
			t.Errorf("%v: %q", e, got)
		}
	}
	for _, e := range []map[string]string{nil, {"DBUS_SESSION_BUS_ADDRESS": "autolaunch:"}, {"DBUS_SESSION_BUS_ADDRESS": "disabled:"}, {"XDG_RUNTIME_DIR": dir}} {
		if got := SessionBus(env(e)); got != "" {
			t.Errorf("%v: %q", e, got)
		}
	}
	l, err := net.Listen("unix", filepath.Join(dir, "bus"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if got := SessionBus(env(map[string]string{"XDG_RUNTIME_DIR": dir})); got != "unix:path="+filepath.Join(dir, "bus") {
		t.Errorf("the bus in the runtime folder: %q", got)
	}
}

func TestGajimReadsTheEnvironmentFrom24On(t *testing.T) {
	for version, want := range map[string]bool{"1.7.3": false, "2.3.9": false, "2.4.0": true, "2.10.1": true, "3.0": true, "": false, "x": false, "2": false} {
		if got := ownHTTP(desktop.Client{Kind: desktop.Gajim, Version: version}); got != want {
			t.Errorf("%q: %v", version, got)
		}
	}
	if ownHTTP(desktop.Client{Kind: desktop.Dino, Version: "3.0"}) {
		t.Error("Dino does not")
	}
}

func TestUnreachableClientIsSeen(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	fake := filepath.Join(t.TempDir(), "gajim")
	raw, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(fake, raw, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, fake, "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	u := unreachable{"gajim", words.For("en")}
	if running, err := u.Running(t.Context()); !running || err != nil {
		t.Errorf("running %v, %v", running, err)
	}
	if err := u.Quit(t.Context()); err == nil {
		t.Error("Quit works")
	}
}
