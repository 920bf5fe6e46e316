package companion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/app/agent"
	"holdfast/app/control"
	"holdfast/app/history"
	"holdfast/app/words"
	"holdfast/detect/client/chat"
	"holdfast/relay"
	"holdfast/relay/authority"
	"holdfast/relay/credential"
)

// Options of Run. The zero value of each is right for a test.
type Options struct {
	Version string
	Words   *words.Words // nil: English
	Log     *slog.Logger
	// Getenv finds the buses, PATH and what systemd hands over. nil: an empty environment.
	Getenv func(string) string
	// Ready is called once when everything answers, with the address of the relay; it may be nil.
	Ready func(listen string)
}

func (o Options) filled() Options {
	if o.Words == nil {
		o.Words = words.For("en")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	if o.Ready == nil {
		o.Ready = func(string) {}
	}
	return o
}

// errStop ends a companion that was asked to stop.
var errStop = errors.New("asked to stop")

// Run is a companion. It blocks until ctx ends or somebody calls Stop, and returns nil then, or until it cannot go on.
// If another companion of this person runs, the error is an ErrRunning.
func Run(ctx context.Context, p Paths, o Options) error {
	o = o.filled()
	uid := os.Getuid()
	if err := p.prepare(uid); err != nil {
		return err
	}
	release, err := acquire(p.Runtime)
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	c := &companion{
		paths: p, getenv: o.Getenv, words: o.Words, log: o.Log,
		file: configFile{p.Config, o.Words},
		resets: resets{
			roots: p.roots(), dirs: p.dirs(o.Getenv), bus: SessionBus(o.Getenv), words: o.Words, log: o.Log,
		},
		look: make(chan struct{}, 1), stopping: make(chan struct{}, 1),
	}
	config, unknown, mistake := c.file.read()
	roots, err := c.file.roots(config)
	if mistake == nil {
		mistake = err
	}
	c.roots, c.started = roots, config

	if c.authority, err = authority.Open(p.Authority); err != nil {
		return err
	}
	var damaged int
	if c.history, damaged, err = history.Open(filepath.Join(p.State, "uploads.jsonl")); err != nil {
		return err
	}
	if damaged > 0 {
		o.Log.Warn("past uploads could not all be read", "lines", damaged)
	}
	secrets := &keys{store: credential.New(), stamp: p.secretStamp(), tell: func(k agent.Keyring) { c.agent.Tell(agent.KeyringAnswered{Keyring: k}) }}
	c.secrets = secrets
	if c.relay, err = relay.New(relay.Config{
		Leaves: c.authority, Keys: secrets, Devices: secrets, Chats: chat.New(), Roots: roots, SpoolDir: p.Cache, UID: uid, Log: o.Log,
		GiveUp:   config.GiveUp,
		OnUpload: func(u relay.Upload) { c.agent.Tell(agent.UploadChanged{Upload: uploadOf(u, o.Words)}) },
		OnNotice: func(n relay.Notice) { c.agent.Tell(noticeOf(n, o.Words)) },
	}); err != nil {
		return err
	}
	hub := control.NewHub()
	defer hub.Close()
	tell := func(e agent.Event) { c.agent.Tell(e) }
	hands, herald := newHands(p, o, c.relay, tell), newHerald(o, tell)
	c.agent = agent.New(agent.Config{
		Herald: herald, Hands: hands,
		Version: o.Version, AutoFix: config.AutoFix, Carrier: c.relay, Keeper: c.history, Phrases: o.Words.Explain, Describe: o.Words.NetworkChange,
		Last: c.history.Last(), Log: o.Log, OnState: hub.State, OnUpload: hub.Upload,
	})

	l, handed, err := listen(ctx, config.Listen, p.State, o.Getenv)
	if l == nil {
		return err
	}
	if err != nil { // it listens, but the choice of the port could not be kept
		o.Log.Warn("chosen port not kept", "error", err)
	}
	c.listen, c.inherited = l.Addr().String(), handed
	socket, err := control.ListenSocket(p.Runtime, uid, c, hub, o.Log)
	if err != nil {
		return errors.Join(err, l.Close())
	}

	// The views are served until the relay has ended and told its last: then the agent knows all there is to know.
	serveCtx, endServe := context.WithCancel(context.WithoutCancel(ctx))
	defer endServe()
	var serve errgroup.Group
	part := func(g *errgroup.Group, ctx context.Context, run func(context.Context) error) {
		g.Go(func() error {
			err := run(ctx)
			if err != nil {
				cancel(err) // one part gone is the end of all
			}
			return err
		})
	}
	part(&serve, serveCtx, c.agent.Run)
	c.begin(ctx, config, unknown, mistake)
	hub.State(c.agent.State())
	part(&serve, serveCtx, socket.Serve)
	part(&serve, serveCtx, func(ctx context.Context) error { return c.serveBus(ctx, hub, o) })

	var work errgroup.Group
	part(&work, ctx, func(ctx context.Context) error { return c.relay.Serve(ctx, l) })
	part(&work, ctx, func(ctx context.Context) error { return watchFile(ctx, p.Config, func() { c.handEdit(ctx) }) })
	part(&work, ctx, func(ctx context.Context) error { return c.watchNetwork(ctx, o) })
	part(&work, ctx, func(ctx context.Context) error { return c.watchClients(ctx, o) })
	part(&work, ctx, func(ctx context.Context) error { secrets.probe(ctx); return nil })
	part(&work, ctx, hands.run)
	part(&work, ctx, herald.notifier.Run)
	part(&work, ctx, c.housekeep)
	part(&work, ctx, func(ctx context.Context) error { return c.awaitStop(ctx, cancel) })

	o.Log.Info("companion runs", "listen", c.listen, "config", p.Config, "version", o.Version, "pid", os.Getpid())
	if err := tellSystemd(o.Getenv, "READY=1\nSTATUS=relay on "+c.listen); err != nil {
		o.Log.Warn("systemd not told", "error", err)
	}
	o.Ready(c.listen)

	<-ctx.Done()
	if err := tellSystemd(o.Getenv, "STOPPING=1"); err != nil {
		o.Log.Debug("systemd not told", "error", err)
	}
	err = work.Wait()
	endServe()
	err = errors.Join(err, serve.Wait())
	o.Log.Info("companion stopped", "cause", context.Cause(ctx))
	if err != nil {
		return fmt.Errorf("run the companion: %w", err)
	}
	return nil
}

// begin tells the agent how things are at the start, and puts the configuration to use.
func (c *companion) begin(ctx context.Context, config Config, unknown []Unknown, mistake error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agent.Tell(agent.RelayListens{Relay: agent.Relay{Listen: c.listen, PID: os.Getpid()}})
	if c.listen != config.Listen && !c.inherited && !anyPort(config.Listen) {
		c.agent.Tell(agent.Raised{Issue: agent.Issue{Code: agent.RelayPort, Args: []string{config.Listen, c.listen}}})
		c.log.Warn("port is used by another program", "wanted", config.Listen, "used", c.listen)
	}
	c.tellConfig(unknown, mistake)
	if mistake != nil {
		c.log.Warn("configuration has a mistake", "file", c.file.path, "error", mistake)
	}
	if err := c.useLocked(ctx, config); err != nil {
		c.log.Warn("configuration not used", "error", err)
	}
}

// handEdit is called when config.toml changed on disk.
func (c *companion) handEdit(ctx context.Context) {
	if err := c.reload(ctx); err != nil && ctx.Err() == nil {
		c.log.Warn("configuration not used", "error", err)
	}
}

// housekeep removes old undo entries and renews certificates, at the start and once a day.
func (c *companion) housekeep(ctx context.Context) error {
	tick := time.NewTicker(24 * time.Hour)
	defer tick.Stop()
	for {
		c.resets.prune()
		c.refreshRoutes(ctx)
		c.renewCertificates(time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// awaitStop ends the companion after Stop was called: at once without uploads, else after at most stopTime.
func (c *companion) awaitStop(ctx context.Context, cancel context.CancelCauseFunc) error {
	select {
	case <-ctx.Done():
		return nil
	case <-c.stopping:
	}
	late := time.NewTimer(stopTime)
	defer late.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for len(c.relay.Active()) > 0 {
		select {
		case <-ctx.Done():
			return nil
		case <-late.C:
			cancel(errStop)
			return nil
		case <-tick.C:
		}
	}
	cancel(errStop)
	return nil
}

// keys is the keyring as the relay asks it. It notices when another program has changed a secret.
type keys struct {
	store *credential.Store
	stamp string // a file that is touched with every change of a secret
	tell  func(agent.Keyring)

	mu   sync.Mutex // guards all following fields
	seen version
}

func (k *keys) Key(ctx context.Context, host string) (relay.Key, error) {
	k.notice()
	key, err := k.store.Key(ctx, host)
	k.tell(agent.Keyring(k.store.State()))
	return key, err
}

// probe asks once at the start, so that the state is known before it is needed.
func (k *keys) probe(ctx context.Context) { k.tell(agent.Keyring(k.store.Probe(ctx))) }
