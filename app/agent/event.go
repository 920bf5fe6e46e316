package agent

import (
	"time"

	"holdfast/detect/network"
)

// Event is something that happened, or that a person asked for.
type Event interface{ event() }

// NetworkChanged is news from the network watcher.
type NetworkChanged struct{ network.Event }

// UploadChanged is a snapshot of one upload from the relay.
type UploadChanged struct{ Upload Upload }

// ClientsFound is the installed clients and how they run. State is what can be seen from outside
// (not-routed, ready, ...); that an upload came through is added here.
type ClientsFound struct{ Clients []Client }

// ClientReported is what a launcher says about a client that it started: "stuck", "bypassed", "needs-restart", "gone".
type ClientReported struct {
	Kind  string
	PID   int
	Event string
}

// ClientReset says that a client was quit, and started again if it ran before.
type ClientReset struct{ Kind string }

// RelayListens is where the relay answers.
type RelayListens struct{ Relay Relay }

// KeyringAnswered is the state of the secret store.
type KeyringAnswered struct{ Keyring Keyring }

// Raised and Cleared are problems that somebody else found.
type (
	Raised  struct{ Issue Issue }
	Cleared struct {
		Code Code
		Args []string // only those about the first of them
	}
)

// AutoFixSet turns auto-fix on or off.
type AutoFixSet struct{ On bool }

// PauseAsked stops everything Holdfast does by itself; a zero Until means until ResumeAsked.
type PauseAsked struct{ Until time.Time }

// ResumeAsked ends a pause.
type ResumeAsked struct{}

// Elapsed says only that time has passed.
type Elapsed struct{}

// StillOffline comes every half minute while uploads wait for the network. A server may be in reach although the
// machine has no way to everywhere: on the same cable, or on the machine itself.
type StillOffline struct{}

func (NetworkChanged) event()  {}
func (UploadChanged) event()   {}
func (ClientsFound) event()    {}
func (ClientReported) event()  {}
func (ClientReset) event()     {}
func (RelayListens) event()    {}
func (KeyringAnswered) event() {}
func (Raised) event()          {}
func (Cleared) event()         {}
func (AutoFixSet) event()      {}
func (PauseAsked) event()      {}
func (ResumeAsked) event()     {}
func (Elapsed) event()         {}
func (StillOffline) event()    {}

// Effect is something to do because of an Event.
type Effect interface{ effect() }

// Effects of events.
type (
	// RefreshRelay drops connections that are likely dead and tries everything that waits, at once.
	RefreshRelay struct{}
	// TellOnline lets the relay wait (false) for the network, or go on by itself (true).
	TellOnline struct{ Online bool }
	// KeepUpload puts an upload that has ended into the history.
	KeepUpload struct{ Upload Upload }
	// ReportSleep says in the log how long it took after a sleep until uploads went on.
	ReportSleep struct{ Sleep Sleep }
)

func (RefreshRelay) effect() {}
func (TellOnline) effect()   {}
func (KeepUpload) effect()   {}
func (ReportSleep) effect()  {}
