package agent

import (
	"maps"
	"strconv"
	"time"
)

const (
	// notice is how long a person can say no before a client is restarted.
	notice = 30 * time.Second
	// lookAgain is the pause before a client that was in a call is looked at again.
	lookAgain = time.Minute
	// restartPause is the shortest time between two restarts of a client that nobody asked for.
	restartPause = 10 * time.Minute
)

// stage is how far the cure of a stuck client has come.
type stage int

const (
	looking    stage = iota + 1 // whether it plays or records sound is being found out
	offered                     // the person was offered a restart; nothing happens by itself
	busy                        // it had sound; it is looked at again
	announced                   // it will be restarted when the notice ends
	restarting                  // it is being restarted
	declined                    // the person said: not now
)

// cure is a stuck client.
type cure struct {
	pid   int
	stage stage
	due   time.Time // of busy and announced
}

func clientKey(kind string) string { return "client/" + kind }

// curable are the clients that a restart helps. Nothing else is ever restarted by itself.
func curable(kind string) bool { return kind == "dino" }

// mayRestart says whether a client may be restarted without anybody asking: auto-fix acts, nothing is lost by it, the
// network is there and costs nothing, and it was not restarted just now.
func (m model) mayRestart(kind string, now time.Time) bool {
	last, before := m.restarted[kind]
	return m.acting() && m.online() && !m.net.Metered && !m.nap.holds() && len(m.uploads) == 0 &&
		(!before || now.Sub(last) >= restartPause)
}

// stuck lists the running clients that are, by kind, with their process.
func (m model) stuck() map[string]int {
	out := map[string]int{}
	for _, i := range m.issues {
		if i.Code != ClientStuck || len(i.Args) < 2 || !curable(i.Args[0]) {
			continue
		}
		if pid, err := strconv.Atoi(i.Args[1]); err == nil && pid != 0 && pid == m.pidOf(i.Args[0]) {
			out[i.Args[0]] = pid
		}
	}
	return out
}

// tend moves the cures on: begins them, lets their notices run out, and takes back those that are no longer due.
func (m model) tend(now time.Time) (model, []Effect) {
	var out []Effect
	stuck := m.stuck()
	if len(stuck) == 0 && len(m.cures) == 0 {
		return m, nil
	}
	m.cures = maps.Clone(m.cures)
	for kind, c := range m.cures {
		if pid, still := stuck[kind]; still && pid == c.pid || c.stage == restarting {
			continue
		}
		delete(m.cures, kind) // it is well, or gone
		if c.stage == announced || c.stage == offered || c.stage == busy {
			out = append(out, Withdraw{clientKey(kind)})
		}
	}
	for kind, pid := range stuck {
		c, begun := m.cures[kind]
		may := m.mayRestart(kind, now)
		switch {
		case !begun && may:
			c = cure{pid: pid, stage: looking}
			out = append(out, LookAtSound{kind, pid})
		case !begun:
			c = cure{pid: pid, stage: offered}
			out = append(out, Announce{m.offer(kind)})
		case c.stage == busy && !now.Before(c.due):
			c.stage = looking
			out = append(out, LookAtSound{kind, pid})
		case c.stage == announced && !may:
			c.stage = offered
			out = append(out, Announce{m.offer(kind)})
		case c.stage == announced && !now.Before(c.due):
			c.stage = restarting
			m.restarted = maps.Clone(m.restarted)
			m.restarted[kind] = now
			out = append(out, RestartClient{Kind: kind, PID: pid, ByItself: true})
		}
		m.cures[kind] = c
	}
	return m, out
}

func (m model) offer(kind string) Notice {
	return Notice{Key: clientKey(kind), Kind: Stuck, Client: kind, Actions: []Action{Restart, Later}}
}

// soundSeen is the answer to LookAtSound. What cannot be told counts as sound: a call is worth more than an upload.
func (m model) soundSeen(e SoundSeen, now time.Time) (model, []Effect) {
	c, ok := m.cures[e.Kind]
	if !ok || c.pid != e.PID || c.stage != looking {
		return m, nil
	}
	m.cures = maps.Clone(m.cures)
	n := m.offer(e.Kind)
	switch {
	case e.Unknown || !m.mayRestart(e.Kind, now):
		c.stage = offered
	case !e.Quiet:
		c.stage, c.due = busy, now.Add(lookAgain)
	default:
		c.stage, c.due = announced, now.Add(notice)
		n.Kind, n.Until = Restarts, c.due
	}
	m.cures[e.Kind] = c
	return m, []Effect{Announce{n}}
}

// unheard: a notice could not be shown. Without one nothing is restarted.
func (m model) unheard(key string) model {
	for kind, c := range m.cures {
		if clientKey(kind) == key && (c.stage == announced || c.stage == busy) {
			m.cures = maps.Clone(m.cures)
			c.stage = offered
			m.cures[kind] = c
		}
	}
	return m
}

// answered is what a person chose for a stuck client.
func (m model) answered(kind string, a Action) (model, []Effect) {
	c, ok := m.cures[kind]
	if !ok || c.stage == restarting {
		return m, nil
	}
	m.cures = maps.Clone(m.cures)
	var out []Effect
	switch a {
	case Restart:
		c.stage = restarting
		out = []Effect{RestartClient{Kind: kind, PID: c.pid}}
	case Later:
		c.stage = declined
		out = []Effect{Withdraw{clientKey(kind)}}
	}
	m.cures[kind] = c
	return m, out
}

// restartEnded is the end of a RestartClient.
func (m model) restartEnded(e RestartEnded) (model, []Effect) {
	if _, ok := m.cures[e.Kind]; !ok {
		return m, nil
	}
	m.cures = maps.Clone(m.cures)
	if !e.OK {
		c := m.cures[e.Kind]
		c.stage = offered
		m.cures[e.Kind] = c
		return m, []Effect{Announce{m.offer(e.Kind)}}
	}
	delete(m.cures, e.Kind)
	m.issues = without(m.issues, ClientStuck, e.Kind)
	return m, []Effect{Announce{Notice{Key: clientKey(e.Kind), Kind: Restarted, Client: e.Kind, Actions: []Action{Open}}}}
}

// next is when something is due by itself; zero: nothing is.
func (m model) next() (at time.Time) {
	soonest := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if m.paused {
		soonest(m.pausedUntil)
	}
	for id, w := range m.waits {
		if _, running := m.uploads[id]; running && !w.shown {
			soonest(w.since.Add(quiet))
		}
	}
	for _, c := range m.cures {
		if c.stage == busy || c.stage == announced {
			soonest(c.due)
		}
	}
	return at
}
