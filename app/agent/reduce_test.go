package agent

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/detect/network"
)

var (
	home    = network.Snapshot{Online: true, Link: network.WiFi, Name: "Home"}
	wired   = network.Snapshot{Online: true, Link: network.Ethernet, Name: "wired0"}
	none    = network.Snapshot{}
	inn     = network.Snapshot{Online: true, Portal: true, Link: network.WiFi, Name: "Inn"}
	unknown = network.Snapshot{Online: true, Unknown: true}
)

func change(old, new network.Snapshot) NetworkChanged {
	return NetworkChanged{network.Event{Change: network.Change{Old: old, New: new, Material: true}}}
}

func upload(id, state string) UploadChanged {
	return UploadChanged{Upload{ID: id, State: state, Host: "upload.example.org", Client: "Gajim"}}
}

func gajim(pid int, state string) Client {
	return Client{Kind: "gajim", Install: "native", Running: pid != 0, PID: pid, State: state}
}

// names shows effects in short.
func names(effects []Effect) (out []string) {
	for _, e := range effects {
		switch e := e.(type) {
		case RefreshRelay:
			out = append(out, "refresh")
		case TellOnline:
			out = append(out, fmt.Sprintf("online=%v", e.Online))
		case TellHeld:
			out = append(out, fmt.Sprintf("held=%v", e.Held))
		case KeepUpload:
			out = append(out, "keep "+e.Upload.ID)
		case ReportSleep:
			out = append(out, fmt.Sprintf("slept %d s, network %d ms, upload %d ms", e.Sleep.Slept, e.Sleep.Network, e.Sleep.Upload))
		}
	}
	return out
}

func codes(s State) (out []string) {
	for _, p := range s.Problems {
		out = append(out, p.Code)
	}
	return out
}

func phrase(i Issue) Problem {
	return Problem{Code: strings.TrimSpace(string(i.Code) + " " + strings.Join(i.Args, " "))}
}

