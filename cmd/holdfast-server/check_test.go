package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// failures runs check and returns the FAIL lines.
func failures(t *testing.T, file string) []string {
	t.Helper()
	out, _, err := command(t, "check", "-config", file)
	var fails []string
	passes := 0
	for line := range strings.Lines(out) {
		switch {
		case strings.HasPrefix(line, "FAIL  "):
			fails = append(fails, strings.TrimSpace(line))
		case strings.HasPrefix(line, "PASS  "):
			passes++
		}
	}
	if (exitCode(err) != 0) != (len(fails) > 0) || !strings.Contains(out, fmt.Sprintf("%d passed, %d failed\n", passes, len(fails))) {
		t.Errorf("exit %d, output:\n%s", exitCode(err), out)
	}
	return fails
}

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestTheExampleConfigurationsPass(t *testing.T) {
	examples, err := filepath.Glob("../../assets/*.toml")
	if err != nil || len(examples) < 3 {
		t.Fatalf("%q, %v", examples, err)
	}
	for _, example := range examples {
		t.Run(filepath.Base(example), func(t *testing.T) {
			text := read(t, example)
			// The test may not be root, and the ports of the examples may be taken.
			text = strings.ReplaceAll(text, "/var/lib/holdfast", t.TempDir())
			text = strings.NewReplacer(":8080\"", ":"+freePort(t)+"\"", ":8443\"", ":"+freePort(t)+"\"", ":9090\"", ":"+freePort(t)+"\"",
				"https://upload.example.org", "https://upload.invalid").Replace(text)
			file := filepath.Join(t.TempDir(), "example.toml")
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if fails := failures(t, file); len(fails) > 0 {
				t.Errorf("%q", fails)
			}
		})
	}
}

func TestCheckSaysExactlyWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = occupied.Close() }()
	go func() {
		for {
			c, err := occupied.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("220 not http\r\n"))
			_ = c.Close()
		}
	}()
	base := func(server, path, secret, more string) string {
		return fmt.Sprintf("[server]\npublic_url = \"http://127.0.0.1:1/upload/\"\nlisten = \"127.0.0.1:0\"\n%s\n[storage]\npath = %q\nstate = %q\n[auth]\nschemes = [\"v2\"]\nsecrets = [%q]\n%s",
			server, path, dir+"/state", secret, more)
	}
	strong := "0123456789abcdef-strong"
	file, weak := filepath.Join(dir, "a-file"), filepath.Join(dir, "weak")
	replace(t, file, "")
	if err := os.WriteFile(weak, []byte("# two\n"+strong+"-too\nshort\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text string
		mode       os.FileMode
		want       []string
	}{
		{"nothing", base("", dir+"/files", strong, ""), 0o600, nil},
		{"a weak secret, a wrong path and a misspelt key", base("idle_timout = \"1s\"", file, "secret", ""), 0o600, []string{
			`FAIL  config: FILE:4: unknown key "idle_timout" in [server]; did you mean "idle_timeout"?`,
			`FAIL  secrets: weak secret: FILE: secret 1: it has 6 bytes, and fewer than 16 can be guessed`,
			`FAIL  storage.path: ` + file + ` is not a folder`,
		}},
		{"a weak secret whose schemes are misspelt", strings.Replace(base("", file, "secret", ""), "schemes", "schems", 1), 0o600, []string{
			`FAIL  config: FILE:9: unknown key "schems" in [auth]; did you mean "schemes"?`,
			`FAIL  config: FILE: auth.schemes is missing`,
			`FAIL  secrets: weak secret: FILE: secret 1: it has 6 bytes, and fewer than 16 can be guessed`,
			`FAIL  storage.path: ` + file + ` is not a folder`,
		}},
		{"a scheme that is none, and windows in the wrong order", strings.Replace(base("", dir+"/files", "secret", "[grace]\nbase = \"30h\"\n"), "v2", "v4", 1), 0o600, []string{
			`FAIL  config: FILE:9: auth.schemes: unknown scheme "v4": `,
			`FAIL  secrets: weak secret: FILE: secret 1: it has 6 bytes, and fewer than 16 can be guessed`,
			`FAIL  grace: mobile (12h) is shorter than base (30h), so it never admits anything`,
			`FAIL  grace: desktop (24h) is shorter than base (30h), so it never admits anything`,
		}},
		{"a weak secret in a file of its own", base("", dir+"/files", strong, "[[auth.issuer]]\nschemes = [\"jwt\"]\nsecret_file = "+strconv.Quote(weak)+"\n"), 0o600, []string{
			`FAIL  secrets: weak secret: ` + weak + `: secret 2: it has 5 bytes, and fewer than 16 can be guessed`,
		}},
		{"a secret file that is not there", strings.Replace(base("", dir+"/files", strong, ""), "secrets = [\""+strong+"\"]", "secret_file = \"/does/not/exist\"", 1), 0o600, []string{
			`FAIL  secrets: read the secret file: open /does/not/exist`,
		}},
		{"a file that everybody can read", base("", dir+"/files", strong, ""), 0o644, []string{
			`FAIL  secrets: secret readable by others: FILE: mode 0644 lets every user of this machine at it; chmod 600 FILE`,
		}},
		{"an address that is taken", strings.Replace(base("", dir+"/files", strong, ""), "127.0.0.1:0", occupied.Addr().String(), 1), 0o600, []string{
			`FAIL  listen: ` + occupied.Addr().String() + ` is taken by another program: `,
		}},
		{"windows in the wrong order", base("", dir+"/files", strong, "[grace]\nultra = \"1h\"\n"), 0o600, []string{
			`FAIL  grace: ultra (1h) is shorter than restore (48h), so it never admits anything`,
		}},
		{"a certificate that is not there", base("", dir+"/files", strong, "[tls]\ncert = \"/does/not/exist\"\nkey = \"/does/not/exist\"\n"), 0o600, []string{
			`FAIL  tls: read the certificate /does/not/exist`,
		}},
		{"everybody is a trusted proxy", base("trusted_proxies = [\"0.0.0.0/0\"]", dir+"/files", strong, ""), 0o600, []string{
			`FAIL  untrusted proxy: trusted_proxies holds 0.0.0.0/0: every client would be believed`,
		}},
		{"more free space than there is", base("", dir+"/files", strong, "[limits]\nmin_free = \"900TB\"\n"), 0o600, []string{`FAIL  disk: `}},
		{"a log file below a file", base("", dir+"/files", strong, "[log]\nfile = \"/dev/null/no/log\"\n"), 0o600, []string{`FAIL  log: /dev/null/no/log: not a directory`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conf := write(t, "server.toml", tt.text)
			if err := os.Chmod(conf, tt.mode); err != nil {
				t.Fatal(err)
			}
			got := failures(t, conf)
			for i := range got {
				got[i] = strings.ReplaceAll(got[i], conf, "FILE")
				if i < len(tt.want) && strings.HasPrefix(got[i], tt.want[i]) {
					got[i] = tt.want[i]
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheckOfEverySchemeAndOfARunningServer(t *testing.T) {
	dir := t.TempDir()
	file := configFor(t, dir, "listen = \"127.0.0.1:"+freePort(t)+"\"", "")
	text := strings.Replace(read(t, file), `schemes = ["v2", "jwt"]`, `schemes = ["v", "v2", "token", "v3", "bearer", "jwt"]`, 1)
	replace(t, file, text)
	log, stop := begin(t, file)
	log.await(t, "msg=listening")
	out, _, err := command(t, "check", "-config", file)
	if err != nil {
		t.Error(out)
	}
	for _, line := range []string{"taken by a running holdfast-server", "scheme v:", "scheme v3:", "scheme bearer:", "scheme jwt:", "grace ultra:", "restart:", "one file a slot:"} {
		if !strings.Contains(out, line) {
			t.Errorf("misses %q:\n%s", line, out)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestCheckTellsABufferingProxy(t *testing.T) {
	dir := t.TempDir()
	port := freePort(t)
	file := configFor(t, dir, "listen = \"127.0.0.1:"+port+"\"", "")
	replace(t, file, strings.Replace(read(t, file), "http://upload.test/", "http://127.0.0.1:"+port+"/", 1))
	log, _ := begin(t, file)
	log.await(t, "msg=listening")
	out, _, err := command(t, "check", "-config", file)
	if err != nil || !strings.Contains(out, "PASS  reverse proxy: ") {
		t.Error(out)
	}
}

func TestImport(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"mobile.toml", `[server]
listen = "0.0.0.0:8080"
public_url = "https://upload.example.org/"
metrics_listen = "127.0.0.1:9090"
idle_timeout = "20m"

[storage]
path = "./uploads"
state = "holdfast-state"

[auth]
secrets = ["a-secret-key-of-a-mobile-installation"]
schemes = ["v", "v2", "token", "v3", "bearer"]

[grace]
base = "8h"
mobile = "12h"
desktop = "24h"
restore = "48h"
ultra = "72h"

[limits]
max_upload_size = "500MB"
quota_per_user = "5GB"

[log]
level = "info"
file = "holdfast-server.log"

`},
		{"flat.toml", `[server]
listen = "[::1]:8081"
public_url = "https://upload.example.org/upload/"
trusted_proxies = ["127.0.0.1", "10.0.0.0/8"]
metrics_listen = "127.0.0.1:9091"

[storage]
path = "/srv/flat"
state = "/srv/holdfast-state"

[auth]
secrets = ["a-secret-key-of-a-flat-installation"]
schemes = ["v", "v2", "token", "v3", "bearer"]

[grace]
base = "10h"
mobile = "12h"
desktop = "24h"
restore = "48h"
ultra = "72h"

[limits]
max_upload_size = "1GB"
min_free = "100MB"
retention = "8760h"

[log]
level = "warn"
file = "/var/log/holdfast-server.log"

`},
		{"old.toml", `[server]
listen = "0.0.0.0:18443"
public_url = "https://upload.example.org/"
idle_timeout = "30m"

[storage]
path = "/srv/files"
state = "/srv/holdfast-state"

[auth]
secrets = ["RANDOM"]
schemes = ["v", "v2", "token", "v3", "bearer"]

[grace]
base = "8h"
mobile = "12h"
desktop = "24h"
restore = "48h"
ultra = "72h"

[limits]
min_free = "2GB"
retention = "4320h"

[log]
level = "warn"

`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, errs, err := command(t, "import", "testdata/"+tt.name)
			if err != nil {
				t.Fatal(err)
			}
			_, text, _ := strings.Cut(out, "\n")
			text, notes, _ := strings.Cut(text, "# What was not")
			if i := strings.Index(tt.want, "RANDOM"); i >= 0 {
				text = text[:i] + "RANDOM" + text[i+len(freshSecret()):]
			}
			if diff := cmp.Diff(tt.want, text); diff != "" {
				t.Error(diff)
			}
			for line := range strings.Lines(errs) {
				if !strings.Contains(notes, strings.TrimSpace(line)) {
					t.Errorf("the file does not say: %s", line)
				}
			}
		})
	}
	out := filepath.Join(t.TempDir(), "server.toml")
	if _, _, err := command(t, "import", "testdata/mobile.toml", "-out", out); err != nil {
		t.Fatal(err)
	}
	replace(t, out, strings.NewReplacer(":8080\"", ":0\"", ":9090\"", ":0\"").Replace(read(t, out)))
	if fails := failures(t, out); len(fails) > 0 {
		t.Errorf("the imported configuration fails: %q", fails)
	}
}

func TestInitMakesAConfigurationThatPasses(t *testing.T) {
	for _, k := range issuerKinds {
		t.Run(k.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "etc", "holdfast", "server.toml")
			out, _, err := command(t, "init", "-issuer", k.name, "-url", "https://upload.invalid/files", "-out", file, "-data", dir)
			if err != nil {
				t.Fatal(err)
			}
			c, err := load(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range []string{string(c.Auth.Secrets[0].Secret), "upload.invalid", "location /files/ {", "proxy_request_buffering off"} {
				if !strings.Contains(out, part) {
					t.Errorf("the blocks miss %q:\n%s", part, out)
				}
			}
			if c.Auth.Schemes[0].Scheme != k.scheme || c.Server.PublicURL != "https://upload.invalid/files/" {
				t.Errorf("schemes %v, url %s", c.Auth.Schemes, c.Server.PublicURL)
			}
			replace(t, file, strings.Replace(read(t, file), ":8080\"", ":0\"", 1))
			if fails := failures(t, file); len(fails) > 0 {
				t.Errorf("%q", fails)
			}
			if _, _, err := command(t, "init", "-issuer", k.name, "-out", file); err == nil {
				t.Error("a configuration was overwritten")
			}
		})
	}
	if _, _, err := command(t, "init", "-issuer", "prosody-v3"); err == nil || !strings.Contains(err.Error(), "did you mean") {
		t.Errorf("got %v", err)
	}
}
