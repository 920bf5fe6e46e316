package window

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"
)

// look is Fyne's own theme with the colours of the icon and a little more room.
type look struct{ fyne.Theme }

// Look is the theme of the windows; it follows the desktop's choice of light or dark.
func Look() fyne.Theme { return look{theme.DefaultTheme()} }

// Names of colours of our own.
const (
	colorCard  fyne.ThemeColorName = "holdfastCard"
	colorTrack fyne.ThemeColorName = "holdfastTrack"
)

func rgb(v uint32) color.Color {
	return color.NRGBA{R: uint8(v >> 16), G: uint8(v >> 8), B: uint8(v), A: 0xff}
}

// palette has light and dark of each colour; text on its ground has a contrast of at least 4.5 to 1.
var palette = map[fyne.ThemeColorName][2]uint32{
	theme.ColorNameBackground:          {0xf2f5f6, 0x12191d},
	theme.ColorNameForeground:          {0x15232a, 0xe9f0f2},
	theme.ColorNamePlaceHolder:         {0x51626b, 0x9fb0b8},
	theme.ColorNameDisabled:            {0x51626b, 0x9fb0b8}, // also the second voice of labels,
	theme.ColorNameButton:              {0xe3eaec, 0x27343b},
	theme.ColorNameDisabledButton:      {0xe9eef0, 0x1c262b},
	theme.ColorNameHover:               {0xd3e0e3, 0x33434b},
	theme.ColorNamePrimary:             {0x0d7a85, 0x3fbcc7},
	theme.ColorNameForegroundOnPrimary: {0xffffff, 0x062a30},
	theme.ColorNameFocus:               {0x86c5cb, 0x2a7d86},
	theme.ColorNameSuccess:             {0x1d7d45, 0x58c98a},
	theme.ColorNameWarning:             {0x8a5a00, 0xf0b54a},
	theme.ColorNameError:               {0xb3261e, 0xff8a80},
	theme.ColorNameSeparator:           {0xdbe3e6, 0x26333a},
	theme.ColorNameScrollBar:           {0x9fb0b8, 0x4a5b64},
	colorCard:                          {0xffffff, 0x1b252a},
	colorTrack:                         {0xdde6e9, 0x2c3a41},
}

func (l look) Color(n fyne.ThemeColorName, v fyne.ThemeVariant) color.Color {
	c, ok := palette[n]
	switch {
	case !ok:
		return l.Theme.Color(n, v)
	case v == theme.VariantLight:
		return rgb(c[0])
	}
	return rgb(c[1])
}

func (l look) Size(n fyne.ThemeSizeName) float32 {
	switch n {
	case theme.SizeNameInputRadius:
		return 7
	case theme.SizeNameCaptionText:
		return 12.5
	case theme.SizeNameSubHeadingText:
		return 17
	case theme.SizeNameInnerPadding:
		return 7
	}
	return l.Theme.Size(n)
}

// dense is a theme for blocks of text: lines stand close together.
type dense struct{ fyne.Theme }

func newDense() fyne.Theme { return dense{fyne.CurrentApp().Settings().Theme()} }

func (d dense) Size(n fyne.ThemeSizeName) float32 {
	switch n {
	case theme.SizeNameInnerPadding, theme.SizeNamePadding:
		return 1.5
	case theme.SizeNameLineSpacing:
		return 2
	}
	return d.Theme.Size(n)
}

// toneColor is the colour of a tone.
func toneColor(t Tone) fyne.ThemeColorName {
	switch t {
	case Good:
		return theme.ColorNameSuccess
	case Busy:
		return theme.ColorNamePrimary
	case Patient:
		return theme.ColorNameWarning
	case Bad:
		return theme.ColorNameError
	}
	return theme.ColorNamePlaceHolder
}

// toneIcon is the picture of a tone; its shape says the same as its colour.
func toneIcon(t Tone) fyne.Resource {
	icon := theme.CancelIcon()
	switch t {
	case Good:
		icon = theme.ConfirmIcon()
	case Busy:
		icon = theme.UploadIcon()
	case Patient:
		icon = theme.HistoryIcon()
	case Bad:
		icon = theme.ErrorIcon()
	}
	return theme.NewColoredResource(icon, toneColor(t))
}
