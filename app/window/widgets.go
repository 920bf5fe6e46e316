package window

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"
)

// bar is a thin progress bar. Fyne's own is as high as a line of text and writes into itself.
type bar struct {
	widget.BaseWidget
	value float64
	tone  Tone
}

func newBar() *bar {
	b := &bar{tone: Busy}
	b.ExtendBaseWidget(b)
	return b
}

func (b *bar) set(value float64, tone Tone) {
	if b.value == value && b.tone == tone {
		return
	}
	b.value, b.tone = value, tone
	b.Refresh()
}

// CreateRenderer draws a track and what is done of it.
func (b *bar) CreateRenderer() fyne.WidgetRenderer {
	r := &barRenderer{b: b, track: canvas.NewRectangle(nil), done: canvas.NewRectangle(nil)}
	r.track.CornerRadius, r.done.CornerRadius = barHeight/2, barHeight/2
	r.Refresh()
	return r
}

const barHeight = 6

type barRenderer struct {
	b           *bar
	track, done *canvas.Rectangle
}

func (r *barRenderer) Destroy()                     {}
func (r *barRenderer) MinSize() fyne.Size           { return fyne.NewSize(40, barHeight+6) }
func (r *barRenderer) Objects() []fyne.CanvasObject { return []fyne.CanvasObject{r.track, r.done} }

func (r *barRenderer) Layout(size fyne.Size) {
	y := (size.Height - barHeight) / 2
	r.track.Move(fyne.NewPos(0, y))
	r.track.Resize(fyne.NewSize(size.Width, barHeight))
	width := size.Width * float32(r.b.value)
	if width > 0 {
		width = max(width, barHeight) // a round dot at least
	}
	r.done.Hidden = width <= 0
	r.done.Move(fyne.NewPos(0, y))
	r.done.Resize(fyne.NewSize(width, barHeight))
}

func (r *barRenderer) Refresh() {
	th, v := r.b.Theme(), fyne.CurrentApp().Settings().ThemeVariant()
	r.track.FillColor = th.Color(colorTrack, v)
	r.done.FillColor = th.Color(toneColor(r.b.tone), v)
	r.Layout(r.b.Size())
	r.track.Refresh()
	r.done.Refresh()
}

// card is a rounded ground that follows the theme.
type card struct {
	widget.BaseWidget
	content fyne.CanvasObject
}

func newCard(content fyne.CanvasObject) *card {
	c := &card{content: container.New(layout.NewCustomPaddedLayout(10, 10, 14, 10), content)}
	c.ExtendBaseWidget(c)
	return c
}

// CreateRenderer draws the ground below the content.
func (c *card) CreateRenderer() fyne.WidgetRenderer {
	r := &cardRenderer{card: c, ground: canvas.NewRectangle(nil)}
	r.ground.CornerRadius = 10
	r.ground.StrokeWidth = 1
	r.Refresh()
	return r
}

type cardRenderer struct {
	card   *card
	ground *canvas.Rectangle
}

func (r *cardRenderer) Destroy()           {}
func (r *cardRenderer) MinSize() fyne.Size { return r.card.content.MinSize() }
func (r *cardRenderer) Objects() []fyne.CanvasObject {
	return []fyne.CanvasObject{r.ground, r.card.content}
}

func (r *cardRenderer) Layout(size fyne.Size) {
	r.ground.Resize(size)
	r.card.content.Resize(size)
}

func (r *cardRenderer) Refresh() {
	th, v := r.card.Theme(), fyne.CurrentApp().Settings().ThemeVariant()
	r.ground.FillColor = th.Color(colorCard, v)
	r.ground.StrokeColor = th.Color(theme.ColorNameSeparator, v)
	r.ground.Refresh()
	r.card.content.Refresh()
}

// text is a label that wraps and can be hidden by an empty string.
func text(style fyne.TextStyle, size fyne.ThemeSizeName, importance widget.Importance) *widget.Label {
	l := widget.NewLabelWithStyle("", fyne.TextAlignLeading, style)
	l.Wrapping = fyne.TextWrapBreak
	l.SizeName, l.Importance = size, importance
	return l
}

// setText changes a label only if it differs: every change lays the list out anew.
func setText(l *widget.Label, s string) {
	if l.Text != s {
		l.SetText(s)
	}
	show(l, s != "")
}

func show(o fyne.CanvasObject, visible bool) {
	switch {
	case visible && !o.Visible():
		o.Show()
	case !visible && o.Visible():
		o.Hide()
	}
}
