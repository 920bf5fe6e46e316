package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"holdfast"
	"holdfast/relay/server"
	"holdfast/relay/server/admit"
	"holdfast/relay/server/device"
	"holdfast/relay/server/ledger"
	"holdfast/relay/server/realip"
	"holdfast/relay/server/resume"
	"holdfast/relay/server/store"
)

const serveHelp = `
holdfast-server serve runs the upload server until SIGTERM.

Example:
  holdfast-server serve -config /etc/holdfast/server.toml

A state that is damaged stops the start. With -recover-ledger it is moved aside and a new one is made: used slots are
learnt again from the files that are there; sessions, quotas and slots of deleted files are lost.
`

// serve runs the server.
func serve(ctx context.Context, args []string, stderr io.Writer) (err error) {
	f := flags("serve", serveHelp, stderr)
	file := f.String("config", "", "configuration `FILE`")
	anew := f.Bool("recover-ledger", false, "move a damaged state aside and begin a new one")
	if _, help, err := parse(f, args, 0); help || err != nil {
		return err
	}
	c, err := loadFlag(*file)
	if err != nil {
		return err
	}
	out := &logFile{w: stderr}
	if err := out.open(c.Log.File, stderr); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.close()) }()
	log, level := newLog(c.Log, out)
	p, err := assemble(c, log, *anew)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return server.Serve(ctx, p.listener, p.tls, p.sites()...) })
	g.Go(func() error { return p.network.run(ctx) })
	for _, one := range p.all() {
		g.Go(func() error { return one.server.Run(ctx) })
		g.Go(func() error { return serveAdmin(ctx, one.admin, one.server.AdminHandler()) })
	}
	if p.metrics != nil {
		g.Go(func() error { return serveMetrics(ctx, p.metrics, server.MetricsHandler(p.sites()...)) })
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // before anybody can know that the server is up
	defer signal.Stop(hup)
	g.Go(func() error {
		return onHangup(ctx, hup, func() { p.reload(*file, level, out, stderr) })
	})
	for _, one := range p.all() {
		one.log.Info("listening", "addr", p.listener.Addr().String(), "tls", p.tls != nil, "public_url", one.config.Server.PublicURL, "version", holdfast.Version())
	}
	if p.metrics != nil {
		log.Info("metrics listening", "addr", p.metrics.Addr().String())
	}
	g.Go(func() error {
		return tellSystemd(ctx, log, func() {
			for _, one := range p.all() {
				_ = one.ledger.Health()
			}
		})
	})
	err = g.Wait()
	log.Info("stopped")
	return err
}

// parts is everything that a running server is made of; of several sites, the first one and what they share.
type parts struct {
	config   *config
	log      *slog.Logger
	store    *store.Disk
	ledger   *ledger.Ledger
	server   *server.Server
	cert     *certificate // nil: plain http
	tls      *tls.Config
	listener net.Listener
	metrics  net.Listener // nil: none
	admin    net.Listener
	others   []*parts // further sites
	network  *ownNetwork
}

// all is every site.
func (p *parts) all() []*parts { return append([]*parts{p}, p.others...) }

// sites is every site as relay/server has it.
func (p *parts) sites() []server.Site {
	var out []server.Site
	for _, one := range p.all() {
		out = append(out, server.Site{Host: one.config.host(), Server: one.server})
	}
	return out
}

// assemble opens all parts and listens; on an error those that are open are closed. anew: a damaged ledger is moved aside.
func assemble(c *config, log *slog.Logger, anew bool) (p *parts, err error) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for i, site := range c.sites() {
		var one *parts
		if one, err = open(site, log, reg, anew, len(c.Sites) > 0); i == 0 {
			p = one
		} else {
			p.others = append(p.others, one)
		}
		if err != nil {
			break
		}
	}
	if err == nil {
		p.network = newOwnNetwork(log, reg)
		err = p.listen()
	}
	if err != nil {
		return p, errors.Join(err, p.close())
	}
	return p, nil
}

// listen opens the sockets for the world.
func (p *parts) listen() (err error) {
	c := p.config
	if c.TLS.Cert != "" {
		if p.cert, err = newCertificate(c.TLS.Cert, c.TLS.Key, p.log); err != nil {
			return err
		}
		p.tls = p.cert.config()
	}
	if p.listener, err = listen(c.Server.Listen); err != nil {
		return err
	}
	if c.Server.MetricsListen != "" {
		p.metrics, err = listen(c.Server.MetricsListen)
	}
	return err
}

// open opens state, files, the server on them and its socket for the admin. On an error the caller closes what is open.
// reg may be nil. several: it is one of several sites.
func open(c *config, log *slog.Logger, reg *prometheus.Registry, anew, several bool) (p *parts, err error) {
	label := ""
	if several {
		label = c.label()
		log = log.With("site", label)
	}
	p = &parts{config: c, log: log}
	set, err := p.settings(c)
	if err != nil {
		return p, err
	}
	for _, w := range c.warnings(set.Issuers) {
		log.Warn(w.what, "file", w.file, "why", w.why)
	}
	if p.ledger, err = ledger.Open(c.Storage.State, ledger.Options{Log: log, Recover: anew}); err != nil {
		return p, fmt.Errorf("open the state in %s: %w", c.Storage.State, err)
	}
	if p.store, err = store.Open(c.Storage.Path, store.Options{
		MinFree: uint64(c.Limits.MinFree), Attrs: p.ledger, Dedup: dedup(c.Storage.Dedup.String()), Contents: p.ledger, Hashed: c.Storage.SharePHP, Log: log,
	}); err != nil {
		return p, fmt.Errorf("open the files in %s: %w", c.Storage.Path, err)
	}
	keys, err := device.Open(c.Storage.State, c.Server.PublicURL, time.Now())
	if err != nil {
		return p, err
	}
	p.server, err = server.New(server.Config{
		Prefix: prefix(c.Server.PublicURL), Settings: set, Store: p.store, Ledger: p.ledger, Devices: keys, Public: c.Server.PublicURL,
		Proxied: c.Server.ProxyProtocol, Idle: time.Duration(c.Server.IdleTimeout), Log: log, Registry: reg, Site: label,
		SyncBytes: int64(c.Storage.SyncBytes), SyncEvery: time.Duration(c.Storage.SyncEvery),
	})
	if err != nil {
		return p, err
	}
	p.admin, err = listenAdmin(c.Storage.State)
	return p, err
}

