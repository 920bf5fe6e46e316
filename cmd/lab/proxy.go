package lab

import (
	_ "embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

var (
	//go:embed scripts/nginx.conf
	nginxConfig string
	//go:embed scripts/Caddyfile
	caddyConfig string
	//go:embed scripts/haproxy.cfg
	haproxyConfig string
)

// ProxyConfig is what a reverse proxy is started with.
type ProxyConfig struct {
	Dir       string // all files
	IP        string // where it listens
	Port      int    // 0: a free one
	Target    string // host:port of the server, plain http
	Cert, Key string // TLS towards clients
	Streaming bool   // nginx: proxy_request_buffering off; the others never buffer
}

// ReverseProxy is a running reverse proxy.
type ReverseProxy struct {
	Name, Addr string
	out        string
	proc       *Process
}

// Log is the end of what the proxy wrote.
func (p *ReverseProxy) Log() string { return Tail(p.out, 4<<10) }

// Close ends the proxy.
func (p *ReverseProxy) Close() error { return p.proc.Close() }

// StartNginx starts nginx as its documentation has it for a reverse proxy: it buffers requests unless c.Streaming is set.
func StartNginx(c ProxyConfig) (*ReverseProxy, error) {
	config := filepath.Join(c.Dir, "nginx.conf")
	return startProxy(c, "nginx", nginxConfig, config, func() *exec.Cmd {
		return exec.Command("nginx", "-p", c.Dir, "-c", config, "-e", filepath.Join(c.Dir, "nginx.err"))
	})
}

// StartCaddy starts Caddy with its defaults.
func StartCaddy(c ProxyConfig) (*ReverseProxy, error) {
	config := filepath.Join(c.Dir, "Caddyfile")
	return startProxy(c, "caddy", caddyConfig, config, func() *exec.Cmd {
		cmd := exec.Command("caddy", "run", "--config", config, "--adapter", "caddyfile")
		cmd.Env = append(cleanEnv(), "HOME="+c.Dir, "XDG_CONFIG_HOME="+c.Dir, "XDG_DATA_HOME="+c.Dir)
		return cmd
	})
}

// StartHAProxy starts HAProxy with the time limits of its Debian package.
func StartHAProxy(c ProxyConfig) (*ReverseProxy, error) {
	config := filepath.Join(c.Dir, "haproxy.cfg")
	return startProxy(c, "haproxy", haproxyConfig, config, func() *exec.Cmd {
		return exec.Command("haproxy", "-db", "-f", config)
	})
}

func startProxy(c ProxyConfig, name, text, config string, command func() *exec.Cmd) (*ReverseProxy, error) {
	if c.Port == 0 {
		port, err := FreePort(c.IP)
		if err != nil {
			return nil, err
		}
		c.Port = port
	}
	p := &ReverseProxy{Name: name, Addr: net.JoinHostPort(c.IP, strconv.Itoa(c.Port)), out: filepath.Join(c.Dir, name+".out")}
	pem := filepath.Join(c.Dir, "both.pem") // HAProxy wants certificate and key in one file
	if err := join(pem, c.Cert, c.Key); err != nil {
		return nil, err
	}
	if err := render(config, text, map[string]any{
		"Dir": c.Dir, "Listen": p.Addr, "IP": c.IP, "Port": c.Port, "Target": c.Target, "Cert": c.Cert, "Key": c.Key, "PEM": pem, "Streaming": c.Streaming,
	}); err != nil {
		return nil, err
	}
	out, err := os.Create(p.out)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	cmd := command()
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.Dir, out, out
	if p.proc, err = Start(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := WaitTCP(p.Addr, p.proc, 20*time.Second); err != nil {
		_ = p.proc.Close()
		return nil, fmt.Errorf("%s: %w\n%s", name, err, p.Log())
	}
	return p, nil
}

// join writes the contents of files one after another.
func join(path string, files ...string) error {
	var all []byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		all = append(all, b...)
	}
	return os.WriteFile(path, all, 0o600)
}
