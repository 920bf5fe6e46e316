package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/cmd/lab"
)

func directClient(ca *lab.CA) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}, Timeout: time.Minute}
}

// server is a running holdfast-server with TLS.
type server struct {
	config, dir, log, secret string
	base                     string // public URL
	proc                     *lab.Process
}

// serverOptions change what startServer does by default.
type serverOptions struct {
	ip      string   // default uploadIP
	port    int      // default 443
	schemes []string // default v v2 jwt
	extra   string   // more TOML, whole sections
	plain   bool     // without TLS, for a reverse proxy
}

// startServer starts the server for uploadHost. Its certificate is signed by ca.
func startServer(t *testing.T, ca *lab.CA, o serverOptions) *server {
	t.Helper()
	if o.ip == "" {
		o.ip = uploadIP
	}
	if o.port == 0 {
		o.port = 443
	}
	if o.schemes == nil {
		o.schemes = []string{"v", "v2", "jwt"}
	}
	dir := t.TempDir()
	s := &server{
		config: filepath.Join(dir, "server.toml"), dir: dir, log: filepath.Join(dir, "server.log"),
		secret: "a secret of the tests, long enough", base: "https://" + uploadHost + "/upload/",
	}
	cert, key, err := ca.Issue(uploadHost)
	if err != nil {
		t.Fatal(err)
	}
	if o.plain {
		cert, key = "", ""
	}
	quoted := make([]string, len(o.schemes))
	for i, v := range o.schemes {
		quoted[i] = strconv.Quote(v)
	}
	addr := net.JoinHostPort(o.ip, strconv.Itoa(o.port))
	config := fmt.Sprintf(`[server]
listen = %q
public_url = %q
[tls]
cert = %q
key = %q
[storage]
path = %q
state = %q
[auth]
secrets = [%q]
schemes = [%s]
[log]
level = "debug"
%s`, addr, s.base, cert, key, filepath.Join(dir, "files"), filepath.Join(dir, "state"), s.secret, strings.Join(quoted, ", "), o.extra)
	if err := os.WriteFile(s.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.proc = start(t, s.log, nil, program("holdfast-server"), "-config", s.config)
	if err := lab.WaitTCP(addr, s.proc, 20*time.Second); err != nil {
		t.Fatalf("holdfast-server: %v\n%s", err, lab.Tail(s.log, 4<<10))
	}
	return s
}

// sign asks the server's own command for a slot and returns its URL and the headers that go with it.
func (s *server) sign(t *testing.T, args ...string) (url string, headers []string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program("holdfast-server"), append([]string{"sign", "-config", s.config}, args...)...).Output()
	if err != nil {
		t.Fatalf("holdfast-server sign: %v\n%s", err, stderrOf(err))
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[0], lines[1:]
}

func stderrOf(err error) []byte {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.Stderr
	}
	return nil
}

// companion is a running `holdfastctl run` with folders of its own.
type companion struct {
	dir, log string
	env      []string
	proc     *lab.Process
	addr     string // of the relay
}

// startCompanion starts a companion that lists uploadHost and trusts ca upstream. env is added to its environment.
func startCompanion(t *testing.T, ca *lab.CA, env ...string) *companion {
	t.Helper()
	return startCompanionFor(t, ca, uploadHost, env...)
}

// startCompanionFor is startCompanion for another host.
func startCompanionFor(t *testing.T, ca *lab.CA, host string, env ...string) *companion {
	t.Helper()
	dir := t.TempDir()
	c := &companion{dir: dir, log: filepath.Join(dir, "companion.log")}
	c.env = []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + dir}
	for name, sub := range map[string]string{
		"XDG_CONFIG_HOME": "config", "XDG_DATA_HOME": "data", "XDG_STATE_HOME": "state", "XDG_CACHE_HOME": "cache", "XDG_RUNTIME_DIR": "run",
	} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
		c.env = append(c.env, name+"="+filepath.Join(dir, sub))
	}
	c.env = append(c.env, env...)
	port, err := lab.FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "config", "holdfast")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("[relay]\nlisten = \"127.0.0.1:%d\"\nhosts = [%q]\nupstream_ca = %q\n", port, host, ca.File)
	if err := os.WriteFile(filepath.Join(folder, "config.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c.addr = fmt.Sprintf("127.0.0.1:%d", port)
	c.proc = start(t, c.log, c.env, program("holdfastctl"), "run")
	if err := lab.WaitTCP(c.addr, c.proc, 20*time.Second); err != nil {
		t.Fatalf("holdfastctl run: %v\n%s", err, lab.Tail(c.log, 4<<10))
	}
	return c
}

func (c *companion) proxy() string { return "http://" + c.addr }

// ctl runs a verb of holdfastctl beside the companion.
func (c *companion) ctl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program("holdfastctl"), args...)
	cmd.Env, cmd.Stdin = c.env, strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("holdfastctl %s: %v\n%s\ncompanion:\n%s", strings.Join(args, " "), err, errs.String(), lab.Tail(c.log, 4<<10))
	}
	return out.String()
}

// upload is what `holdfastctl uploads --json` says of one upload.
type upload struct {
	Host, File, State string
	Size, Sent        int64
	Repeats, Resigned int
}

func (c *companion) uploads(t *testing.T) []upload {
	t.Helper()
	var list struct{ Uploads []upload }
	out := c.ctl(t, "", "uploads", "--json")
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("holdfastctl uploads --json: %v\n%s", err, out)
	}
	return list.Uploads
}

// caFile is the certificate a client has to trust for uploadHost, as `holdfastctl hosts list` names it.
func (c *companion) caFile(t *testing.T) string {
	t.Helper()
	return c.caFileOf(t, uploadHost)
}

func (c *companion) caFileOf(t *testing.T, host string) string {
	t.Helper()
	for _, line := range strings.Split(c.ctl(t, "", "hosts", "list"), "\n") {
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "/") && strings.HasSuffix(word, ".pem") && strings.Contains(line, host) {
				return word
			}
		}
	}
	t.Fatalf("holdfastctl hosts list names no certificate for %s", host)
	return ""
}

// start runs a program until the test ends; it asks it to stop with SIGTERM. env nil means our own.
func start(t *testing.T, log string, env []string, name string, args ...string) *lab.Process {
	t.Helper()
	f, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, f, f
	p, err := lab.Start(cmd)
	if err != nil {
		t.Fatalf("start %s: %v", filepath.Base(name), err)
	}
	t.Cleanup(func() {
		_ = p.Close()
		if b, err := os.ReadFile(log); err != nil || bytes.Contains(b, []byte("DATA RACE")) || bytes.Contains(b, []byte("panic:")) {
			t.Errorf("%s: %v, or a crash or a data race in its output", filepath.Base(log), err)
		}
		if t.Failed() {
			t.Logf("end of %s:\n%s", filepath.Base(log), lab.Tail(log, 8<<10))
		}
	})
	return p
}

// bundle writes a file with all the certificates given.
func bundle(t *testing.T, files ...string) string {
	t.Helper()
	var all []byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	path := filepath.Join(t.TempDir(), "bundle.pem")
	if err := os.WriteFile(path, all, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
