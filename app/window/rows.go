package window

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"holdfast/app/agent"
	"holdfast/app/words"
)

// Tone is how a row or the head feels; it chooses icon and colour.
type Tone string

// Tones.
const (
	Good    Tone = "good"
	Busy    Tone = "busy"
	Patient Tone = "patient"
	Bad     Tone = "bad"
	Quiet   Tone = "quiet"
)

// Row is one upload as it is shown.
type Row struct {
	ID       string
	File     string
	About    string // "Gajim to upload.example.org - 12.3 MB - 14:02"
	State    string // "Uploading - 45 % - 3.2 MB/s - 12 s left"
	Story    string // what had to be done for it, and what is wrong
	Tone     Tone
	Progress float64 // 0 to 1; less than 0: no bar
	Link     string  // to copy; empty: no button
	CanStop  bool
	CanTry   bool
}

// Running says whether an upload has not ended.
func Running(u agent.Upload) bool {
	return u.State == "receiving" || u.State == "sending" || u.State == "waiting"
}

// dot stands between facts of one line.
const dot = "  \u00b7  "

// Rows are the uploads as they are shown: running ones first, then newest first. Rates are bytes a second by id.
func Rows(list []agent.Upload, rates map[string]float64, now time.Time, w *words.Words) []Row {
	var running, ended []Row
	for _, u := range list {
		if Running(u) {
			running = append(running, row(u, rates[u.ID], now, w))
		} else {
			ended = append(ended, row(u, 0, now, w))
		}
	}
	return append(running, ended...)
}

func row(u agent.Upload, rate float64, now time.Time, w *words.Words) Row {
	r := Row{ID: u.ID, File: words.Plain(u.File, 0), Progress: -1}
	at := u.Ended
	if Running(u) || at.IsZero() {
		at = u.Started
	}
	about := []string{where(u, w), w.UploadAmount(u)}
	if !at.IsZero() {
		about = append(about, w.Clock(at, now))
	}
	r.About = strings.Join(about, dot)

	state := []string{w.UploadState(u)}
	switch u.State {
	case "receiving", "sending":
		r.Tone, r.CanStop = Busy, true
		r.Progress = part(u)
		if u.Size > 0 {
			state = append(state, fmt.Sprintf("%d %%", int(100*r.Progress)))
		}
		if rate >= 1 {
			state = append(state, fmt.Sprintf(w.Tray.Window.Speed, w.Bytes(int64(rate))))
			if left := w.Left(time.Duration(float64(u.Size-u.Sent) / rate * float64(time.Second))); left != "" {
				state = append(state, left)
			}
		}
	case "waiting":
		r.Tone, r.CanStop, r.CanTry = Patient, true, true
		r.Progress = part(u)
	case "done":
		r.Tone, r.Link = Good, u.URL
	case "cancelled":
		r.Tone = Quiet
	default:
		r.Tone = Bad
	}
	r.State = strings.Join(state, dot)

	var story []string
	if u.Error != "" && u.State != "done" {
		story = append(story, words.Plain(u.Error, 0)) // a sentence; it may begin with the name of a host
	}
	if h := w.UploadHistory(u); h != "" {
		story = append(story, sentence(h))
	}
	r.Story = strings.Join(story, " ")
	return r
}

func where(u agent.Upload, w *words.Words) string {
	host := words.Plain(u.Host, 0)
	if u.Client == "" {
		return fmt.Sprintf(w.Tray.Window.ToHost, host)
	}
	return fmt.Sprintf(w.Tray.Window.To, words.Plain(u.Client, 40), host)
}

// part is how much the server has, from 0 to 1.
func part(u agent.Upload) float64 {
	if u.Size <= 0 {
		return 0
	}
	return min(1, max(0, float64(u.Sent)/float64(u.Size)))
}

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return ""
	}
	first, n := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(first)) + s[n:]
	if !strings.ContainsAny(s[len(s)-1:], ".!?") {
		s += "."
	}
	return s
}

// Top is the head of the window.
type Top struct {
	Status   agent.Status // the icon
	Title    string
	Network  string
	Problem  string // empty: none
	Remedy   string
	Tone     Tone
	CanStart bool
}

// Head says how things are as a whole. NoTray is for a desktop that shows no tray icons.
func Head(s agent.State, noTray bool, w *words.Words) Top {
	t := Top{Status: s.Status, Title: w.StatusLine(s), Tone: Patient}
	switch {
	case s.Status == agent.Off || s.Status == "":
		t.Status, t.CanStart, t.Problem = agent.Off, true, w.Tray.Window.NotOnline
		if len(s.Problems) > 0 {
			t.Problem, t.Remedy = s.Problems[0].Text, w.Tray.Window.NotOnline
			t.Tone = Bad
		}
		return t
	case len(s.Problems) > 0:
		p := s.Problems[0]
		t.Problem, t.Remedy = p.Text, p.Remedy
		if p.Text == t.Title || p.Code == "offline" {
			t.Problem, t.Remedy = p.Remedy, "" // the title or the network says it
		}
		if s.Status == agent.Attention {
			t.Tone = Bad
		}
	case noTray:
		t.Problem, t.Remedy, t.Tone = w.Tray.NoTrayHost, w.Tray.NoTrayHostHint, Quiet
	}
	t.Network = w.NetworkLine(s.Network)
	return t
}
