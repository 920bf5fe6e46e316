package window

import (
	"fmt"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"holdfast/app/words"
)

// about says what Holdfast is and what it does with a person's files.
type about struct {
	*page
}

func newAbout(w *words.Words, version string, leave func()) *about {
	name := text(fyne.TextStyle{Bold: true}, theme.SizeNameHeadingText, widget.MediumImportance)
	setText(name, "Holdfast")
	which := text(fyne.TextStyle{}, theme.SizeNameText, widget.LowImportance)
	setText(which, fmt.Sprintf(w.Views.AboutVersion, version))
	what := text(fyne.TextStyle{}, theme.SizeNameText, widget.MediumImportance)
	privacy := text(fyne.TextStyle{}, theme.SizeNameText, widget.MediumImportance)
	licence := text(fyne.TextStyle{}, theme.SizeNameText, widget.LowImportance)
	for l, s := range map[*widget.Label]string{what: w.Views.AboutWhat, privacy: w.Views.AboutPrivacy, licence: w.Views.AboutLicence} {
		l.Wrapping = fyne.TextWrapWord
		setText(l, s)
	}
	done := newButton(w.Views.Close, nil, leave, leave)
	a := &about{page: newPage(w.Views.AboutTitle, done)}
	a.fill(
		container.NewBorder(nil, nil, picture(72), nil, container.New(layout.NewCustomPaddedLayout(0, 0, 12, 0),
			container.NewThemeOverride(container.NewVBox(layout.NewSpacer(), name, which, layout.NewSpacer()), newDense()))),
		newCard(container.NewVBox(what, privacy, licence)),
	)
	return a
}

func (a *about) show(*Model, bool) {}

func (d *desk) aboutWindow() fyne.Window {
	var w fyne.Window
	a := newAbout(d.Words, d.app.Metadata().Version, func() { w.Close() })
	w = d.paneWindow(About, d.Words.Views.AboutTitle, a, fyne.NewSize(520, 380))
	return w
}
