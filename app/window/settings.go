package window

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"holdfast/app/agent"
	"holdfast/app/control"
	"holdfast/app/words"
)

// SettingsActions are what the settings window does. They are called on the window's goroutine and return at once;
// then and hosts run on it.
type SettingsActions struct {
	AutoFix func(on bool)
	Hosts   func(verb, host string, then func(hosts []string))
	Check   func()
	SetUp   func()
	About   func()
	Leave   func()
}

// settings is the window of what a person can choose. What is chosen is always the companion's word: a switch shows
// what the companion says, never what was clicked.
type settings struct {
	*page
	words   *words.Words
	actions SettingsActions
	auto    *widget.Check
	field   *widget.Entry
	add     *button
	servers *fyne.Container
	clients *fyne.Container
	asked   bool
	hosts   []string
	seen    []agent.Client
}

func newSettings(w *words.Words, a SettingsActions) *settings {
	s := &settings{words: w, actions: a}
	s.auto = widget.NewCheck(w.Tray.AutoFix, nil)
	s.field = widget.NewEntry()
	s.field.SetPlaceHolder(w.Views.ServerHolder)
	s.field.OnSubmitted = func(string) { s.addHost() }
	s.add = newButton(w.Views.Add, theme.ContentAddIcon(), a.Leave, s.addHost)
	s.servers = container.New(layout.NewCustomPaddedVBoxLayout(4))
	s.clients = container.New(layout.NewCustomPaddedVBoxLayout(4))
	s.page = newPage(w.Views.SettingsTitle,
		newButton(w.Views.AboutItem, theme.InfoIcon(), a.Leave, a.About),
		newButton(w.Views.CheckItem, theme.SearchIcon(), a.Leave, a.Check),
		newButton(w.Welcome.Item, theme.SettingsIcon(), a.Leave, a.SetUp))
	s.fill(
		section(w.Views.Behaviour, w.Views.AutoFixHint, s.auto),
		section(w.Views.Servers, w.Views.ServersHint, s.servers, container.NewBorder(nil, nil, nil, s.add, s.field)),
		section(w.Views.Clients, "", s.clients),
		note(Quiet, w.Views.ConfigFile, ""),
	)
	s.show(NewModel(), false)
	return s
}

// show follows the companion.
func (s *settings) show(m *Model, connected bool) {
	s.auto.OnChanged = nil
	s.auto.SetChecked(connected && m.State.AutoFix)
	s.auto.OnChanged = func(on bool) { s.actions.AutoFix(on) }
	enable(s.add, connected)
	lead := ""
	if connected {
		s.auto.Enable()
		s.field.Enable()
	} else {
		s.auto.Disable()
		s.field.Disable()
		s.asked, lead = false, s.words.Views.SettingsOff
	}
	setText(s.lead, lead)
	if connected && !s.asked {
		s.asked = true
		s.actions.Hosts("list", "", s.listed)
	}
	s.showClients(m.State.Clients)
}

func (s *settings) addHost() {
	host := strings.TrimSpace(s.field.Text)
	if host == "" {
		return
	}
	s.actions.Hosts("add", host, func(hosts []string) {
		s.field.SetText("")
		s.listed(hosts)
		s.say(fmt.Sprintf(s.words.Views.Added, words.Plain(host, 80)))
	})
}

// listed draws the upload servers.
func (s *settings) listed(hosts []string) {
	if len(s.servers.Objects) > 0 && slices.Equal(hosts, s.hosts) {
		return
	}
	s.hosts = hosts
	s.servers.Objects = nil
	for _, h := range hosts {
		remove := newButton(s.words.Views.Remove, theme.DeleteIcon(), s.actions.Leave, func() {
			s.actions.Hosts("remove", h, func(hosts []string) {
				s.listed(hosts)
				s.say(fmt.Sprintf(s.words.Views.Removed, words.Plain(h, 80)))
			})
		})
		remove.Importance = widget.LowImportance
		name := text(fyne.TextStyle{}, theme.SizeNameText, widget.MediumImportance)
		setText(name, words.Plain(h, 0))
		s.servers.Add(container.New(&beside{}, name, remove))
	}
	if len(hosts) == 0 {
		none := text(fyne.TextStyle{}, theme.SizeNameText, widget.LowImportance)
		setText(none, s.words.Views.NoServers)
		s.servers.Add(none)
	}
	s.servers.Refresh()
}

// showClients draws how each client stands.
func (s *settings) showClients(clients []agent.Client) {
	same := slices.EqualFunc(clients, s.seen, func(a, b agent.Client) bool {
		return a.Kind == b.Kind && a.Install == b.Install && a.State == b.State && a.Running == b.Running && a.Version == b.Version
	})
	if same && len(s.clients.Objects) > 0 {
		return
	}
	s.seen = slices.Clone(clients)
	s.clients.Objects = nil
	for _, c := range clients {
		line := text(fyne.TextStyle{}, theme.SizeNameText, widget.MediumImportance)
		line.Wrapping = fyne.TextWrapWord
		setText(line, s.words.ClientLine(c))
		tone := Patient
		switch {
		case !c.Running:
			tone = Quiet
		case c.State == "protected" || c.State == "ready":
			tone = Good
		}
		s.clients.Add(container.NewBorder(nil, nil, widget.NewIcon(factIcon(tone)), nil, line))
	}
	if len(clients) == 0 {
		none := text(fyne.TextStyle{}, theme.SizeNameText, widget.LowImportance)
		none.Wrapping = fyne.TextWrapWord
		setText(none, s.words.Views.NoClients)
		s.clients.Add(none)
	}
	s.clients.Refresh()
}

// hostNames reads the document of Hosts.
func hostNames(doc string) ([]string, error) {
	var d struct {
		Hosts []struct {
			Host string `json:"host"`
		} `json:"hosts"`
	}
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		return nil, fmt.Errorf("read the upload servers: %w", err)
	}
	names := make([]string, len(d.Hosts))
	for i, h := range d.Hosts {
		names[i] = h.Host
	}
	return names, nil
}

func (d *desk) settingsWindow() fyne.Window {
	var w fyne.Window
	var s *settings
	s = newSettings(d.Words, SettingsActions{
		AutoFix: func(on bool) {
			d.doAlways(func(ctx context.Context, c control.Client) error { return c.SetAutoFix(ctx, on) }, func() { d.draw() })
		},
		Hosts: func(verb, host string, then func([]string)) {
			var names []string
			d.do(func(ctx context.Context, c control.Client) error {
				doc, err := c.Hosts(ctx, verb, host)
				if err != nil {
					return err
				}
				names, err = hostNames(doc)
				return err
			}, func() { s.say(""); then(names) })
		},
		Check: func() { d.raise(Check) },
		SetUp: func() { d.raise(Welcome) },
		About: func() { d.raise(About) },
		Leave: func() { w.Close() },
	})
	w = d.paneWindow(Settings, d.Words.Views.SettingsTitle, s, fyne.NewSize(620, 640))
	return w
}
