package window

import (
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"
	"github.com/google/go-cmp/cmp"

	"holdfast/app/agent"
	"holdfast/app/words"
)

const diagnosis = `{"schema":1,"ok":false,"checks":[
 {"name":"network","ok":true,"text":"Wi-Fi Home 5G."},
 {"name":"host","host":"upload.example.org","ok":false,"text":"upload.example.org could not prove who it is: its certificate ended on 2026-11-01.","remedy":"Tell its admin. Until then uploads to it wait, and nothing is sent to a stranger."},
 {"name":"clock","verdict":"warn","text":"The clock of this computer is 58 minutes behind that of upload.example.org.","remedy":"Turn on automatic time in the settings of your desktop."},
 {"name":"relay","verdict":"pass","text":"The relay answers on 127.0.0.1:5380."}]}`

func TestFindingsThatNeedAPersonComeFirst(t *testing.T) {
	got, err := Findings(diagnosis)
	if err != nil {
		t.Fatal(err)
	}
	var tones []Tone
	for _, f := range got {
		tones = append(tones, f.Tone)
	}
	if diff := cmp.Diff([]Tone{Bad, Patient, Good, Good}, tones); diff != "" {
		t.Error(diff)
	}
	if _, err := Findings("no document"); err == nil {
		t.Error("an unreadable document has findings")
	}
}

// paneFor makes each pane with something to show.
func paneFor(name string, w *words.Words) pane {
	m := NewModel()
	m.State = agent.State{Status: agent.Ready, AutoFix: true, Clients: []agent.Client{
		{Kind: "dino", Install: "native", Version: "0.4.2", Running: true, State: "needs-restart"},
		{Kind: "gajim", Install: "flatpak", Version: "1.7.3", Running: true, State: "protected"},
	}}
	var p pane
	switch name {
	case Check:
		p = newCheck(w, func(then func(string)) { then(diagnosis) }, func(string) {}, nil)
	case Settings:
		p = newSettings(w, SettingsActions{Hosts: func(_, _ string, then func([]string)) {
			then([]string{"upload.example.org", "a-very-long-name-of-an-upload-server.department.university.example.net"})
		}})
	case About:
		p = newAbout(w, "0.1.0", nil)
	}
	p.show(m, true)
	return p
}

func TestPanesAreDrawnWhole(t *testing.T) {
	for _, name := range []string{Check, Settings, About} {
		for _, lang := range []string{"en", "de"} {
			for shade, v := range map[string]fyne.ThemeVariant{"light": theme.VariantLight, "dark": theme.VariantDark} {
				for _, width := range []float32{640, 420} {
					test.NewTempApp(t).Settings().SetTheme(variant{look{theme.DefaultTheme()}, v})
					p := paneFor(name, words.For(lang))
					w := test.NewTempWindow(t, p.content())
					w.Resize(fyne.NewSize(width, 640))
					img := settled(w)
					if width == 640 {
						keep(t, img, name+"-"+lang+"-"+shade)
					}
					if n := colours(img); n < 20 {
						t.Errorf("%s %s %s: nearly empty, %d colours", name, lang, shade, n)
					}
					if got := w.Canvas().Size().Width; got > width+1 {
						t.Errorf("%s %s: the window cannot be narrower than %v", name, lang, got)
					}
					for _, l := range labels(p.content()) {
						if l.Visible() && l.Text != "" && l.Size().Height+0.5 < l.MinSize().Height {
							t.Errorf("%s %s at %v: %q is %v high and needs %v", name, lang, width, l.Text, l.Size().Height, l.MinSize().Height)
						}
					}
				}
			}
		}
	}
}

// labels finds the texts of a pane.
func labels(o fyne.CanvasObject) (out []*widget.Label) {
	switch o := o.(type) {
	case *widget.Label:
		out = append(out, o)
	case *fyne.Container:
		for _, c := range o.Objects {
			out = append(out, labels(c)...)
		}
	case *card:
		out = append(out, labels(o.content)...)
	case *container.Scroll:
		out = append(out, labels(o.Content)...)
	case *container.ThemeOverride:
		out = append(out, labels(o.Content)...)
	}
	return out
}

