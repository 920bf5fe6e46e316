package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/cmd/lab"
)

const (
	away  = 45 * time.Second // how long there is no network
	size  = 6 << 20
	speed = 600_000 // bytes a second, so that an upload has a middle
)

// A person sends a file in Gajim and one in Dino, and walks from the WLAN to the desk meanwhile.
func TestFilesArriveAcrossAChangeOfNetwork(t *testing.T) {
	d := newDesktop(t)
	d.startCompanion()
	both := []*client{d.newGajim(), d.newDino()}

	d.step("without the relay both uploads are lost", func(t *testing.T) {
		for _, c := range both {
			c.begin(nil)
		}
		sent := d.sendBoth(both, "alone")
		before := d.stored()
		d.roam(lab.WLAN, lab.Ethernet, func() {})
		// Both are back in their chat by then, and Gajim has told of the failure. Dino shows the file as sent for minutes.
		d.until(2*time.Minute, "Gajim to give its upload up", both[0].failed)
		for _, f := range sent {
			if r, ok := d.arrives(f.name, 15*time.Second); ok {
				t.Errorf("%s arrived without the relay: %+v", f.name, r)
			}
		}
		if n := d.stored() - before; n > 0 {
			t.Errorf("the server has %d of the files", n)
		}
		d.picture("without-the-relay")
	})
	d.step("through the relay, set up by hand, both arrive", func(*testing.T) {
		for _, c := range both {
			c.behindRelay()
		}
		for _, c := range both {
			f := d.newFile(c, "plain", 1<<20)
			c.send(f.path)
			d.arrived(f, time.Minute)
		}
		d.picture("through-the-relay")
	})
	d.step("started by holdfastctl launch both survive the change, and the messages arrive", func(*testing.T) {
		d.ctl("trust", "install")
		for _, c := range both {
			c.launch()
		}
		sent := d.sendBoth(both, "held")
		d.roam(lab.Ethernet, lab.WLAN, func() { d.picture("while-the-network-is-away") })
		for _, f := range sent {
			d.arrived(f, 2*time.Minute)
		}
		d.picture("after-the-network-is-back")
	})
	if t.Failed() {
		t.Logf("the server's log:\n%s", lab.Tail(d.serverLog, 4<<10))
	}
}

// sample is a file that a client sends.
type sample struct{ path, name, sum string }

func (d *desktop) newFile(c *client, purpose string, size int64) sample {
	d.t.Helper()
	name := c.kind + "-" + purpose + ".bin"
	path, sum := d.file(name, size)
	return sample{path, name, sum}
}

// sendBoth starts one upload of each client over a slow link and returns when both are in their middle.
func (d *desktop) sendBoth(both []*client, purpose string) []sample {
	d.t.Helper()
	on := d.joined()
	if err := d.site.Limit(on, speed); err != nil {
		d.t.Fatal(err)
	}
	before := d.stored()
	var sent []sample
	for _, c := range both {
		f := d.newFile(c, purpose, size)
		c.send(f.path)
		sent = append(sent, f)
	}
	began, err := d.site.Sent(on)
	if err != nil {
		d.t.Fatal(err)
	}
	d.until(2*time.Minute, "the uploads to come to their middle", func() bool {
		n, err := d.site.Sent(on)
		return err == nil && n-began > size/3
	})
	if n := d.stored() - before; n > 0 {
		d.t.Fatalf("%d of the uploads were through before the network was cut", n)
	}
	return sent
}

// stored is how many uploads the server has taken in.
func (d *desktop) stored() int {
	b, err := os.ReadFile(d.serverLog)
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.Count(string(b), `msg="upload stored"`)
}

// roam takes the network away and gives another one after a while.
func (d *desktop) roam(from, to lab.Link, between func()) {
	d.t.Helper()
	if err := d.site.Leave(from); err != nil {
		d.t.Fatal(err)
	}
	if err := d.site.Limit(from, 0); err != nil {
		d.t.Fatal(err)
	}
	back := time.After(away)
	between()
	<-back
	if err := d.site.Join(to); err != nil {
		d.t.Fatal(err)
	}
}

// joined is the network that the desktop is on.
func (d *desktop) joined() lab.Link {
	if d.site.Joined(lab.Ethernet) {
		return lab.Ethernet
	}
	return lab.WLAN
}

// arrived makes sure that bob got a message with the file, and the file as it is.
func (d *desktop) arrived(f sample, limit time.Duration) {
	d.t.Helper()
	r, ok := d.arrives(f.name, limit)
	switch {
	case !ok:
		d.picture("failed-" + strings.TrimSuffix(f.name, ".bin"))
		d.t.Errorf("no message of %s came within %s\nuploads: %+v\ncompanion:\n%s", f.name, limit, d.uploads(), lab.Tail(filepath.Join(d.logs, "companion.log"), 3<<10))
	case r.Error != "":
		d.t.Errorf("bob could not download %s: %s", f.name, r.Error)
	case r.SHA256 != f.sum:
		d.t.Errorf("%s is another file at bob's", f.name)
	case !strings.HasPrefix(r.From, alice+"/"):
		d.t.Errorf("the message of %s is from %s", f.name, r.From)
	}
}

// failed says whether the client has told that an upload failed.
func (c *client) failed() bool {
	if c.kind == "dino" {
		return c.logged("Send file error")
	}
	return c.logged("HTTPRequestError") || c.logged("Upload error") || c.logged("httpupload") && c.logged("(E)")
}

// launch starts the client as Holdfast does.
func (c *client) launch() {
	c.d.t.Helper()
	c.begin(nil, program("holdfastctl"), "launch", c.kind, "--")
}

// behindRelay starts the client as a person would by hand: the relay as its proxy, its certificate in the trust store.
func (c *client) behindRelay() {
	c.d.t.Helper()
	c.begin([]string{"https_proxy=http://" + c.d.relay}, "bwrap", "--dev-bind", "/", "/", "--ro-bind", c.d.bundle(), "/etc/ssl/certs/ca-certificates.crt")
}

// bundle is the system's certificates with the relay's.
func (d *desktop) bundle() string {
	d.t.Helper()
	all, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		d.t.Fatal(err)
	}
	for _, word := range strings.Fields(d.ctl("hosts", "list")) {
		if strings.HasSuffix(word, ".pem") {
			own, err := os.ReadFile(word)
			if err != nil {
				d.t.Fatal(err)
			}
			all = append(all, own...)
		}
	}
	path := filepath.Join(d.user.Home, "bundle.pem")
	if err := os.WriteFile(path, all, 0o644); err != nil {
		d.t.Fatal(err)
	}
	if err := d.user.Chown(path); err != nil {
		d.t.Fatal(err)
	}
	return path
}
