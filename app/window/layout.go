package window

import "fyne.io/fyne/v2"

// narrow is the width of a row below which its buttons move under the text.
const narrow = 500

// beside is a layout of two objects: text, and buttons that stand to its right, or below it in a narrow window.
type beside struct{ below bool }

// gap between text and buttons.
const gap = 10

// Layout places both.
func (b *beside) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	text, buttons := objects[0], objects[1]
	need := buttons.MinSize()
	b.below = need.Width > 0 && size.Width < narrow
	buttons.Resize(need)
	if need.Width == 0 || b.below {
		text.Resize(fyne.NewSize(size.Width, size.Height))
		high := text.MinSize().Height // of the wrapped text, known now that it has its width
		text.Resize(fyne.NewSize(size.Width, high))
		text.Move(fyne.NewPos(0, 0))
		buttons.Move(fyne.NewPos(size.Width-need.Width, high+gap/2))
		return
	}
	text.Resize(fyne.NewSize(size.Width-need.Width-gap, size.Height))
	text.Move(fyne.NewPos(0, 0))
	buttons.Move(fyne.NewPos(size.Width-need.Width, (size.Height-need.Height)/2))
}

// MinSize is that of the way it was laid out last.
func (b *beside) MinSize(objects []fyne.CanvasObject) fyne.Size {
	text, buttons := objects[0].MinSize(), objects[1].MinSize()
	if b.below {
		return fyne.NewSize(max(text.Width, buttons.Width), text.Height+gap/2+buttons.Height)
	}
	return fyne.NewSize(max(text.Width, buttons.Width), max(text.Height, buttons.Height))
}
