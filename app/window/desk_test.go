package window

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"holdfast/app/agent"
	"holdfast/app/control"
	"holdfast/app/words"
)

// companion is a fake that notes what it was asked.
type companion struct {
	control.Service
	events chan control.Event

	mu    sync.Mutex // guards all following fields
	asked []string
	fail  error
}

func (c *companion) note(format string, a ...any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, fmt.Sprintf(format, a...))
	return c.fail
}

func (c *companion) GetState(context.Context) (string, error) {
	b, err := json.Marshal(agent.State{Status: agent.Working, Uploads: agent.Counts{Active: 1}})
	return string(b), err
}

func (c *companion) Uploads(context.Context, uint32) (string, error) {
	b, err := json.Marshal(agent.UploadList{Schema: 1, Uploads: demo()})
	return string(b), err
}
func (c *companion) Cancel(_ context.Context, id string) error { return c.note("cancel %s", id) }
func (c *companion) TryNow(_ context.Context, id string) error { return c.note("try %s", id) }
func (c *companion) Stop(context.Context) error                { return c.note("stop") }
func (c *companion) Close() error                              { return nil }
func (c *companion) Events(context.Context) (<-chan control.Event, error) {
	return c.events, nil
}

// until waits for something that the window's goroutine does.
func (d *desk) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	late := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var done bool
		d.now(func() { done = ok() })
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func TestWindowsFollowTheCompanion(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := &companion{events: make(chan control.Event, 4)}
	dials := make(chan control.Client, 1)
	dials <- c
	raise := make(chan string, 1)
	quits := make(chan bool, 1)
	d := &desk{
		Config: Config{
			Words: words.For("en"), Log: slog.New(slog.DiscardHandler), Raise: raise,
			NoTray: func() bool { return true },
			Start:  func(context.Context) error { return fmt.Errorf("there is no systemd user unit") },
			Quit:   func(later bool) error { quits <- later; return nil },
			Dial: func(context.Context) (control.Client, error) {
				select {
				case c := <-dials:
					return c, nil
				default:
					return nil, fmt.Errorf("no companion is running")
				}
			},
		},
		app: test.NewTempApp(t), ctx: ctx, model: NewModel(), open: map[string]fyne.Window{}, ask: map[string]*question{}, panes: map[string]pane{},
	}
	var one sync.Mutex // stands for the window's goroutine
	d.now = func(f func()) {
		one.Lock()
		defer one.Unlock()
		f()
	}
	d.later = d.now
	d.app.Settings().SetTheme(Look())
	d.raise(Uploads)
	done := make(chan struct{})
	go func() { defer close(done); d.follow(ctx) }()
	t.Cleanup(func() { cancel(); <-done; d.clicks.Wait() })

	d.until(t, "the list", func() bool { return len(d.uploads.rows) == 5 && d.uploads.title.Text == "Uploading 1 file" })
	d.until(t, "the word about tray icons", func() bool { return d.uploads.problem.Text == d.Words.Tray.NoTrayHost })
	d.now(func() {
		d.uploads.rows["1"].cancel.OnTapped()
		d.uploads.rows["2"].try.OnTapped()
		d.uploads.rows["3"].copy.OnTapped()
	})
	d.until(t, "the clicks to arrive", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		all := strings.Join(c.asked, ",")
		return strings.Contains(all, "cancel 1") && strings.Contains(all, "try 2")
	})
	if got := d.app.Clipboard().Content(); got != "https://upload.example.org/x/3.jpg" {
		t.Errorf("the clipboard has %q", got)
	}
	c.events <- event(t, "upload", upload("1", "done"))
	d.until(t, "the end of an upload", func() bool { return d.uploads.rows["1"].state.Text == "Done" })

	c.mu.Lock()
	c.fail = &control.Error{Kind: control.Failed, Text: "That upload has ended."}
	c.mu.Unlock()
	d.now(func() { d.uploads.rows["2"].cancel.OnTapped() })
	d.until(t, "what went wrong", func() bool { return d.uploads.footer.Text == "That upload has ended." })

	raise <- Quit
	d.until(t, "the question", func() bool { return d.open[Quit] != nil && d.ask[Quit].later.Visible() })
	d.now(func() { d.ask[Quit].later.OnTapped() })
	if later := <-quits; !later {
		t.Error("it quits now instead of later")
	}
	d.until(t, "the question to close", func() bool { return d.open[Quit] == nil })

	close(c.events) // the companion goes
	d.until(t, "the window to say so", func() bool {
		return d.uploads.title.Text == "Holdfast is not running" && d.uploads.start.Visible() && len(d.uploads.rows) == 4
	})
	d.now(func() { d.uploads.start.OnTapped() })
	d.until(t, "why it did not start", func() bool {
		return d.uploads.footer.Text == "Holdfast did not start: there is no systemd user unit."
	})
}

func FuzzModel(f *testing.F) {
	f.Add("state", `{"schema":1,"status":"ready"}`)
	f.Add("upload", `{"id":"a","size":-1,"sent":9223372036854775807,"state":"sending"}`)
	f.Add("upload", `{"id":"a","file":"\u202e","started":"0001-01-01T00:00:00Z"}`)
	f.Fuzz(func(t *testing.T, kind, doc string) {
		m := NewModel()
		if m.Take(control.Event{Kind: kind, JSON: doc}, noon) != nil {
			return
		}
		_ = m.Take(control.Event{Kind: kind, JSON: doc}, noon.Add(2*time.Second)) // the same again is as good
		_ = Head(m.State, true, words.For("en"))
		for _, r := range Rows(m.Uploads, m.rates, noon, words.For("de")) {
			if r.Progress > 1 || strings.ContainsAny(r.File, "\n\r\x00") {
				t.Errorf("%+v", r)
			}
		}
	})
}