func TestReduce(t *testing.T) {
	t0 := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	off := AutoFixSet{On: false}
	on := AutoFixSet{On: true}
	for _, c := range []struct {
		name    string
		events  []Event
		effects []string // of all events
		status  Status
		codes   []string
	}{
		{"knows nothing at first", nil, nil, Ready, nil},
		{"a change of network makes uploads go on at once", []Event{change(home, wired)}, []string{"refresh"}, Ready, nil},
		{"a change that is not material does nothing",
			[]Event{NetworkChanged{network.Event{Change: network.Change{Old: home, New: home}}}}, nil, Ready, nil},
		{"offline, the relay waits for us; online, it goes on",
			[]Event{change(home, none), change(none, wired)}, []string{"online=false", "online=true", "refresh"}, Ready, nil},
		{"offline is shown as waiting", []Event{change(home, none)}, []string{"online=false"}, Waiting, []string{"offline"}},
		{"behind a portal uploads wait and the person is told",
			[]Event{change(home, inn)}, []string{"online=false"}, Attention, []string{"portal Inn"}},
		{"after signing in they go on", []Event{change(home, inn), change(inn, home)}, []string{"online=false", "online=true", "refresh"}, Ready, nil},
		{"offline for long, uploads are tried all the same",
			[]Event{upload("a", "waiting"), change(home, none), StillOffline{}}, []string{"online=false", "refresh"}, Waiting, []string{"offline"}},
		{"offline without uploads nothing is tried", []Event{change(home, none), StillOffline{}}, []string{"online=false"}, Waiting, []string{"offline"}},
		{"without a watcher uploads are not held back", []Event{change(home, unknown)}, []string{"refresh"}, Ready, []string{"network-blind"}},

		{"with auto-fix off nothing is done by itself", []Event{off, change(home, wired)}, nil, Ready, nil},
		{"with auto-fix off the relay is not kept waiting for a word that never comes",
			[]Event{off, change(home, none), change(none, wired)}, nil, Ready, nil},
		{"turning auto-fix off while offline lets the relay go on by itself",
			[]Event{change(home, none), off}, []string{"online=false", "online=true"}, Waiting, []string{"offline"}},
		{"turning auto-fix on makes up for what was missed",
			[]Event{off, change(home, wired), on}, []string{"refresh"}, Ready, nil},
		{"turning auto-fix on while offline waits for the network",
			[]Event{off, change(home, none), on}, []string{"online=false"}, Waiting, []string{"offline"}},

		{"paused, nothing is done by itself", []Event{PauseAsked{}, change(home, wired)}, nil, Paused, nil},
		{"resumed, what was missed is made up for", []Event{PauseAsked{}, change(home, wired), ResumeAsked{}}, []string{"refresh"}, Ready, nil},
		{"a pause ends by itself", []Event{PauseAsked{Until: t0.Add(time.Second)}, Elapsed{}, Elapsed{}}, []string{"refresh"}, Ready, nil},
		{"a pause without end does not", []Event{PauseAsked{}, Elapsed{}, Elapsed{}}, nil, Paused, nil},
		{"a pause lets the relay go on by itself while offline",
			[]Event{change(home, none), PauseAsked{}}, []string{"online=false", "online=true"}, Paused, []string{"offline"}},

		{"an upload is work", []Event{upload("a", "receiving")}, nil, Working, nil},
		{"one that waits is waiting", []Event{upload("a", "waiting")}, nil, Waiting, nil},
		{"as long as one flows it is work", []Event{upload("a", "waiting"), upload("b", "sending")}, nil, Working, nil},
		{"an upload is shown during a pause", []Event{PauseAsked{}, upload("a", "sending")}, nil, Working, nil},
		{"an upload that ended is kept", []Event{upload("a", "sending"), upload("a", "done")}, []string{"keep a"}, Ready, nil},
		{"one that did not work too", []Event{upload("a", "failed"), upload("b", "cancelled")}, []string{"keep a", "keep b"}, Ready, nil},
		{"a bad certificate needs a person",
			[]Event{UploadChanged{Upload{ID: "a", State: "failed", Host: "h", Reason: "certificate"}}}, []string{"keep a"}, Attention, []string{"certificate h certificate"}},
		{"until an upload to that host works",
			[]Event{UploadChanged{Upload{ID: "a", State: "failed", Host: "h", Reason: "certificate"}}, UploadChanged{Upload{ID: "b", State: "done", Host: "h"}}},
			[]string{"keep a", "keep b"}, Ready, nil},

		{"a client that runs without us needs a person", []Event{ClientsFound{[]Client{gajim(7, "not-routed")}}}, nil, Attention, []string{"client-not-routed gajim not-routed"}},
		{"one that does not run needs nobody", []Event{ClientsFound{[]Client{gajim(0, "not-routed")}}}, nil, Ready, nil},
		{"one that is routed is ready", []Event{ClientsFound{[]Client{gajim(7, "ready")}}}, nil, Ready, nil},
		{"and protected once an upload came through",
			[]Event{ClientsFound{[]Client{gajim(7, "ready")}}, upload("a", "done")}, []string{"keep a"}, Protected, nil},
		{"also when it was routed in a way we cannot see",
			[]Event{ClientsFound{[]Client{gajim(7, "not-routed")}}, upload("a", "done")}, []string{"keep a"}, Protected, nil},
		{"but not the next process of it",
			[]Event{ClientsFound{[]Client{gajim(7, "not-routed")}}, upload("a", "done"), ClientsFound{[]Client{gajim(8, "not-routed")}}},
			[]string{"keep a"}, Attention, []string{"client-not-routed gajim not-routed"}},
		{"the worst client is shown",
			[]Event{ClientsFound{[]Client{gajim(7, "ready"), {Kind: "dino", Running: true, PID: 9, State: "not-routed"}}}, upload("a", "done")},
			[]string{"keep a"}, Attention, []string{"client-not-routed dino not-routed"}},
		{"a reported client keeps what was reported",
			[]Event{ClientsFound{[]Client{gajim(7, "ready")}}, ClientReported{Kind: "gajim", PID: 7, Event: "bypassed"}}, nil, Attention, []string{"client-not-routed gajim bypassed"}},
		{"a stuck Dino needs a person",
			[]Event{ClientsFound{[]Client{{Kind: "dino", Running: true, PID: 9, State: "ready"}}}, ClientReported{Kind: "dino", PID: 9, Event: "stuck"}},
			nil, Attention, []string{"client-stuck dino 9"}},
		{"until it was reset",
			[]Event{ClientReported{Kind: "dino", PID: 9, Event: "stuck"}, ClientReset{Kind: "dino"}}, nil, Ready, nil},
		{"or is another process",
			[]Event{ClientReported{Kind: "dino", PID: 9, Event: "stuck"}, ClientsFound{[]Client{{Kind: "dino", Running: true, PID: 10, State: "ready"}}}}, nil, Ready, nil},

		{"a locked keyring is told, and no alarm", []Event{KeyringAnswered{KeyringLocked}}, nil, Ready, []string{"keyring-locked"}},
		{"an open one ends that", []Event{KeyringAnswered{KeyringLocked}, KeyringAnswered{KeyringOK}}, nil, Ready, nil},
		{"a problem of somebody else is shown and cleared",
			[]Event{Raised{Issue{Code: ConfigError, Args: []string{"line 3"}}}, Raised{Issue{Code: ConfigError, Args: []string{"line 4"}}}}, nil, Attention, []string{"config-error line 4"}},
		{"cleared it is gone", []Event{Raised{Issue{Code: NoHosts}}, Cleared{Code: NoHosts}}, nil, Ready, nil},
		{"clocks are told for each server, and taken back for one",
			[]Event{Raised{Issue{Code: ClockWrong, Args: []string{"a", "1 h"}}}, Raised{Issue{Code: ClockWrong, Args: []string{"b", "1 h"}}}, Cleared{Code: ClockWrong, Args: []string{"a"}}},
			nil, Ready, []string{"clock-wrong b 1 h"}},
		{"what a person must do comes first",
			[]Event{KeyringAnswered{KeyringAbsent}, Raised{Issue{Code: NoHosts}}}, nil, Attention, []string{"no-hosts", "keyring-absent"}},
		{"two keys may need a restart",
			[]Event{Raised{Issue{Code: RestartNeeded, Args: []string{"a"}}}, Raised{Issue{Code: RestartNeeded, Args: []string{"b"}}}, Raised{Issue{Code: RestartNeeded, Args: []string{"a"}}}},
			nil, Ready, []string{"restart-needed b", "restart-needed a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newModel("1", true)
			var effects []Effect
			now := t0
			for _, e := range c.events {
				var out []Effect
				m, out = reduce(m, e, now)
				effects = append(effects, out...)
				now = now.Add(time.Second)
			}
			s := m.state(phrase, network.Change.String)
			if d := cmp.Diff(c.effects, names(effects)); d != "" {
				t.Errorf("effects (-want +got):\n%s", d)
			}
			if s.Status != c.status {
				t.Errorf("status is %s, want %s", s.Status, c.status)
			}
			if d := cmp.Diff(c.codes, codes(s)); d != "" {
				t.Errorf("problems (-want +got):\n%s", d)
			}
		})
	}
}

