package clients

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"holdfast/cmd/lab"
)

var (
	//go:embed testdata/prosody.cfg.lua
	prosodyConfig string
	//go:embed testdata/receiver.py
	receiverScript string
)

const (
	secret        = "a secret of the tests, long enough"
	debianPython  = "/usr/bin/python3" // the one that Debian's python3-slixmpp belongs to
	alicePassword = "pw-alice"
	bobPassword   = "pw-bob"
)

// alice has the desktop; bob receives.
const (
	alice = "alice@" + domain
	bob   = "bob@" + domain
)

// world is the servers' side of the network.
type world struct {
	root *testing.T // what was started ends with it
	t    *testing.T // the present step
	dir  string
	site *lab.Site
	ca   *lab.CA

	prosodyDir string
	prosody    *lab.Process
	serverLog  string
	serverCert string

	received chan received // what bob got, in order
	kept     []received    // taken from the channel and not yet asked for
}

// received is one message with a link, and the file behind it.
type received struct {
	URL, From, Name, SHA256, Error string
	Size                           int64
}

// newWorld starts the servers and bob, and joins the first network.
func newWorld(t *testing.T) *world {
	t.Helper()
	lab.Need(t, "prosody", "prosody prosody-modules")
	w := &world{root: t, t: t, dir: shortDir(t), received: make(chan received, 100)}
	var err error
	if w.site, err = lab.NewSite(uploadIP, xmppIP, otherIP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.site.Close() })
	if err := w.site.Join(lab.WLAN); err != nil {
		t.Fatal(err)
	}
	if w.ca, err = lab.NewCA(w.dir, "Lab Public CA"); err != nil {
		t.Fatal(err)
	}
	w.trust()
	w.startServer()
	w.seedProsody()
	w.startProsody(true)
	w.startBob()
	return w
}

// shortDir is a folder for sockets, with a short path that other users may pass.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "w")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// trust lets the whole desktop trust the CA that stands for the public ones, in this mount namespace.
func (w *world) trust() {
	const store = "/etc/ssl/certs/ca-certificates.crt"
	own, err := os.ReadFile(store)
	if err != nil {
		w.t.Fatal(err)
	}
	more, err := os.ReadFile(w.ca.File)
	if err != nil {
		w.t.Fatal(err)
	}
	undo, err := lab.Overlay(filepath.Join(w.dir, "store.crt"), store, append(own, more...))
	if err != nil {
		w.t.Fatal(err)
	}
	w.root.Cleanup(func() {
		if err := undo(); err != nil {
			w.root.Error(err)
		}
	})
}

// start runs a program until the test ends.
func start(t *testing.T, log string, cmd *exec.Cmd) *lab.Process {
	t.Helper()
	f, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	cmd.Stdout, cmd.Stderr = f, f
	p, err := lab.Start(cmd)
	if err != nil {
		t.Fatalf("start %s: %v", filepath.Base(cmd.Path), err)
	}
	t.Cleanup(func() {
		_ = p.Close()
		if t.Failed() {
			t.Logf("end of %s:\n%s", filepath.Base(log), lab.Tail(log, 3<<10))
		}
	})
	return p
}

func (w *world) startServer() {
	w.t.Helper()
	cert, key, err := w.ca.Issue(uploadHost)
	if err != nil {
		w.t.Fatal(err)
	}
	w.serverCert = cert
	config := filepath.Join(w.dir, "server.toml")
	text := fmt.Sprintf(`[server]
listen = "%s:443"
public_url = "https://%s/upload/"
[tls]
cert = %q
key = %q
[storage]
path = %q
state = %q
[auth]
secrets = [%q]
schemes = ["jwt"]
[log]
level = "debug"
`, uploadIP, uploadHost, cert, key, filepath.Join(w.dir, "files"), filepath.Join(w.dir, "state"), secret)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.serverLog = filepath.Join(w.dir, "server.log")
	p := start(w.root, w.serverLog, w.site.Command(program("holdfast-server"), "-config", config))
	if err := lab.WaitTCP(uploadIP+":443", p, 20*time.Second); err != nil {
		w.t.Fatalf("holdfast-server: %v\n%s", err, lab.Tail(w.serverLog, 4<<10))
	}
}

