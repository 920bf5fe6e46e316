package agent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// at is an event so many seconds after t0.
type at struct {
	s int
	e Event
}

func dino(pid int) ClientsFound {
	return ClientsFound{[]Client{{Kind: "dino", Install: "native", Running: pid != 0, PID: pid, State: "ready"}}}
}

// deeds shows what is done to clients and shown to people.
func deeds(effects []Effect) (out []string) {
	for _, e := range effects {
		switch e := e.(type) {
		case Announce:
			var actions []string
			for _, a := range e.Notice.Actions {
				actions = append(actions, string(a))
			}
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s: %s %s", e.Notice.Key, e.Notice.Kind, strings.Join(actions, "+"))))
		case Withdraw:
			out = append(out, e.Key+": gone")
		case LookAtSound:
			out = append(out, fmt.Sprintf("listen to %s %d", e.Kind, e.PID))
		case RestartClient:
			out = append(out, fmt.Sprintf("restart %s %d by itself %v", e.Kind, e.PID, e.ByItself))
		case OpenClient:
			out = append(out, "open "+e.Kind)
		case TryUpload:
			out = append(out, "try "+e.ID)
		case CancelUpload:
			out = append(out, "cancel "+e.ID)
		}
	}
	return out
}

func play(t *testing.T, events []at) (m model, got []string) {
	t.Helper()
	m = newModel("v", true)
	for _, a := range events {
		var effects []Effect
		before := fmt.Sprintf("%v %v %v", m.waits, m.cures, m.restarted)
		kept := m
		m, effects = reduce(m, a.e, t0.Add(time.Duration(a.s)*time.Second))
		if after := fmt.Sprintf("%v %v %v", kept.waits, kept.cures, kept.restarted); after != before {
			t.Errorf("the model of before was changed: %s -> %s", before, after)
		}
		for _, d := range deeds(effects) {
			got = append(got, fmt.Sprintf("%d %s", a.s, d))
		}
	}
	return m, got
}

