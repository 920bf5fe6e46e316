package window

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"fyne.io/fyne/v2"

	"holdfast/app/agent"
	"holdfast/app/control"
	"holdfast/app/words"
)

// ErrNoDisplay means that there is no screen to open a window on.
var ErrNoDisplay = errors.New("no display")

// HasDisplay says whether there is a screen. It must be asked before Fyne is touched, which panics without one
// (seen with Fyne 2.8.1).
func HasDisplay(getenv func(string) string) bool {
	return getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != ""
}

// Names of the windows.
const (
	Uploads  = "uploads"
	Check    = "check"
	Settings = "settings"
	About    = "about"
	Welcome  = "welcome"
	Stop     = "stop"
	Quit     = "quit"
)

// Known says whether there is a window with that name.
func Known(name string) bool {
	return slices.Contains([]string{Uploads, Check, Settings, About, Welcome, Stop, Quit}, name)
}

// Config is all the windows need.
type Config struct {
	Words *words.Words
	Log   *slog.Logger
	Dial  func(ctx context.Context) (control.Client, error) // to a running companion; starts nothing
	Start func(ctx context.Context) error                   // a companion
	Quit  func(later bool) error                            // tells the tray to quit
	// Raise sends the names of windows to open or bring to the front.
	Raise  <-chan string
	NoTray func() bool // the desktop shows no tray icons
	// Trust has clients trust the certificates: those that Holdfast starts or, after asking for the password, the whole
	// computer. Distrust takes both back.
	Trust    func(ctx context.Context, system bool) error
	Distrust func(ctx context.Context) error
}

// desk is the open windows of this process.
type desk struct {
	Config
	app     fyne.App
	ctx     context.Context // of the process; ends when the last window is closed
	model   *Model
	client  control.Client
	open    map[string]fyne.Window
	uploads *uploads
	ask     map[string]*question
	panes   map[string]pane
	noTray  bool
	clicks  sync.WaitGroup

	// Both run something on the window's goroutine; now waits for it. The test driver has no such goroutine.
	later, now func(func())
}

