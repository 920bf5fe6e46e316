package window

import (
	"context"
	"fmt"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"holdfast/app/control"
	"holdfast/app/words"
	"holdfast/assets"
)

// question asks before Holdfast stops; it lists what runs at that moment.
type question struct {
	name    string
	text    *widget.Label
	heading *widget.Label
	running *widget.Label
	failed  *widget.Label // what went wrong with a click
	later   *button       // nil: cannot be put off
	root    fyne.CanvasObject
}

func newQuestion(w *words.Words, name string, buttons ...*button) *question {
	q := &question{name: name}
	icon := canvas.NewImageFromResource(fyne.NewStaticResource("holdfast.png", assets.AppIcon()))
	icon.FillMode = canvas.ImageFillContain
	icon.SetMinSize(fyne.NewSize(56, 56))
	q.text = text(fyne.TextStyle{}, theme.SizeNameText, widget.MediumImportance)
	q.text.Wrapping = fyne.TextWrapWord
	q.heading = text(fyne.TextStyle{Bold: true}, theme.SizeNameText, widget.MediumImportance)
	q.running = text(fyne.TextStyle{}, theme.SizeNameText, widget.LowImportance)
	q.running.Wrapping = fyne.TextWrapWord
	q.failed = text(fyne.TextStyle{}, theme.SizeNameText, widget.DangerImportance)
	q.failed.Hide()
	setText(q.heading, w.Tray.Window.Running)
	row := container.New(layout.NewCustomPaddedHBoxLayout(8), layout.NewSpacer())
	for _, b := range buttons {
		row.Add(b)
	}
	q.root = container.New(layout.NewCustomPaddedLayout(18, 16, 20, 18), container.NewBorder(nil, row,
		container.NewVBox(container.New(layout.NewCustomPaddedLayout(0, 0, 0, 12), icon)), nil,
		container.NewThemeOverride(container.New(layout.NewCustomPaddedVBoxLayout(6), q.text, q.heading, q.running, q.failed), newDense())))
	return q
}

// show lists the running uploads.
func (q *question) show(rows []Row, w *words.Words) {
	ask := w.Tray.QuitAsk
	if q.name == Stop {
		ask = w.Tray.StopAsk
		if len(rows) > 0 {
			ask = fmt.Sprintf(w.Tray.StopAskUploads, len(rows))
		}
	}
	setText(q.text, ask)
	list := ""
	for i, r := range rows {
		if i > 0 {
			list += "\n"
		}
		list += words.Plain(r.File, 60) + dot + r.State
	}
	setText(q.running, list)
	show(q.heading, list != "")
	if q.later != nil {
		show(q.later, list != "")
	}
}

func (d *desk) questionWindow(name string) fyne.Window {
	w := d.app.NewWindow("Holdfast")
	t := d.Words.Tray.Window
	keep := newButton(t.Keep, nil, w.Close, w.Close)
	var q *question
	if name == Stop {
		stop := newButton(t.Stop, nil, w.Close, func() {
			d.do(func(ctx context.Context, c control.Client) error { return c.Stop(ctx) }, w.Close)
		})
		stop.Importance = widget.DangerImportance
		q = newQuestion(d.Words, name, keep, stop)
	} else {
		quit := func(later bool) func() {
			return func() {
				d.beside(clickTime, func(context.Context) error { return d.Quit(later) }, func(err error) {
					if err == nil {
						w.Close()
					}
				})
			}
		}
		now := newButton(t.QuitNow, nil, w.Close, quit(false))
		now.Importance = widget.DangerImportance
		later := newButton(t.QuitLater, nil, w.Close, quit(true))
		q = newQuestion(d.Words, name, keep, later, now)
		q.later = later
	}
	d.ask[name] = q
	w.SetContent(q.root)
	w.Resize(fyne.NewSize(560, 220))
	w.CenterOnScreen()
	keys(w, w.Close)
	w.Canvas().Focus(keep) // Enter must not stop anything
	return w
}

// keys closes a window with Escape, Ctrl+W and Ctrl+Q, as other windows do.
func keys(w fyne.Window, leave func()) {
	shortcut := func(fyne.Shortcut) { leave() }
	w.Canvas().AddShortcut(&desktop.CustomShortcut{KeyName: fyne.KeyW, Modifier: fyne.KeyModifierControl}, shortcut)
	w.Canvas().AddShortcut(&desktop.CustomShortcut{KeyName: fyne.KeyQ, Modifier: fyne.KeyModifierControl}, shortcut)
	w.Canvas().SetOnTypedKey(func(k *fyne.KeyEvent) {
		if k.Name == fyne.KeyEscape {
			leave()
		}
	})
}