func TestReduceChangesNoOlderModel(t *testing.T) {
	old := newModel("1", true)
	old, _ = reduce(old, upload("a", "sending"), time.Time{})
	old, _ = reduce(old, ClientsFound{[]Client{gajim(7, "ready")}}, time.Time{})
	before := old.state(phrase, network.Change.String)
	for _, e := range []Event{upload("a", "done"), upload("b", "sending"), change(home, none), PauseAsked{}, Raised{Issue{Code: NoHosts}},
		ClientReported{Kind: "gajim", PID: 7, Event: "bypassed"}, KeyringAnswered{KeyringLocked}} {
		reduce(old, e, time.Time{})
	}
	if d := cmp.Diff(before, old.state(phrase, network.Change.String)); d != "" {
		t.Error(d)
	}
}

func TestStateIsTheDocumentOfTheContract(t *testing.T) {
	m := newModel("0.1.0", true)
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for _, e := range []Event{
		change(none, home), RelayListens{Relay{Listen: "127.0.0.1:5380", PID: 5}}, KeyringAnswered{KeyringOK},
		ClientsFound{[]Client{gajim(7, "ready")}}, PauseAsked{Until: now.Add(time.Hour)},
	} {
		m, _ = reduce(m, e, now)
	}
	got, err := json.Marshal(m.state(phrase, network.Change.String))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"schema":1,"version":"0.1.0","status":"paused","autofix":true,"paused":true,"paused_until":"2026-05-04T13:00:00Z",` +
		`"network":{"kind":"wifi","name":"Home","online":true,"metered":false,"portal":false},"relay":{"listen":"127.0.0.1:5380","pid":5},"keyring":"ok",` +
		`"clients":[{"kind":"gajim","install":"native","version":"","running":true,"pid":7,"state":"ready","hosts":[]}],` +
		`"uploads":{"active":0,"waiting":0},"problems":[]}`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
}

func TestWhatALauncherSaysOfAClientHoldsAsLongAsItRuns(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	m := newModel("1", true)
	found := func(pid int, state string) ClientsFound {
		return ClientsFound{[]Client{{Kind: "dino", Running: pid != 0, PID: pid, State: state}}}
	}
	for _, step := range []struct {
		name  string
		event Event
		state string
	}{
		{"it runs without the relay", found(7, "needs-restart"), "needs-restart"},
		{"its launcher says why", ClientReported{Kind: "dino", PID: 7, Event: "bypassed"}, "bypassed"},
		{"a later look changes nothing", found(7, "needs-restart"), "bypassed"},
		{"unless the desktop's setting reaches it", found(7, "ready"), "ready"},
		{"another process is another matter", found(8, "needs-restart"), "needs-restart"},
		{"a report about a process that is gone is none", ClientReported{Kind: "dino", PID: 7, Event: "bypassed"}, "needs-restart"},
	} {
		m, _ = reduce(m, step.event, now)
		if got := m.clients[0].State; got != step.state {
			t.Errorf("%s: %s, want %s", step.name, got, step.state)
		}
		bad := slices.ContainsFunc(m.issues, func(i Issue) bool { return i.Code == ClientNotRouted && i.Args[1] == step.state })
		if bad != (step.state != "ready") {
			t.Errorf("%s: issues %v", step.name, m.issues)
		}
	}
}