// seedProsody makes the accounts; they are each other's contacts.
func (w *world) seedProsody() {
	w.prosodyDir = filepath.Join(w.dir, "prosody")
	data := filepath.Join(w.prosodyDir, "data", strings.ReplaceAll(domain, ".", "%2e"))
	for _, a := range []struct{ user, password, contact string }{{"alice", alicePassword, bob}, {"bob", bobPassword, alice}} {
		for folder, text := range map[string]string{
			"accounts": fmt.Sprintf("return { [\"password\"] = %q; };\n", a.password),
			"roster": fmt.Sprintf("return { [false] = { [\"version\"] = 1; }; [%q] = { [\"subscription\"] = \"both\"; [\"groups\"] = {}; [\"name\"] = \"Friend\"; }; };\n",
				a.contact),
		} {
			if err := os.MkdirAll(filepath.Join(data, folder), 0o755); err != nil {
				w.t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(data, folder, a.user+".dat"), []byte(text), 0o600); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// configureProsody writes the configuration, with the upload component or without.
func (w *world) configureProsody(withComponent bool) string {
	w.t.Helper()
	cert, key, err := w.ca.Issue(domain)
	if err != nil {
		w.t.Fatal(err)
	}
	var text bytes.Buffer
	if err := template.Must(template.New("").Parse(prosodyConfig)).Execute(&text, map[string]any{
		"Dir": w.prosodyDir, "IP": xmppIP, "Domain": domain, "Upload": component, "Component": withComponent,
		"URL": "https://" + uploadHost + "/upload/", "Secret": secret, "Cert": cert, "Key": key,
	}); err != nil {
		w.t.Fatal(err)
	}
	config := filepath.Join(w.prosodyDir, "prosody.cfg.lua")
	if err := os.WriteFile(config, text.Bytes(), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return config
}

func (w *world) startProsody(withComponent bool) {
	w.t.Helper()
	cmd := w.site.Command("prosody", "--root", "--config", w.configureProsody(withComponent), "-F")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + w.prosodyDir}
	w.prosody = start(w.root, filepath.Join(w.prosodyDir, "out"), cmd)
	if err := lab.WaitTCP(xmppIP+":5222", w.prosody, 20*time.Second); err != nil {
		w.t.Fatalf("prosody: %v\n%s", err, lab.Tail(filepath.Join(w.prosodyDir, "out"), 2<<10))
	}
}

// addComponent loads the upload component into the running Prosody; nobody has to reconnect.
func (w *world) addComponent() {
	w.t.Helper()
	config := w.configureProsody(true)
	for _, line := range []string{"config:reload()", fmt.Sprintf("host:activate(%q)", component)} {
		out, err := exec.CommandContext(w.t.Context(), "prosodyctl", "--root", "--config", config, "shell", line).CombinedOutput()
		if err != nil {
			w.t.Fatalf("prosodyctl shell %s: %v\n%s", line, err, out)
		}
	}
}

// startBob logs the receiver in. It is at the servers' site, so that no cut reaches it.
func (w *world) startBob() {
	w.t.Helper()
	ready := filepath.Join(w.dir, "bob.ready")
	_ = os.Remove(ready)
	cmd := w.site.Command(debianPython, "-c", receiverScript, xmppIP, "5222", bob, bobPassword, w.ca.File, ready)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	errs, err := os.Create(filepath.Join(w.dir, "bob.err"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = errs.Close() }()
	cmd.Stderr = errs
	p, err := lab.Start(cmd)
	if err != nil {
		w.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var r received
			if json.Unmarshal(lines.Bytes(), &r) == nil {
				w.received <- r
			}
		}
	}()
	w.root.Cleanup(func() { _ = p.Close(); <-done })
	if err := lab.WaitFile(ready, p, 30*time.Second); err != nil {
		w.t.Fatalf("log bob in: %v\n%s", err, lab.Tail(errs.Name(), 2<<10))
	}
}

// arrives waits until bob was told of a file with this name, and returns what he then downloaded.
func (w *world) arrives(name string, limit time.Duration) (received, bool) {
	deadline := time.After(limit)
	for {
		for i, r := range w.kept {
			if r.Name == name {
				w.kept = append(w.kept[:i], w.kept[i+1:]...)
				return r, true
			}
		}
		select {
		case r := <-w.received:
			w.kept = append(w.kept, r)
		case <-deadline:
			return received{}, false
		}
	}
}