// Run opens the window with that name and returns when the last window is closed or ctx ends.
// It must be called from the main goroutine.
func Run(ctx context.Context, a fyne.App, c Config, name string) error {
	if !Known(name) {
		return fmt.Errorf("there is no window %q", name)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.Settings().SetTheme(Look())
	d := &desk{Config: c, app: a, ctx: ctx, model: NewModel(), open: map[string]fyne.Window{}, ask: map[string]*question{}, panes: map[string]pane{}, later: fyne.Do, now: fyne.DoAndWait}
	d.raise(name)
	done := make(chan struct{})
	a.Lifecycle().SetOnStarted(func() {
		go func() {
			defer close(done)
			d.follow(ctx)
		}()
	})
	stop := context.AfterFunc(ctx, func() { fyne.Do(a.Quit) })
	defer stop()
	a.Run()
	cancel()
	<-done
	d.clicks.Wait()
	return nil
}

// raise opens a window, or brings it to the front.
func (d *desk) raise(name string) {
	if w, ok := d.open[name]; ok {
		w.Show()
		w.RequestFocus()
		return
	}
	var w fyne.Window
	switch name {
	case Uploads:
		w = d.uploadsWindow()
	case Check:
		w = d.checkWindow()
	case Settings:
		w = d.settingsWindow()
	case About:
		w = d.aboutWindow()
	case Welcome:
		w = d.welcomeWindow()
	case Stop, Quit:
		w = d.questionWindow(name)
	default:
		return
	}
	d.open[name] = w
	w.SetOnClosed(func() { delete(d.open, name); delete(d.panes, name) })
	d.draw()
	w.Show()
}

// Preferences: the size of the window is the only thing remembered.
const (
	prefWidth  = "uploads.width"
	prefHeight = "uploads.height"
)

func (d *desk) uploadsWindow() fyne.Window {
	w := d.app.NewWindow(d.Words.Tray.UploadsTitle + " - Holdfast")
	p := d.app.Preferences()
	leave := func() {
		size := w.Canvas().Size()
		p.SetFloat(prefWidth, float64(size.Width))
		p.SetFloat(prefHeight, float64(size.Height))
		w.Close()
	}
	d.uploads = newUploads(d.Words, Actions{
		Copy: func(link string) {
			d.app.Clipboard().SetContent(link)
			d.say(copied(d.Words, d.fileOf(link)))
		},
		Cancel: func(id string) {
			d.do(func(ctx context.Context, c control.Client) error { return c.Cancel(ctx, id) }, nil)
		},
		TryNow: func(id string) {
			d.do(func(ctx context.Context, c control.Client) error { return c.TryNow(ctx, id) }, nil)
		},
		Start: d.start,
	})
	w.SetContent(d.uploads.root)
	w.Resize(fyne.NewSize(float32(p.FloatWithFallback(prefWidth, 680)), float32(p.FloatWithFallback(prefHeight, 560))))
	w.SetCloseIntercept(leave)
	keys(w, leave)
	return w
}

func (d *desk) fileOf(link string) string {
	for _, u := range d.model.Uploads {
		if u.URL == link {
			return u.File
		}
	}
	return link
}

// draw shows the model in the open windows.
func (d *desk) draw() {
	now := time.Now()
	if _, ok := d.open[Uploads]; ok || d.uploads != nil {
		d.uploads.show(Head(d.model.State, d.noTray, d.Words), Rows(d.model.Uploads, d.model.rates, now, d.Words))
	}
	for _, p := range d.panes {
		p.show(d.model, d.client != nil)
	}
	for name, q := range d.ask {
		if _, ok := d.open[name]; ok {
			q.show(Rows(runningOnly(d.model.Uploads), d.model.rates, now, d.Words), d.Words)
		}
	}
}

func runningOnly(list []agent.Upload) []agent.Upload {
	var out []agent.Upload
	for _, u := range list {
		if Running(u) {
			out = append(out, u)
		}
	}
	return out
}

// say shows a sentence for a while, in the windows that have a place for it.
func (d *desk) say(s string) {
	for name, q := range d.ask {
		if _, ok := d.open[name]; ok {
			setText(q.failed, s)
		}
	}
	for _, p := range d.panes {
		p.say(s)
	}
	if d.uploads == nil {
		return
	}
	d.uploads.say(s)
	time.AfterFunc(8*time.Second, func() {
		d.later(func() {
			if d.uploads.footer.Text == s {
				d.uploads.say("")
			}
		})
	})
}

// clickTime is how long the companion may take for a click.
const clickTime = 30 * time.Second

// do carries out one click beside the window's goroutine, then calls then, or says what went wrong.
func (d *desk) do(f func(context.Context, control.Client) error, then func()) {
	c := d.client
	if c == nil {
		return
	}
	d.within(clickTime, c, f, then)
}

// within is do with another limit.
func (d *desk) within(limit time.Duration, c control.Client, f func(context.Context, control.Client) error, then func()) {
	d.beside(limit, func(ctx context.Context) error { return f(ctx, c) }, func(err error) {
		if err == nil && then != nil {
			then()
		}
	})
}

// doAlways is do for who must know the end also when it went wrong.
func (d *desk) doAlways(f func(context.Context, control.Client) error, then func()) {
	c := d.client
	if c == nil {
		then()
		return
	}
	d.beside(clickTime, func(ctx context.Context) error { return f(ctx, c) }, func(error) { then() })
}

// beside runs f on a goroutine of its own; it ends with the process's context at the latest. Then end runs on the
// window's goroutine, after what went wrong was said.
func (d *desk) beside(limit time.Duration, f func(context.Context) error, end func(error)) {
	d.clicks.Go(func() {
		ctx, cancel := context.WithTimeout(d.ctx, limit)
		defer cancel()
		err := f(ctx)
		if d.ctx.Err() != nil {
			return
		}
		text := ""
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			text = d.Words.Tray.Window.Unanswered
		case err != nil:
			text = err.Error()
		}
		if err != nil {
			d.Log.Warn("a click did not work", "error", err)
		}
		d.later(func() {
			if err != nil {
				d.say(text)
			}
			end(err)
		})
	})
}

func (d *desk) start() {
	d.beside(clickTime, func(ctx context.Context) error {
		if err := d.Start(ctx); err != nil {
			return fmt.Errorf(d.Words.Tray.Window.NoStart, err)
		}
		return nil
	}, func(error) {})
}
