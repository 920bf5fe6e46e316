package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/app/agent"
	"holdfast/app/control"
	"holdfast/app/words"
)

// Config is all a tray needs.
type Config struct {
	Session   *Session
	Token     string // of the launcher of this process; a tray that runs already gets it with the request to come to the front
	Words     *words.Words
	Companion Companion
	Windows   Windows
	Log       *slog.Logger
	HostAfter time.Duration // how long a desktop may take to show tray icons; 0: 10 s
}

// Companion finds and starts the companion.
type Companion interface {
	// Dial connects to a running one. It starts nothing.
	Dial(ctx context.Context) (control.Client, error)
	// Start starts one and returns once that is done or cannot be done; Dial then works, perhaps a moment later.
	Start(ctx context.Context) error
	// Inside says whether the companion that Start started lives in this process and ends with it.
	Inside() bool
}

// Windows opens windows, each kind in a process of its own. It must not wait for them.
type Windows interface {
	// Open shows the window with that name: uploads, stop, quit. The token lets it come to the front.
	Open(name, token string) error
	// Possible says whether there is a screen to open one on.
	Possible() bool
}

// commandTime is how long the companion may take for a click. A reset waits for a client to quit.
const commandTime = 90 * time.Second

// Run shows the tray until a person quits it or ctx ends. If a tray is running already it comes to the front, and
// the error is ErrRunning. A process can call Run once.
func Run(ctx context.Context, c Config) error {
	if c.HostAfter == 0 {
		c.HostAfter = 10 * time.Second
	}
	requests := make(chan Request, 8)
	if err := c.Session.Own(TrayName, TrayPath, requests, Request{Token: c.Token}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v := &view{
		Config: c, requests: requests,
		clicks: make(chan Key, 16), news: make(chan news), results: make(chan result), work: make(chan command, 16),
		facts: Facts{RestartOnly: map[string]bool{}},
	}
	v.state.Status = agent.Off
	v.facts.Now = time.Now()
	t := showTray(ctx, Render(v.state, v.facts, c.Words), v.clicks)
	kick := make(chan struct{}, 1)
	v.kick = kick
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return follow(gctx, c, kick, v.news) })
	group.Go(func() error { return v.labour(gctx) })
	group.Go(func() error {
		defer cancel()
		return v.loop(gctx, t)
	})
	err := group.Wait()
	t.close()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// news is what the follower learnt: a state, or (client nil) that there is no companion.
type news struct {
	client control.Client
	state  agent.State
	empty  map[string]bool // client kinds whose reset would move nothing; nil: no news
}

// command is one click that has to be carried out; result is what came of it.
type command struct {
	key Key
	do  func(ctx context.Context) error
}

type result struct {
	key Key
	err error
}

// view is the state of the running tray. Only loop touches it.
type view struct {
	Config
	requests <-chan Request
	clicks   chan Key
	news     chan news
	work     chan command
	results  chan result
	kick     chan<- struct{} // look for a companion at once

	client    control.Client // nil: none
	state     agent.State
	facts     Facts
	quitting  bool // when no upload runs any more
	welcomed  bool // the first run was opened
	noticeEnd <-chan time.Time
}

// loop takes in everything that happens, one thing at a time, and shows what follows.
func (v *view) loop(ctx context.Context, t *tray) error {
	host := time.NewTimer(v.HostAfter)
	defer host.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-v.Session.Gone():
			return errors.New("the session bus has gone, and with it the place of the tray icon")
		case n := <-v.news:
			v.client, v.state = n.client, n.state
			v.firstRun()
			if n.empty != nil {
				v.facts.RestartOnly = n.empty
			}
		case r := <-v.requests:
			if quit := v.request(r); quit {
				return nil
			}
		case k := <-v.clicks:
			if quit := v.click(k); quit {
				return nil
			}
		case r := <-v.results:
			v.finished(r)
		case <-v.noticeEnd:
			v.facts.Notice = ""
		case <-host.C:
			if v.Session.HasTray() {
				break
			}
			v.Log.Info("this desktop shows no tray icons", "waited", v.HostAfter)
			if v.Windows.Possible() {
				v.open("uploads", "") // it says what to do about it
			}
		}
		if v.quitting && v.state.Uploads.Active+v.state.Uploads.Waiting == 0 {
			return nil
		}
		v.facts.Now = time.Now()
		t.apply(Render(v.state, v.facts, v.Words))
	}
}