// dedup is how the store shares bytes.
func dedup(word string) store.Dedup {
	if word == "off" {
		return store.NoDedup
	}
	return store.Dedup(word)
}

// close closes what is open, the ledger last: what the store still says goes into it.
func (p *parts) close() error {
	var errs []error
	for _, one := range p.others {
		errs = append(errs, one.close())
	}
	for _, l := range []net.Listener{p.listener, p.metrics, p.admin} {
		if l == nil {
			continue
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if p.store != nil {
		errs = append(errs, p.store.Close())
	}
	if p.ledger != nil {
		errs = append(errs, p.ledger.Close())
	}
	return errors.Join(errs...)
}

// settings translates the part of the configuration that can change while the server runs.
func (p *parts) settings(c *config) (server.Settings, error) {
	issuers, err := c.issuers(func(file string) {
		p.log.Warn("secret file made", "file", file, "todo", "give this secret to the XMPP server")
	})
	if err != nil {
		return server.Settings{}, err
	}
	return server.Settings{
		Issuers: issuers,
		Windows: admit.Windows{
			Base: time.Duration(c.Grace.Base), Mobile: time.Duration(c.Grace.Mobile), Desktop: time.Duration(c.Grace.Desktop),
			Restore: time.Duration(c.Grace.Restore), Ultra: time.Duration(c.Grace.Ultra),
		},
		MaxUpload:    int64(c.Limits.MaxUploadSize),
		Retention:    time.Duration(c.Limits.Retention),
		Trust:        realip.New(prefixes(c.Server.TrustedProxies)),
		QuotaPerUser: int64(c.Limits.QuotaPerUser), QuotaTotal: int64(c.Limits.QuotaTotal),
		Enrol: device.Enrol(c.Devices.Enrol.String()), DeviceNonce: c.Devices.Nonce,
		RatePerIdentity: server.Rate(c.Limits.RatePerIdentity), RatePerAddress: server.Rate(c.Limits.RatePerAddress),
		Incomplete: resume.Limits{Bytes: int64(c.Limits.IncompleteBytes), PerSource: c.Limits.IncompletePerSource},
	}, nil
}

// reload reads the configuration again. What cannot be used is logged, and everything stays as it was.
func (p *parts) reload(file string, level *slog.LevelVar, out *logFile, stderr io.Writer) {
	c, err := load(file)
	if err != nil {
		p.log.Error("configuration not reloaded", "error", err)
		return
	}
	sites, err := match(p.all(), c)
	sets := make([]server.Settings, len(sites))
	for i, one := range p.all() {
		if err == nil {
			sets[i], err = one.settings(sites[i])
		}
	}
	if err == nil && p.cert != nil && c.TLS.Cert != "" {
		err = p.cert.set(c.TLS.Cert, c.TLS.Key)
	}
	for i, one := range p.all() {
		if err == nil {
			err = one.server.Update(sets[i])
		}
	}
	if err != nil {
		p.log.Error("configuration not reloaded", "error", err)
		return
	}
	level.Set(logLevel(c.Log))
	if err := out.open(c.Log.File, stderr); err != nil {
		p.log.Error("log file not reopened", "error", err)
	}
	restart := false
	for i, one := range p.all() {
		for _, w := range sites[i].warnings(sets[i].Issuers) {
			one.log.Warn(w.what, "file", w.file, "why", w.why)
		}
		restart = restart || one.config.needsRestart(sites[i])
	}
	p.log.Info("configuration reloaded")
	if restart {
		p.log.Warn("restart needed", "keys", "listen, public_url, proxy_protocol, metrics_listen, idle_timeout, storage, min_free, log.format, tls on or off")
	}
}

// needsRestart reports whether c has a key of which the running old has another value, and a reload is not enough.
func (old *config) needsRestart(c *config) bool {
	return old.Server.Listen != c.Server.Listen || old.Storage != c.Storage || old.Server.PublicURL != c.Server.PublicURL ||
		old.Server.MetricsListen != c.Server.MetricsListen || old.Server.IdleTimeout != c.Server.IdleTimeout ||
		old.Server.ProxyProtocol != c.Server.ProxyProtocol ||
		old.Limits.MinFree != c.Limits.MinFree || (old.TLS.Cert == "") != (c.TLS.Cert == "") || old.Log.Format != c.Log.Format
}

// onHangup calls f for every signal until ctx ends.
func onHangup(ctx context.Context, hup <-chan os.Signal, f func()) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			f()
		}
	}
}

// serveMetrics answers on the admin's side until ctx ends.
func serveMetrics(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

// prefix is the escaped path of the public URL.
func prefix(publicURL string) string {
	u, err := url.Parse(publicURL)
	if err != nil {
		return "/" // validate has refused such a URL
	}
	return u.EscapedPath()
}
