package agent

import "slices"

// Code names a kind of problem; it is the `code` of a Problem and never changes.
type Code string

// The problems a companion can have, with what their Args say.
const (
	Offline         Code = "offline"
	Portal          Code = "portal"         // network
	RelayPort       Code = "relay-port"     // wanted, used
	RelayOff        Code = "relay-off"      // why
	ConfigError     Code = "config-error"   // "line 3: what", file
	ConfigUnknown   Code = "config-unknown" // keys, file
	RestartNeeded   Code = "restart-needed" // key
	KeyringIsLocked Code = "keyring-locked" //
	KeyringIsAbsent Code = "keyring-absent" //
	NetworkBlind    Code = "network-blind"
	NoHosts         Code = "no-hosts"          //
	ClientNotRouted Code = "client-not-routed" // kind, its state
	ClientStuck     Code = "client-stuck"      // kind
	TrustDue        Code = "trust-due"         // host
	Certificate     Code = "certificate"       // host, the upload's reason
	ClockWrong      Code = "clock-wrong"       // host, how far ahead or behind
	DeviceRevoked   Code = "device-revoked"    // host
	HistoryFailed   Code = "history-failed"    // why
)

// serious are the problems that turn the icon to Attention: a person has to do something, or uploads do not work.
// The others are only told.
func (c Code) serious() bool {
	switch c {
	case Portal, RelayOff, ConfigError, NoHosts, ClientNotRouted, ClientStuck, Certificate:
		return true
	}
	return false
}

// Issue is a problem before it is worded.
type Issue struct {
	Code Code
	Args []string
}

// Phrases words an Issue in the person's language.
type Phrases func(Issue) Problem

// raise adds an issue. There is one of each code, save the codes about one client or one host: there the
// first argument belongs to the key.
func raise(issues []Issue, i Issue) []Issue {
	out := without(issues, i.Code, key(i)...)
	return append(out, i)
}

// without removes the issues of a code; with args only those about the first of them.
func without(issues []Issue, code Code, args ...string) []Issue {
	return slices.DeleteFunc(slices.Clone(issues), func(i Issue) bool {
		return i.Code == code && (len(args) == 0 || len(i.Args) > 0 && i.Args[0] == args[0])
	})
}

func key(i Issue) []string {
	switch i.Code {
	case ClientNotRouted, ClientStuck, TrustDue, Certificate, RestartNeeded, ClockWrong, DeviceRevoked:
		return i.Args[:min(1, len(i.Args))]
	}
	return nil
}
