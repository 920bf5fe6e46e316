package window

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/widget"
)

// button is Fyne's, which answers only the space bar, with the keys that people expect: Enter presses it, Escape
// leaves the window. A focused widget gets every key, so the window itself would not hear of them.
type button struct {
	widget.Button
	leave func()
}

func newButton(text string, icon fyne.Resource, leave, tapped func()) *button {
	b := &button{leave: leave}
	b.Text, b.Icon, b.OnTapped = text, icon, tapped
	b.ExtendBaseWidget(b)
	return b
}

// TypedKey answers the keyboard.
func (b *button) TypedKey(k *fyne.KeyEvent) {
	switch k.Name {
	case fyne.KeyReturn, fyne.KeyEnter:
		if b.OnTapped != nil {
			b.OnTapped()
		}
	case fyne.KeyEscape:
		if b.leave != nil {
			b.leave()
		}
	default:
		b.Button.TypedKey(k)
	}
}
