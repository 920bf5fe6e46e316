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

// Chosen is what a person clicked in a Notice.
type Chosen struct {
	Key    string
	Client string // of the notice
	Action Action
}

// Unheard says that a Notice could not be shown to anybody.
type Unheard struct{ Key string }

// SoundSeen answers LookAtSound.
type SoundSeen struct {
	Kind    string
	PID     int
	Quiet   bool // it neither plays nor records
	Unknown bool // that cannot be told on this machine
}

// RestartEnded is the end of a RestartClient.
type RestartEnded struct {
	Kind string
	OK   bool
}

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
func (Chosen) event()          {}
func (Unheard) event()         {}
func (SoundSeen) event()       {}
func (RestartEnded) event()    {}
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
	// TellHeld lets the relay repeat nothing (true) from the moment before a sleep until the network is known after it.
	TellHeld struct{ Held bool }
	// KeepUpload puts an upload that has ended into the history.
	KeepUpload struct{ Upload Upload }
	// ReportSleep says in the log how long it took after a sleep until uploads went on.
	ReportSleep struct{ Sleep Sleep }

	// Announce shows a notice, and Withdraw takes it away.
	Announce struct{ Notice Notice }
	Withdraw struct{ Key string }
	// LookAtSound finds out whether a client plays or records sound; SoundSeen answers it.
	LookAtSound struct {
		Kind string
		PID  int
	}
	// RestartClient quits a client and starts it again; RestartEnded answers it. ByItself: nobody clicked, so it is only done
	// while the client is still without sound.
	RestartClient struct {
		Kind     string
		PID      int
		ByItself bool
	}
	// OpenClient brings a client to the front, or starts it.
	OpenClient struct{ Kind string }
	// TryUpload and CancelUpload are what a person chose for an upload.
	TryUpload    struct{ ID string }
	CancelUpload struct{ ID string }
)

func (RefreshRelay) effect() {}
func (TellOnline) effect()   {}
func (TellHeld) effect()     {}
func (KeepUpload) effect()   {}
func (ReportSleep) effect()  {}

func (Announce) effect()      {}
func (Withdraw) effect()      {}
func (LookAtSound) effect()   {}
func (RestartClient) effect() {}
func (OpenClient) effect()    {}
func (TryUpload) effect()     {}
func (CancelUpload) effect()  {}
