package window

import (
	"fmt"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"holdfast/app/words"
	"holdfast/assets"
)

// Actions are what the buttons do. They are called on the window's goroutine and must return at once.
type Actions struct {
	Copy   func(link string)
	Cancel func(id string)
	TryNow func(id string)
	Start  func()
	Leave  func() // the window, by Escape
}

// uploads draws the head and the list. Its methods are for the window's goroutine.
type uploads struct {
	words   *words.Words
	actions Actions

	icon     *canvas.Image
	iconName string
	title    *widget.Label
	network  *widget.Label
	notice   *fyne.Container
	noticeBy *widget.Icon
	problem  *widget.Label
	remedy   *widget.Label
	start    *button
	rows     map[string]*rowView
	order    []string
	list     *fyne.Container
	scroll   *container.Scroll
	empty    fyne.CanvasObject
	footer   *widget.Label
	root     fyne.CanvasObject
}

func newUploads(w *words.Words, a Actions) *uploads {
	u := &uploads{words: w, actions: a, rows: map[string]*rowView{}}
	u.icon = canvas.NewImageFromResource(fyne.NewStaticResource("off.png", assets.TrayIcon("off")))
	u.icon.FillMode = canvas.ImageFillContain
	u.icon.ScaleMode = canvas.ImageScaleSmooth
	u.icon.SetMinSize(fyne.NewSize(44, 44))
	u.title = text(fyne.TextStyle{Bold: true}, theme.SizeNameSubHeadingText, widget.MediumImportance)
	u.title.Wrapping = fyne.TextWrapWord
	u.network = text(fyne.TextStyle{}, theme.SizeNameText, widget.LowImportance)
	u.start = newButton(w.Tray.StartHoldfast, theme.MediaPlayIcon(), a.Leave, func() { u.actions.Start() })
	u.start.Importance = widget.HighImportance
	head := container.NewBorder(nil, nil, container.NewCenter(u.icon), container.NewCenter(u.start),
		container.New(layout.NewCustomPaddedLayout(0, 0, 8, 8), container.NewThemeOverride(
			container.NewVBox(layout.NewSpacer(), u.title, u.network, layout.NewSpacer()), newDense())))

	u.noticeBy = widget.NewIcon(toneIcon(Patient))
	u.problem = text(fyne.TextStyle{}, theme.SizeNameText, widget.MediumImportance)
	u.problem.Wrapping = fyne.TextWrapWord
	u.remedy = text(fyne.TextStyle{}, theme.SizeNameText, widget.LowImportance)
	u.remedy.Wrapping = fyne.TextWrapWord
	u.notice = container.NewVBox(newCard(container.NewBorder(nil, nil, container.NewCenter(u.noticeBy), nil,
		container.New(layout.NewCustomPaddedLayout(0, 0, 8, 4), container.NewThemeOverride(
			container.NewVBox(u.problem, u.remedy), newDense())))))

	u.list = container.New(layout.NewCustomPaddedVBoxLayout(8))
	u.scroll = container.NewVScroll(container.New(layout.NewCustomPaddedLayout(2, 12, 14, 14), u.list))
	u.empty = emptyState(w)
	u.footer = text(fyne.TextStyle{}, theme.SizeNameCaptionText, widget.LowImportance)
	u.footer.Alignment = fyne.TextAlignCenter
	u.footer.Hide()
	u.root = container.NewBorder(
		container.New(layout.NewCustomPaddedLayout(14, 8, 14, 14), container.New(layout.NewCustomPaddedVBoxLayout(10), head, u.notice)),
		u.footer, nil, nil, container.NewStack(u.scroll, u.empty))
	return u
}

// emptyState says what to do next, in the middle of the window.
func emptyState(w *words.Words) fyne.CanvasObject {
	icon := canvas.NewImageFromResource(fyne.NewStaticResource("holdfast.png", assets.AppIcon()))
	icon.FillMode = canvas.ImageFillContain
	icon.SetMinSize(fyne.NewSize(88, 88))
	title := text(fyne.TextStyle{Bold: true}, theme.SizeNameSubHeadingText, widget.MediumImportance)
	title.Alignment = fyne.TextAlignCenter
	title.SetText(w.Tray.NoUploads)
	hint := text(fyne.TextStyle{}, theme.SizeNameText, widget.LowImportance)
	hint.Wrapping = fyne.TextWrapWord
	hint.Alignment = fyne.TextAlignCenter
	hint.SetText(w.Tray.NoUploadsHint)
	return container.New(layout.NewCustomPaddedLayout(0, 40, 40, 40),
		container.NewVBox(layout.NewSpacer(), icon, title, hint, layout.NewSpacer()))
}