func TestTheNetworkCheckRunsOnceByItselfAndAgainOnAClick(t *testing.T) {
	test.NewTempApp(t).Settings().SetTheme(Look())
	var answers []func(string)
	copied := ""
	c := newCheck(words.For("en"), func(then func(string)) { answers = append(answers, then) }, func(s string) { copied = s }, nil)
	m := NewModel()
	c.show(m, false)
	if len(answers) != 0 || !c.again.Disabled() || c.lead.Text != c.words.Views.CheckNotNow {
		t.Errorf("without a companion it asks %d times and says %q", len(answers), c.lead.Text)
	}
	c.show(m, true)
	c.show(m, true)
	if len(answers) != 1 || !c.again.Disabled() || c.lead.Text != c.words.Views.Checking {
		t.Fatalf("it asked %d times and says %q", len(answers), c.lead.Text)
	}
	answers[0](diagnosis)
	if len(c.body.Objects) != 4 || c.lead.Text != "Things to look at: 2." || c.again.Disabled() {
		t.Errorf("%d findings, %q", len(c.body.Objects), c.lead.Text)
	}
	test.Tap(c.copy)
	if lines := strings.Split(copied, "\n"); len(lines) != 5 || !strings.HasPrefix(lines[0], "fail  upload.example.org could not prove") {
		t.Errorf("the clipboard has %q", copied)
	}
	test.Tap(c.again)
	if len(answers) != 2 {
		t.Fatalf("it asked %d times", len(answers))
	}
	answers[1]("") // the companion did not answer
	if c.again.Disabled() || len(c.body.Objects) != 4 {
		t.Error("after no answer it cannot be asked again, or the old findings are gone")
	}
	c.show(m, false)
	c.show(m, true)
	if len(answers) != 3 {
		t.Error("another companion is not asked")
	}
}

func TestSettingsShowWhatTheCompanionSays(t *testing.T) {
	test.NewTempApp(t).Settings().SetTheme(Look())
	var did []string
	hosts := []string{"upload.example.org"}
	refuse := false
	s := newSettings(words.For("en"), SettingsActions{
		AutoFix: func(on bool) { did = append(did, map[bool]string{true: "on", false: "off"}[on]) },
		Hosts: func(verb, host string, then func([]string)) {
			did = append(did, strings.TrimSpace(verb+" "+host))
			if refuse {
				return
			}
			if verb == "add" {
				hosts = append(hosts, host)
			}
			then(hosts)
		},
	})
	if !s.auto.Disabled() || !s.add.Disabled() || s.lead.Text != s.words.Views.SettingsOff {
		t.Error("without a companion something can be changed")
	}
	m := NewModel()
	m.State.AutoFix = true
	s.show(m, true)
	s.show(m, true)
	if !s.auto.Checked || s.auto.Disabled() || len(s.servers.Objects) != 1 {
		t.Errorf("auto-fix %v, %d servers", s.auto.Checked, len(s.servers.Objects))
	}
	test.Tap(s.auto)
	s.show(m, true) // the companion has not changed its mind
	if !s.auto.Checked {
		t.Error("the switch shows the click instead of the companion's word")
	}
	test.Type(s.field, "  share.example.net ")
	test.Tap(s.add)
	if len(s.servers.Objects) != 2 || s.field.Text != "" || s.said.Text != "share.example.net is looked after now." {
		t.Errorf("%d servers, field %q, said %q", len(s.servers.Objects), s.field.Text, s.said.Text)
	}
	refuse = true
	test.Type(s.field, "not a host")
	test.Tap(s.add)
	if s.field.Text != "not a host" {
		t.Error("what was refused is gone from the field")
	}
	want := []string{"list", "off", "add share.example.net", "add not a host"}
	if diff := cmp.Diff(want, did); diff != "" {
		t.Error(diff)
	}
}