func TestAStuckDinoIsRestartedOnlyWhenNothingIsLostByIt(t *testing.T) {
	stuck := ClientReported{Kind: "dino", PID: 9, Event: "stuck"}
	silent := SoundSeen{Kind: "dino", PID: 9, Quiet: true}
	answer := func(a Action) Chosen { return Chosen{Key: "client/dino", Client: "dino", Action: a} }
	metered := home
	metered.Metered = true
	offer := "client/dino: stuck restart+later"
	soon := "client/dino: restarts restart+later"
	for _, c := range []struct {
		name   string
		events []at
		want   []string
	}{
		{"after a notice of 30 s, and then it is told",
			[]at{{0, dino(9)}, {1, stuck}, {2, silent}, {31, Elapsed{}}, {32, Elapsed{}}, {33, Elapsed{}}, {40, RestartEnded{"dino", true}}, {41, Elapsed{}}},
			[]string{"1 listen to dino 9", "2 " + soon, "32 restart dino 9 by itself true", "40 client/dino: restarted open"}},
		{"at once when the person says so", []at{{0, dino(9)}, {1, stuck}, {2, silent}, {5, answer(Restart)}, {40, Elapsed{}}},
			[]string{"1 listen to dino 9", "2 " + soon, "5 restart dino 9 by itself false"}},
		{"never when the person says no", []at{{0, dino(9)}, {1, stuck}, {2, silent}, {5, answer(Later)}, {60, Elapsed{}}, {900, stuck}},
			[]string{"1 listen to dino 9", "2 " + soon, "5 client/dino: gone"}},
		{"not in a call, but after it",
			[]at{{0, dino(9)}, {1, stuck}, {2, SoundSeen{Kind: "dino", PID: 9}}, {30, Elapsed{}}, {62, Elapsed{}}, {63, silent}, {93, Elapsed{}}},
			[]string{"1 listen to dino 9", "2 " + offer, "62 listen to dino 9", "63 " + soon, "93 restart dino 9 by itself true"}},
		{"never where sound cannot be told of", []at{{0, dino(9)}, {1, stuck}, {2, SoundSeen{Kind: "dino", PID: 9, Unknown: true}}, {900, Elapsed{}}},
			[]string{"1 listen to dino 9", "2 " + offer}},
		{"never without somebody to show the notice", []at{{0, dino(9)}, {1, stuck}, {2, silent}, {2, Unheard{"client/dino"}}, {900, Elapsed{}}},
			[]string{"1 listen to dino 9", "2 " + soon}},
		{"not during an upload", []at{{0, dino(9)}, {0, upload("a", "sending")}, {1, stuck}, {900, Elapsed{}}}, []string{"1 " + offer}},
		{"not when an upload begins meanwhile", []at{{0, dino(9)}, {1, stuck}, {2, silent}, {10, upload("a", "sending")}, {40, Elapsed{}}},
			[]string{"1 listen to dino 9", "2 " + soon, "10 " + offer}},
		{"not with auto-fix off: it is only offered", []at{{0, AutoFixSet{On: false}}, {0, dino(9)}, {1, stuck}, {900, Elapsed{}}}, []string{"1 " + offer}},
		{"not while paused", []at{{0, PauseAsked{}}, {0, dino(9)}, {1, stuck}, {900, Elapsed{}}}, []string{"1 " + offer}},
		{"not on a metered network", []at{{0, change(none, metered)}, {0, dino(9)}, {1, stuck}, {900, Elapsed{}}}, []string{"1 " + offer}},
		{"not behind a sign-in page", []at{{0, change(none, inn)}, {0, dino(9)}, {1, stuck}, {900, Elapsed{}}}, []string{"1 " + offer}},
		{"not twice within ten minutes",
			[]at{{0, dino(9)}, {1, stuck}, {2, silent}, {32, Elapsed{}}, {33, RestartEnded{"dino", true}}, {40, dino(10)},
				{60, ClientReported{Kind: "dino", PID: 10, Event: "stuck"}}},
			[]string{"1 listen to dino 9", "2 " + soon, "32 restart dino 9 by itself true", "33 client/dino: restarted open", "60 " + offer}},
		{"a Gajim is never restarted by itself",
			[]at{{0, ClientsFound{[]Client{gajim(7, "ready")}}}, {1, ClientReported{Kind: "gajim", PID: 7, Event: "stuck"}}, {900, Elapsed{}}}, nil},
		{"one that has been restarted meanwhile is left alone", []at{{0, dino(9)}, {1, stuck}, {2, silent}, {10, dino(11)}, {40, Elapsed{}}},
			[]string{"1 listen to dino 9", "2 " + soon, "10 client/dino: gone"}},
		{"one that sends files again is left alone",
			[]at{{0, dino(9)}, {1, stuck}, {2, silent}, {10, UploadChanged{Upload{ID: "a", State: "done", Client: "Dino"}}}, {40, Elapsed{}}},
			[]string{"1 listen to dino 9", "2 " + soon, "10 client/dino: gone"}},
		{"an old answer about sound changes nothing", []at{{0, dino(9)}, {1, stuck}, {2, SoundSeen{Kind: "dino", PID: 8, Quiet: true}}, {90, Elapsed{}}},
			[]string{"1 listen to dino 9"}},
		{"a restart that did not work is offered again",
			[]at{{0, dino(9)}, {1, stuck}, {2, silent}, {5, answer(Restart)}, {6, RestartEnded{"dino", false}}, {90, Elapsed{}}},
			[]string{"1 listen to dino 9", "2 " + soon, "5 restart dino 9 by itself false", "6 " + offer}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, got := play(t, c.events)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestAPersonIsToldOfUploadsThatWaitAndThatAreLost(t *testing.T) {
	ended := func(state, reason string, repeats int) UploadChanged {
		return UploadChanged{Upload{ID: "a", Client: "Gajim", State: state, Reason: reason, Repeats: repeats}}
	}
	told := "upload/a: waits try+cancel"
	for _, c := range []struct {
		name   string
		events []at
		want   []string
	}{
		{"a short wait is not told", []at{{0, upload("a", "waiting")}, {5, upload("a", "sending")}, {60, Elapsed{}}}, nil},
		{"a long one is, once", []at{{0, upload("a", "waiting")}, {9, Elapsed{}}, {10, Elapsed{}}, {60, upload("a", "waiting")}}, []string{"10 " + told}},
		{"and taken back when it goes on", []at{{0, upload("a", "waiting")}, {10, Elapsed{}}, {20, upload("a", "sending")}}, []string{"10 " + told, "20 upload/a: gone"}},
		{"what went well is quiet", []at{{0, upload("a", "sending")}, {9, ended("done", "", 0)}}, nil},
		{"also after a wait", []at{{0, upload("a", "waiting")}, {10, Elapsed{}}, {20, ended("done", "", 2)}}, []string{"10 " + told, "20 upload/a: gone"}},
		{"one that did not work is told, with a way to the client",
			[]at{{0, ClientsFound{[]Client{gajim(7, "ready")}}}, {1, ended("failed", "timeout", 3)}}, []string{"1 upload/a: gave-up open"}},
		{"a client that is not installed cannot be opened", []at{{1, ended("failed", "timeout", 3)}}, []string{"1 upload/a: gave-up"}},
		{"a client that gave up waiting", []at{{0, upload("a", "waiting")}, {10, Elapsed{}}, {60, ended("cancelled", "client-gone", 2)}},
			[]string{"10 " + told, "60 upload/a: gave-up"}},
		{"a person who stopped an upload that flowed is not told", []at{{0, upload("a", "sending")}, {2, ended("cancelled", "client-gone", 0)}}, nil},
		{"nor one who cancelled it here", []at{{0, upload("a", "waiting")}, {10, Elapsed{}}, {12, ended("cancelled", "cancelled", 2)}},
			[]string{"10 " + told, "12 upload/a: gone"}},
		{"with auto-fix off it is told all the same", []at{{0, AutoFixSet{On: false}}, {0, upload("a", "waiting")}, {10, Elapsed{}}}, []string{"10 " + told}},
		{"what was clicked is done", []at{
			{0, Chosen{Key: "upload/a", Action: Try}}, {1, Chosen{Key: "upload/a", Action: Cancel}},
			{2, Chosen{Key: "upload/a", Client: "Gajim", Action: Open}}, {3, Chosen{Key: "client/dino", Client: "dino", Action: Open}}, {3, Chosen{Key: "nonsense", Action: Try}}, {4, Chosen{Key: "upload/a", Action: "x"}},
		}, []string{"0 try a", "1 cancel a", "2 open gajim", "3 open dino"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, got := play(t, c.events)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestTheAgentWakesWhenSomethingIsDue(t *testing.T) {
	m, _ := play(t, []at{{0, upload("a", "waiting")}})
	if got := m.next(); !got.Equal(t0.Add(quiet)) {
		t.Errorf("an upload that waits is due at %v", got)
	}
	m, _ = play(t, []at{{0, dino(9)}, {1, ClientReported{Kind: "dino", PID: 9, Event: "stuck"}}, {2, SoundSeen{Kind: "dino", PID: 9, Quiet: true}}})
	if got := m.next(); !got.Equal(t0.Add(32 * time.Second)) {
		t.Errorf("a restart is due at %v", got)
	}
	if got := newModel("v", true).next(); !got.IsZero() {
		t.Errorf("nothing is due at %v", got)
	}
}
