// Package agent decides what a network change, a resume or a click means.
//
// It holds the State that every view renders and takes the Events that the network, the relay and the views send.
// It reaches no screen, no D-Bus and no HTTP: everything it needs from outside it gets through small interfaces
// that it owns.
//
// # Invariants
//   - reduce is a function of the model, one Event and the time; everything else only carries values to and from it.
//   - One goroutine, that of Run, changes the model. State may be called from any other.
//   - With auto-fix off, or paused, nothing is done by itself. The relay's own repeats go on.
//   - Tell never blocks, so the relay and the network watcher never wait for a view or a disk.
package agent

import "time"

// State is what the companion knows, as one value. Its JSON is the document of GetState
// (`holdfastctl status --json` prints it verbatim); times are RFC 3339.
type State struct {
	Schema      int       `json:"schema"` // 1
	Version     string    `json:"version,omitempty"`
	Status      Status    `json:"status"`
	AutoFix     bool      `json:"autofix"`
	Paused      bool      `json:"paused"`
	PausedUntil time.Time `json:"paused_until,omitzero"` // paused without it: until resumed
	Network     Network   `json:"network"`
	Sleep       *Sleep    `json:"sleep,omitempty"` // the last one, if there was one
	Relay       Relay     `json:"relay"`
	Keyring     Keyring   `json:"keyring"`
	Clients     []Client  `json:"clients"`
	Uploads     Counts    `json:"uploads"`
	Last        *Upload   `json:"last_upload,omitempty"`
	Problems    []Problem `json:"problems"`
}

// Status is what the icon shows.
type Status string

// The states of the icon.
const (
	Protected Status = "protected"
	Ready     Status = "ready"
	Working   Status = "working"
	Waiting   Status = "waiting"
	Attention Status = "attention"
	Paused    Status = "paused"
	Off       Status = "off" // no companion; only a view says this
)

// Network is the present network in short.
type Network struct {
	Kind    string `json:"kind"` // wifi, ethernet, mobile, vpn, other, ""
	Name    string `json:"name"`
	Online  bool   `json:"online"`
	Metered bool   `json:"metered"`
	Portal  bool   `json:"portal"`

	Changed time.Time `json:"changed,omitzero"` // when it changed last
	Change  string    `json:"change,omitempty"` // how, as one plain sentence
}

// Sleep is the last sleep of the machine, and how long it took from waking until uploads went on.
type Sleep struct {
	Woke    time.Time `json:"woke"`
	Slept   int64     `json:"slept_seconds"`
	Network int64     `json:"network_ms,omitempty"` // from waking until the network was known
	Upload  int64     `json:"upload_ms,omitempty"`  // from waking until an upload of before went on; 0: none has
}

// Relay is the upload relay of this companion.
type Relay struct {
	Listen string `json:"listen"` // address and port, empty: not listening
	PID    int    `json:"pid"`
}

// Keyring is how the secret store answers.
type Keyring string

// States of the keyring.
const (
	KeyringOK     Keyring = "ok"
	KeyringLocked Keyring = "locked"
	KeyringAbsent Keyring = "absent"
)

// Client is one installed XMPP client.
type Client struct {
	Kind     string    `json:"kind"`    // dino, gajim
	Install  string    `json:"install"` // native, flatpak, snap
	Version  string    `json:"version"`
	Running  bool      `json:"running"`
	PID      int       `json:"pid,omitempty"`
	State    string    `json:"state"` // not-trusted, not-routed, needs-restart, bypassed, ready, protected
	LastSeen time.Time `json:"last_seen,omitzero"`
	Hosts    []string  `json:"hosts"`
}

// Counts are the uploads in flight.
type Counts struct {
	Active  int `json:"active"`
	Waiting int `json:"waiting"`
}

// Problem is something a person should know, with what to do about it.
type Problem struct {
	Code   string `json:"code"`
	Text   string `json:"text"`
	Remedy string `json:"remedy"`
}

// Upload is one upload through the relay, running or past.
type Upload struct {
	ID       string    `json:"id"`
	Host     string    `json:"host"`
	File     string    `json:"file"` // last path segment, decoded
	URL      string    `json:"url"`  // without query; what the receiver opens
	Client   string    `json:"client"`
	Size     int64     `json:"size"`
	Sent     int64     `json:"sent"`  // bytes the server is known to have, or that were written to it
	State    string    `json:"state"` // receiving, sending, waiting, done, failed, cancelled
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended,omitzero"`
	Repeats  int       `json:"repeats"`
	Resigned int       `json:"resigned"`
	Reason   string    `json:"reason,omitempty"` // a code: why it waits or failed
	Error    string    `json:"error,omitempty"`  // the same as one plain sentence
}

// UploadList is the document of Uploads.
type UploadList struct {
	Schema  int      `json:"schema"`
	Uploads []Upload `json:"uploads"` // newest first, running ones before
}