// show draws head and rows, changing only what differs.
func (u *uploads) show(top Top, rows []Row) {
	if name := string(top.Status); u.iconName != name {
		u.iconName = name
		u.icon.Resource = fyne.NewStaticResource(name+".png", assets.TrayIcon(name))
		u.icon.Refresh()
	}
	setText(u.title, top.Title)
	setText(u.network, top.Network)
	show(u.start, top.CanStart)
	show(u.notice, top.Problem != "")
	setText(u.problem, top.Problem)
	setText(u.remedy, top.Remedy)
	if top.Problem != "" {
		u.noticeBy.SetResource(noticeIcon(top.Tone))
	}

	order := make([]string, len(rows))
	same := len(rows) == len(u.order)
	for i, r := range rows {
		order[i] = r.ID
		same = same && u.order[i] == r.ID
	}
	old := u.rows
	if !same {
		u.rows = map[string]*rowView{}
	}
	objects := make([]fyne.CanvasObject, 0, len(rows))
	for _, r := range rows {
		v := old[r.ID]
		if v == nil {
			v = newRow(u.words, u.actions)
		}
		v.show(r)
		u.rows[r.ID] = v
		objects = append(objects, v.root)
	}
	if !same {
		u.order = order
		u.list.Objects = objects
		u.list.Refresh()
	}
	show(u.scroll, len(rows) > 0)
	show(u.empty, len(rows) == 0)
}

func noticeIcon(t Tone) fyne.Resource {
	switch t {
	case Bad:
		return theme.NewColoredResource(theme.ErrorIcon(), toneColor(t))
	case Patient:
		return theme.NewColoredResource(theme.WarningIcon(), toneColor(t))
	}
	return theme.NewColoredResource(theme.InfoIcon(), toneColor(t))
}

// say shows a sentence below the list; empty takes it away.
func (u *uploads) say(s string) { setText(u.footer, s) }

// rowView draws one Row.
type rowView struct {
	row     Row
	actions Actions
	icon    *widget.Icon
	tone    Tone
	file    *widget.Label
	about   *widget.Label
	state   *widget.Label
	story   *widget.Label
	bar     *bar
	copy    *button
	try     *button
	cancel  *button
	root    fyne.CanvasObject
}

func newRow(w *words.Words, a Actions) *rowView {
	v := &rowView{actions: a, icon: widget.NewIcon(toneIcon(Quiet))}
	v.file = text(fyne.TextStyle{Bold: true}, theme.SizeNameText, widget.MediumImportance)
	v.about = text(fyne.TextStyle{}, theme.SizeNameCaptionText, widget.LowImportance)
	v.state = text(fyne.TextStyle{}, theme.SizeNameCaptionText, widget.MediumImportance)
	v.story = text(fyne.TextStyle{}, theme.SizeNameCaptionText, widget.LowImportance)
	for _, l := range []*widget.Label{v.about, v.state, v.story} {
		l.Wrapping = fyne.TextWrapWord
	}
	v.bar = newBar()
	v.copy = newButton(w.Tray.CopyLink, theme.ContentCopyIcon(), a.Leave, func() { v.actions.Copy(v.row.Link) })
	v.try = newButton(w.Tray.TryNow, theme.ViewRefreshIcon(), a.Leave, func() { v.actions.TryNow(v.row.ID) })
	v.try.Importance = widget.HighImportance
	v.cancel = newButton(w.Tray.Cancel, theme.CancelIcon(), a.Leave, func() { v.actions.Cancel(v.row.ID) })
	lines := container.NewThemeOverride(container.NewVBox(v.file, v.about, v.bar, v.state, v.story), newDense())
	buttons := container.New(layout.NewCustomPaddedHBoxLayout(6), v.copy, v.try, v.cancel)
	v.root = newCard(container.NewBorder(nil, nil,
		container.NewVBox(container.New(layout.NewCustomPaddedLayout(2, 0, 0, 8), v.icon)), nil,
		container.New(&beside{}, lines, buttons)))
	return v
}

func (v *rowView) show(r Row) {
	v.row = r
	if v.tone != r.Tone {
		v.tone = r.Tone
		v.icon.SetResource(toneIcon(r.Tone))
		v.state.Importance = toneImportance(r.Tone)
		v.state.Refresh()
	}
	setText(v.file, r.File)
	setText(v.about, r.About)
	setText(v.state, r.State)
	setText(v.story, r.Story)
	show(v.bar, r.Progress >= 0)
	v.bar.set(max(0, r.Progress), r.Tone)
	show(v.copy, r.Link != "")
	show(v.try, r.CanTry)
	show(v.cancel, r.CanStop)
}

func toneImportance(t Tone) widget.Importance {
	switch t {
	case Good:
		return widget.SuccessImportance
	case Busy:
		return widget.HighImportance
	case Patient:
		return widget.WarningImportance
	case Bad:
		return widget.DangerImportance
	}
	return widget.LowImportance
}

// copied says which link is in the clipboard.
func copied(w *words.Words, file string) string {
	return fmt.Sprintf(w.Tray.Window.CopyOf, words.Plain(file, 60))
}
