package clients

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Dino forgets its upload service when it reconnects at a bad moment, and every upload fails until it reconnects again.
func TestAStuckDinoIsNoticedAndCuredByOneCommand(t *testing.T) {
	d := newDesktop(t)
	d.startCompanion()
	dino := d.newDino()
	d.ctl("trust", "install")
	dino.launch()
	first := d.newFile(dino, "before", 100_000)
	dino.send(first.path)
	d.arrived(first, time.Minute)

	// The server is restarted without its upload component while Dino runs; the component comes a moment later.
	if err := d.prosody.Close(); err != nil {
		t.Fatal(err)
	}
	logins := d.logins()
	d.startProsody(false)
	d.until(time.Minute, "Dino to be logged in again", func() bool { return d.logins() > logins })
	d.addComponent()
	d.startBob()

	stuck := d.newFile(dino, "stuck", 100_000)
	dino.send(stuck.path)
	d.until(30*time.Second, "Dino to fail", func() bool { return dino.logged("No flag") })
	d.picture("dino-is-stuck")
	d.until(30*time.Second, "status to say that Dino is stuck", func() bool { return d.problem("client-stuck") != "" })
	t.Logf("status says: %s", d.problem("client-stuck"))
	if r, ok := d.arrives(stuck.name, time.Second); ok {
		t.Errorf("Dino was not stuck: %+v", r)
	}

	pid := d.owner(dino.name)
	asked := d.asked()
	t.Logf("reset says: %s", d.ctl("reset", "--client", "dino"))
	d.until(time.Minute, "Dino to run again", func() bool { now := d.owner(dino.name); return now != 0 && now != pid })
	d.until(time.Minute, "Dino to know its upload service", func() bool { return d.asked() > asked })
	again := d.newFile(dino, "again", 100_000)
	dino.send(again.path)
	d.arrived(again, time.Minute)
	d.picture("dino-is-cured")
	if p := d.problem("client-stuck"); p != "" {
		t.Errorf("Dino is cured, and status says: %s", p)
	}
	if u := d.uploads(); len(u) == 0 || u[0].File != again.name {
		t.Errorf("after the reset Dino does not upload through the relay: %+v", u)
	}
}

// logins is how often alice logged in.
func (w *world) logins() int {
	b, err := os.ReadFile(filepath.Join(w.prosodyDir, "prosody.log"))
	if err != nil {
		w.t.Fatal(err)
	}
	return bytes.Count(b, []byte("Authenticated as "+alice))
}

// problem is what `holdfastctl status` says under a code; "": nothing.
func (d *desktop) problem(code string) string {
	d.t.Helper()
	var state struct {
		Problems []struct{ Code, Text, Remedy string }
	}
	out := d.ctl("status", "--json")
	if err := json.Unmarshal([]byte(out), &state); err != nil {
		d.t.Fatalf("holdfastctl status --json: %v\n%s", err, out)
	}
	for _, p := range state.Problems {
		if p.Code == code {
			return strings.TrimSpace(p.Text + " " + p.Remedy)
		}
	}
	return ""
}
