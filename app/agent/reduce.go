package agent

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"holdfast/detect/network"
)

// model is all that the agent knows; State is made from it.
type model struct {
	version     string
	autoFix     bool
	paused      bool
	pausedUntil time.Time // zero with paused: until resumed
	net         Network
	mayGoOn     bool // what the relay was told last: it may try by itself
	holding     bool // what it was told last about sleep
	relay       Relay
	keyring     Keyring
	clients     []Client
	through     map[string]passage        // by client kind: the last upload that came through
	reports     map[string]ClientReported // by client kind: how it was started, as its launcher has it
	uploads     map[string]Upload         // running ones
	last        *Upload                   // the one that ended last
	issues      []Issue
	change      network.Change // the last one
	nap         nap
	waits       map[string]wait      // uploads that wait, by id
	cures       map[string]cure      // stuck clients, by kind
	restarted   map[string]time.Time // by kind: when it was restarted without anybody asking
}

// passage is an upload that came through: when, and which process sent it.
type passage struct {
	at  time.Time
	pid int
}

func newModel(version string, autoFix bool) model {
	return model{
		version: version,
		autoFix: autoFix,
		mayGoOn: true,
		net:     Network{Online: true}, // until the watcher says otherwise
		keyring: KeyringAbsent,
		through: map[string]passage{},
		reports: map[string]ClientReported{},
		uploads: map[string]Upload{},
		waits:   map[string]wait{}, cures: map[string]cure{}, restarted: map[string]time.Time{},
	}
}

// acting says whether Holdfast does anything by itself.
func (m model) acting() bool { return m.autoFix && !m.paused }

// reduce is what an event means. It changes neither m nor what m points to.
func reduce(m model, e Event, now time.Time) (model, []Effect) {
	if m.paused && !m.pausedUntil.IsZero() && !now.Before(m.pausedUntil) {
		m.paused, m.pausedUntil = false, time.Time{}
		next, effects := reduce(m, e, now)
		return next, append(resumeEffects(m), effects...)
	}
	var out []Effect
	before := m.acting()
	switch e := e.(type) {
	case NetworkChanged:
		if m.nap.takes(e.Change.Words) {
			m = m.withSleep(e.Change, e.At)
			break
		}
		m = m.withNetwork(e)
		if m.acting() && e.Change.Material && m.online() {
			out = append(out, RefreshRelay{})
		}
	case UploadChanged:
		m, out = m.withUpload(e.Upload)
		var told []Effect
		m, told = m.withWaiting(e.Upload, now)
		out = append(out, told...)
		if next, done := m.nap.wentOn(e.Upload, now); done {
			m.nap = next
			out = append(out, ReportSleep{next.sleep()})
		}
	case ClientsFound:
		m = m.withClients(e.Clients)
	case ClientReported:
		m = m.withReport(e)
	case ClientReset:
		m.issues = without(m.issues, ClientStuck, e.Kind)
	case RelayListens:
		m.relay = e.Relay
	case KeyringAnswered:
		m.keyring = e.Keyring
		m.issues = without(without(m.issues, KeyringIsLocked), KeyringIsAbsent)
		switch e.Keyring {
		case KeyringLocked:
			m.issues = raise(m.issues, Issue{Code: KeyringIsLocked})
		case KeyringAbsent:
			m.issues = raise(m.issues, Issue{Code: KeyringIsAbsent})
		}
	case Raised:
		m.issues = raise(m.issues, e.Issue)
	case Cleared:
		m.issues = without(m.issues, e.Code, e.Args...)
	case AutoFixSet:
		m.autoFix = e.On
	case PauseAsked:
		m.paused, m.pausedUntil = true, e.Until
	case ResumeAsked:
		m.paused, m.pausedUntil = false, time.Time{}
	case Chosen:
		m, out = m.chosen(e)
	case Unheard:
		m = m.unheard(e.Key)
	case SoundSeen:
		m, out = m.soundSeen(e, now)
	case RestartEnded:
		m, out = m.restartEnded(e)
	case Elapsed:
	case StillOffline:
		if m.held() {
			out = append(out, RefreshRelay{})
		}
	}
	m, told := m.tellCarrier()
	out = append(told, out...)
	if !before && m.acting() {
		out = append(out, resumeEffects(m)...)
	}
	m, waits := m.tellWaiting(now)
	m, tended := m.tend(now)
	return m, slices.Concat(out, waits, tended)
}

