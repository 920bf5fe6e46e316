package agent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/detect/network"
)

var t0 = time.Date(2026, 5, 4, 6, 0, 0, 0, time.UTC)

// said is an event of the network watcher, so many milliseconds after t0.
func said(ms int, material bool, slept time.Duration, old, new network.Snapshot, words ...string) NetworkChanged {
	return NetworkChanged{network.Event{
		Change: network.Change{Old: old, New: new, Material: material, Words: words, Slept: slept},
		At:     t0.Add(time.Duration(ms) * time.Millisecond),
	}}
}

func sending(id string, sent int64) UploadChanged {
	return UploadChanged{Upload{ID: id, State: "sending", Sent: sent}}
}

func TestSleepHoldsUploadsUntilTheNetworkIsKnown(t *testing.T) {
	night := 6 * time.Hour
	asleep := said(0, false, 0, home, home, "asleep")
	resumed := said(100, false, night, home, home, "resumed")
	same := said(900, true, night, home, home, "same")
	for _, c := range []struct {
		name    string
		events  []Event
		effects []string
		sleep   *Sleep
	}{
		{"resume, network, upload going on: in this order, and the times between are told",
			[]Event{change(none, home), sending("a", 10), asleep, resumed, same, sending("a", 10), sending("a", 20), sending("a", 30)},
			[]string{"refresh", "held=true", "held=false", "refresh", "slept 21600 s, network 800 ms, upload 1900 ms"},
			&Sleep{Woke: t0.Add(100 * time.Millisecond), Slept: 21600, Network: 800, Upload: 1900}},
		{"an upload that was not there before is not one that goes on",
			[]Event{asleep, resumed, same, sending("b", 20)},
			[]string{"held=true", "held=false", "refresh"},
			&Sleep{Woke: t0.Add(100 * time.Millisecond), Slept: 21600, Network: 800}},
		{"another network after sleep", []Event{asleep, resumed, said(900, true, night, home, wired, "link")},
			[]string{"held=true", "held=false", "refresh"},
			&Sleep{Woke: t0.Add(100 * time.Millisecond), Slept: 21600, Network: 800}},
		{"none after sleep", []Event{asleep, resumed, said(15100, true, night, home, none, "offline")},
			[]string{"held=true", "online=false", "held=false"},
			&Sleep{Woke: t0.Add(100 * time.Millisecond), Slept: 21600, Network: 15000}},
		{"with auto-fix off nothing is held and nothing is hurried", []Event{AutoFixSet{On: false}, asleep, resumed, same}, nil,
			&Sleep{Woke: t0.Add(100 * time.Millisecond), Slept: 21600, Network: 800}},
		{"a sleep whose end is never told does not hold for ever", []Event{asleep, change(home, wired)},
			[]string{"held=true", "held=false", "refresh"}, nil},
		{"a sleep that only the clock saw", []Event{resumed, same}, []string{"held=true", "held=false", "refresh"},
			&Sleep{Woke: t0.Add(100 * time.Millisecond), Slept: 21600, Network: 800}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newModel("v", true)
			var got []string
			for _, e := range c.events {
				var effects []Effect
				m, effects = reduce(m, e, t0.Add(2*time.Second))
				got = append(got, names(effects)...)
			}
			if d := cmp.Diff(c.effects, got); d != "" {
				t.Errorf("effects (-want +got):\n%s", d)
			}
			if d := cmp.Diff(c.sleep, m.state(phrase, network.Change.String).Sleep); d != "" {
				t.Errorf("sleep (-want +got):\n%s", d)
			}
		})
	}
}

func TestTheLastChangeOfTheNetworkIsInTheState(t *testing.T) {
	m := newModel("v", true)
	m, _ = reduce(m, said(0, true, 0, none, home, "online"), t0)
	m, _ = reduce(m, said(5000, true, 0, home, wired, "link"), t0)
	m, _ = reduce(m, said(9000, false, 0, wired, wired, "asleep"), t0)
	s := m.state(phrase, network.Change.String).Network
	if s.Change != `Wi-Fi "Home" -> Ethernet "wired0"` || !s.Changed.Equal(t0.Add(5*time.Second)) {
		t.Errorf("network %+v", s)
	}
}
