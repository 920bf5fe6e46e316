package lab

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// Keyring starts a real gnome-keyring, unlocked, on the bus given. It needs no screen. Its files lie below a folder
// of its own.
func Keyring(tb TB, busAddress string) {
	tb.Helper()
	daemon := Need(tb, "gnome-keyring-daemon", "gnome-keyring")
	home := tb.TempDir()
	// The daemon makes unix sockets there, whose paths have at most 107 bytes; the name of a test may be too long.
	run, err := os.MkdirTemp("", "keyring-")
	if err != nil {
		tb.Fatalf("make the keyring's folders: %v", err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(run) })
	for _, d := range []string{".local/share/keyrings", ".cache"} {
		if err := os.MkdirAll(filepath.Join(home, d), 0o700); err != nil {
			tb.Fatalf("make the keyring's folders: %v", err)
		}
	}
	cmd := exec.Command(daemon, "--foreground", "--unlock", "--components=secrets", "--control-directory="+run)
	cmd.Env = append(cleanEnv(), "HOME="+home, "XDG_RUNTIME_DIR="+run, "DBUS_SESSION_BUS_ADDRESS="+busAddress)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatalf("make a pipe: %v", err)
	}
	p, err := Start(cmd)
	if err != nil {
		tb.Fatalf("start gnome-keyring-daemon: %v", err)
	}
	tb.Cleanup(func() { _ = p.Close() })
	if _, err := stdin.Write([]byte("lab")); err != nil {
		tb.Fatalf("unlock the keyring: %v", err)
	}
	_ = stdin.Close() // the end of the password
	conn, err := dbus.Connect(busAddress)
	if err != nil {
		tb.Fatalf("connect to the bus: %v", err)
	}
	defer func() { _ = conn.Close() }()
	err = poll(15*time.Second, p.Done(), "offer its login collection", func() bool {
		var path dbus.ObjectPath
		call := conn.Object("org.freedesktop.secrets", "/org/freedesktop/secrets").
			Call("org.freedesktop.Secret.Service.ReadAlias", dbus.FlagNoAutoStart, "default")
		return call.Store(&path) == nil && path != "/"
	})
	if err != nil {
		tb.Fatalf("gnome-keyring-daemon: %v", err)
	}
}

// Screen starts an Xvfb of the size given ("1280x800") and returns its DISPLAY.
func Screen(tb TB, size string) string {
	tb.Helper()
	Need(tb, "Xvfb", "xvfb")
	display, p, err := StartScreen(size)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	tb.Cleanup(func() { _ = p.Close() })
	return display
}

// StartScreen is Screen for programs.
func StartScreen(size string) (display string, p *Process, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = r.Close() }()
	cmd := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", size+"x24", "-nolisten", "tcp")
	cmd.ExtraFiles = []*os.File{w}
	p, err = Start(cmd)
	_ = w.Close()
	if err != nil {
		return "", nil, fmt.Errorf("start Xvfb: %w", err)
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	n, aerr := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || aerr != nil {
		_ = p.Close()
		return "", nil, fmt.Errorf("start Xvfb: it gave no display: %q", line)
	}
	return fmt.Sprintf(":%d", n), p, nil
}
