package clients

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"holdfast/cmd/lab"
)

// The companion crashes while the clients run. They were told to go direct when the relay does not answer.
func TestWhenTheRelayIsGoneRunningClientsUploadDirectly(t *testing.T) {
	if found, err := filepath.Glob("/usr/lib/*/libproxy/*/modules/pacrunner_*.so"); err != nil || len(found) == 0 {
		lab.Need(t, "libproxy's engine for proxy scripts", "libproxy1-plugin-webkit")
	}
	d := newDesktop(t)
	d.startCompanion()
	both := []*client{d.newGajim(), d.newDino()}
	d.ctl("trust", "install")
	for _, c := range both {
		c.launch()
		f := d.newFile(c, "with", 100_000)
		c.send(f.path)
		d.arrived(f, time.Minute)
	}
	if n := len(d.uploads()); n != len(both) {
		t.Fatalf("%d uploads went through the relay, want %d", n, len(both))
	}
	d.kill()
	for _, c := range both {
		f := d.newFile(c, "orphaned", 100_000)
		c.send(f.path)
		d.arrived(f, time.Minute)
	}
	d.picture("the-relay-is-gone")
}

// kill ends the companion as a crash does.
func (d *desktop) kill() {
	d.t.Helper()
	if err := d.companion.Signal(syscall.SIGKILL); err != nil {
		d.t.Fatal(err)
	}
	<-d.companion.Done()
}
