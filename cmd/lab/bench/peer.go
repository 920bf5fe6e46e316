package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"holdfast/cmd/lab"
	"holdfast/relay/token"
)

// secret signs the slots of a run; it guards nothing.
const secret = "the secret of a benchmark on loopback"

// peer is a server that runs.
type peer struct {
	name  string
	addr  string
	files string // folder of what was uploaded; empty: nothing is kept
	sign  bool
	proc  *lab.Process
}

func startPeer(name, bin, dir string) (*peer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	port, err := lab.FreePort("127.0.0.1")
	if err != nil {
		return nil, err
	}
	p := &peer{name: name, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	var cmd *exec.Cmd
	switch name {
	case "holdfast":
		cmd, err = p.holdfast(bin, dir, "")
	case "nginx":
		cmd, err = p.nginx(dir)
	default:
		exe, eerr := os.Executable()
		if eerr != nil {
			return nil, eerr
		}
		cmd = exec.Command(exe, "null", p.addr)
	}
	if err != nil {
		return nil, err
	}
	return p, p.start(cmd, dir)
}

func (p *peer) start(cmd *exec.Cmd, dir string) error {
	return p.startWith(cmd, dir, []string{"PATH=" + os.Getenv("PATH")})
}

func (p *peer) startWith(cmd *exec.Cmd, dir string, env []string) error {
	log, err := os.Create(filepath.Join(dir, p.name+".log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = env
	if p.proc, err = lab.Start(cmd); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	if err := lab.WaitTCP(p.addr, p.proc, 20*time.Second); err != nil {
		return fmt.Errorf("%s: %w\n%s", p.name, err, lab.Tail(log.Name(), 2<<10))
	}
	return nil
}

// holdfast is the server with the configuration that `init` writes, but for the paths. tls is a section of the file.
func (p *peer) holdfast(bin, dir, tls string) (*exec.Cmd, error) {
	p.files, p.sign = filepath.Join(dir, "files"), true
	scheme := "http"
	if tls != "" {
		scheme = "https"
	}
	config := fmt.Sprintf("[server]\nlisten = %q\npublic_url = \"%s://%s/upload/\"\n%s[storage]\npath = %q\nstate = %q\n[auth]\nsecrets = [%q]\nschemes = [\"v2\"]\n",
		p.addr, scheme, p.addr, tls, p.files, filepath.Join(dir, "state"), secret)
	file := filepath.Join(dir, "server.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return exec.Command(filepath.Join(bin, "holdfast-server"), "-config", file), nil
}

// nginxConfig is Debian's, without the log, with the same folder for bodies and files, so that a file is moved and not copied.
const nginxConfig = `
user root;
worker_processes auto;
pid %[1]s/nginx.pid;
error_log stderr;
daemon off;
events { worker_connections 1024; }
http {
	sendfile on;
	tcp_nopush on;
	access_log off;
	default_type application/octet-stream;
	client_max_body_size 0;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/x1; fastcgi_temp_path %[1]s/x2; uwsgi_temp_path %[1]s/x3; scgi_temp_path %[1]s/x4;
	keepalive_requests 1000000;
	server {
		listen %[2]s;
		location /upload/ {
			alias %[1]s/files/;
			dav_methods PUT DELETE;
			create_full_put_path on;
			dav_access user:rw group:r;
		}
	}
}
`

func nginxProgram() (string, error) {
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} { // sbin is not in everybody's PATH
		if program, err := exec.LookPath(name); err == nil {
			return program, nil
		}
	}
	return "", errors.New("nginx is missing: apt install nginx-light")
}

func (p *peer) nginx(dir string) (*exec.Cmd, error) {
	program, err := nginxProgram()
	if err != nil {
		return nil, err
	}
	p.files = filepath.Join(dir, "files")
	if err := os.MkdirAll(p.files, 0o755); err != nil {
		return nil, err
	}
	config := fmt.Sprintf(nginxConfig, dir, p.addr)
	if os.Geteuid() != 0 {
		config = strings.Replace(config, "user root;\n", "", 1)
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return nil, err
	}
	return exec.Command(program, "-e", "stderr", "-p", dir, "-c", file), nil
}

// target is the request target of a file: signed where the server asks for that.
func (p *peer) target(path string, size int64) (string, error) {
	if !p.sign {
		return "/upload/" + path, nil
	}
	g, err := token.Sign(token.Claims{Scheme: token.V2, Path: path, Size: size, Type: mediaType}, "", token.Secret(secret))
	if err != nil {
		return "", err
	}
	return "/upload/" + path + "?" + g.RawQuery, nil
}

const mediaType = "text/plain"

// pids are the processes of the server.
func (p *peer) pids() []int {
	all := []int{p.proc.PID()}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", p.proc.PID()))
	if err != nil {
		return all
	}
	for _, f := range strings.Fields(string(children)) {
		if n, err := strconv.Atoi(f); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// cpu is the processor time that the server has used, user and system.
func (p *peer) cpu() time.Duration {
	var ticks int64
	for _, pid := range p.pids() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if len(f) < 13 {
			continue
		}
		for _, s := range f[11:13] {
			n, _ := strconv.ParseInt(s, 10, 64)
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// forgetPeak begins a new measurement of the peak.
func (p *peer) forgetPeak() {
	for _, pid := range p.pids() {
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o200)
	}
}

// peak is the most memory that the server's processes had resident, in bytes, summed.
func (p *peer) peak() int64 {
	var sum int64
	for _, pid := range p.pids() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		_, rest, ok := strings.Cut(string(b), "VmHWM:")
		if !ok {
			continue
		}
		n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		sum += n << 10
	}
	return sum
}
