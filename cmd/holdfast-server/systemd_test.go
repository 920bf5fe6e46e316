package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// systemd is the receiving side of sd_notify.
func systemd(t *testing.T) (next func() string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "n") // t.TempDir may be longer than the name of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	name := filepath.Join(dir, "s")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	return func() string {
		b := make([]byte, 256)
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := c.Read(b)
		if err != nil {
			t.Fatalf("systemd was told nothing: %v", err)
		}
		return string(b[:n])
	}
}

func TestSystemdHearsOfStartLifeAndStop(t *testing.T) {
	next := systemd(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	log, stop := begin(t, configFor(t, t.TempDir(), `listen = "127.0.0.1:0"`, ""))
	for i, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := next(); got != want {
			t.Fatalf("%d: systemd heard %q, want %q", i, got, want)
		}
		if i == 0 && !strings.Contains(log.String(), "listening") {
			t.Error("ready was said before the server listened")
		}
	}
	done := make(chan error, 1)
	go func() { done <- stop() }()
	for next() != "STOPPING=1" {
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTheWatchdogIsMeantForThisProcessOnly(t *testing.T) {
	for _, tt := range []struct {
		name, usec, pid string
		want            time.Duration
	}{
		{"half of what is asked", "60000000", "", 30 * time.Second},
		{"for this process", "60000000", fmt.Sprint(os.Getpid()), 30 * time.Second},
		{"for another process", "60000000", "1", 0},
		{"none", "", "", 0},
		{"nonsense", "soon", "", 0},
		{"negative", "-5", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("WATCHDOG_USEC", tt.usec)
			t.Setenv("WATCHDOG_PID", tt.pid)
			if got := watchdogEvery(); got != tt.want {
				t.Errorf("every %v, want %v", got, tt.want)
			}
		})
	}
}

// The unit gives the server a copy of the secret; the file itself is root's.
func TestACredentialTakesThePlaceOfTheSecretFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "etc", "secret")
	creds := filepath.Join(dir, "creds")
	for name, text := range map[string]string{file: "the secret of the file, wrong\n", filepath.Join(creds, "secret"): "the secret of the credential\n"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := write(t, "server.toml", fmt.Sprintf(`[server]
listen = "127.0.0.1:0"
public_url = "http://upload.test/upload/"
[storage]
path = "%s/files"
state = "%s/state"
[auth]
schemes = ["v2"]
secret_file = %q
`, dir, dir, file))
	t.Setenv("CREDENTIALS_DIRECTORY", creds)
	log, _ := begin(t, config)
	base := "http://" + log.await(t, `listening addr=(\S+)`)
	if resp := upload(t, plain, config, base, "a/b", "hello"); resp.StatusCode != http.StatusCreated {
		t.Errorf("signed with the credential: %s", resp.Status)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "") // as for an admin's shell
	if resp := upload(t, plain, config, base, "a/c", "hello"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("signed with the file: %s", resp.Status)
	}
	if s, err := readSecrets(file); err != nil || string(s[0]) != "the secret of the file, wrong" {
		t.Errorf("outside of the unit: %v", err)
	}
}
