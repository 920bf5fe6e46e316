package credential

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/cmd/lab"
	"holdfast/relay/token"
)

// The D-Bus library keeps one connection per process, so each scene runs in a process of its own: this test binary,
// started again with sceneVariable set.
const sceneVariable = "HOLDFAST_TEST_KEYRING_SCENE"

func TestMain(m *testing.M) {
	if os.Getenv(sceneVariable) != "" {
		playScene()
		return
	}
	os.Exit(m.Run())
}

// playScene does what the relay does with a keyring and prints what came of it.
func playScene() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	s := New()
	_, err := s.Key(ctx, "upload.example.org")
	fmt.Println("key:", errors.Is(err, ErrNoKey), errors.Is(err, ErrLocked), errors.Is(err, ErrAbsent), err)
	err = s.Set(ctx, "upload.example.org", Key{Scheme: token.V2, Secret: token.Secret("s3cr3t"), Prefix: "/upload/"})
	fmt.Println("set:", err)
	s.Forget()
	key, err := s.Key(ctx, "upload.example.org")
	fmt.Println("again:", string([]byte(key.Secret)), key.Scheme, err)
	fmt.Println("state:", s.State())
	if s.State() == OK {
		err = s.Set(ctx, "other.example.org", Key{Scheme: token.V2, Secret: token.Secret("s3cr3t"), Prefix: "/upload/"})
		err = errors.Join(err, s.DeleteAll(ctx), s.DeleteAll(ctx))
		_, first := s.Key(ctx, "upload.example.org")
		_, second := s.Key(ctx, "other.example.org")
		fmt.Println("all gone:", err, errors.Is(first, ErrNoKey), errors.Is(second, ErrNoKey))
	}
}

func scene(t *testing.T, bus string, dir string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(keyringEnv(bus, dir), sceneVariable+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	return string(out)
}

func keyringEnv(bus, dir string) []string {
	env := []string{"HOME=" + dir, "XDG_RUNTIME_DIR=" + filepath.Join(dir, "run"), "PATH=" + os.Getenv("PATH")}
	if bus != "" {
		env = append(env, "DBUS_SESSION_BUS_ADDRESS="+bus)
	}
	return env
}

// keyringDir is a private home. Its path is short: a unix socket's may have 107 bytes.
func keyringDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hf")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, d := range []string{"run", ".local/share/keyrings", ".cache"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// privateBus starts a session bus that starts no service by itself: one with the usual folders would start a second
// gnome-keyring, in the home of whoever runs the test.
func privateBus(t *testing.T, dir string) string {
	t.Helper()
	daemon := lab.Need(t, "dbus-daemon", "dbus-daemon")
	conf := filepath.Join(dir, "bus.conf")
	err := os.WriteFile(conf, []byte(`<busconfig><type>session</type><listen>unix:path=`+filepath.Join(dir, "run", "private")+`</listen>
<auth>EXTERNAL</auth><policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(daemon, "--config-file="+conf, "--nofork", "--nopidfile", "--print-address=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// unlocked starts gnome-keyring on bus with an unlocked login collection.
func unlocked(t *testing.T, bus, dir string) {
	t.Helper()
	daemon := lab.Need(t, "gnome-keyring-daemon", "gnome-keyring")
	cmd := exec.Command(daemon, "--foreground", "--unlock", "--components=secrets")
	cmd.Env = keyringEnv(bus, dir)
	cmd.Stdin = strings.NewReader("pw")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	waitFor(t, func() bool {
		out, _ := gdbus(t, bus, "/org/freedesktop/secrets", "org.freedesktop.Secret.Service.ReadAlias", "default")
		return strings.Contains(out, "/collection/login")
	})
}

func gdbus(t *testing.T, bus, path, method string, args ...string) (string, error) {
	t.Helper()
	tool := lab.Need(t, "gdbus", "libglib2.0-bin")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool, append([]string{"call", "--session", "-d", "org.freedesktop.secrets", "-o", path, "-m", method}, args...)...)
	cmd.Env = append(os.Environ(), "DBUS_SESSION_BUS_ADDRESS="+bus)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// waitFor asks again until ok says yes; gnome-keyring has no other way to say that it is there.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatal("gnome-keyring did not start within 15 s")
}

func TestRealKeyringUnlocked(t *testing.T) {
	dir := keyringDir(t)
	bus := privateBus(t, dir)
	unlocked(t, bus, dir)
	out := scene(t, bus, dir)
	for _, want := range []string{"key: true false false", "set: <nil>", "again: s3cr3t v2 <nil>", "state: ok", "all gone: <nil> true true"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(data), "s3cr3t") {
			t.Errorf("%s holds the secret in plain text", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRealKeyringLocked(t *testing.T) {
	dir := keyringDir(t)
	bus := privateBus(t, dir)
	unlocked(t, bus, dir)
	if out, err := gdbus(t, bus, "/org/freedesktop/secrets", "org.freedesktop.Secret.Service.Lock",
		`[objectpath "/org/freedesktop/secrets/collection/login"]`); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out := scene(t, bus, dir)
	for _, want := range []string{"key: false true false", "state: locked"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestRealKeyringAbsent(t *testing.T) {
	noBus := []struct{ name, bus string }{
		{"no bus at all", ""},
		{"a bus that is gone", "unix:path=/nonexistent/bus"},
		{"a bus without a keyring", privateBus(t, keyringDir(t))},
	}
	for _, tc := range noBus {
		t.Run(tc.name, func(t *testing.T) {
			out := scene(t, tc.bus, keyringDir(t))
			for _, want := range []string{"key: false false true", "state: absent"} {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
		})
	}
}
