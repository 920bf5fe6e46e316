package relay

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// told plays calls on one upload and returns the messages of the log with their reasons.
func told(play func(d *delivery)) []string {
	var log bytes.Buffer
	drop := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.MessageKey || a.Key == "reason" || a.Key == "why" {
			return a
		}
		return slog.Attr{}
	}
	r := &Relay{c: Config{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: drop}))}}
	play(&delivery{r: r, u: &upload{}})
	return strings.Split(strings.TrimSpace(log.String()), "\n")
}

func TestTheLogSaysWhyAnUploadWaits(t *testing.T) {
	const (
		goesOn  = `msg="upload goes on"`
		offline = `msg="upload waits" reason=offline why="this computer has no network"`
		network = `msg="upload waits" reason=network why="the server cannot be reached, or the connection was lost"`
		busy    = `msg="upload waits" reason=busy why="the server wants it later"`
	)
	for _, tt := range []struct {
		name string
		play func(d *delivery)
		want []string
	}{
		{"nothing is said of an upload that flows", func(d *delivery) { d.tellGoesOn(1, true) }, []string{""}},
		{"many attempts for one reason are one line", func(d *delivery) {
			for range 100 {
				d.tellWaits(ReasonNetwork, "")
			}
			d.tellGoesOn(0, false)
			d.tellGoesOn(0, false)
		}, []string{network, goesOn}},
		{"every change of the reason is a line", func(d *delivery) {
			d.tellWaits(ReasonNetwork, "")
			d.tellWaits(ReasonOffline, "")
			d.tellWaits(ReasonNetwork, "")
		}, []string{network, offline, network}},
		{"a second cut is told again", func(d *delivery) {
			d.tellWaits(ReasonNetwork, "")
			d.tellGoesOn(0, false)
			d.tellWaits(ReasonNetwork, "")
		}, []string{network, goesOn, network}},
		{"a busy server that takes the same bytes again has not gone on", func(d *delivery) {
			d.tellWaits(ReasonBusy, "")
			d.tellGoesOn(0, false)
			d.tellWaits(ReasonBusy, "")
			d.tellGoesOn(0, true)
		}, []string{busy, goesOn}},
	} {
		if diff := cmp.Diff(tt.want, told(tt.play)); diff != "" {
			t.Errorf("%s:\n%s", tt.name, diff)
		}
	}
}

func TestTheLogFollowsAnUpload(t *testing.T) {
	w := newWorld(t, nil)
	w.r.SetOnline(false)
	done := make(chan result, 1)
	go func() { done <- w.put("/u/s/f", sample(1000)) }()
	w.await("offline", func(u Upload) bool { return u.Reason == ReasonOffline })
	w.serve(listed, &keep{})
	w.r.SetOnline(true)
	if got := <-done; !got.stored() {
		t.Fatal(got)
	}
	at := 0
	for _, line := range []string{`level=INFO msg="upload waits"`, "reason=offline", `level=INFO msg="upload goes on"`, `level=INFO msg="upload ended"`} {
		next := strings.Index(w.log.String()[at:], line)
		if next < 0 {
			t.Errorf("%s does not follow", line)
			continue
		}
		at += next
	}
}

func TestEveryReasonToWaitHasPlainWords(t *testing.T) {
	for _, reason := range []string{ReasonOffline, ReasonNetwork, ReasonBusy, ReasonCertificate} {
		if why(reason) == reason {
			t.Errorf("%s has none", reason)
		}
	}
}
