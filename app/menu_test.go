package app

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"holdfast/app/agent"
	"holdfast/app/words"
)

var update = flag.Bool("update", false, "write the golden files")

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func state(status agent.Status, change ...func(*agent.State)) agent.State {
	s := agent.State{
		Schema: 1, Status: status, AutoFix: true,
		Network: agent.Network{Kind: "wifi", Name: "home_5G", Online: true},
		Clients: []agent.Client{
			{Kind: "dino", Install: "native", Version: "0.4.2", Running: true, State: "protected"},
			{Kind: "gajim", Install: "native", Version: "1.7.3", State: "ready"},
		},
	}
	for _, f := range change {
		f(&s)
	}
	return s
}

var menus = []struct {
	name  string
	state agent.State
	facts Facts
}{
	{"protected with a last upload", state(agent.Protected, func(s *agent.State) {
		s.Last = &agent.Upload{File: "holiday photo.jpg", Client: "Gajim", State: "done", Ended: noon.Add(-7 * time.Minute)}
	}), Facts{RestartOnly: map[string]bool{"dino": true}}},
	{"ready without any upload", state(agent.Ready), Facts{}},
	{"working on three uploads", state(agent.Working, func(s *agent.State) { s.Uploads.Active = 3 }), Facts{}},
	{"waiting for a network", state(agent.Waiting, func(s *agent.State) {
		s.Uploads.Waiting = 1
		s.Network = agent.Network{}
		s.Problems = []agent.Problem{{Code: "offline", Text: "There is no network.", Remedy: "Connect to a network."}}
	}), Facts{}},
	{"attention says its problem once and then what to do", state(agent.Attention, func(s *agent.State) {
		s.Problems = []agent.Problem{{Code: "not-routed", Text: "Gajim is running without Holdfast.", Remedy: "Restart Gajim."}}
	}), Facts{}},
	{"paused until a time offers only to resume", state(agent.Paused, func(s *agent.State) { s.PausedUntil = noon.Add(15 * time.Minute) }), Facts{}},
	{"paused until resumed", state(agent.Paused), Facts{}},
	{"auto-fix off on a metered network without clients", state(agent.Ready, func(s *agent.State) {
		s.AutoFix = false
		s.Clients = nil
		s.Network = agent.Network{Kind: "mobile", Name: "LTE", Online: true, Metered: true}
	}), Facts{}},
	{"off", agent.State{Status: agent.Off}, Facts{}},
	{"off, and it did not start", agent.State{Status: agent.Off, Problems: []agent.Problem{{Text: "Holdfast did not start: the lock is held."}}}, Facts{}},
	{"the zero state is off", agent.State{}, Facts{}},
	{"a long problem is broken into lines", state(agent.Attention, func(s *agent.State) {
		p := words.For("en").Problem.ConfigError
		s.Problems = []agent.Problem{{Code: "config-error", Text: fmt.Sprintf(p.Text, "line 12: hosts wants a list"), Remedy: fmt.Sprintf(p.Remedy, "/home/somebody/.config/holdfast/config.toml")}}
	}), Facts{}},
	{"a click that did not work", state(agent.Ready), Facts{Notice: "Dino did not quit.\nClose it by hand."}},
	{"a long file name with a reversing mark keeps its ending", state(agent.Protected, func(s *agent.State) {
		s.Last = &agent.Upload{File: "a very long name that goes on and on and on until \u202egpj.exe", State: "failed", Ended: noon.Add(-50 * time.Hour)}
	}), Facts{}},
}

func TestMenu(t *testing.T) {
	for _, lang := range []string{"en", "de"} {
		var b strings.Builder
		for _, tt := range menus {
			tt.facts.Now = noon
			fmt.Fprintf(&b, "# %s\n%s\n", tt.name, draw(Render(tt.state, tt.facts, words.For(lang))))
		}
		golden(t, filepath.Join("testdata", "menu-"+lang+".golden"), b.String())
	}
}

func TestEveryMenuHasTheSameItemsInTheSameOrder(t *testing.T) {
	keys := func(m Menu) (out []Key) {
		for _, it := range m.Items {
			out = append(out, it.Key)
		}
		return out
	}
	want := keys(Render(agent.State{}, Facts{}, words.For("en")))
	for _, tt := range menus {
		if diff := cmp.Diff(want, keys(Render(tt.state, tt.facts, words.For("de")))); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.name, diff)
		}
	}
}

func TestEveryGroupBetweenSeparatorsShowsSomething(t *testing.T) {
	for _, tt := range menus {
		m := Render(tt.state, tt.facts, words.For("en"))
		visible := 0
		for _, it := range append(m.Items, Item{}) {
			switch {
			case it.Key == "" && visible == 0:
				t.Errorf("%s: two separators meet", tt.name)
			case it.Key == "":
				visible = 0
			case it.Visible:
				visible++
			}
		}
	}
}

func TestNoLineIsWiderThanAMenuShouldBe(t *testing.T) {
	for _, lang := range []string{"en", "de"} {
		for _, tt := range menus {
			for _, it := range Render(tt.state, tt.facts, words.For(lang)).Items {
				if n := utf8.RuneCountInString(it.Label); n > lineWidth+8 {
					t.Errorf("%s: %d runes: %s", tt.name, n, it.Label)
				}
			}
		}
	}
}

func TestChangedNamesOnlyWhatDiffers(t *testing.T) {
	w := words.For("en")
	a := Render(state(agent.Ready), Facts{Now: noon}, w)
	if got := Changed(a, a); len(got) != 0 {
		t.Errorf("the same menu changed: %v", got)
	}
	b := Render(state(agent.Ready, func(s *agent.State) { s.AutoFix = false }), Facts{Now: noon}, w)
	got := Changed(a, b)
	if len(got) != 1 || got[0].Key != KeyAutoFix || got[0].Checked {
		t.Errorf("turning auto-fix off changed %v", got)
	}
}

func TestDryRunDocument(t *testing.T) {
	tests := []struct {
		name, doc    string
		empty, known bool
	}{
		{"steps mean there is something to move", `{"schema":1,"clients":[{"client":"dino","steps":[{"path":"x"}]}]}`, false, true},
		{"no steps mean only a restart", `{"schema":1,"clients":[{"client":"dino","steps":[]}]}`, true, true},
		{"another client says nothing about this one", `{"schema":1,"clients":[{"client":"gajim","steps":[]}]}`, false, false},
		{"an unreadable document says nothing", `not json`, false, false},
	}
	for _, tt := range tests {
		empty, known := movesNothing(tt.doc, "dino")
		if empty != tt.empty || known != tt.known {
			t.Errorf("%s: got %v %v", tt.name, empty, known)
		}
	}
}

// draw writes a menu as text, one line an item; hidden items are left out, as on a screen.
func draw(m Menu) string {
	var b strings.Builder
	fmt.Fprintf(&b, "icon %s, tooltip %q\n", m.Status, m.Tooltip)
	for _, it := range m.Items {
		switch {
		case it.Key == "":
			b.WriteString("    ----\n")
			continue
		case !it.Visible:
			continue
		}
		mark := "   "
		if it.Checkable {
			mark = "[ ]"
			if it.Checked {
				mark = "[x]"
			}
		}
		grey := ""
		if !it.Enabled {
			grey = "  (grey)"
		}
		fmt.Fprintf(&b, "%s %-10s %s%s\n", mark, it.Key, it.Label, grey)
	}
	return b.String()
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (write it with -update)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: -want +got\n%s", path, diff)
	}
}