// tellCarrier tells the relay what it may do by itself now.
func (m model) tellCarrier() (model, []Effect) {
	var out []Effect
	// It is only kept waiting for the network while somebody will tell it to go on.
	if want := m.online() || !m.acting(); want != m.mayGoOn {
		m.mayGoOn = want
		out = append(out, TellOnline{want})
	}
	// From the moment before a sleep it repeats nothing until the network is known again.
	if want := m.nap.holds() && m.acting(); want != m.holding {
		m.holding = want
		out = append(out, TellHeld{want})
	}
	return m, out
}

// resumeEffects are due when auto-fix begins to act: what was missed meanwhile.
func resumeEffects(m model) []Effect {
	if m.acting() && m.online() {
		return []Effect{RefreshRelay{}}
	}
	return nil
}

// held says whether an upload waits for a word of ours.
func (m model) held() bool {
	if m.mayGoOn {
		return false
	}
	for _, u := range m.uploads {
		if u.State == "waiting" {
			return true
		}
	}
	return false
}

func (m model) online() bool { return m.net.Online && !m.net.Portal }

func (m model) withNetwork(e NetworkChanged) model {
	s := e.Change.New
	before := m.net
	m.net = Network{Kind: string(s.Link), Name: s.Name, Online: s.Online, Metered: s.Metered, Portal: s.Portal}
	m.net.Changed = before.Changed
	if len(e.Change.Words) > 0 {
		m.net.Changed, m.change = e.At, e.Change
	}
	m.nap = m.nap.known(e.At, m.uploads)
	m.issues = without(without(without(without(m.issues, Offline), Portal), Certificate), NetworkBlind)
	switch {
	case s.Unknown:
		m.issues = raise(m.issues, Issue{Code: NetworkBlind})
	case s.Portal:
		m.issues = raise(m.issues, Issue{Code: Portal, Args: []string{s.Name}})
	case !s.Online:
		m.issues = raise(m.issues, Issue{Code: Offline})
	}
	return m
}

// ended says whether an upload is over.
func (u Upload) ended() bool {
	return u.State == "done" || u.State == "failed" || u.State == "cancelled"
}

func (m model) withUpload(u Upload) (model, []Effect) {
	m.uploads = maps.Clone(m.uploads)
	if !u.ended() {
		m.uploads[u.ID] = u
		if u.Reason == string(Portal) { // seen by the relay; NetworkManager may not know, or not be there
			m.issues = raise(m.issues, Issue{Code: Portal, Args: []string{m.net.Name}})
		}
		return m, nil
	}
	delete(m.uploads, u.ID)
	m.last = &u
	switch {
	case u.State == "done":
		kind := strings.ToLower(u.Client)
		m.through = maps.Clone(m.through)
		m.through[kind] = passage{at: u.Ended, pid: m.pidOf(kind)}
		m.issues = without(without(m.issues, Certificate, u.Host), ClientStuck, kind)
		if !m.net.Portal {
			m.issues = without(m.issues, Portal)
		}
		m = m.withClients(m.clients)
	case strings.HasPrefix(u.Reason, string(Certificate)):
		m.issues = raise(m.issues, Issue{Code: Certificate, Args: []string{u.Host, u.Reason}})
	}
	return m, []Effect{KeepUpload{u}}
}

func (m model) pidOf(kind string) int {
	for _, c := range m.clients {
		if c.Kind == kind && c.Running {
			return c.PID
		}
	}
	return 0
}

