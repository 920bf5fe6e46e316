package packages

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/cmd/lab"
)

// tree is a Debian of its own.
type tree struct {
	t    *testing.T
	root string
}

func newTree(t *testing.T) *tree {
	t.Helper()
	root := filepath.Join(t.TempDir(), "debian")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "tar", "-C", root, "--numeric-owner", "-xpf", os.Getenv(baseEnv)).CombinedOutput(); err != nil {
		t.Fatalf("unpack Debian: %v\n%s", err, out)
	}
	if err := unix.Mount("proc", filepath.Join(root, "proc"), "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(filepath.Join(root, "proc"), unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	tr := &tree{t, root}
	tr.write("/etc/hosts", "127.0.0.1 localhost upload.example.org example.org\n", 0o644)
	return tr
}

func (tr *tree) at(name string) string { return filepath.Join(tr.root, name) }

func (tr *tree) write(name, text string, mode fs.FileMode) {
	tr.t.Helper()
	if err := os.MkdirAll(filepath.Dir(tr.at(name)), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.WriteFile(tr.at(name), []byte(text), mode); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *tree) read(name string) string {
	tr.t.Helper()
	b, err := os.ReadFile(tr.at(name))
	if err != nil {
		tr.t.Fatal(err)
	}
	return string(b)
}

// cmd is a command inside.
func (tr *tree) cmd(args ...string) *exec.Cmd {
	c := exec.CommandContext(tr.t.Context(), "chroot", append([]string{tr.root}, args...)...)
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	return c
}

func (tr *tree) run(args ...string) string {
	tr.t.Helper()
	out, err := tr.cmd(args...).CombinedOutput()
	if err != nil {
		tr.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// start runs a program inside until the test ends.
func (tr *tree) start(log string, env []string, args ...string) *lab.Process {
	tr.t.Helper()
	f, err := os.Create(filepath.Join(filepath.Dir(tr.root), log))
	if err != nil {
		tr.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	c := exec.Command("chroot", append([]string{tr.root}, args...)...)
	c.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}, env...)
	c.Stdout, c.Stderr = f, f
	p, err := lab.Start(c)
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(func() {
		_ = p.Close()
		if tr.t.Failed() {
			tr.t.Logf("end of %s:\n%s", log, lab.Tail(f.Name(), 4<<10))
		}
	})
	return p
}

// server starts the installed server as its unit does: as its user, with a copy of the secret as a credential.
func (tr *tree) server(log string) *lab.Process {
	tr.t.Helper()
	const creds = "/run/credentials/holdfast-server.service"
	tr.run("install", "-d", "-m", "0700", "-o", "holdfast", "-g", "holdfast", creds)
	tr.run("install", "-m", "0400", "-o", "holdfast", "-g", "holdfast", "/etc/holdfast/secret", creds+"/secret")
	p := tr.start(log, []string{"CREDENTIALS_DIRECTORY=" + creds}, "setpriv", "--reuid=holdfast", "--regid=holdfast", "--init-groups",
		"holdfast-server", "-config", "/etc/holdfast/server.toml")
	deadline := time.Now().Add(20 * time.Second)
	for {
		if strings.Contains(lab.Tail(filepath.Join(filepath.Dir(tr.root), log), 4<<10), "msg=listening") {
			return p
		}
		select {
		case <-p.Done():
			tr.t.Fatal("holdfast-server ended")
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			tr.t.Fatal("holdfast-server does not listen")
		}
	}
}

// install copies a package in and installs it.
func (tr *tree) install(deb string) string {
	tr.t.Helper()
	b, err := os.ReadFile(deb)
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.write("/tmp/"+filepath.Base(deb), string(b), 0o644)
	out := tr.run("dpkg", "-i", "/tmp/"+filepath.Base(deb))
	if err := os.Remove(tr.at("/tmp/" + filepath.Base(deb))); err != nil {
		tr.t.Fatal(err)
	}
	return out
}

// listing names everything in the tree but what dpkg and the running programs of the test keep.
func (tr *tree) listing() map[string]bool {
	tr.t.Helper()
	all := map[string]bool{}
	err := filepath.WalkDir(tr.root, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(name, tr.root)
		for _, other := range []string{"/proc", "/var/lib/dpkg", "/var/log/dpkg.log", "/var/lib/prosody", "/var/log/prosody", "/var/log/nginx", "/var/lib/nginx", "/run/prosody", "/run/credentials", "/run/nginx.pid"} {
			if rel == other {
				if info, err := os.Lstat(name); err == nil && info.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
		}
		all[rel] = true
		return nil
	})
	if err != nil {
		tr.t.Fatal(err)
	}
	return all
}

// added lists what is there now and was not before.
func added(before, now map[string]bool) []string {
	var out []string
	for name := range now {
		if !before[name] {
			out = append(out, name)
		}
	}
	return out
}

func serverPackage(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(os.Getenv(packagesEnv), "holdfast-server_*.deb"))
	if err != nil || len(found) != 1 {
		t.Fatalf("packages of the server: %q, %v", found, err)
	}
	return found[0]
}

// newer makes a package of the next revision with the same content.
func newer(t *testing.T, deb string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "dpkg-deb", "-R", deb, filepath.Join(dir, "x")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	control := filepath.Join(dir, "x", "DEBIAN", "control")
	b, err := os.ReadFile(control)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(control, bytes.Replace(b, []byte("-1\n"), []byte("-2\n"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "newer.deb")
	if text, err := exec.CommandContext(t.Context(), "dpkg-deb", "-b", "-Znone", filepath.Join(dir, "x"), out).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

const guide = "../../../docs/admin/files/"

// admin sets up nginx and Prosody as the guide says: its files, with the secret of the installed server.
func (tr *tree) admin(ca *lab.CA, secret string) *lab.XMPP {
	t := tr.t
	t.Helper()
	page := func(name string) string {
		b, err := os.ReadFile(guide + name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(string(b), "THE SECRET OF holdfast-server", secret)
	}
	cert, key, err := ca.Issue("upload.example.org", "example.org")
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{cert: "fullchain.pem", key: "privkey.pem"} {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		tr.write("/etc/letsencrypt/live/upload.example.org/"+to, string(b), 0o644)
	}
	if err := os.Remove(tr.at("/etc/nginx/sites-enabled/default")); err != nil {
		t.Fatal(err)
	}
	tr.write("/etc/nginx/sites-enabled/upload", page("nginx.conf"), 0o644)
	tr.run("usermod", "-aG", "holdfast", "www-data")
	nginx := tr.start("nginx.log", nil, "nginx", "-g", "daemon off;")
	if err := lab.WaitTCP("127.0.0.1:443", nginx, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	tr.write("/etc/prosody/prosody.cfg.lua", `
modules_enabled = { "roster", "saslauth", "tls", "disco", "posix" }
modules_disabled = { "s2s" }
interfaces = { "127.0.0.1" }
local_interfaces = { "127.0.0.1" }
http_ports = {}
https_ports = {}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
storage = "internal"
log = { info = "/var/log/prosody/prosody.log" }
pidfile = "/run/prosody/prosody.pid"
VirtualHost "example.org"
	ssl = { certificate = "/etc/letsencrypt/live/upload.example.org/fullchain.pem"; key = "/etc/letsencrypt/live/upload.example.org/privkey.pem" }
`+page("prosody-file-share.cfg.lua"), 0o644)
	tr.write("/var/lib/prosody/example%2eorg/accounts/alice.dat", "return {\n\t[\"password\"] = \"pw-alice\";\n};\n", 0o644)
	tr.run("sh", "-c", "mkdir -p /run/prosody && chown -R prosody: /var/lib/prosody /run/prosody")
	prosody := tr.start("prosody.out", nil, "setpriv", "--reuid=prosody", "--regid=prosody", "--init-groups", "prosody", "-F")
	if err := lab.WaitTCP("127.0.0.1:5222", prosody, 20*time.Second); err != nil {
		t.Fatalf("%v\n%s", err, lab.Tail(tr.at("/var/log/prosody/prosody.log"), 4<<10))
	}
	return &lab.XMPP{Name: "prosody", IP: "127.0.0.1", Port: 5222}
}

// upload asks Prosody for a slot and fills it through nginx. half is called in the middle of the body.
func (tr *tree) upload(x *lab.XMPP, ca *lab.CA, body []byte, half func()) (get string) {
	t := tr.t
	t.Helper()
	slots, err := x.Slots(t.Context(), x.Alice("example.org"), []lab.SlotRequest{{
		Service: "upload.example.org", Filename: "holiday picture.jpg", Size: int64(len(body)), ContentType: "image/jpeg",
	}})
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, slots[0].Put, r)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = int64(len(body))
	req.Header.Set("Content-Type", "image/jpeg")
	for name, value := range slots[0].Headers {
		req.Header.Set(name, value)
	}
	go func() {
		_, err := w.Write(body[:len(body)/2])
		if err == nil {
			half()
			_, err = w.Write(body[len(body)/2:])
		}
		_ = w.CloseWithError(err)
	}()
	client := httpClient(ca)
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("PUT %s: %s", slots[0].Put, resp.Status)
	}
	return slots[0].Get
}

func httpClient(ca *lab.CA) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}, Timeout: time.Minute}
}

func fetch(t *testing.T, ca *lab.CA, url string) []byte {
	t.Helper()
	c := httpClient(ca)
	defer c.CloseIdleConnections()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", url, resp.Status, err)
	}
	return b
}

