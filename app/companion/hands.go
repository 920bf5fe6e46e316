package companion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"holdfast/app/agent"
	"holdfast/app/notify"
	"holdfast/app/words"
	"holdfast/detect/client/desktop"
	"holdfast/relay"
)

// restartLimit is how long a client may take to quit and to come back.
const restartLimit = time.Minute

// hands do to clients and uploads what the agent decided. Work that takes time is done one after another, in Run.
type hands struct {
	bus    string // address of the session bus
	dirs   desktop.Dirs
	getenv func(string) string
	log    *slog.Logger
	relay  *relay.Relay
	tell   func(agent.Event)
	jobs   chan func(context.Context)
}

func newHands(p Paths, o Options, r *relay.Relay, tell func(agent.Event)) *hands {
	return &hands{
		bus: SessionBus(o.Getenv), dirs: p.dirs(o.Getenv), getenv: o.Getenv, log: o.Log, relay: r, tell: tell,
		jobs: make(chan func(context.Context), 16),
	}
}

// run does the work until ctx ends.
func (h *hands) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case job := <-h.jobs:
			job(ctx)
		}
	}
}

// later puts a job into the queue. It is never full in practice: each client has one thing at a time.
func (h *hands) later(job func(context.Context), otherwise func()) {
	select {
	case h.jobs <- job:
	default:
		otherwise()
	}
}

// LookAtSound finds out whether a client is in a call.
func (h *hands) LookAtSound(kind string, pid int) {
	h.later(func(ctx context.Context) {
		h.tell(h.sound(ctx, kind, pid))
	}, func() { h.tell(agent.SoundSeen{Kind: kind, PID: pid, Unknown: true}) })
}

func (h *hands) sound(ctx context.Context, kind string, pid int) agent.SoundSeen {
	seen := agent.SoundSeen{Kind: kind, PID: pid}
	loud, err := desktop.Sounds(ctx, desktop.Kind(kind), pid, h.getenv)
	if err != nil {
		h.log.Info("client is not restarted by itself", "client", kind, "error", err)
		seen.Unknown = true
	}
	seen.Quiet = err == nil && !loud
	return seen
}

// Restart quits a client and starts it again as it was. Nothing of it is moved or removed.
func (h *hands) Restart(kind string, pid int, byItself bool) {
	h.later(func(ctx context.Context) {
		err := h.restart(ctx, kind, pid, byItself)
		if err != nil {
			h.log.Warn("client not restarted", "client", kind, "error", err)
		}
		h.tell(agent.RestartEnded{Kind: kind, OK: err == nil})
	}, func() { h.tell(agent.RestartEnded{Kind: kind}) })
}

var (
	errOther = errors.New("it is another process now")
	errSound = errors.New("it plays or records sound now")
)

func (h *hands) restart(ctx context.Context, kind string, pid int, byItself bool) error {
	session, err := desktop.Open(ctx, desktop.Options{Address: h.bus, Log: h.log})
	if err != nil {
		return err
	}
	defer closeSession(session)
	in, err := session.Running(ctx, desktop.Kind(kind))
	if err != nil {
		return err
	}
	if in.PID != pid {
		return errOther
	}
	if byItself && !h.sound(ctx, kind, pid).Quiet { // a call may have begun while the notice was shown
		return errSound
	}
	c := session.Controller(in.Kind, in.Install)
	if err := c.Quit(ctx); err != nil {
		return err
	}
	// Whatever ends meanwhile, the person wants the client back.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restartLimit)
	defer cancel()
	return c.Start(ctx)
}

// Open brings a client to the front, or starts it.
func (h *hands) Open(kind string) {
	h.later(func(ctx context.Context) {
		if err := h.open(ctx, desktop.Kind(kind)); err != nil {
			h.log.Warn("client not opened", "client", kind, "error", err)
		}
	}, func() {})
}

func (h *hands) open(ctx context.Context, kind desktop.Kind) error {
	session, err := desktop.Open(ctx, desktop.Options{Address: h.bus, Log: h.log})
	if err != nil {
		return err
	}
	defer closeSession(session)
	if err = session.Activate(ctx, kind); !errors.Is(err, desktop.ErrNotRunning) {
		return err
	}
	for _, c := range desktop.Find(h.dirs) {
		if c.Kind == kind {
			_, err := session.Start(ctx, kind, c.DefaultLaunch(nil))
			return err
		}
	}
	return fmt.Errorf("open %s: it is not installed", kind)
}

// Try tries an upload that waits.
func (h *hands) Try(id string) { h.relay.TryNow(id) }

// Cancel ends an upload.
func (h *hands) Cancel(id string) { h.relay.Cancel(id) }

// herald shows the agent's notices on the desktop.
type herald struct {
	notifier *notify.Notifier
	words    *words.Words
	tell     func(agent.Event)

	mu      sync.Mutex        // guards clients
	clients map[string]string // of the notices shown, by key
}

func newHerald(o Options, tell func(agent.Event)) *herald {
	h := &herald{words: o.Words, tell: tell, clients: map[string]string{}}
	h.notifier = notify.New(notify.Options{
		Address: func() string { return SessionBus(o.Getenv) },
		App:     "Holdfast", Entry: "im.holdfast.Holdfast", Icon: "im.holdfast.Holdfast", Log: o.Log,
		Clicked: func(key, button string) {
			h.mu.Lock()
			client := h.clients[key]
			h.mu.Unlock()
			tell(agent.Chosen{Key: key, Client: client, Action: agent.Action(button)})
		},
		Failed: func(key string, _ error) { tell(agent.Unheard{Key: key}) },
	})
	return h
}

// Announce shows a notice.
func (h *herald) Announce(n agent.Notice) {
	h.mu.Lock()
	h.clients[n.Key] = n.Client
	h.mu.Unlock()
	note := notify.Note{Key: n.Key, Category: "transfer"}
	note.Summary, note.Body = h.words.Announcement(n)
	for _, a := range n.Actions {
		note.Buttons = append(note.Buttons, notify.Button{ID: string(a), Label: h.words.ActionLabel(n, a)})
	}
	switch n.Kind {
	case agent.GaveUp:
		note.Category = "transfer.error"
	case agent.Restarts:
		note.NeedsReply = true // without "Not now" nothing may happen
		note.Lasts = time.Until(n.Until)
	}
	h.notifier.Show(note)
}

// Withdraw takes a notice away.
func (h *herald) Withdraw(key string) {
	h.mu.Lock()
	delete(h.clients, key)
	h.mu.Unlock()
	h.notifier.Withdraw(key)
}
