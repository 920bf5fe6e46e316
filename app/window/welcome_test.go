package window

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/theme"
	"github.com/google/go-cmp/cmp"

	"holdfast/app/agent"
	"holdfast/app/words"
)

// firstRun is a wizard whose steps are noted and answered when the test says so.
type firstRun struct {
	*welcome
	did    []string
	probes []func(Probe)
	plans  []func(Plan)
	apply  []func()
	minute []func()
	left   bool
	model  *Model
}

func newFirstRun(t *testing.T, lang string) *firstRun {
	t.Helper()
	test.NewTempApp(t).Settings().SetTheme(Look())
	f := &firstRun{model: NewModel()}
	note := func(format string, a ...any) { f.did = append(f.did, strings.TrimSpace(fmt.Sprintf(format, a...))) }
	f.welcome = newWelcome(words.For(lang), Steps{
		Look:    func() { note("look") },
		Suggest: func(then func([]string)) { then([]string{"upload.example.org"}) },
		Probe:   func(host string, then func(Probe)) { note("probe %s", host); f.probes = append(f.probes, then) },
		Plan:    func(host string, then func(Plan)) { note("plan %s", host); f.plans = append(f.plans, then) },
		Apply: func(p Plan, system bool, then func()) {
			note("apply %s system=%v", p.ID, system)
			f.apply = append(f.apply, then)
		},
		Restart: func(kind string, then func()) { note("restart %s", kind); then() },
		Undo:    func(then func()) { note("undo"); then() },
		Wait:    func(then func()) { f.minute = append(f.minute, then) },
		Leave:   func() { f.left = true },
	})
	return f
}

func (f *firstRun) clients(states ...string) {
	f.model.State.Status = agent.Ready
	f.model.State.Clients = nil
	for i, s := range states {
		f.model.State.Clients = append(f.model.State.Clients, agent.Client{
			Kind: []string{"gajim", "dino"}[i], Install: "native", Running: s != "", State: s,
		})
	}
	f.show(f.model, true)
}

// texts are all sentences of the page.
func (f *firstRun) texts() string {
	var all []string
	for _, l := range labels(f.content()) {
		if l.Visible() && l.Text != "" {
			all = append(all, l.Text)
		}
	}
	return strings.Join(all, " | ")
}

func TestFirstRunFromTheFirstPageToAGreenLine(t *testing.T) {
	f := newFirstRun(t, "en")
	if !f.next.Disabled() {
		t.Error("it goes on without a companion")
	}
	f.clients()
	if !f.next.Disabled() || !strings.Contains(f.texts(), "Neither Dino nor Gajim") {
		t.Errorf("without clients: %s", f.texts())
	}
	f.clients("not-routed", "")
	test.Tap(f.next)
	if f.host.Text != "upload.example.org" {
		t.Errorf("the suggested server is not in the field: %q", f.host.Text)
	}
	test.Tap(f.next) // asks the server
	if f.number != pageServer || !strings.Contains(f.texts(), "Asking upload.example.org") {
		t.Errorf("it went on before the server answered: %s", f.texts())
	}
	f.probes[0](Probe{Text: "upload.example.org: its name is not known."})
	test.Tap(f.next) // asks once more
	f.probes[1](Probe{OK: true, Text: "It is ours."})
	test.Tap(f.next)
	if f.number != pageTrust {
		t.Fatalf("page %d: %s", f.number, f.texts())
	}
	test.Tap(f.next)
	if !f.next.Disabled() || f.next.Text != "Set up" {
		t.Error("it sets up before the plan is shown")
	}
	f.plans[0](Plan{ID: "p1", Lines: []PlanLine{{"~/.local/share/applications/org.gajim.Gajim.desktop", "starts Gajim through Holdfast"}}})
	if !strings.Contains(f.texts(), "org.gajim.Gajim.desktop") {
		t.Errorf("the plan does not show: %s", f.texts())
	}
	test.Tap(f.next)
	f.apply[0]()
	f.clients("needs-restart", "")
	for _, o := range f.body.Objects {
		for _, b := range buttons(o) {
			test.Tap(b)
		}
	}
	test.Tap(f.next)
	f.clients("ready", "")
	if !strings.Contains(f.texts(), "Now send any small file to yourself in Gajim.") || strings.Contains(f.texts(), "Nothing has come through") {
		t.Errorf("the last page says: %s", f.texts())
	}
	f.minute[0]()
	if !strings.Contains(f.texts(), "Nothing has come through yet.") {
		t.Errorf("after a minute it says: %s", f.texts())
	}
	f.clients("protected", "")
	if got := f.texts(); !strings.Contains(got, "Gajim is protected.") || !strings.Contains(got, "Your uploads are protected.") {
		t.Errorf("at the end it says: %s", got)
	}
	test.Tap(f.next)
	want := []string{"probe upload.example.org", "probe upload.example.org", "plan upload.example.org", "apply p1 system=false", "restart gajim"}
	if diff := cmp.Diff(want, f.did); diff != "" || !f.left {
		t.Errorf("%s left: %v", diff, f.left)
	}
}

func TestEveryPageCanGoBackAndCancelUndoes(t *testing.T) {
	f := newFirstRun(t, "en")
	f.clients("ready")
	for n := range pages - 1 {
		f.turnTo(n + 1)
		test.Tap(f.back)
		if f.number != n {
			t.Fatalf("back from page %d leads to %d", n+1, f.number)
		}
	}
	f.turnTo(pagePlan)
	late := f.plans[len(f.plans)-1]
	test.Tap(f.back)
	late(Plan{ID: "late"})
	if f.plan != nil || f.number != pageTrust {
		t.Error("a late answer turned the page")
	}
	test.Tap(f.cancel)
	if !f.left || !slices.Contains(f.did, "undo") {
		t.Errorf("cancel did %v", f.did)
	}
}

func TestPagesOfTheFirstRunAreDrawnWhole(t *testing.T) {
	for _, lang := range []string{"en", "de"} {
		for n := range pages {
			f := newFirstRun(t, lang)
			fyne.CurrentApp().Settings().SetTheme(variant{look{theme.DefaultTheme()}, map[string]fyne.ThemeVariant{"en": theme.VariantLight, "de": theme.VariantDark}[lang]})
			f.clients("needs-restart", "protected")
			f.turnTo(n)
			if n == pagePlan {
				f.plans[0](Plan{Lines: []PlanLine{
					{"~/.local/share/applications/org.gajim.Gajim.desktop", "Gajim starts through Holdfast."},
					{"~/.local/share/holdfast/bin/gajim", "Finds Holdfast, or starts Gajim as before."},
				}})
			}
			w := test.NewTempWindow(t, f.content())
			w.Resize(fyne.NewSize(600, 520))
			keep(t, settled(w), fmt.Sprintf("welcome-%d-%s", n+1, lang))
			for _, l := range labels(f.content()) {
				if l.Visible() && l.Text != "" && l.Size().Height+0.5 < l.MinSize().Height {
					t.Errorf("%s page %d: %q is %v high and needs %v", lang, n+1, l.Text, l.Size().Height, l.MinSize().Height)
				}
			}
		}
	}
}

// buttons finds the buttons below an object.
func buttons(o fyne.CanvasObject) (out []*button) {
	switch o := o.(type) {
	case *button:
		out = append(out, o)
	case *fyne.Container:
		for _, c := range o.Objects {
			out = append(out, buttons(c)...)
		}
	case *card:
		out = append(out, buttons(o.content)...)
	}
	return out
}