func TestTheLifeOfTheServerPackage(t *testing.T) {
	deb := serverPackage(t)
	tr := newTree(t)
	ca, err := lab.NewCA(t.TempDir(), "Lab Public CA")
	if err != nil {
		t.Fatal(err)
	}
	clean, passwd, group := tr.listing(), tr.read("/etc/passwd"), tr.read("/etc/group")

	// Installed: a configuration with a secret of its own, a user, a unit that is enabled.
	tr.install(deb)
	config, secrets := tr.read("/etc/holdfast/server.toml"), strings.Split(strings.TrimSpace(tr.read("/etc/holdfast/secret")), "\n")
	secret := secrets[len(secrets)-1]
	if len(secret) < 32 || strings.Contains(config, secret) {
		t.Error("the secret is not in a file of its own")
	}
	for name, want := range map[string]string{
		"/etc/holdfast/server.toml": "644 root root", "/etc/holdfast/secret": "600 root root", "/var/lib/holdfast": "750 holdfast holdfast", "/run/holdfast": "755 holdfast holdfast",
	} {
		if got := strings.TrimSpace(tr.run("stat", "-c", "%a %U %G", name)); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if _, err := os.Lstat(tr.at("/etc/systemd/system/multi-user.target.wants/holdfast-server.service")); err != nil {
		t.Errorf("the unit is not enabled: %v", err)
	}
	if out := tr.run("dpkg", "-V", "holdfast-server"); out != "" {
		t.Errorf("dpkg -V: %s", out)
	}

	// The first start and a real upload.
	old := tr.server("server.log")
	x := tr.admin(ca, secret)
	tr.run("holdfast-server", "check", "-config", "/etc/holdfast/server.toml")
	body := make([]byte, 3<<20)
	_, _ = rand.Read(body)
	first := tr.upload(x, ca, body, func() {})
	if !bytes.Equal(fetch(t, ca, first), body) {
		t.Error("other bytes came back")
	}

	// An upgrade over a running upload: it finishes, and what the admin wrote stays.
	tr.write("/etc/holdfast/server.toml", config+"# mine\n", 0o644)
	second := tr.upload(x, ca, body, func() {
		tr.install(newer(t, deb))
		_ = old.Signal(syscall.SIGTERM) // as systemctl try-restart does
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := old.Wait(ctx); err != nil {
		t.Errorf("the old server: %v", err)
	}
	if got := tr.read("/etc/holdfast/server.toml"); got != config+"# mine\n" {
		t.Errorf("the configuration did not stay: %s", got)
	}
	if got := tr.run("dpkg-query", "-W", "-f", "${Version}", "holdfast-server"); !strings.HasSuffix(got, "-2") {
		t.Errorf("version %s is installed", got)
	}
	now := tr.server("newer.log")
	for _, url := range []string{first, second} {
		if !bytes.Equal(fetch(t, ca, url), body) {
			t.Errorf("after the upgrade %s has other bytes", url)
		}
	}
	if err := now.Close(); err != nil {
		t.Fatal(err)
	}

	// Removed: the configuration and the files stay. Installed again, everything is as it was.
	tr.run("dpkg", "-r", "holdfast-server")
	for _, name := range []string{"/etc/holdfast/server.toml", "/etc/holdfast/secret", "/var/lib/holdfast/files"} {
		if _, err := os.Stat(tr.at(name)); err != nil {
			t.Errorf("after remove: %v", err)
		}
	}
	if _, err := os.Lstat(tr.at("/usr/bin/holdfast-server")); err == nil {
		t.Error("after remove the program is there")
	}
	tr.install(deb)
	again := tr.server("again.log")
	if !bytes.Equal(fetch(t, ca, first), body) {
		t.Error("after a new installation a file has other bytes")
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}

	// Purged: nothing is left but what people have uploaded, and the user who owns it.
	out := tr.run("dpkg", "-P", "holdfast-server")
	if !strings.Contains(out, "stay in /var/lib/holdfast/files") {
		t.Errorf("purge does not say that files stay: %s", out)
	}
	var files int
	for _, name := range added(clean, tr.listing()) {
		switch {
		case strings.HasPrefix(name, "/etc/letsencrypt"), name == "/etc/nginx/sites-enabled/upload": // the admin's
		case name == "/var/lib/holdfast", name == "/var/lib/holdfast/files":
		case strings.HasPrefix(name, "/var/lib/holdfast/files/") && !strings.Contains(name, "/.holdfast"):
			if strings.HasSuffix(name, ".jpg") {
				files++
			}
		default:
			t.Errorf("after purge there is %s", name)
		}
	}
	if files != 2 {
		t.Errorf("after purge %d files of people are there, want 2", files)
	}

	// Without such files not even the user is left.
	if err := os.RemoveAll(tr.at("/var/lib/holdfast/files")); err != nil {
		t.Fatal(err)
	}
	tr.install(deb)
	tr.run("gpasswd", "-d", "www-data", "holdfast")
	tr.run("dpkg", "-P", "holdfast-server")
	if got := tr.read("/etc/passwd"); got != passwd {
		t.Errorf("/etc/passwd was\n%s\nand is\n%s", passwd, got)
	}
	if got := tr.read("/etc/group"); got != group {
		t.Errorf("/etc/group was\n%s\nand is\n%s", group, got)
	}
	for _, name := range []string{"/etc/holdfast", "/var/lib/holdfast", "/run/holdfast", "/var/log/holdfast"} {
		if _, err := os.Lstat(tr.at(name)); err == nil {
			t.Errorf("%s is left", name)
		}
	}
	if t.Failed() {
		t.Logf("purge said: %s", out)
	}
}
