package agent

import (
	"slices"
	"time"

	"holdfast/detect/network"
)

// nap is the last sleep of the machine, and how uploads went on after it.
type nap struct {
	asleep  bool
	slept   time.Duration
	woke    time.Time
	network time.Time        // when the network was known again
	upload  time.Time        // when the first upload went on
	sent    map[string]int64 // what the uploads of before had sent then, by id
}

// takes says whether a change is about sleep alone.
func (n nap) takes(words []string) bool {
	return slices.Contains(words, "asleep") || slices.Contains(words, "resumed")
}

// holds says whether uploads have to wait because the machine sleeps, or has just woken and knows no network yet.
func (n nap) holds() bool { return n.asleep || !n.woke.IsZero() && n.network.IsZero() }

func (m model) withSleep(c network.Change, at time.Time) model {
	if slices.Contains(c.Words, "asleep") {
		m.nap = nap{asleep: true}
		return m
	}
	m.nap = nap{slept: c.Slept, woke: at}
	return m
}

// known takes note of the first news of the network after a sleep.
func (n nap) known(at time.Time, uploads map[string]Upload) nap {
	if n.asleep {
		return nap{} // somebody watches, so the machine is awake: its word of that was lost
	}
	if n.woke.IsZero() || !n.network.IsZero() {
		return n
	}
	n.network = at
	n.sent = map[string]int64{}
	for id, u := range uploads {
		n.sent[id] = u.Sent
	}
	return n
}

// wentOn says whether an upload shows that it goes on after a sleep: it was there before, and has sent more since.
func (n nap) wentOn(u Upload, now time.Time) (nap, bool) {
	before, there := n.sent[u.ID]
	if !there || !n.upload.IsZero() || u.State != "done" && (u.State != "sending" || u.Sent <= before) {
		return n, false
	}
	n.upload = now
	return n, true
}

// sleep is what a view shows of it.
func (n nap) sleep() Sleep {
	s := Sleep{Woke: n.woke, Slept: int64(n.slept / time.Second)}
	if !n.network.IsZero() {
		s.Network = n.network.Sub(n.woke).Milliseconds()
	}
	if !n.upload.IsZero() {
		s.Upload = n.upload.Sub(n.woke).Milliseconds()
	}
	return s
}
