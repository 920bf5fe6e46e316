// Package admit decides whether a token that may be late is still good.
//
// Decide is a function of values: what the token says, who sends it, what is remembered, and now.
// The grace never widens what a token can do (one path, one size, once), only when.
package admit

import (
	"time"

	"holdfast/detect/client"
	"holdfast/relay/token"
)

// Windows are the grace periods after a token's expiry.
type Windows struct{ Base, Mobile, Desktop, Restore, Ultra time.Duration }

// Default are the windows an installation has without configuration.
var Default = Windows{8 * time.Hour, 12 * time.Hour, 24 * time.Hour, 48 * time.Hour, 72 * time.Hour}

// Peer is the other end of the request.
type Peer struct {
	Client client.Client
	Addr   string // ledger's keyed hash of the address, comparable with History.FreshAddr
	Device bool   // a valid device proof of the same identity came with the request
}

// History is what the ledger remembers of the identity. The zero value is "never seen".
type History struct {
	Known     bool
	LastFresh time.Time
	FreshAddr string
}

// Window names the grace window that admitted a token.
type Window string

// The windows, in the order they are tried. None: the token carries no time; Fresh: within its lifetime.
const (
	None    Window = "none"
	Fresh   Window = "fresh"
	Base    Window = "base"
	Mobile  Window = "mobile"
	Desktop Window = "desktop"
	Restore Window = "restore"
	Ultra   Window = "ultra"
)

// Verdict is the decision and what led to it.
type Verdict struct {
	OK      bool
	Window  Window        // the smallest window that admits; for a refusal the largest that was open to the peer
	Late    time.Duration // how long after the expiry; 0 when not late
	Reason  string        // a constant word for logs: "fresh", "no-time", "client-class", "restore", "address-changed", "standby", "device", "beyond-grace", "issued-in-future"
	Changed bool          // the address differs from the one of the last fresh upload
}

// Decide judges claims at now.
func Decide(c token.Claims, p Peer, h History, w Windows, now time.Time) Verdict { return Verdict{} }
