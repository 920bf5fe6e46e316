package companion

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"holdfast/app/agent"
	"holdfast/app/control"
	"holdfast/app/history"
	"holdfast/app/words"
	"holdfast/detect/client/desktop"
	"holdfast/relay"
	"holdfast/relay/authority"
)

// stopTime is what running uploads get when somebody asks Holdfast to stop.
const stopTime = 10 * time.Second

// companion is the running one. It is the control.Service of all its views.
type companion struct {
	paths     Paths
	getenv    func(string) string
	words     *words.Words
	log       *slog.Logger
	file      configFile
	relay     *relay.Relay
	listen    string // where the relay listens
	inherited bool   // systemd chose that
	secrets   *keys
	authority *authority.Store
	history   *history.Store
	agent     *agent.Agent
	resets    resets
	roots     *x509.CertPool
	look      chan struct{} // has room for one: look at the clients again
	stopping  chan struct{} // has room for one: somebody asked to stop

	mu      sync.Mutex // guards all following fields; held while the configuration is read and applied
	config  Config     // in use
	started Config     // what cannot change while we run
}

var _ control.Service = (*companion)(nil)

func (c *companion) GetState(context.Context) (string, error) { return render(c.agent.State()) }

func (c *companion) Reset(ctx context.Context, clients []string, dryRun bool) (string, error) {
	return c.resets.reset(ctx, clients, dryRun, c.wasReset)
}

func (c *companion) Undo(ctx context.Context, id string) (string, error) {
	return c.resets.undo(ctx, id, c.wasReset)
}

func (c *companion) wasReset(kind string) {
	c.agent.Tell(agent.ClientReset{Kind: kind})
	wake(c.look)
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (c *companion) SetAutoFix(ctx context.Context, on bool) error {
	if err := c.file.setAutoFix(on); err != nil {
		return &control.Error{Kind: control.Failed, Text: err.Error()}
	}
	return c.reload(ctx)
}

func (c *companion) Pause(ctx context.Context, d time.Duration) error {
	var until time.Time
	if d > 0 {
		until = time.Now().Add(d).Round(0)
	}
	return c.agent.Do(ctx, agent.PauseAsked{Until: until})
}

func (c *companion) Resume(ctx context.Context) error { return c.agent.Do(ctx, agent.ResumeAsked{}) }

func (c *companion) Uploads(_ context.Context, limit uint32) (string, error) {
	return listUploads(c.relay.Active(), c.history.List(0), limit, c.words)
}

func (c *companion) Cancel(_ context.Context, id string) error {
	return c.known(c.relay.Cancel(id), id)
}

func (c *companion) TryNow(_ context.Context, id string) error {
	return c.known(c.relay.TryNow(id), id)
}

func (c *companion) known(there bool, id string) error {
	if there {
		return nil
	}
	return &control.Error{Kind: control.Invalid, Text: fmt.Sprintf(c.words.Ctl.UploadGone, id)}
}

func (c *companion) Hosts(ctx context.Context, verb, host string) (string, error) {
	if verb == "probe" {
		return probe(ctx, host, c.roots, c.words)
	}
	if verb == "suggest" {
		return suggest(c.paths, c.hosts(), c.words)
	}
	changed, err := c.file.hosts(verb, host)
	if err != nil {
		return "", err
	}
	if changed {
		if err := c.reload(ctx); err != nil {
			return "", err
		}
	}
	lines, err := hostLines(c.hosts(), c.authority, true)
	if err != nil {
		return "", err
	}
	return render(HostsDocument{Schema: 1, Changed: changed, Hosts: lines})
}

// hosts are the upload servers in use.
func (c *companion) hosts() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.config.Hosts)
}

// TrustStatus also takes over what was changed from outside: it is asked after each change.
func (c *companion) TrustStatus(context.Context) (string, error) {
	t := c.trusts()
	if err := t.promote(); err != nil {
		c.log.Warn("certificate not renewed", "error", err)
	}
	c.askForTrust()
	wake(c.look)
	return trustStatus(t, c.words)
}

func (c *companion) trusts() trusts {
	return trusts{store: c.authority, hosts: c.hosts(), bundle: c.paths.Bundle()}
}

// view is what the state of a client depends on.
func (c *companion) view() view {
	return view{listen: c.listen, trusts: c.trusts(), routes: c.routes().machine().Installed()}
}

func (c *companion) RouteStatus(context.Context) (string, error) { return c.routes().status() }

func (c *companion) RoutePlan(_ context.Context, mode string, remove bool) (string, error) {
	return c.routes().plan(mode, remove)
}

