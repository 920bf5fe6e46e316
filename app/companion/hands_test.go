package companion

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"holdfast/app/agent"
	"holdfast/cmd/lab"
)

// fakeDino tells the test program to be a Dino.
const fakeDino = "HOLDFAST_TEST_DINO"

// playDino does on the bus what Dino does, until it is asked to quit.
func playDino() error {
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	quit := make(chan struct{}, 1)
	err = conn.ExportMethodTable(map[string]any{
		"ActivateAction": func(string, []dbus.Variant, map[string]dbus.Variant) *dbus.Error { quit <- struct{}{}; return nil },
		"Activate": func(map[string]dbus.Variant) *dbus.Error {
			if err := os.WriteFile(os.Getenv(fakeDino), nil, 0o600); err != nil {
				return dbus.MakeFailedError(err)
			}
			return nil
		},
	}, "/im/dino/Dino", "org.freedesktop.Application")
	if err != nil {
		return err
	}
	if _, err := conn.RequestName("im.dino.Dino", dbus.NameFlagDoNotQueue); err != nil {
		return err
	}
	select {
	case <-quit:
	case <-conn.Context().Done():
	}
	return nil
}

// startDino starts a fake Dino on the bus.
func startDino(t *testing.T, address, front string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = []string{fakeDino + "=" + front, "DBUS_SESSION_BUS_ADDRESS=" + address, "PATH=/usr/bin:/bin", "HOME=" + t.TempDir()}
	p, err := lab.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
}

// runningDino is the process of the Dino that the state shows.
func runningDino(s agent.State) int {
	for _, c := range s.Clients {
		if c.Kind == "dino" && c.Running {
			return c.PID
		}
	}
	return 0
}

func shown(t *testing.T, f *lab.Notifications, summary string) lab.Shown {
	t.Helper()
	for {
		select {
		case n := <-f.Shown:
			if n.Summary == summary {
				return n
			}
		case <-time.After(15 * time.Second):
			t.Fatalf("no notification says %q", summary)
		}
	}
}

func TestAStuckDinoIsRestartedWithOneClick(t *testing.T) {
	address := lab.Bus(t)
	f := lab.FakeNotifications(t, address, "actions", "body")
	tools := t.TempDir()
	streams := filepath.Join(tools, "streams")
	pactl := "#!/bin/sh\nexec cat " + streams + "\n"
	front := filepath.Join(tools, "front")
	for file, text := range map[string]string{streams: "[]", filepath.Join(tools, "pactl"): pactl} {
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r := start(t, anyListen, map[string]string{"DBUS_SESSION_BUS_ADDRESS": address, "PATH": tools + ":/usr/bin:/bin"})
	startDino(t, address, front)
	pid := runningDino(r.await(t, "Dino", func(s agent.State) bool { return runningDino(s) != 0 }))

	// In a call it is only offered.
	if err := os.WriteFile(streams, fmt.Appendf(nil, `[{"properties":{"application.process.id":"%d"}}]`, pid), 0o600); err != nil {
		t.Fatal(err)
	}
	report := func(pid int) {
		t.Helper()
		if err := r.client.ReportClient(t.Context(), "dino", uint32(pid), "stuck", "Send file error: No flag"); err != nil {
			t.Fatal(err)
		}
	}
	report(pid)
	n := shown(t, f, "Dino cannot send files")
	if strings.Join(n.Actions, " ") != "restart Restart now later Not now" {
		t.Errorf("buttons %q", n.Actions)
	}
	if err := f.Click(n.ID, "restart"); err != nil {
		t.Fatal(err)
	}
	done := shown(t, f, "Dino was restarted")
	if done.Body != "Send the file again." || done.Replaces != n.ID {
		t.Errorf("shown %+v", done)
	}
	second := runningDino(r.await(t, "the new Dino", func(s agent.State) bool { p := runningDino(s); return p != 0 && p != pid }))
	t.Cleanup(func() { _ = syscall.Kill(second, syscall.SIGKILL) })

	// Open brings it to the front.
	if err := f.Click(done.ID, "open"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(15 * time.Second); !exists(front); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("Dino was not brought to the front")
		}
	}

	// Without sound it would be restarted by itself, after a notice that can be declined.
	if err := os.WriteFile(streams, []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	report(second)
	n = shown(t, f, "Dino restarts in 30 seconds")
	if n.Timeout < 20_000 || n.Timeout > 30_000 {
		t.Errorf("the notice lasts %d ms", n.Timeout)
	}
	if err := f.Click(n.ID, "later"); err != nil {
		t.Fatal(err)
	}
	select {
	case id := <-f.Closed:
		if id != n.ID {
			t.Errorf("taken away: %d", id)
		}
	case <-time.After(15 * time.Second):
		t.Error("the notice stays")
	}
	if err := syscall.Kill(second, 0); err != nil {
		t.Errorf("Dino (process %s) is gone: %v", strconv.Itoa(second), err)
	}
}
