package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"holdfast/cmd/lab"
)

// relayHost is the upload server's name in namespaces of our own; elsewhere the name is one that every machine knows.
const relayHost = "upload.bench.test"

const (
	relaySize = 100 * mib
	cutSize   = 256 * mib
	cutEvery  = 8 * mib
)

// relayCost is what the relay adds to an upload over TLS on loopback.
type relayCost struct {
	direct, relayed []sample // one upload each; cpu is the server's
	relayCPU        []time.Duration
	again           int64 // bytes more on the wire when it was cut every cutEvery bytes
	cuts            int
	same            bool // what was stored is what was sent
}

// relayLab is a server with TLS and a companion in front of it.
type relayLab struct {
	dir       string
	server    *peer
	companion *peer
	cutter    *lab.Cutter
	ca        *lab.CA
	host      string
	env       []string
	ctl       string
	relay     string
	closers   []func() error
}

func (l *relayLab) Close() error {
	var errs []error
	for i := len(l.closers) - 1; i >= 0; i-- {
		errs = append(errs, l.closers[i]())
	}
	return errors.Join(errs...)
}

func measureRelay(ctx context.Context, o options, shm string) (_ *relayCost, err error) {
	l := &relayLab{dir: filepath.Join(shm, "relay"), ctl: filepath.Join(o.bin, "holdfastctl"), host: "localhost"}
	if lab.Isolated() {
		l.host = relayHost
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := l.startServer(o.bin); err != nil {
		return nil, err
	}
	if err := l.startCompanion(ctx); err != nil {
		return nil, err
	}
	direct, relayed, err := l.clients(ctx)
	if err != nil {
		return nil, err
	}
	body := bytes.Repeat([]byte("holdfast"), int(relaySize/8))
	c := &relayCost{}
	for round := range o.rounds + 1 {
		name := fmt.Sprintf("round-%d", round)
		d, err := l.put(ctx, direct, l.server.addr, name+"-direct/file.bin", body)
		if err != nil {
			return nil, fmt.Errorf("direct: %w", err)
		}
		before := l.companion.cpu()
		r, err := l.put(ctx, relayed, l.server.addr, name+"-relay/file.bin", body)
		if err != nil {
			return nil, fmt.Errorf("through the relay: %w", err)
		}
		if round == 0 {
			continue // connections and caches are warm from here on
		}
		c.direct, c.relayed = append(c.direct, d), append(c.relayed, r)
		c.relayCPU = append(c.relayCPU, l.companion.cpu()-before)
	}
	return c, l.cuts(ctx, relayed, c)
}

// cuts sends a large file over the network as it is, and over one that breaks every cutEvery bytes. What the second takes
// more is what was sent again, with the handshakes and heads of the further connections.
func (l *relayLab) cuts(ctx context.Context, client *http.Client, c *relayCost) error {
	body := bytes.Repeat([]byte("holdfast"), int(cutSize/8))
	for i := range len(body) / 8 { // no two pieces alike
		body[i*8], body[i*8+1] = byte(i>>8), byte(i>>16)
	}
	send := func(path string) (int64, error) {
		before := l.cutter.Up()
		_, err := l.put(ctx, client, l.cutter.Addr(), path, body)
		return l.cutter.Up() - before, err
	}
	whole, err := send("whole/file.bin")
	if err != nil {
		return fmt.Errorf("without cuts: %w", err)
	}
	conns := l.cutter.Accepted()
	l.cutter.CutAfter(cutEvery)
	sent, err := send("cuts/file.bin")
	l.cutter.CutAfter(0)
	if err != nil {
		return fmt.Errorf("with cuts: %w", err)
	}
	c.again, c.cuts = sent-whole, l.cutter.Accepted()-conns
	stored, err := os.ReadFile(filepath.Join(l.server.files, "cuts", "file.bin"))
	if err != nil {
		return err
	}
	c.same = bytes.Equal(stored, body)
	return nil
}

func (l *relayLab) startServer(bin string) error {
	var err error
	if l.ca, err = lab.NewCA(l.dir, "Holdfast benchmark CA"); err != nil {
		return err
	}
	cert, key, err := l.ca.Issue(l.host)
	if err != nil {
		return err
	}
	port, err := lab.FreePort("127.0.0.1")
	if err != nil {
		return err
	}
	l.server = &peer{name: "server", addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	cmd, err := l.server.holdfast(bin, l.dir, fmt.Sprintf("[tls]\ncert = %q\nkey = %q\n", cert, key))
	if err != nil {
		return err
	}
	if err := l.server.start(cmd, l.dir); err != nil {
		return err
	}
	l.closers = append(l.closers, l.server.proc.Close)
	if l.cutter, err = lab.NewCutter("127.0.0.1:0", l.server.addr); err != nil {
		return err
	}
	l.closers = append(l.closers, l.cutter.Close)
	return nil
}

// authority is what a URL calls the listener at addr.
func (l *relayLab) authority(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return net.JoinHostPort(l.host, port)
}

func (l *relayLab) startCompanion(ctx context.Context) error {
	home := filepath.Join(l.dir, "home")
	run, err := os.MkdirTemp("", "hf") // a unix socket's path has at most 107 bytes
	if err != nil {
		return err
	}
	l.closers = append(l.closers, func() error { return os.RemoveAll(run) })
	config := filepath.Join(home, ".config", "holdfast")
	for _, d := range []string{config, filepath.Join(home, ".cache")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	port, err := lab.FreePort("127.0.0.1")
	if err != nil {
		return err
	}
	l.relay = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	text := fmt.Sprintf("[relay]\nlisten = %q\nhosts = [%q, %q]\nupstream_ca = %q\n\n[autofix]\nenabled = false\n",
		l.relay, l.authority(l.server.addr), l.authority(l.cutter.Addr()), l.ca.File)
	if err := os.WriteFile(filepath.Join(config, "config.toml"), []byte(text), 0o600); err != nil {
		return err
	}
	l.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_RUNTIME_DIR=" + run, "XDG_CACHE_HOME=" + filepath.Join(home, ".cache"),
		"DBUS_SESSION_BUS_ADDRESS=disabled:",
	}
	l.companion = &peer{name: "companion", addr: l.relay}
	if err := l.companion.startWith(exec.Command(l.ctl, "run"), l.dir, l.env); err != nil {
		return err
	}
	l.closers = append(l.closers, l.companion.proc.Close)
	return l.waitCompanion(ctx)
}

// waitCompanion waits until the companion says that its relay listens.
func (l *relayLab) waitCompanion(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		var state struct{ Relay struct{ Listen string } }
		out, err := l.run(ctx, "status", "--json")
		if err == nil && json.Unmarshal(out, &state) == nil && state.Relay.Listen == l.relay {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the companion did not come up: %w\n%s", err, lab.Tail(filepath.Join(l.dir, "companion.log"), 2<<10))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (l *relayLab) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, l.ctl, args...)
	cmd.Env = l.env
	return cmd.Output()
}

// clients returns a client that goes to the server itself and one that goes through the relay.
func (l *relayLab) clients(ctx context.Context) (direct, relayed *http.Client, err error) {
	out, err := l.run(ctx, "hosts", "list")
	if err != nil {
		return nil, nil, fmt.Errorf("list the hosts: %w", err)
	}
	pool := x509.NewCertPool()
	for _, word := range strings.Fields(string(out)) {
		if !filepath.IsAbs(word) || !strings.HasSuffix(word, ".pem") {
			continue
		}
		pem, err := os.ReadFile(word)
		if err != nil {
			return nil, nil, err
		}
		pool.AppendCertsFromPEM(pem)
	}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		var d net.Dialer
		return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}
	buffer := 64 << 10
	direct = &http.Client{Transport: &http.Transport{
		DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: l.ca.Pool()}, WriteBufferSize: buffer,
	}}
	relayed = &http.Client{Transport: &http.Transport{
		DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: pool}, WriteBufferSize: buffer,
		Proxy:              http.ProxyURL(&url.URL{Scheme: "http", Host: l.relay}),
		ProxyConnectHeader: http.Header{"User-Agent": {"gajim/1.7.3"}},
	}}
	return direct, relayed, nil
}

// put uploads body once and returns how long it took.
func (l *relayLab) put(ctx context.Context, client *http.Client, addr, path string, body []byte) (sample, error) {
	target, err := l.server.target(path, int64(len(body)))
	if err != nil {
		return sample{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "https://"+l.authority(addr)+target, bytes.NewReader(body))
	if err != nil {
		return sample{}, err
	}
	req.Header.Set("Content-Type", mediaType)
	req.Header.Set("User-Agent", "gajim/1.7.3")
	cpu, began := l.server.cpu(), time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return sample{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if resp.StatusCode != http.StatusCreated {
		return sample{}, fmt.Errorf("the answer was %s: %s", resp.Status, said)
	}
	return sample{requests: 1, wall: time.Since(began), cpu: l.server.cpu() - cpu}, nil
}
