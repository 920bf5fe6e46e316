package window

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"holdfast/app/control"
	"holdfast/app/words"
)

// Finding is one line of the network check as it is shown.
type Finding struct {
	Tone   Tone
	Text   string
	Remedy string
}

// Findings reads the document of Diagnose; what needs a person comes first.
func Findings(doc string) ([]Finding, error) {
	var d struct {
		Checks []struct {
			OK      bool   `json:"ok"`
			Verdict string `json:"verdict"` // pass, warn, fail
			Text    string `json:"text"`
			Remedy  string `json:"remedy"`
		} `json:"checks"`
	}
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		return nil, fmt.Errorf("read the network check: %w", err)
	}
	var bad, odd, good []Finding
	for _, c := range d.Checks {
		f := Finding{Text: words.Plain(c.Text, 0), Remedy: words.Plain(c.Remedy, 0)}
		switch {
		case c.Verdict == "warn":
			f.Tone = Patient
			odd = append(odd, f)
		case c.Verdict == "pass" || c.Verdict == "" && c.OK:
			f.Tone = Good
			good = append(good, f)
		default:
			f.Tone = Bad
			bad = append(bad, f)
		}
	}
	return append(append(bad, odd...), good...), nil
}

// check is the window of the network check.
type check struct {
	*page
	words    *words.Words
	ask      func(then func(doc string)) // asks the companion; then runs on the window's goroutine
	again    *button
	copy     *button
	asked    bool // of the companion that is connected now
	running  bool
	findings []Finding
}

func newCheck(w *words.Words, ask func(then func(string)), copyText func(string), leave func()) *check {
	c := &check{words: w, ask: ask}
	c.again = newButton(w.Views.CheckAgain, theme.ViewRefreshIcon(), leave, func() { c.run() })
	c.again.Importance = widget.HighImportance
	c.copy = newButton(w.Views.CheckCopy, theme.ContentCopyIcon(), leave, func() {
		copyText(c.report())
		c.say(w.Views.CheckCopied)
	})
	c.page = newPage(w.Views.CheckTitle, c.copy, c.again)
	return c
}

// show begins a check by itself when there is a companion for the first time.
func (c *check) show(_ *Model, connected bool) {
	switch {
	case !connected:
		c.asked, c.running = false, false
		if c.findings == nil {
			setText(c.lead, c.words.Views.CheckNotNow)
		}
	case !c.asked:
		c.run()
	}
	c.buttons(connected)
}

func (c *check) buttons(connected bool) {
	enable(c.again, connected && !c.running)
	enable(c.copy, len(c.findings) > 0)
}

func (c *check) run() {
	if c.running {
		return
	}
	c.asked, c.running = true, true
	c.say("")
	setText(c.lead, c.words.Views.Checking)
	c.buttons(true)
	c.ask(func(doc string) { c.done(doc) })
}

// done shows what was found; an empty document means that the question was not answered.
func (c *check) done(doc string) {
	c.running = false
	defer c.buttons(true)
	if doc == "" {
		setText(c.lead, "")
		return
	}
	found, err := Findings(doc)
	if err != nil {
		c.say(err.Error())
		return
	}
	c.findings = found
	wrong := 0
	objects := make([]fyne.CanvasObject, 0, len(found))
	for _, f := range found {
		if f.Tone != Good {
			wrong++
		}
		objects = append(objects, note(f.Tone, f.Text, f.Remedy))
	}
	c.fill(objects...)
	lead := c.words.Views.CheckAllGood
	if wrong > 0 {
		lead = fmt.Sprintf(c.words.Views.CheckSome, wrong)
	}
	setText(c.lead, lead)
}

// report is the findings as text, for a message to somebody who helps.
func (c *check) report() string {
	var b strings.Builder
	for _, f := range c.findings {
		mark := map[Tone]string{Good: "pass", Patient: "warn", Bad: "fail"}[f.Tone]
		fmt.Fprintf(&b, "%s  %s", mark, f.Text)
		if f.Remedy != "" && f.Tone != Good {
			fmt.Fprintf(&b, " %s", f.Remedy)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// enable switches a button without drawing it anew for nothing.
func enable(b *button, on bool) {
	switch {
	case on && b.Disabled():
		b.Enable()
	case !on && !b.Disabled():
		b.Disable()
	}
}

func (d *desk) checkWindow() fyne.Window {
	var w fyne.Window
	leave := func() { w.Close() }
	c := newCheck(d.Words, func(then func(string)) {
		var doc string
		d.doAlways(func(ctx context.Context, c control.Client) (err error) {
			doc, err = c.Diagnose(ctx)
			return err
		}, func() { then(doc) })
	}, d.app.Clipboard().SetContent, leave)
	w = d.paneWindow(Check, d.Words.Views.CheckTitle, c, fyne.NewSize(660, 600))
	return w
}