// firstRun opens the first run, once in each run of the tray, while no upload server is set.
func (v *view) firstRun() {
	if v.welcomed || v.client == nil || !hasProblem(v.state, agent.NoHosts) || !v.Windows.Possible() {
		return
	}
	v.welcomed = true
	v.open("welcome", "")
}

// request answers a second start, the desktop, and the window that asks before quitting.
func (v *view) request(r Request) (quit bool) {
	switch r.Action {
	case ActionQuit:
		return true
	case ActionQuitLater:
		v.quitting = true
		v.say(v.Words.Tray.Window.WillQuit)
	case ActionStart:
		if v.client == nil {
			v.enqueue(KeyStart, v.start)
		}
	default:
		v.open("uploads", r.Token)
	}
	return false
}

// click decides what a click means now.
func (v *view) click(k Key) (quit bool) {
	c := v.client
	switch k {
	case KeyUploads:
		v.open("uploads", "")
	case KeyCheck:
		v.open("check", "")
	case KeySet:
		v.open("settings", "")
	case KeySetUp:
		v.open("welcome", "")
	case KeyStart:
		v.enqueue(k, v.start)
	case KeyQuit:
		return v.quit()
	case KeyStop:
		if v.Windows.Possible() {
			v.open("stop", "")
		} else if c != nil {
			v.enqueue(k, c.Stop)
		}
	}
	if c == nil {
		return false
	}
	switch k {
	case KeyAutoFix:
		on := !v.state.AutoFix
		v.enqueue(k, func(ctx context.Context) error { return c.SetAutoFix(ctx, on) })
	case KeyPause15:
		v.enqueue(k, func(ctx context.Context) error { return c.Pause(ctx, 15*time.Minute) })
	case KeyPause60:
		v.enqueue(k, func(ctx context.Context) error { return c.Pause(ctx, time.Hour) })
	case KeyPause:
		v.enqueue(k, func(ctx context.Context) error { return c.Pause(ctx, 0) })
	case KeyResume:
		v.enqueue(k, c.Resume)
	case KeyDino, KeyGajim:
		kind := map[Key]string{KeyDino: "dino", KeyGajim: "gajim"}[k]
		v.enqueue(k, func(ctx context.Context) error {
			_, err := c.Reset(ctx, []string{kind}, false)
			return err
		})
	}
	return false
}

// quit ends the tray at once when the companion is elsewhere. Else something stops with it: that is said, and
// uploads are waited for where nobody can be asked.
func (v *view) quit() bool {
	if !v.Companion.Inside() || v.client == nil {
		return true
	}
	if v.Windows.Possible() {
		v.open("quit", "")
		return false
	}
	v.quitting = true
	return false
}

func (v *view) start(ctx context.Context) error {
	if err := v.Companion.Start(ctx); err != nil {
		return fmt.Errorf(v.Words.Tray.Window.NoStart, err)
	}
	return nil
}

func (v *view) open(name, token string) {
	if err := v.Windows.Open(name, token); err != nil {
		v.Log.Warn("open window", "window", name, "error", err)
		v.say(fmt.Sprintf(v.Words.Tray.Window.NoWindow, err))
	}
}

// enqueue hands a command on; when sixteen are waiting, the companion does not answer and one more would not help.
func (v *view) enqueue(k Key, do func(context.Context) error) {
	select {
	case v.work <- command{k, do}:
	default:
		v.say(v.Words.Tray.Window.Unanswered)
	}
}

// labour carries out commands in the order of the clicks.
func (v *view) labour(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case w := <-v.work:
			cctx, cancel := context.WithTimeout(ctx, commandTime)
			err := w.do(cctx)
			cancel()
			select {
			case v.results <- result{w.key, err}:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

func (v *view) finished(r result) {
	switch {
	case r.err == nil:
		v.facts.Notice = ""
	case errors.Is(r.err, context.DeadlineExceeded):
		v.say(v.Words.Tray.Window.Unanswered)
	default:
		v.say(r.err.Error())
	}
	if r.err != nil {
		v.Log.Warn("a click did not work", "item", string(r.key), "error", r.err)
	}
	if r.key == KeyStart {
		select {
		case v.kick <- struct{}{}:
		default:
		}
	}
}

// say shows a sentence in the menu for a minute.
func (v *view) say(text string) {
	v.facts.Notice = text
	v.noticeEnd = time.After(time.Minute)
}
