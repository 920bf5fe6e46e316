package window

import (
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/theme"

	"holdfast/app/agent"
	"holdfast/app/words"
)

// variant is a theme that is always light or always dark.
type variant struct {
	look
	always fyne.ThemeVariant
}

func (v variant) Color(n fyne.ThemeColorName, _ fyne.ThemeVariant) color.Color {
	return v.look.Color(n, v.always)
}

func demo() []agent.Upload {
	return []agent.Upload{
		upload("1", "sending", func(u *agent.Upload) { u.File, u.Sent = "Urlaub Sommer 2026 - alle Bilder.zip", 3_400_000 }),
		upload("2", "waiting", func(u *agent.Upload) {
			u.File, u.Sent, u.Repeats, u.Error = "minutes.pdf", 5_000_000, 2, "There is no network. The upload goes on when there is one."
			u.Client = "Dino"
		}),
		upload("3", "done", func(u *agent.Upload) { u.Sent, u.Repeats, u.Resigned, u.Ended = u.Size, 2, 1, noon }),
		upload("4", "failed", func(u *agent.Upload) { u.Error = "The upload server refused the file: too large." }),
		upload("5", "done", func(u *agent.Upload) {
			u.File = strings.Repeat("a very long name without an end ", 6) + ".tar.gz"
			u.Sent, u.Ended = u.Size, noon
		}),
	}
}

func window(t *testing.T, v fyne.ThemeVariant, a Actions) (*uploads, fyne.Window) {
	t.Helper()
	test.NewTempApp(t).Settings().SetTheme(variant{look{theme.DefaultTheme()}, v})
	u := newUploads(words.For("en"), a)
	w := test.NewTempWindow(t, u.root)
	w.Resize(fyne.NewSize(680, 620))
	return u, w
}

func TestUploadsAreDrawn(t *testing.T) {
	for name, v := range map[string]fyne.ThemeVariant{"light": theme.VariantLight, "dark": theme.VariantDark} {
		u, w := window(t, v, Actions{})
		u.show(Head(agent.State{Status: agent.Waiting, Uploads: agent.Counts{Active: 1, Waiting: 1}, Network: agent.Network{Kind: "wifi", Name: "home", Online: true}}, true, words.For("en")),
			Rows(demo(), map[string]float64{"1": 400_000}, noon, words.For("en")))
		img := settled(w)
		keep(t, img, name)
		if colours(img) < 50 {
			t.Errorf("%s: the window is nearly empty: %d colours", name, colours(img))
		}
	}
}

func TestGermanInANarrowWindowIsNotCut(t *testing.T) {
	test.NewTempApp(t).Settings().SetTheme(variant{look{theme.DefaultTheme()}, theme.VariantLight})
	w := words.For("de")
	u := newUploads(w, Actions{})
	win := test.NewTempWindow(t, u.root)
	win.Resize(fyne.NewSize(460, 700))
	u.show(Head(agent.State{Status: agent.Off}, false, w), Rows(demo(), map[string]float64{"1": 400_000}, noon, w))
	img := settled(win)
	keep(t, img, "german")
	if got := win.Canvas().Size().Width; got > 520 {
		t.Errorf("the window cannot be narrower than %v", got)
	}
	for id, r := range u.rows {
		for _, l := range []fyne.CanvasObject{r.file, r.about, r.state, r.story} {
			if l.Visible() && l.Size().Height+0.5 < l.MinSize().Height {
				t.Errorf("row %s: a text is %v high and needs %v", id, l.Size().Height, l.MinSize().Height)
			}
		}
	}
}

func TestEmptyWindowSaysWhatToDoNext(t *testing.T) {
	u, w := window(t, theme.VariantLight, Actions{})
	u.show(Head(agent.State{Status: agent.Ready}, false, words.For("en")), nil)
	keep(t, settled(w), "empty")
	if !u.empty.Visible() || u.scroll.Visible() {
		t.Error("the empty state does not show")
	}
	u.show(Head(agent.State{Status: agent.Ready}, false, words.For("en")), Rows(demo(), nil, noon, words.For("en")))
	if u.empty.Visible() || !u.scroll.Visible() {
		t.Error("the list does not show")
	}
}

func TestButtonsDoWhatTheySay(t *testing.T) {
	var got []string
	u, _ := window(t, theme.VariantLight, Actions{
		Copy:   func(link string) { got = append(got, "copy "+link) },
		Cancel: func(id string) { got = append(got, "cancel "+id) },
		TryNow: func(id string) { got = append(got, "try "+id) },
		Start:  func() { got = append(got, "start") },
	})
	u.show(Head(agent.State{Status: agent.Off}, false, words.For("en")), Rows(demo(), nil, noon, words.For("en")))
	for _, b := range []*button{u.rows["1"].cancel, u.rows["2"].try, u.rows["2"].cancel, u.rows["3"].copy, u.start} {
		if !b.Visible() {
			t.Errorf("the button %q does not show", b.Text)
		}
		test.Tap(b)
	}
	want := "cancel 1, try 2, cancel 2, copy https://upload.example.org/x/3.jpg, start"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	for id, b := range map[string]*button{"1": u.rows["1"].copy, "3": u.rows["3"].cancel, "4": u.rows["4"].copy} {
		if b.Visible() {
			t.Errorf("upload %s shows %q", id, b.Text)
		}
	}
}

