// Package admit decides whether a token that may be late is still good.
//
// Decide is a function of values: what the token says, who sends it, what is remembered, and now.
//
// # Invariants
//   - The grace never widens what a token can do (one path, one size, once), only when.
//   - Nothing a client can set gives more than the window of its class: restore and ultra need a
//     history or a device proof.
//   - A token without an identity has neither history nor device.
//   - Time is judged in whole seconds, as tokens carry it; the last second of a window is inside.
package admit

import (
	"time"

	"holdfast/detect/client"
	"holdfast/relay/token"
)

// Windows are the grace periods after a token's expiry. A window of zero admits nothing that is late.
type Windows struct{ Base, Mobile, Desktop, Restore, Ultra time.Duration }

// Default are the windows an installation has without configuration. It is never written to.
var Default = Windows{8 * time.Hour, 12 * time.Hour, 24 * time.Hour, 48 * time.Hour, 72 * time.Hour}

// Peer is the other end of the request.
type Peer struct {
	Client client.Client
	Addr   string // ledger's keyed hash of the address, comparable with History.FreshAddr; empty: not known for certain
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

// The reasons a verdict gives, constant words for logs.
const (
	ReasonNoTime   = "no-time"          // the token carries no time
	ReasonFresh    = "fresh"            // within its lifetime
	ReasonClass    = "client-class"     // late within base, mobile or desktop
	ReasonRestore  = "restore"          // a desktop client of a known identity
	ReasonAddress  = "address-changed"  // a known identity from another address
	ReasonStandby  = "standby"          // a known identity that was away when the token expired
	ReasonDevice   = "device"           // a valid device proof
	ReasonTooLate  = "beyond-grace"     // refused: later than every window that is open to the peer
	ReasonTooEarly = "issued-in-future" // refused: a jwt that claims to be issued later than now
)

// skew is how far the clock of an issuer may be ahead.
const skew = 10 * time.Minute

// Verdict is the decision and what led to it.
type Verdict struct {
	OK      bool
	Window  Window        // the smallest window that admits; for a refusal the largest that was open to the peer
	Late    time.Duration // how long after the expiry, in whole seconds; 0 when not late
	Reason  string        // one of the Reason constants
	Changed bool          // the address differs from the one of the last fresh upload
}

// Decide judges claims at now.
func Decide(c token.Claims, p Peer, h History, w Windows, now time.Time) Verdict {
	if c.Owner == "" {
		h, p.Device = History{}, false
	}
	v := Verdict{Changed: h.Known && p.Addr != "" && h.FreshAddr != "" && p.Addr != h.FreshAddr}
	now = time.Unix(now.Unix(), 0)
	switch {
	case c.Expires.IsZero():
		v.OK, v.Window, v.Reason = true, None, ReasonNoTime
		return v
	case c.Scheme == token.JWT && c.IssuedAt.After(now.Add(skew)):
		v.Window, v.Reason = Fresh, ReasonTooEarly
		return v
	}
	if v.Late = now.Sub(time.Unix(c.Expires.Unix(), 0)); v.Late <= 0 {
		v.OK, v.Window, v.Reason, v.Late = true, Fresh, ReasonFresh, 0
		return v
	}
	largest := time.Duration(-1)
	smallest := time.Duration(-1)
	for _, g := range open(c, p, h, w, v.Changed) {
		if v.Late <= g.length && (!v.OK || g.length < smallest) {
			v.OK, v.Window, v.Reason, smallest = true, g.window, g.reason, g.length
		}
		if !v.OK && g.length > largest {
			v.Window, v.Reason, largest = g.window, ReasonTooLate, g.length
		}
	}
	return v
}

// grace is one window that is open to a peer, and why.
type grace struct {
	window Window
	length time.Duration
	reason string
}

// open is the grace table: the windows that are open to the sender of a late token.
func open(c token.Claims, p Peer, h History, w Windows, changed bool) []grace {
	gs := []grace{{Base, w.Base, ReasonClass}}
	switch p.Client.Kind {
	case client.Mobile:
		gs = append(gs, grace{Mobile, w.Mobile, ReasonClass})
	case client.Desktop:
		gs = append(gs, grace{Desktop, w.Desktop, ReasonClass})
		if h.Known {
			gs = append(gs, grace{Restore, w.Restore, ReasonRestore})
		}
	}
	standby := !h.LastFresh.IsZero() && h.LastFresh.Before(c.Expires)
	switch {
	case h.Known && changed:
		gs = append(gs, grace{Ultra, w.Ultra, ReasonAddress})
	case h.Known && standby:
		gs = append(gs, grace{Ultra, w.Ultra, ReasonStandby})
	case p.Device:
		gs = append(gs, grace{Ultra, w.Ultra, ReasonDevice})
	}
	return gs
}
