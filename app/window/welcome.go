package window

import (
	"fmt"
	"slices"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"holdfast/app/agent"
	"holdfast/app/words"
)

// Probe is what an upload server said of itself.
type Probe struct {
	OK   bool
	Text string // a sentence
}

// Plan is what a set-up would change.
type Plan struct {
	ID    string
	Lines []PlanLine
}

// PlanLine is one file or setting that changes.
type PlanLine struct{ What, Why string }

// Steps are what the pages of the first run ask for. They are called on the window's goroutine and return at once;
// then runs on it. What goes wrong is said by whoever carries it out, and then is not called.
type Steps struct {
	Look    func() // for clients
	Suggest func(then func(hosts []string))
	Probe   func(host string, then func(Probe))
	Plan    func(host string, then func(Plan))
	Apply   func(p Plan, system bool, then func())
	Restart func(kind string, then func())
	Undo    func(then func()) // everything since the window was opened
	Wait    func(then func()) // a minute
	Leave   func()
}

// Pages of the first run.
const (
	pageClients = iota
	pageServer
	pageTrust
	pagePlan
	pageRestart
	pageSend
	pages
)

// welcome is the first run. Every page can go back; Cancel undoes what was done.
type welcome struct {
	*page
	words   *words.Words
	steps   Steps
	number  int
	clients []agent.Client
	online  bool

	hosts  []string // suggested
	host   *widget.Entry
	probed string // the host that Probe spoke of
	probe  Probe
	system bool
	plan   *Plan
	waited bool // a minute on the last page
	turn   int  // of pages: an answer to an earlier one is dropped

	back, next, cancel *button
}

func newWelcome(w *words.Words, s Steps) *welcome {
	v := &welcome{words: w, steps: s, host: widget.NewEntry()}
	v.host.SetPlaceHolder(w.Views.ServerHolder)
	v.host.OnSubmitted = func(string) { v.forward() }
	v.back = newButton(w.Welcome.Back, nil, v.undo, func() { v.turnTo(v.number - 1) })
	v.next = newButton(w.Welcome.Next, nil, v.undo, v.forward)
	v.next.Importance = widget.HighImportance
	v.cancel = newButton(w.Welcome.Cancel, nil, v.undo, v.undo)
	v.page = newPage(w.Welcome.Title, v.cancel, v.back, v.next)
	v.turnTo(pageClients)
	return v
}

// show follows the companion: clients come and go, and on the last page one turns green.
func (v *welcome) show(m *Model, connected bool) {
	same := connected == v.online && slices.EqualFunc(m.State.Clients, v.clients, func(a, b agent.Client) bool {
		return a.Kind == b.Kind && a.Install == b.Install && a.State == b.State && a.Running == b.Running
	})
	if same {
		return
	}
	v.online, v.clients = connected, slices.Clone(m.State.Clients)
	switch v.number {
	case pageClients, pageRestart, pageSend:
		v.draw()
	}
	v.buttons()
}

// turnTo shows a page.
func (v *welcome) turnTo(n int) {
	if n < 0 || n >= pages {
		return
	}
	v.number = n
	v.turn++
	v.say("")
	v.draw()
	v.buttons()
	turn := v.turn
	current := func(f func()) func() {
		return func() {
			if v.turn == turn {
				f()
				v.draw()
				v.buttons()
			}
		}
	}
	switch n {
	case pageServer:
		v.steps.Suggest(func(hosts []string) {
			current(func() {
				v.hosts = hosts
				if v.host.Text == "" && len(hosts) > 0 {
					v.host.SetText(hosts[0])
				}
			})()
		})
	case pagePlan:
		v.plan = nil
		v.steps.Plan(v.hostName(), func(p Plan) { current(func() { v.plan = &p })() })
	case pageSend:
		v.waited = false
		v.steps.Wait(current(func() { v.waited = true }))
	}
}

func (v *welcome) hostName() string { return strings.ToLower(strings.TrimSpace(v.host.Text)) }

// forward is the button to the right.
func (v *welcome) forward() {
	switch v.number {
	case pageServer:
		host := v.hostName()
		if host == "" {
			return
		}
		if v.probed == host && v.probe.OK {
			v.turnTo(pageTrust)
			return
		}
		v.say(fmt.Sprintf(v.words.Welcome.ServerProbing, words.Plain(host, 80)))
		turn := v.turn
		v.steps.Probe(host, func(p Probe) {
			if v.turn != turn {
				return
			}
			v.probed, v.probe = host, p
			v.say(p.Text)
			v.buttons()
		})
	case pagePlan:
		if v.plan == nil {
			return
		}
		turn := v.turn
		v.steps.Apply(*v.plan, v.system, func() {
			if v.turn == turn {
				v.turnTo(pageRestart)
			}
		})
	case pageSend:
		v.steps.Leave()
	default:
		v.turnTo(v.number + 1)
	}
}

// undo is Cancel: what was done since the window was opened is taken back.
func (v *welcome) undo() { v.steps.Undo(v.steps.Leave) }

func (v *welcome) buttons() {
	w := v.words.Welcome
	label := w.Next
	switch v.number {
	case pagePlan:
		label = w.PlanApply
	case pageSend:
		label = w.Done
	}
	if v.next.Text != label {
		v.next.SetText(label)
	}
	enable(v.back, v.number > pageClients)
	ready := v.online || v.number == pageSend
	switch v.number {
	case pageClients:
		ready = ready && len(v.clients) > 0
	case pagePlan:
		ready = ready && v.plan != nil
	}
	enable(v.next, ready)
}