func TestTheKeyboardPressesAndLeaves(t *testing.T) {
	var got []string
	note := func(s string) func() { return func() { got = append(got, s) } }
	test.NewTempApp(t)
	b := newButton("Copy link", nil, note("left"), note("pressed"))
	w := test.NewTempWindow(t, b)
	w.Canvas().Focus(b)
	for _, k := range []fyne.KeyName{fyne.KeyReturn, fyne.KeySpace, fyne.KeyEscape, fyne.KeyA} {
		b.TypedKey(&fyne.KeyEvent{Name: k})
	}
	if want := "pressed pressed left"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestARowIsDrawnAnewOnlyWhenItChanges(t *testing.T) {
	u, _ := window(t, theme.VariantLight, Actions{})
	w := words.For("en")
	u.show(Head(agent.State{}, false, w), Rows(demo(), nil, noon, w))
	first := u.rows["1"]
	list := demo()
	list[0].Sent += 1_000_000
	u.show(Head(agent.State{}, false, w), Rows(list, nil, noon, w))
	if u.rows["1"] != first {
		t.Error("progress made a new row: a button held down would be lost")
	}
	list[0].State = "done"
	u.show(Head(agent.State{}, false, w), Rows(append([]agent.Upload{upload("9", "sending")}, list...), nil, noon, w))
	if u.rows["1"] != first || len(u.list.Objects) != 6 {
		t.Errorf("a new upload remade old rows, or the list has %d instead of 6", len(u.list.Objects))
	}
}

func TestQuestionListsWhatRuns(t *testing.T) {
	test.NewTempApp(t).Settings().SetTheme(Look())
	w := words.For("en")
	q := newQuestion(w, Stop, newButton("Keep running", nil, nil, nil))
	q.show(nil, w)
	if q.heading.Visible() || q.text.Text != w.Tray.StopAsk {
		t.Errorf("without uploads it says %q", q.text.Text)
	}
	q.show(Rows(runningOnly(demo()), nil, noon, w), w)
	if !q.heading.Visible() || !strings.Contains(q.running.Text, "minutes.pdf") {
		t.Errorf("running uploads are not listed: %q", q.running.Text)
	}
	win := test.NewTempWindow(t, q.root)
	win.Resize(fyne.NewSize(520, 210))
	keep(t, settled(win), "question")
}

func TestColoursCanBeRead(t *testing.T) {
	for _, v := range []int{0, 1} {
		for _, name := range []fyne.ThemeColorName{theme.ColorNameForeground, theme.ColorNamePlaceHolder, theme.ColorNameDisabled, theme.ColorNameSuccess,
			theme.ColorNamePrimary, theme.ColorNameWarning, theme.ColorNameError} {
			for _, ground := range []fyne.ThemeColorName{colorCard, theme.ColorNameBackground} {
				if c := contrast(palette[name][v], palette[ground][v]); c < 4.5 {
					t.Errorf("%s on %s, variant %d: contrast %.2f", name, ground, v, c)
				}
			}
		}
	}
}

// settled is a picture after the layout has come to rest: the height of a wrapped text is known only once it has its
// width, and the test driver, unlike a real one, does not lay out again by itself.
func settled(w fyne.Window) image.Image {
	size := w.Canvas().Size()
	for range 2 {
		w.Resize(size.AddWidthHeight(1, 0))
		w.Resize(size)
	}
	return w.Canvas().Capture()
}

func contrast(a, b uint32) float64 {
	l := func(v uint32) float64 {
		sum := 0.0
		for i, weight := range []float64{0.0722, 0.7152, 0.2126} {
			c := float64(v>>(8*i)&0xff) / 255
			if c <= 0.04045 {
				c /= 12.92
			} else {
				c = math.Pow((c+0.055)/1.055, 2.4)
			}
			sum += weight * c
		}
		return sum + 0.05
	}
	if l(a) > l(b) {
		return l(a) / l(b)
	}
	return l(b) / l(a)
}

func colours(img image.Image) int {
	seen := map[[3]uint32]bool{}
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			seen[[3]uint32{r, g, b}] = true
		}
	}
	return len(seen)
}

// keep writes the picture where HOLDFAST_PICTURES says, for a person to look at.
func keep(t *testing.T, img image.Image, name string) {
	t.Helper()
	dir := os.Getenv("HOLDFAST_PICTURES")
	if dir == "" {
		return
	}
	f, err := os.Create(filepath.Join(dir, name+".png"))
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, img); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
