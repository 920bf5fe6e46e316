package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/cmd/lab"
)

// guide is where the configurations of the admin's guide are. These tests run the very files that its pages show; only
// names, folders and the secret of the example become those of the test.
const guide = "../../docs/admin/files"

const guideSecret = "a secret of the tests, long enough"

// guidePage returns a file of the guide for this test.
func guidePage(t *testing.T, name string, replace ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(guide, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(append([]string{"THE SECRET OF holdfast-server", guideSecret, "upload.example.org", uploadHost}, replace...)...).Replace(string(b))
}

// guideLab is one machine of the guide: server, reverse proxy and certificates.
type guideLab struct {
	dir, config string
	ca          *lab.CA
	paths       []string // of the example, and what they are here
	files       string
}

func newGuideLab(t *testing.T) *guideLab {
	t.Helper()
	g := &guideLab{dir: openDir(t)}
	var err error
	if g.ca, err = lab.NewCA(t.TempDir(), "Lab Public CA"); err != nil {
		t.Fatal(err)
	}
	cert, key, err := g.ca.Issue(uploadHost)
	if err != nil {
		t.Fatal(err)
	}
	both := bundle(t, cert, key)
	g.files = filepath.Join(g.dir, "files")
	g.paths = []string{
		"/etc/letsencrypt/live/upload.example.org/fullchain.pem", cert, "/etc/letsencrypt/live/upload.example.org/privkey.pem", key,
		"/etc/holdfast/tls/fullchain.pem", cert, "/etc/holdfast/tls/privkey.pem", key,
		"/etc/haproxy/certs/upload.example.org.pem", both,
		"/run/holdfast/http.sock", filepath.Join(g.dir, "http.sock"), "/etc/holdfast/secret", filepath.Join(g.dir, "secret"),
		"/var/lib/holdfast/files", g.files, "/var/lib/holdfast/state", filepath.Join(g.dir, "state"),
	}
	if err := os.WriteFile(filepath.Join(g.dir, "secret"), []byte(guideSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return g
}

// server starts holdfast-server with a configuration of the guide, after check has passed it.
func (g *guideLab) server(t *testing.T, name string) {
	t.Helper()
	g.config = filepath.Join(g.dir, "server.toml")
	if err := os.WriteFile(g.config, []byte(guidePage(t, name, g.paths...)), 0o644); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(g.dir, "server.log")
	p := start(t, log, nil, program("holdfast-server"), "-config", g.config)
	if err := lab.WaitFile(log, p, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for !strings.Contains(lab.Tail(log, 4<<10), "metrics listening") {
		select {
		case <-p.Done():
			t.Fatalf("holdfast-server ended:\n%s", lab.Tail(log, 4<<10))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("holdfast-server does not listen:\n%s", lab.Tail(log, 4<<10))
		}
	}
}

// proxy starts a reverse proxy with its configuration of the guide; each wants something around it.
func (g *guideLab) proxy(t *testing.T, name string) {
	t.Helper()
	if name == "" {
		return
	}
	text := guidePage(t, name, g.paths...)
	file := filepath.Join(g.dir, name)
	var args []string
	switch name {
	case "nginx.conf":
		text = "daemon off;\nuser root;\npid " + g.dir + "/nginx.pid;\nerror_log " + g.dir + "/nginx.err;\nevents {}\nhttp {\naccess_log off;\n" + text + "}\n"
		for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			text = strings.Replace(text, "http {\n", "http {\n"+kind+"_temp_path "+filepath.Join(g.dir, kind)+";\n", 1)
		}
		args = []string{lab.Need(t, "nginx", "nginx-light"), "-p", g.dir, "-c", file, "-e", filepath.Join(g.dir, "nginx.err")}
	case "Caddyfile":
		// A public name gets a certificate by ACME, which needs the internet; here it is given one.
		text = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + strings.Replace(text, " {\n", " {\n\ttls "+g.paths[1]+" "+g.paths[3]+"\n", 1)
		args = []string{lab.Need(t, "caddy", "caddy"), "run", "--config", file, "--adapter", "caddyfile"}
	case "haproxy.cfg":
		text = "global\n\tnbthread 1\n" + text
		args = []string{lab.Need(t, "haproxy", "haproxy"), "-db", "-f", file}
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(g.dir, name+".log")
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + g.dir, "XDG_CONFIG_HOME=" + g.dir, "XDG_DATA_HOME=" + g.dir}
	p := start(t, log, env, args[0], args[1:]...)
	if err := lab.WaitTCP(net.JoinHostPort(uploadIP, "443"), p, 20*time.Second); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, lab.Tail(log, 4<<10))
	}
}

// xmpp starts the XMPP server with its configuration of the guide.
func (g *guideLab) xmpp(t *testing.T, name string) (x *lab.XMPP, domain string) {
	t.Helper()
	c := lab.XMPPConfig{Dir: openDir(t), IP: xmppIP, UploadURL: "https://" + uploadHost + "/upload/", Secret: guideSecret, CA: g.ca}
	var err error
	if strings.HasPrefix(name, "prosody") {
		lab.Need(t, "prosody", "prosody prosody-modules")
		domain = lab.ProsodyShare
		// The name of the component is below that of the people; its URL stays that of the upload server.
		c.Service = guidePage(t, name, `Component "upload.example.org"`, fmt.Sprintf("Component %q", "upload."+domain))
		x, err = lab.StartProsody(c)
	} else {
		lab.Need(t, "ejabberdctl", "ejabberd")
		domain = lab.EjabberdHost
		c.Service = strings.TrimPrefix(guidePage(t, name), "modules:\n")
		x, err = lab.StartEjabberd(c)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	return x, domain
}

func TestTheConfigurationsOfTheAdminsGuideWork(t *testing.T) {
	for _, tt := range []struct{ xmpp, server, proxy string }{
		{"prosody-file-share.cfg.lua", "server-file-share.toml", "nginx.conf"},
		{"prosody-external-v2.cfg.lua", "server-external-v2.toml", "Caddyfile"},
		{"prosody-external-v1.cfg.lua", "server-external-v1.toml", "haproxy.cfg"},
		{"ejabberd.yml", "server-ejabberd.toml", "nginx.conf"},
		{"prosody-file-share.cfg.lua", "server-tls.toml", ""},
		{"metronome.cfg.lua", "server-metronome.toml", "nginx.conf"},
	} {
		t.Run(tt.xmpp+", "+tt.server+", "+tt.proxy, func(t *testing.T) {
			g := newGuideLab(t)
			g.server(t, tt.server)
			g.proxy(t, tt.proxy)
			body := make([]byte, 2<<20+17)
			_, _ = rand.Read(body)
			slots := g.slots(t, tt.xmpp, int64(len(body)))
			client := directClient(g.ca)
			defer client.CloseIdleConnections()
			if got := put(t, client, slots[0], body); got != http.StatusCreated {
				t.Fatalf("PUT %s: %d\n%s", slots[0].Put, got, lab.Tail(filepath.Join(g.dir, "server.log"), 4<<10))
			}
			if got := fetch(t, client, slots[0].Get); !bytes.Equal(got, body) {
				t.Errorf("GET %s gives %d other bytes", slots[0].Get, len(got))
			}
			g.resumes(t, client, slots[1], body)
			// Whoever uploads is seen, not the proxy: nothing is listed as trusted but the proxy itself.
			log, err := os.ReadFile(filepath.Join(g.dir, "server.log"))
			if err != nil {
				t.Fatal(err)
			}
			if m := regexp.MustCompile(`msg="upload stored".* peer=(\S+)`).FindSubmatch(log); m == nil || string(m[1]) != "10.99.0.0/24" {
				t.Errorf("the uploader is seen as %q\n%s", m, log)
			}
			target := regexp.MustCompile(`targets: \["(\S+)"\]`).FindStringSubmatch(guidePage(t, "prometheus.yml"))
			if target == nil || !bytes.Contains(fetch(t, client, "http://"+target[1]+"/metrics"), []byte(`holdfast_uploads_total{result="stored"`)) {
				t.Errorf("%q has no metrics", target)
			}
			if out, err := exec.CommandContext(t.Context(), program("holdfast-server"), "files", "rm", "-config", g.config, slots[0].Get).CombinedOutput(); err != nil {
				t.Errorf("files rm: %v\n%s", err, out)
			}
			if out, err := exec.CommandContext(t.Context(), program("holdfast-server"), "check", "-config", g.config).CombinedOutput(); err != nil {
				t.Errorf("check: %v\n%s", err, out)
			}
		})
	}
}

// slots asks the XMPP server of the guide for two slots; for Metronome, which Debian does not have, it reads its
// configuration as Lua does and lets holdfast-server sign what Metronome would.
func (g *guideLab) slots(t *testing.T, name string, size int64) []lab.Slot {
	t.Helper()
	if name == "metronome.cfg.lua" {
		return g.metronomeSlots(t, name, size)
	}
	x, domain := g.xmpp(t, name)
	var requests []lab.SlotRequest
	for range 2 {
		requests = append(requests, lab.SlotRequest{Service: x.Upload[domain], Filename: "holiday picture.jpg", Size: size, ContentType: "image/jpeg"})
	}
	slots, err := x.Slots(t.Context(), x.Alice(domain), requests)
	if err != nil {
		t.Fatalf("%v\n%s", err, x.Log())
	}
	return slots
}

func (g *guideLab) metronomeSlots(t *testing.T, name string, size int64) []lab.Slot {
	t.Helper()
	lua := lab.Need(t, "lua5.4", "lua5.4")
	file := filepath.Join(g.dir, name)
	if err := os.WriteFile(file, []byte(guidePage(t, name)), 0o600); err != nil {
		t.Fatal(err)
	}
	// A configuration sets global names; Component is a function that takes the name of the module.
	out, err := exec.CommandContext(t.Context(), lua, "-e", `
function Component(host) return function(module) print(host) print(module) end end
dofile(arg[1]) print(http_file_external_url) print(http_file_secret)`, "-", file).Output()
	if err != nil {
		out, err = exec.CommandContext(t.Context(), lua, "-e", fmt.Sprintf(`
function Component(host) return function(module) print(host) print(module) end end
dofile(%q) print(http_file_external_url) print(http_file_secret)`, file)).Output()
	}
	want := uploadHost + "\nhttp_upload_external\nhttps://" + uploadHost + "/upload/\n" + guideSecret + "\n"
	if err != nil || string(out) != want {
		t.Fatalf("Lua reads %q, want %q: %v", out, want, err)
	}
	var slots []lab.Slot
	for i := range 2 {
		out, err := exec.CommandContext(t.Context(), program("holdfast-server"), "sign", "-config", g.config, "-scheme", "token",
			"-path", fmt.Sprintf("slot%d/holiday picture.jpg", i), "-size", strconv.FormatInt(size, 10), "-type", "image/jpeg").Output()
		if err != nil {
			t.Fatalf("sign: %v\n%s", err, stderrOf(err))
		}
		url, _, _ := strings.Cut(string(out), "\n")
		get, _, _ := strings.Cut(url, "?")
		slots = append(slots, lab.Slot{SlotRequest: lab.SlotRequest{Size: size, ContentType: "image/jpeg"}, Put: url, Get: get})
	}
	return slots
}

// resumes cuts an upload in the middle and goes on. That the server has the first part at all shows that the proxy does not
// collect bodies.
func (g *guideLab) resumes(t *testing.T, client *http.Client, slot lab.Slot, body []byte) {
	t.Helper()
	request := func(ctx context.Context, method string, r io.Reader, length int64, headers map[string]string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, method, slot.Put, r)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = length
		for name, value := range slot.Headers {
			req.Header.Set(name, value)
		}
		req.Header.Set("Content-Type", slot.ContentType)
		req.Header.Set("Holdfast-Upload", "AAAAAAAAAAAAAAAAAAAAAA")
		for name, value := range headers {
			req.Header.Set(name, value)
		}
		return client.Do(req)
	}
	later := map[string]string{"Upload-Length": strconv.Itoa(len(body)), "Holdfast-Slot-Type": slot.ContentType}
	ctx, cut := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		resp, err := request(ctx, http.MethodPut, r, int64(len(body)), nil)
		if err == nil {
			_ = resp.Body.Close()
		}
	}()
	if _, err := w.Write(body[:1<<20]); err != nil {
		t.Fatal(err)
	}
	offset := 0
	for deadline := time.Now().Add(20 * time.Second); offset == 0; {
		// Only a look: HEAD would end the upload that is still under way.
		parts, _ := filepath.Glob(filepath.Join(g.files, ".holdfast", "uploads", "*"))
		for _, p := range parts {
			if info, err := os.Stat(p); err == nil && info.Size() > 64<<10 {
				offset = int(info.Size())
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing of a running upload reaches the server: the proxy collects bodies")
		}
	}
	cut()
	_ = w.CloseWithError(io.ErrUnexpectedEOF)
	<-ended
	resp, err := request(t.Context(), http.MethodHead, nil, 0, later)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	offset, err = strconv.Atoi(resp.Header.Get("Upload-Offset"))
	if err != nil || resp.StatusCode != http.StatusNoContent || offset == 0 {
		t.Fatalf("HEAD after the cut: %s, offset %q", resp.Status, resp.Header.Get("Upload-Offset"))
	}
	patch := map[string]string{"Content-Type": "application/partial-upload", "Upload-Offset": strconv.Itoa(offset), "Upload-Complete": "?1"}
	for name, value := range later {
		patch[name] = value
	}
	resp, err = request(t.Context(), http.MethodPatch, bytes.NewReader(body[offset:]), int64(len(body)-offset), patch)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("PATCH: %s", resp.Status)
	}
	if got := fetch(t, client, slot.Get); !bytes.Equal(got, body) {
		t.Errorf("GET %s after a cut gives other bytes", slot.Get)
	}
}

