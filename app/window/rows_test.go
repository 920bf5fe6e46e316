package window

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/app/agent"
	"holdfast/app/control"
	"holdfast/app/words"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.Local)

func upload(id, state string, change ...func(*agent.Upload)) agent.Upload {
	u := agent.Upload{
		ID: id, Host: "upload.example.org", File: id + ".jpg", URL: "https://upload.example.org/x/" + id + ".jpg",
		Client: "Gajim", Size: 8_000_000, State: state, Started: noon.Add(-time.Minute),
	}
	for _, f := range change {
		f(&u)
	}
	return u
}

func TestRows(t *testing.T) {
	tests := []struct {
		name string
		in   agent.Upload
		rate float64
		want Row
	}{
		{
			"a running upload has a bar, a speed and what is left, and can be cancelled",
			upload("a", "sending", func(u *agent.Upload) { u.Sent = 2_000_000 }), 500_000,
			Row{ID: "a", File: "a.jpg", About: "Gajim to upload.example.org  ·  2.0 MB of 8.0 MB  ·  11:59",
				State: "Uploading  ·  25 %  ·  500.0 kB/s  ·  12 s left", Tone: Busy, Progress: 0.25, CanStop: true},
		},
		{
			"a waiting one says why, and can be tried now",
			upload("b", "waiting", func(u *agent.Upload) {
				u.Sent, u.Repeats, u.Error = 4_000_000, 2, "There is no network. The upload goes on when there is one."
			}), 0,
			Row{ID: "b", File: "b.jpg", About: "Gajim to upload.example.org  ·  4.0 MB of 8.0 MB  ·  11:59", State: "Waiting",
				Story: "There is no network. The upload goes on when there is one. Interrupted 2 times.",
				Tone:  Patient, Progress: 0.5, CanStop: true, CanTry: true},
		},
		{
			"a finished one has a link and tells what was done for it",
			upload("c", "done", func(u *agent.Upload) {
				u.Sent, u.Repeats, u.Resigned, u.Ended = u.Size, 1, 1, noon.Add(-26*time.Hour)
			}), 0,
			Row{ID: "c", File: "c.jpg", About: "Gajim to upload.example.org  ·  8.0 MB  ·  2026-05-03 10:00", State: "Done",
				Story: "Interrupted once, permission renewed once.", Tone: Good, Progress: -1, Link: "https://upload.example.org/x/c.jpg"},
		},
		{
			"a failed one has no link",
			upload("d", "failed", func(u *agent.Upload) { u.Client, u.Error = "", "upload.example.org refused the file." }), 0,
			Row{ID: "d", File: "d.jpg", About: "to upload.example.org  ·  8.0 MB  ·  11:59", State: "Not uploaded",
				Story: "upload.example.org refused the file.", Tone: Bad, Progress: -1},
		},
		{
			"a name cannot turn the reading direction or break the line",
			upload("e", "cancelled", func(u *agent.Upload) { u.File = "a\u202egpj.\nexe" }), 0,
			Row{ID: "e", File: "a gpj. exe", About: "Gajim to upload.example.org  ·  8.0 MB  ·  11:59", State: "Cancelled", Tone: Quiet, Progress: -1},
		},
		{
			"a size that is not known, and more sent than there is, do not break the bar",
			upload("f", "sending", func(u *agent.Upload) { u.Size, u.Sent = 0, 10 }), 0,
			Row{ID: "f", File: "f.jpg", About: "Gajim to upload.example.org  ·  10 B of 0 B  ·  11:59", State: "Uploading", Tone: Busy, CanStop: true},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Rows([]agent.Upload{tt.in}, map[string]float64{tt.in.ID: tt.rate}, noon, words.For("en"))
			if diff := cmp.Diff([]Row{tt.want}, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestRunningUploadsComeFirst(t *testing.T) {
	rows := Rows([]agent.Upload{upload("new", "done"), upload("run", "sending"), upload("old", "failed"), upload("wait", "waiting")}, nil, noon, words.For("de"))
	var got []string
	for _, r := range rows {
		got = append(got, r.ID)
	}
	if diff := cmp.Diff([]string{"run", "wait", "new", "old"}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestHead(t *testing.T) {
	net := agent.Network{Kind: "wifi", Name: "home", Online: true}
	tests := []struct {
		name   string
		state  agent.State
		noTray bool
		want   Top
	}{
		{"all is well", agent.State{Status: agent.Ready, Network: net}, false,
			Top{Status: agent.Ready, Title: "Ready - send a file to see it work", Network: "Wi-Fi home", Tone: Patient}},
		{"no companion can be started", agent.State{Status: agent.Off}, false,
			Top{Status: agent.Off, Title: "Holdfast is not running", Problem: words.For("en").Tray.Window.NotOnline, Tone: Patient, CanStart: true}},
		{"a problem in the title is not said twice",
			agent.State{Status: agent.Attention, Network: net, Problems: []agent.Problem{{Text: "Gajim is running without Holdfast.", Remedy: "Restart Gajim."}}}, false,
			Top{Status: agent.Attention, Title: "Gajim is running without Holdfast.", Network: "Wi-Fi home", Problem: "Restart Gajim.", Tone: Bad}},
		{"a desktop without tray icons", agent.State{Status: agent.Ready, Network: net}, true,
			Top{Status: agent.Ready, Title: "Ready - send a file to see it work", Network: "Wi-Fi home",
				Problem: words.For("en").Tray.NoTrayHost, Remedy: words.For("en").Tray.NoTrayHostHint, Tone: Quiet}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, Head(tt.state, tt.noTray, words.For("en"))); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.name, diff)
		}
	}
}

func event(t *testing.T, kind string, v any) control.Event {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return control.Event{Kind: kind, JSON: string(b)}
}

func TestModelMeasuresSpeedAndForgetsItOnAWait(t *testing.T) {
	m := NewModel()
	at := func(sent int64, state string, after time.Duration) {
		u := upload("a", state, func(u *agent.Upload) { u.Sent = sent })
		if err := m.Take(event(t, "upload", u), noon.Add(after)); err != nil {
			t.Fatal(err)
		}
	}
	at(0, "sending", 0)
	at(300_000, "sending", 250*time.Millisecond)
	if got := m.rates["a"]; got != 0 {
		t.Errorf("a quarter of a second gives a speed: %v", got)
	}
	at(1_000_000, "sending", time.Second)
	if got := m.rates["a"]; got != 1_000_000 {
		t.Errorf("1 MB in 1 s is %v B/s", got)
	}
	at(1_000_000, "waiting", 2*time.Second)
	if _, ok := m.rates["a"]; ok {
		t.Error("a waiting upload has a speed")
	}
	at(500_000, "sending", 3*time.Second) // started again, from less
	if _, ok := m.rates["a"]; ok {
		t.Error("an upload that went back has a speed")
	}
	if len(m.Uploads) != 1 {
		t.Errorf("one upload is listed %d times", len(m.Uploads))
	}
}

func TestModelWithoutACompanionShowsNothingRunning(t *testing.T) {
	m := NewModel()
	for _, u := range []agent.Upload{upload("done", "done"), upload("run", "sending")} {
		if err := m.Take(event(t, "upload", u), noon); err != nil {
			t.Fatal(err)
		}
	}
	m.Gone()
	if len(m.Uploads) != 1 || m.Uploads[0].ID != "done" || m.State.Status != agent.Off {
		t.Errorf("left: %v, status %s", m.Uploads, m.State.Status)
	}
	if err := m.Take(control.Event{Kind: "upload", JSON: "{"}, noon); err == nil {
		t.Error("a broken document is taken in")
	}
}
