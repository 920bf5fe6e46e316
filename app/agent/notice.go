package agent

import (
	"maps"
	"strings"
	"time"
)

// NoticeKind is what a Notice is about.
type NoticeKind string

// The notices. What went well is not one of them: the list of uploads shows it.
const (
	Waits     NoticeKind = "waits"     // an upload waits, and its client waits with it
	GaveUp    NoticeKind = "gave-up"   // an upload is over without the file having arrived
	Stuck     NoticeKind = "stuck"     // a client needs a restart, and a person has to say so
	Restarts  NoticeKind = "restarts"  // it will be restarted at Until
	Restarted NoticeKind = "restarted" // it was
)

// Action is what a person can choose in a Notice.
type Action string

// The actions.
const (
	Try     Action = "try"
	Cancel  Action = "cancel"
	Open    Action = "open"
	Restart Action = "restart"
	Later   Action = "later"
)

// Notice is something that a person should see now. One of each Key is shown at a time; a newer one replaces it.
type Notice struct {
	Key     string
	Kind    NoticeKind
	Client  string // dino, gajim, or what an upload calls its client
	File    string
	Host    string
	Reason  string    // why an upload waits or is over, as a sentence
	Until   time.Time // of Restarts
	Actions []Action
}

// quiet is how long an upload waits before a person is told: most waits end sooner.
const quiet = 10 * time.Second

// wait is an upload that waits.
type wait struct {
	since time.Time
	shown bool
}

func uploadKey(id string) string { return "upload/" + id }

// client is an installed client by the name that an upload gives it.
func (u Upload) kind() string { return strings.ToLower(u.Client) }

// withWaiting follows how long an upload waits, and tells when it was too long, or when it is over.
func (m model) withWaiting(u Upload, now time.Time) (model, []Effect) {
	w, waited := m.waits[u.ID]
	m.waits = maps.Clone(m.waits)
	switch {
	case u.State == "waiting":
		if !waited {
			m.waits[u.ID] = wait{since: now}
		}
		return m, nil
	case !u.ended() && waited:
		delete(m.waits, u.ID)
		if w.shown {
			return m, []Effect{Withdraw{uploadKey(u.ID)}}
		}
		return m, nil
	case !u.ended():
		return m, nil
	}
	delete(m.waits, u.ID)
	// A client that leaves an upload which never had to wait was told to by a person.
	lost := u.State == "failed" || u.State == "cancelled" && u.Reason == "client-gone" && (w.shown || u.Repeats > 0)
	if !lost {
		if w.shown {
			return m, []Effect{Withdraw{uploadKey(u.ID)}}
		}
		return m, nil
	}
	n := Notice{Key: uploadKey(u.ID), Kind: GaveUp, Client: u.Client, File: u.File, Host: u.Host, Reason: u.Error}
	for _, c := range m.clients {
		if c.Kind == u.kind() {
			n.Actions = []Action{Open}
		}
	}
	return m, []Effect{Announce{n}}
}

// tellWaiting announces uploads that have waited for long.
func (m model) tellWaiting(now time.Time) (model, []Effect) {
	var out []Effect
	for id, w := range m.waits {
		u, running := m.uploads[id]
		if w.shown || !running || now.Sub(w.since) < quiet {
			continue
		}
		m.waits = maps.Clone(m.waits)
		m.waits[id] = wait{w.since, true}
		out = append(out, Announce{Notice{
			Key: uploadKey(id), Kind: Waits, Client: u.Client, File: u.File, Host: u.Host, Reason: u.Error, Actions: []Action{Try, Cancel},
		}})
	}
	return m, out
}

// chosen is what a person clicked in a notice.
func (m model) chosen(e Chosen) (model, []Effect) {
	if id, ok := strings.CutPrefix(e.Key, "upload/"); ok {
		switch e.Action {
		case Try:
			return m, []Effect{TryUpload{id}}
		case Cancel:
			return m, []Effect{CancelUpload{id}}
		case Open:
			return m, []Effect{OpenClient{strings.ToLower(e.Client)}}
		}
		return m, nil
	}
	if kind, ok := strings.CutPrefix(e.Key, "client/"); ok {
		if e.Action == Open {
			return m, []Effect{OpenClient{kind}}
		}
		return m.answered(kind, e.Action)
	}
	return m, nil
}
