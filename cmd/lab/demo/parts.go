package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"holdfast/cmd/lab"
)

// demo is everything that one run starts. Close ends it in reverse order.
type demo struct {
	dir, bin string
	vars     map[string]string // environment of the companion
	base     string            // public URL of the server
	relay    string            // address of the relay
	relayCA  string            // what a client must trust for the upload host
	config   string            // of the server
	ca       *lab.CA
	cutter   *lab.Cutter
	procs    []*lab.Process
	closers  []func() error
}

// marker tells a folder that a demo made from one that somebody else made.
const marker = ".holdfast-demo"

// open makes the folder empty and ours.
func open(dir, bin string) (*demo, error) {
	var err error
	d := &demo{}
	if d.dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if d.bin, err = filepath.Abs(bin); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(d.dir), 0o755); err != nil {
		return nil, err
	}
	// The lock lies beside the folder, so that removing the folder does not remove it.
	lock, err := os.OpenFile(d.dir+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("another demo uses %s: end it first, or choose another folder with -dir", dir)
	}
	d.closers = append(d.closers, lock.Close)
	entries, err := os.ReadDir(d.dir)
	if err == nil && len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(d.dir, marker)); err != nil {
			return nil, errors.Join(fmt.Errorf("%s is not empty and not of an earlier demo: choose another folder with -dir", dir), d.Close())
		}
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if err := os.WriteFile(filepath.Join(d.dir, marker), nil, 0o600); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Close ends what runs, newest first. The files stay, so that a failure can be looked into.
func (d *demo) Close() error {
	var errs []error
	for i := len(d.closers) - 1; i >= 0; i-- {
		errs = append(errs, d.closers[i]())
	}
	d.closers = nil
	return errors.Join(errs...)
}

func (d *demo) program(name string) string { return filepath.Join(d.bin, name) }

func (d *demo) env(name string) string { return d.vars[name] }

// start runs a program until Close; its output goes to dir/NAME.log.
func (d *demo) start(env []string, name string, args ...string) (*lab.Process, string, error) {
	log := filepath.Join(d.dir, name+".log")
	f, err := os.Create(log)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = f.Close() }()
	cmd := exec.Command(d.program(name), args...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.Dir = env, f, f, d.dir
	p, err := lab.Start(cmd)
	if err != nil {
		return nil, "", fmt.Errorf("start %s: %w", name, err)
	}
	d.closers = append(d.closers, p.Close)
	d.procs = append(d.procs, p)
	return p, log, nil
}

// startServer starts holdfast-server on loopback behind a cutter, which stands for the network.
func (d *demo) startServer(ctx context.Context) error {
	dir := filepath.Join(d.dir, "server")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var err error
	if d.ca, err = lab.NewCA(dir, "Holdfast demo CA"); err != nil {
		return err
	}
	cert, key, err := d.ca.Issue("localhost", "127.0.0.1")
	if err != nil {
		return err
	}
	port, err := lab.FreePort("127.0.0.1")
	if err != nil {
		return err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if d.cutter, err = lab.NewCutter("127.0.0.1:0", addr); err != nil {
		return err
	}
	d.closers = append(d.closers, d.cutter.Close)
	_, public, err := net.SplitHostPort(d.cutter.Addr())
	if err != nil {
		return err
	}
	d.base = "https://" + net.JoinHostPort(loopbackName(ctx), public) + "/upload/"
	secret, err := randomText()
	if err != nil {
		return err
	}
	d.config = filepath.Join(dir, "config.toml")
	config := fmt.Sprintf(`# A private server for the demo.
[server]
listen     = %q
public_url = %q
[tls]
cert = %q
key  = %q
[storage]
path  = %q
state = %q
[auth]
secrets = [%q]
schemes = ["v2"]
`, addr, d.base, cert, key, filepath.Join(dir, "files"), filepath.Join(dir, "state"), secret)
	if err := os.WriteFile(d.config, []byte(config), 0o600); err != nil {
		return err
	}
	p, log, err := d.start(cleanEnv(nil), "holdfast-server", "-config", d.config)
	if err != nil {
		return err
	}
	if err := lab.WaitTCP(addr, p, 20*time.Second); err != nil {
		return fmt.Errorf("holdfast-server: %w\n%s", err, lab.Tail(log, 2<<10))
	}
	return nil
}

// loopbackName is localhost, or the address where this machine does not know the name: a bare system may have no
// /etc/hosts.
func loopbackName(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", "localhost")
	if err == nil && len(addrs) > 0 && addrs[0].Unmap().IsLoopback() {
		return "localhost"
	}
	return "127.0.0.1"
}

// startCompanion starts `holdfastctl run` with folders of its own and without a session bus.
func (d *demo) startCompanion(ctx context.Context) error {
	home := filepath.Join(d.dir, "home")
	d.vars = map[string]string{
		"HOME":            home,
		"XDG_CONFIG_HOME": filepath.Join(home, ".config"),
		"XDG_DATA_HOME":   filepath.Join(home, ".local", "share"),
		"XDG_STATE_HOME":  filepath.Join(home, ".local", "state"),
		"XDG_CACHE_HOME":  filepath.Join(home, ".cache"),
		"XDG_RUNTIME_DIR": filepath.Join(d.dir, "runtime"),
		// The convention for "there is none"; an unset variable makes some libraries start a bus.
		"DBUS_SESSION_BUS_ADDRESS": "disabled:",
	}
	// A unix socket's path has at most 107 bytes.
	if len(d.vars["XDG_RUNTIME_DIR"])+len("/holdfast/control.sock") > 100 {
		short, err := os.MkdirTemp("", "holdfast-demo-")
		if err != nil {
			return err
		}
		d.vars["XDG_RUNTIME_DIR"] = short
		d.closers = append(d.closers, func() error { return os.RemoveAll(short) })
	}
	for name, dir := range d.vars {
		if name == "DBUS_SESSION_BUS_ADDRESS" {
			continue
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	port, err := lab.FreePort("127.0.0.1")
	if err != nil {
		return err
	}
	host := strings.TrimSuffix(strings.TrimPrefix(d.base, "https://"), "/upload/")
	config := fmt.Sprintf("[relay]\nlisten = \"127.0.0.1:%d\"\nhosts = [%q]\nupstream_ca = %q\n\n[autofix]\nenabled = false\n", port, host, d.ca.File)
	folder := filepath.Join(d.vars["XDG_CONFIG_HOME"], "holdfast")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "config.toml"), []byte(config), 0o600); err != nil {
		return err
	}
	p, log, err := d.start(cleanEnv(d.vars), "holdfastctl", "run")
	if err != nil {
		return err
	}
	if err := d.waitCompanion(ctx, p); err != nil {
		return fmt.Errorf("the companion did not come up: %w\n%s", err, lab.Tail(log, 2<<10))
	}
	if d.relayCA, err = d.findRelayCA(ctx, host); err != nil {
		return err
	}
	return nil
}

// waitCompanion waits until the companion answers and its relay listens.
func (d *demo) waitCompanion(ctx context.Context, p *lab.Process) error {
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		var state struct {
			Relay struct {
				Listen string `json:"listen"`
			} `json:"relay"`
		}
		out, err := d.ctl(ctx, "status", "--json")
		if err == nil {
			err = json.Unmarshal(out, &state)
		}
		if err == nil && state.Relay.Listen != "" {
			d.relay = state.Relay.Listen
			return nil
		}
		last = err
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.Done():
			return errors.New("it ended")
		case <-deadline.C:
			return fmt.Errorf("not within 30 s: %w", last)
		case <-tick.C:
		}
	}
}