// draw fills the body of the present page.
func (v *welcome) draw() {
	w := v.words.Welcome
	head := []string{w.ClientsHead, w.ServerHead, w.TrustHead, w.PlanHead, w.RestartHead, w.SendHead}[v.number]
	lead := []string{w.ClientsLead, w.ServerLead, w.TrustLead, w.PlanLead, w.RestartLead, v.sendLead()}[v.number]
	setText(v.heading, head)
	setText(v.lead, fmt.Sprintf(w.Step, v.number+1, pages)+". "+lead)
	v.fill([]func() []fyne.CanvasObject{v.drawClients, v.drawServer, v.drawTrust, v.drawPlan, v.drawRestart, v.drawSend}[v.number]()...)
}

func (v *welcome) drawClients() (out []fyne.CanvasObject) {
	for _, c := range v.clients {
		name := words.ClientName(c.Kind)
		if c.Version != "" {
			name += " " + words.Plain(c.Version, 30)
		}
		if c.Install != "native" && c.Install != "" {
			name += " (" + words.Plain(c.Install, 20) + ")"
		}
		out = append(out, note(Good, name, ""))
	}
	if len(out) == 0 {
		text := v.words.Welcome.ClientsNone
		if !v.online {
			text = v.words.Views.SettingsOff
		}
		out = append(out, note(Patient, text, ""))
	}
	return append(out, container.NewHBox(newButton(v.words.Welcome.ClientsAgain, theme.ViewRefreshIcon(), v.undo, func() { v.steps.Look() })))
}

func (v *welcome) drawServer() []fyne.CanvasObject {
	out := []fyne.CanvasObject{newCard(v.host)}
	if len(v.hosts) > 0 {
		buttons := container.New(layout.NewCustomPaddedVBoxLayout(4))
		for _, h := range v.hosts {
			b := newButton(words.Plain(h, 60), nil, v.undo, func() { v.host.SetText(h) })
			b.Alignment = widget.ButtonAlignLeading
			buttons.Add(b)
		}
		out = append(out, section(v.words.Welcome.ServerSuggested, "", buttons))
	}
	return out
}

func (v *welcome) drawTrust() []fyne.CanvasObject {
	w := v.words.Welcome
	choice := widget.NewRadioGroup([]string{w.TrustApp, w.TrustSystem}, nil)
	choice.Required = true
	choice.SetSelected(w.TrustApp)
	hint := text(fyne.TextStyle{}, theme.SizeNameText, widget.LowImportance)
	hint.Wrapping = fyne.TextWrapWord
	say := func() {
		setText(hint, w.TrustAppHint)
		if v.system {
			setText(hint, w.TrustSysHint)
		}
	}
	if v.system {
		choice.SetSelected(w.TrustSystem)
	}
	choice.OnChanged = func(s string) { v.system = s == w.TrustSystem; say() }
	say()
	return []fyne.CanvasObject{newCard(container.NewVBox(choice, hint))}
}

func (v *welcome) drawPlan() (out []fyne.CanvasObject) {
	if v.plan == nil {
		return []fyne.CanvasObject{note(Busy, v.words.Views.Checking, "")}
	}
	for _, l := range v.plan.Lines {
		out = append(out, note(Quiet, words.Plain(l.What, 0), words.Plain(l.Why, 0)))
	}
	if len(out) == 0 {
		out = append(out, note(Good, v.words.Welcome.PlanNothing, ""))
	}
	return out
}

func (v *welcome) drawRestart() (out []fyne.CanvasObject) {
	w := v.words.Welcome
	for _, c := range v.clients {
		if !c.Running {
			continue
		}
		name := words.ClientName(c.Kind)
		if c.State == "ready" || c.State == "protected" {
			out = append(out, note(Good, v.words.ClientLine(c), ""))
			continue
		}
		b := newButton(fmt.Sprintf(w.RestartOne, name), theme.ViewRefreshIcon(), v.undo, func() {
			v.steps.Restart(c.Kind, func() { v.say(fmt.Sprintf(w.RestartDone, name)) })
		})
		line := text(fyne.TextStyle{}, theme.SizeNameText, widget.MediumImportance)
		line.Wrapping = fyne.TextWrapWord
		setText(line, v.words.ClientLine(c))
		out = append(out, newCard(container.New(&beside{}, line, b)))
	}
	if len(out) == 0 {
		out = append(out, note(Quiet, w.RestartNone, ""))
	}
	return out
}

// sendLead names the running clients.
func (v *welcome) sendLead() string {
	var names []string
	for _, c := range v.clients {
		if name := words.ClientName(c.Kind); c.Running && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return v.words.Welcome.SendNone
	}
	return fmt.Sprintf(v.words.Welcome.SendLead, strings.Join(names, ", "))
}

// drawSend has a line for each running client; it turns green when an upload has come through. After a minute a line
// that has not says what is missing.
func (v *welcome) drawSend() (out []fyne.CanvasObject) {
	w := v.words.Welcome
	running, green := 0, 0
	for _, c := range v.clients {
		if !c.Running {
			continue
		}
		running++
		if c.State == "protected" {
			green++
			out = append(out, note(Good, v.words.ClientLine(c), ""))
			continue
		}
		missing := ""
		if v.waited {
			missing = w.SendMissing
		}
		out = append(out, note(Patient, v.words.ClientLine(c), missing))
	}
	if running > 0 && green == running {
		out = append(out, note(Good, w.SendAll, ""))
	}
	return out
}
