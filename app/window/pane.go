package window

import (
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"holdfast/assets"
)

// pane is the content of one window besides the list of uploads and the questions. Its methods are for the window's goroutine.
type pane interface {
	// show draws what the window knows of the companion; connected says whether there is one to ask.
	show(m *Model, connected bool)
	// say shows what came of a click; empty takes it away.
	say(s string)
	content() fyne.CanvasObject
}

// page is the frame that the panes share: a heading, a body that scrolls, a sentence below it and a row of buttons.
type page struct {
	heading *widget.Label
	lead    *widget.Label // below the heading
	body    *fyne.Container
	said    *widget.Label
	root    fyne.CanvasObject
}

func newPage(title string, buttons ...fyne.CanvasObject) *page {
	p := &page{
		heading: text(fyne.TextStyle{Bold: true}, theme.SizeNameSubHeadingText, widget.MediumImportance),
		lead:    text(fyne.TextStyle{}, theme.SizeNameText, widget.LowImportance),
		said:    text(fyne.TextStyle{}, theme.SizeNameText, widget.MediumImportance),
		body:    container.New(layout.NewCustomPaddedVBoxLayout(8)),
	}
	p.heading.Wrapping, p.lead.Wrapping, p.said.Wrapping = fyne.TextWrapWord, fyne.TextWrapWord, fyne.TextWrapWord
	setText(p.heading, title)
	setText(p.lead, "")
	setText(p.said, "")
	head := container.NewThemeOverride(container.NewVBox(p.heading, p.lead), newDense())
	row := container.New(layout.NewCustomPaddedHBoxLayout(8), layout.NewSpacer())
	for _, b := range buttons {
		row.Add(b)
	}
	foot := container.New(layout.NewCustomPaddedLayout(6, 14, 14, 14), container.NewVBox(p.said, row))
	p.root = container.NewBorder(
		container.New(layout.NewCustomPaddedLayout(14, 6, 16, 16), head), foot, nil, nil,
		container.NewVScroll(container.New(layout.NewCustomPaddedLayout(2, 8, 14, 14), p.body)))
	return p
}

func (p *page) say(s string)               { setText(p.said, s) }
func (p *page) content() fyne.CanvasObject { return p.root }

// fill replaces the body.
func (p *page) fill(objects ...fyne.CanvasObject) {
	p.body.Objects = objects
	p.body.Refresh()
}

// note is a card with an icon, a sentence and, in the second voice, what to do.
func note(tone Tone, say, remedy string) fyne.CanvasObject {
	first := text(fyne.TextStyle{}, theme.SizeNameText, widget.MediumImportance)
	second := text(fyne.TextStyle{}, theme.SizeNameText, widget.LowImportance)
	first.Wrapping, second.Wrapping = fyne.TextWrapWord, fyne.TextWrapWord
	setText(first, say)
	setText(second, remedy)
	icon := widget.NewIcon(factIcon(tone))
	return newCard(container.NewBorder(nil, nil, container.NewVBox(container.New(layout.NewCustomPaddedLayout(1, 0, 0, 0), icon)), nil,
		container.New(layout.NewCustomPaddedLayout(0, 0, 8, 4), container.NewThemeOverride(container.NewVBox(first, second), newDense()))))
}

// factIcon is the icon of a fact: unlike an upload, one that is neither good nor bad was not cancelled.
func factIcon(t Tone) fyne.Resource {
	if t == Quiet {
		return noticeIcon(t)
	}
	return toneIcon(t)
}

// section is a heading with what belongs below it, on one card.
func section(title, hint string, objects ...fyne.CanvasObject) fyne.CanvasObject {
	heading := text(fyne.TextStyle{Bold: true}, theme.SizeNameText, widget.MediumImportance)
	below := text(fyne.TextStyle{}, theme.SizeNameCaptionText, widget.LowImportance)
	heading.Wrapping, below.Wrapping = fyne.TextWrapWord, fyne.TextWrapWord
	setText(heading, title)
	setText(below, hint)
	top := container.NewThemeOverride(container.NewVBox(heading, below), newDense())
	return newCard(container.New(layout.NewCustomPaddedVBoxLayout(6), append([]fyne.CanvasObject{top}, objects...)...))
}

// picture is the icon of Holdfast.
func picture(size float32) *canvas.Image {
	icon := canvas.NewImageFromResource(fyne.NewStaticResource("holdfast.png", assets.AppIcon()))
	icon.FillMode = canvas.ImageFillContain
	icon.ScaleMode = canvas.ImageScaleSmooth
	icon.SetMinSize(fyne.NewSize(size, size))
	return icon
}

// paneWindow opens a window for a pane. Its size is remembered.
func (d *desk) paneWindow(name, title string, p pane, size fyne.Size) fyne.Window {
	w := d.app.NewWindow(title)
	if !strings.Contains(title, "Holdfast") {
		w.SetTitle(title + " - Holdfast")
	}
	prefs := d.app.Preferences()
	leave := func() {
		now := w.Canvas().Size()
		prefs.SetFloat(name+".width", float64(now.Width))
		prefs.SetFloat(name+".height", float64(now.Height))
		w.Close()
	}
	d.panes[name] = p
	w.SetContent(p.content())
	w.Resize(fyne.NewSize(float32(prefs.FloatWithFallback(name+".width", float64(size.Width))),
		float32(prefs.FloatWithFallback(name+".height", float64(size.Height)))))
	w.SetCloseIntercept(leave)
	keys(w, leave)
	return w
}
