package app

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"holdfast/app/agent"
	"holdfast/app/words"
)

// Key names a menu item. Keys, and the ids made from them at the start, never change.
type Key string

// The items of the menu.
const (
	KeyStatus  Key = "status"
	KeyNetwork Key = "network"
	KeyUploads Key = "uploads"
	KeyStart   Key = "start"
	KeyAutoFix Key = "autofix"
	KeyPause15 Key = "pause-15"
	KeyPause60 Key = "pause-60"
	KeyPause   Key = "pause"
	KeyResume  Key = "resume"
	KeyDino    Key = "reset-dino"
	KeyGajim   Key = "reset-gajim"
	KeyCheck   Key = "check"
	KeySet     Key = "settings"
	KeySetUp   Key = "setup"
	KeyQuit    Key = "quit"
	KeyStop    Key = "stop"
)

// Lines below the network have keys of their own, "detail-1" to "detail-6": a menu is as wide as its longest line,
// so a problem and its remedy are broken into several.
const (
	detailLines = 6
	lineWidth   = 56 // in runes
)

func keyDetail(n int) Key { return Key("detail-" + strconv.Itoa(n+1)) }

// Item is one line of the menu as it should be now.
type Item struct {
	Key       Key // empty: a separator
	Label     string
	Checkable bool
	Checked   bool
	Enabled   bool
	Visible   bool
}

// Menu is everything the tray shows, as a value.
type Menu struct {
	Status  agent.Status // the icon
	Tooltip string
	Items   []Item // always the same keys in the same order
}

// Facts are what a menu depends on besides the companion's state.
type Facts struct {
	Now         time.Time
	RestartOnly map[string]bool // client kinds without a cache to move aside: their item says "Restart"
	Notice      string          // what came of the last click, when it did not work
}

// Render turns a state into the menu. It is the only place that decides what the tray says.
func Render(s agent.State, f Facts, w *words.Words) Menu {
	off := s.Status == agent.Off || s.Status == ""
	status := w.StatusLine(s)
	if utf8.RuneCountInString(status) > lineWidth {
		status = w.Status.Attention // only a problem is that long; the details have it
	}
	lines := details(s, f, w, status)
	info := func(k Key, label string) Item { return Item{Key: k, Label: label, Visible: label != ""} }
	act := func(k Key, label string, visible, enabled bool) Item {
		return Item{Key: k, Label: label, Visible: visible, Enabled: enabled}
	}
	network := ""
	if !off {
		network = w.NetworkLine(s.Network)
	}
	paused := s.Status == agent.Paused || !off && s.Paused
	auto := act(KeyAutoFix, w.Tray.AutoFix, true, !off)
	auto.Checkable, auto.Checked = true, !off && s.AutoFix
	m := Menu{
		Status:  s.Status,
		Tooltip: "Holdfast: " + w.StatusLine(s),
		Items:   []Item{info(KeyStatus, status), info(KeyNetwork, network)},
	}
	for i := range detailLines {
		line := ""
		if i < len(lines) {
			line = lines[i]
		}
		m.Items = append(m.Items, info(keyDetail(i), line))
	}
	m.Items = append(m.Items,
		Item{},
		act(KeyUploads, w.Tray.Uploads, true, true),
		act(KeyStart, w.Tray.StartHoldfast, off, off),
		Item{},
		auto,
		act(KeyPause15, w.Tray.PauseQuarter, !paused, !off),
		act(KeyPause60, w.Tray.PauseHour, !paused, !off),
		act(KeyPause, w.Views.PauseOpen, !paused, !off),
		act(KeyResume, w.Tray.Resume, paused, true),
		client(KeyDino, "dino", w.Tray.ResetDino, w.Tray.RestartDino, s, f),
		client(KeyGajim, "gajim", w.Tray.ResetGajim, w.Tray.RestartGajim, s, f),
		Item{},
		act(KeyCheck, w.Views.CheckItem, true, !off),
		act(KeySet, w.Views.SettingsItem, true, true),
		act(KeySetUp, w.Welcome.Item, !off && unset(s), true),
		Item{},
		act(KeyQuit, w.Tray.QuitTray, true, true),
		act(KeyStop, w.Tray.StopHoldfast, !off, true),
	)
	if off {
		m.Status, m.Tooltip = agent.Off, status // "Holdfast is not running" has the name in it
	}
	return m
}

// unset says whether the first run is still to be done, for all clients or for one.
func unset(s agent.State) bool {
	return hasProblem(s, agent.NoHosts) || slices.ContainsFunc(s.Clients, func(c agent.Client) bool {
		return c.State == "not-routed" || c.State == "not-trusted"
	})
}

func hasProblem(s agent.State, code agent.Code) bool {
	return slices.ContainsFunc(s.Problems, func(p agent.Problem) bool { return p.Code == string(code) })
}

// details are the lines below the network: what is wrong and what to do about it, else the last upload.
func details(s agent.State, f Facts, w *words.Words, status string) []string {
	switch {
	case f.Notice != "":
		return wrap(f.Notice)
	case len(s.Problems) > 0:
		p := s.Problems[0]
		if p.Text == status || p.Code == "offline" {
			return wrap(p.Remedy) // the lines above have said it
		}
		return append(wrap(p.Text), wrap(p.Remedy)...)
	case s.Last != nil && s.Status != agent.Off:
		return wrap(w.LastLine(*s.Last, f.Now))
	}
	return nil
}

// wrap breaks a text at its spaces into lines of lineWidth runes. A longer word keeps its line.
func wrap(text string) []string {
	var lines []string
	for word := range strings.FieldsSeq(words.Plain(text, 0)) {
		last := len(lines) - 1
		if last < 0 || utf8.RuneCountInString(lines[last])+1+utf8.RuneCountInString(word) > lineWidth {
			lines = append(lines, words.Plain(word, lineWidth))
			continue
		}
		lines[last] += " " + word
	}
	return lines
}

// client is the item that resets one client; it is there when the client is installed.
func client(k Key, kind, reset, restart string, s agent.State, f Facts) Item {
	it := Item{Key: k, Label: reset}
	running := false
	for _, c := range s.Clients {
		if c.Kind == kind {
			it.Visible = true
			running = running || c.Running
		}
	}
	it.Enabled = running
	if f.RestartOnly[kind] {
		it.Label = restart
	} else {
		it.Enabled = it.Visible // a client that does not run has a cache all the same
	}
	return it
}

// Changed lists the items of next that differ from old, which must have the same keys in the same order.
func Changed(old, next Menu) []Item {
	var out []Item
	for i, it := range next.Items {
		if it.Key != "" && (i >= len(old.Items) || old.Items[i] != it) {
			out = append(out, it)
		}
	}
	return out
}