func (c *companion) RouteApply(ctx context.Context, id string) (string, error) {
	doc, err := c.routes().apply(ctx, id)
	if err == nil {
		c.log.Info("route changed", "plan", id)
	}
	wake(c.look)
	return doc, err
}

func (c *companion) ReportClient(ctx context.Context, client string, pid uint32, event, detail string) error {
	kind, err := desktop.ParseKind(client)
	if err != nil {
		return &control.Error{Kind: control.UnknownClient, Text: fmt.Sprintf(c.words.Ctl.UnknownClient, client)}
	}
	if !slices.Contains([]string{"stuck", "bypassed", "needs-restart", "gone"}, event) {
		return &control.Error{Kind: control.Invalid, Text: fmt.Sprintf("%q is not an event of a client", event)}
	}
	c.log.Info("client reported", "client", kind, "pid", pid, "event", event, "detail", words.Plain(detail, 200))
	return c.agent.Do(ctx, agent.ClientReported{Kind: string(kind), PID: int(pid), Event: event})
}

func (c *companion) Stop(context.Context) error {
	wake(c.stopping)
	return nil
}

// reload reads config.toml and uses it. A mistake is shown, and what is in use stays.
func (c *companion) reload(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	config, unknown, err := c.file.read()
	if err == nil && config.UpstreamCA != c.started.UpstreamCA {
		_, err = c.file.roots(config)
	}
	c.tellConfig(unknown, err)
	if err != nil {
		c.log.Warn("configuration not used", "file", c.file.path, "error", err)
		return c.agent.Do(ctx, agent.Elapsed{})
	}
	return c.useLocked(ctx, config)
}

// tellConfig shows what is wrong with config.toml.
func (c *companion) tellConfig(unknown []Unknown, err error) {
	c.agent.Tell(agent.Cleared{Code: agent.ConfigError})
	c.agent.Tell(agent.Cleared{Code: agent.ConfigUnknown})
	if err != nil {
		c.agent.Tell(agent.Raised{Issue: agent.Issue{Code: agent.ConfigError, Args: []string{c.file.where(err), c.file.path}}})
	}
	if len(unknown) > 0 {
		c.agent.Tell(agent.Raised{Issue: agent.Issue{Code: agent.ConfigUnknown, Args: []string{c.file.keys(unknown), c.file.path}}})
		c.log.Warn("configuration has unknown keys", "file", c.file.path, "keys", c.file.keys(unknown))
	}
}

// useLocked puts a good configuration to use. mu is held.
func (c *companion) useLocked(ctx context.Context, config Config) error {
	if err := c.relay.SetHosts(config.Hosts); err != nil {
		return fmt.Errorf("use the configuration: %w", err)
	}
	c.relay.SetGiveUp(config.GiveUp)
	if !equal(c.config, config) {
		c.log.Info("configuration used", "file", c.file.path, "hosts", config.Hosts, "autofix", config.AutoFix)
	}
	c.config = config
	if _, err := hostLines(config.Hosts, c.authority, true); err != nil {
		c.log.Warn("certificate not made", "error", err)
	}
	if err := (trusts{store: c.authority, hosts: config.Hosts, bundle: c.paths.Bundle()}).refresh(); err != nil {
		c.log.Warn("certificates for clients not refreshed", "error", err)
	}
	c.agent.Tell(agent.Cleared{Code: agent.NoHosts})
	if len(config.Hosts) == 0 {
		c.agent.Tell(agent.Raised{Issue: agent.Issue{Code: agent.NoHosts}})
	}
	c.agent.Tell(agent.Cleared{Code: agent.RestartNeeded})
	for _, k := range []struct {
		key      string
		old, now string
	}{{"listen", c.started.Listen, config.Listen}, {"upstream_ca", c.started.UpstreamCA, config.UpstreamCA}} {
		if k.old != k.now && !(k.key == "listen" && c.inherited) {
			c.agent.Tell(agent.Raised{Issue: agent.Issue{Code: agent.RestartNeeded, Args: []string{k.key}}})
		}
	}
	return c.agent.Do(ctx, agent.AutoFixSet{On: config.AutoFix})
}

// renewCertificates makes the next certificates in time, and lets them take over when the present ones end.
func (c *companion) renewCertificates(now time.Time) {
	due, err := c.authority.Due(now)
	if err != nil {
		c.log.Warn("certificates not looked at", "error", err)
		return
	}
	for _, host := range due {
		err := c.authority.Renew(host)
		if _, lerr := c.authority.Leaf(host); err == nil && errors.Is(lerr, authority.ErrEnded) {
			err = c.authority.Promote(host)
		}
		if err != nil {
			c.log.Warn("certificate not renewed", "host", host, "error", err)
		}
	}
	c.askForTrust()
}
