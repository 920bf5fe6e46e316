package nm

import (
	"os/exec"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"holdfast/cmd/lab"
)

// startBus starts a dbus-daemon and returns when it answers. The function it returns ends it.
func startBus(t *testing.T, daemon, config, socket string) func() {
	t.Helper()
	p, err := lab.Start(exec.Command(daemon, "--config-file="+config, "--nofork", "--nopidfile"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	for deadline := time.Now().Add(patience); ; {
		conn, err := dbus.Connect("unix:path=" + socket)
		if err == nil {
			_ = conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond)
	}
	return func() { _ = p.Close() }
}