func fetch(t *testing.T, c *http.Client, url string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
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

// A renewed certificate reaches the server by the hook of the guide, without a restart.
func TestARenewedCertificateIsTakenOver(t *testing.T) {
	g := newGuideLab(t)
	tlsDir := filepath.Join(g.dir, "tls")
	hook := filepath.Join(g.dir, "hook")
	script := strings.NewReplacer("/etc/holdfast/tls", tlsDir, "-g holdfast", "-g root").Replace(guidePage(t, "deploy-hook.sh"))
	if err := os.WriteFile(hook, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	renew := func() *lab.CA {
		ca, err := lab.NewCA(t.TempDir(), "Lab Public CA")
		if err != nil {
			t.Fatal(err)
		}
		cert, key, err := ca.Issue(uploadHost)
		if err != nil {
			t.Fatal(err)
		}
		lineage := t.TempDir()
		for from, to := range map[string]string{cert: "fullchain.pem", key: "privkey.pem"} {
			b, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(filepath.Join(lineage, to), b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), hook)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "RENEWED_LINEAGE=" + lineage}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return ca
	}
	first := renew()
	g.paths = append([]string{"/etc/holdfast/tls/", tlsDir + "/"}, g.paths[8:]...)
	g.server(t, "server-tls.toml")
	trusted := func(ca *lab.CA) bool {
		c, err := tls.Dial("tcp", net.JoinHostPort(uploadIP, "443"), &tls.Config{RootCAs: ca.Pool(), ServerName: uploadHost})
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}
	if !trusted(first) {
		t.Fatal("the first certificate is not shown")
	}
	second := renew()
	for deadline := time.Now().Add(10 * time.Second); !trusted(second); {
		if time.Now().After(deadline) {
			t.Fatal("the renewed certificate is not shown")
		}
	}
}