func (m model) withClients(found []Client) model {
	m.clients = slices.Clone(found)
	m.issues = without(m.issues, ClientNotRouted)
	for i := range m.clients {
		c := &m.clients[i]
		if r, ok := m.reports[c.Kind]; ok && c.Running && c.PID == r.PID && c.State != "ready" {
			c.State = r.Event // whoever started it knows more than can be seen from outside
		}
		if p, ok := m.through[c.Kind]; ok {
			c.LastSeen = p.at
			if c.State == "ready" || c.Running && c.PID != 0 && c.PID == p.pid {
				c.State = "protected"
			}
		}
		if c.Running && c.State != "ready" && c.State != "protected" {
			m.issues = raise(m.issues, Issue{Code: ClientNotRouted, Args: []string{c.Kind, c.State}})
		}
	}
	for _, i := range m.issues {
		if i.Code == ClientStuck && (len(i.Args) < 2 || i.Args[1] != pidText(m.pidOf(i.Args[0]))) {
			m.issues = without(m.issues, ClientStuck, i.Args[0]) // that process is gone
		}
	}
	return m
}

func (m model) withReport(r ClientReported) model {
	if r.Event == "stuck" {
		m.issues = raise(m.issues, Issue{Code: ClientStuck, Args: []string{r.Kind, pidText(r.PID)}})
		return m
	}
	m.clients = slices.Clone(m.clients)
	for i := range m.clients {
		c := &m.clients[i]
		if c.Kind != r.Kind || c.PID != r.PID {
			continue
		}
		switch r.Event {
		case "bypassed", "needs-restart":
			c.State = r.Event
			m.reports = maps.Clone(m.reports)
			m.reports[r.Kind] = r
		case "gone":
			c.Running, c.PID = false, 0
		}
	}
	return m.withClients(m.clients)
}

// state renders the model.
func (m model) state(say Phrases, describe func(network.Change) string) State {
	s := State{
		Schema:      1,
		Version:     m.version,
		AutoFix:     m.autoFix,
		Paused:      m.paused,
		PausedUntil: m.pausedUntil,
		Network:     m.net,
		Relay:       m.relay,
		Keyring:     m.keyring,
		Clients:     slices.Clone(m.clients),
		Last:        m.last,
		Problems:    []Problem{},
	}
	if len(m.change.Words) > 0 {
		s.Network.Change = describe(m.change)
	}
	if !m.nap.woke.IsZero() {
		told := m.nap.sleep()
		s.Sleep = &told
	}
	if s.Clients == nil {
		s.Clients = []Client{}
	}
	for i := range s.Clients {
		if s.Clients[i].Hosts == nil {
			s.Clients[i].Hosts = []string{}
		}
	}
	for _, u := range m.uploads {
		if u.State == "waiting" {
			s.Uploads.Waiting++
		} else {
			s.Uploads.Active++
		}
	}
	sorted := slices.Clone(m.issues)
	slices.SortStableFunc(sorted, func(a, b Issue) int { return cmp.Compare(rank(a.Code), rank(b.Code)) })
	for _, i := range sorted {
		s.Problems = append(s.Problems, say(i))
	}
	s.Status = status(m, s.Uploads)
	return s
}

func rank(c Code) int {
	if c.serious() {
		return 0
	}
	return 1
}

// status is what the icon shows: first what a person must do, then what happens, then how things stand.
func status(m model, n Counts) Status {
	switch {
	case slices.ContainsFunc(m.issues, func(i Issue) bool { return i.Code.serious() }):
		return Attention
	case n.Active > 0:
		return Working
	case n.Waiting > 0:
		return Waiting
	case m.paused:
		return Paused
	case !m.net.Online:
		return Waiting
	}
	running, protected := 0, 0
	for _, c := range m.clients {
		if c.Running {
			running++
			if c.State == "protected" {
				protected++
			}
		}
	}
	if running > 0 && running == protected {
		return Protected
	}
	return Ready
}