// findRelayCA asks `holdfastctl hosts list`, which names the certificate to trust beside each host.
func (d *demo) findRelayCA(ctx context.Context, host string) (string, error) {
	out, err := d.ctl(ctx, "hosts", "list")
	if err != nil {
		return "", err
	}
	for _, line := range strings.Split(string(out), "\n") {
		for _, word := range strings.Fields(line) {
			if strings.Contains(line, host) && filepath.IsAbs(word) && strings.HasSuffix(word, ".pem") {
				return word, nil
			}
		}
	}
	return "", fmt.Errorf("holdfastctl hosts list names no certificate for %s:\n%s", host, out)
}

func (d *demo) ctl(ctx context.Context, args ...string) ([]byte, error) {
	return output(ctx, cleanEnv(d.vars), d.program("holdfastctl"), args...)
}

// output runs a program and returns what it printed; its complaint becomes part of the error.
func output(ctx context.Context, env []string, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = env
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s %s: %w: %s", filepath.Base(program), args[0], err, strings.TrimSpace(string(exit.Stderr)))
	}
	return out, err
}

// startTray shows the tray icon on the person's own panel, if it was built. It is a view of the private companion.
func (d *demo) startTray(context.Context) string {
	if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return ""
	}
	if _, err := os.Stat(d.program("holdfast")); err != nil {
		return "There is a display, but the tray was not built; the companion runs without it."
	}
	bus := os.Getenv("DBUS_SESSION_BUS_ADDRESS")
	if bus == "" {
		bus = "unix:path=" + filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "bus")
	}
	vars := map[string]string{}
	for k, v := range d.vars {
		vars[k] = v
	}
	vars["DBUS_SESSION_BUS_ADDRESS"] = bus // an icon needs the person's own panel
	for _, k := range []string{"DISPLAY", "WAYLAND_DISPLAY", "XDG_CURRENT_DESKTOP", "XDG_SESSION_TYPE", "XAUTHORITY"} {
		if v := os.Getenv(k); v != "" {
			vars[k] = v
		}
	}
	if home, err := os.UserHomeDir(); err == nil && vars["XAUTHORITY"] == "" {
		vars["XAUTHORITY"] = filepath.Join(home, ".Xauthority")
	}
	// Wayland names its socket relative to XDG_RUNTIME_DIR, which is the demo's own.
	if w := vars["WAYLAND_DISPLAY"]; w != "" && !filepath.IsAbs(w) {
		vars["WAYLAND_DISPLAY"] = filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), w)
	}
	if _, log, err := d.start(cleanEnv(vars), "holdfast"); err != nil {
		return "The tray did not start: " + err.Error()
	} else {
		return "A tray icon for this companion was started; it is not your own (its log: " + log + ")."
	}
}

// wait returns at Ctrl-C, or with an error when the server or the companion ends by itself.
func (d *demo) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.procs[0].Done():
		return fmt.Errorf("holdfast-server ended\n%s", lab.Tail(filepath.Join(d.dir, "holdfast-server.log"), 2<<10))
	case <-d.procs[1].Done():
		return fmt.Errorf("the companion ended\n%s", lab.Tail(filepath.Join(d.dir, "holdfastctl.log"), 2<<10))
	}
}

// cleanEnv is PATH, the language and vars: nothing of the person's desktop, proxies or trust.
func cleanEnv(vars map[string]string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "LANG=" + os.Getenv("LANG")}
	for k, v := range vars {
		env = append(env, k+"="+v)
	}
	return env
}
