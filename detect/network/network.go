// Package network says which network this machine is on, and when that changes in a way that matters to an upload.
//
// A Source (NetworkManager in nm, the kernel's routes in netlink) tells that something may have changed and reads
// the present state as a Snapshot. A Sleeper (logind and the clock in sleep) tells when the machine sleeps and wakes. Watch
// settles what they tell, Diff compares two snapshots, First joins sources.
//
// # Invariants
//   - Diff is a function of two values; it reads no clock and no network.
//   - Nobody acts on a single signal: an Event always comes from comparing whole snapshots.
//   - Two snapshots of one network are equal however often the system repeats itself: IPv6 privacy addresses,
//     signal strength, roaming between access points of one name and scan results are not part of a Snapshot.
//   - A source that cannot tell says so (Snapshot.Unknown); not knowing is never reported as being offline.
//   - After a sleep the order is always: that the machine woke, then what the network is.
//
// # Concurrency
//
// Watch and Source.Run block and return only when everything they started is gone. out is called from the
// goroutine of Watch, one Event at a time, in order.
package network

import (
	"context"
	"net/netip"
	"time"
)

// Link is the kind of the primary connection.
type Link string

// Kinds of links.
const (
	NoLink   Link = ""
	WiFi     Link = "wifi"
	Ethernet Link = "ethernet"
	Mobile   Link = "mobile"
	VPN      Link = "vpn"
	Other    Link = "other"
)

// Snapshot is the identity of the network this machine is on. Compare two with Diff.
type Snapshot struct {
	Online  bool // NetworkManager: state >= 60 (connected to site or better); also true when Unknown
	Portal  bool // a captive portal stands in the way
	Metered bool
	Link    Link
	Name    string // connection id, SSID for Wi-Fi
	UUID    string
	Device  string         // interface name
	Addrs   []netip.Prefix // of the primary connection; IPv6 as /64, without link-local ones, sorted
	Gateway netip.Addr     // IPv4 if there is one
	VPNs    []string       // names of other active VPN connections, sorted

	// Unknown: the source cannot tell (NetworkManager is not running). Online is true then, so that nobody holds
	// an upload back because a daemon was stopped; every other field is empty.
	Unknown bool
	// Settling: the system is between two states (NetworkManager: connecting, disconnecting). Watch waits a little
	// for the outcome. Diff does not look at it.
	Settling bool
}

// Source tells of network changes. It never decides.
type Source interface {
	// Run calls notify once as soon as it listens, and after everything that may have changed the network, until
	// ctx ends; then it returns nil. It blocks, and returns only when all it started is gone. notify never blocks.
	Run(ctx context.Context, notify func()) error
	// Snapshot reads the present state whole. A source that cannot tell returns a Snapshot with Unknown set.
	Snapshot(ctx context.Context) (Snapshot, error)
}

// Change says what differs between two snapshots, in answers rather than fields.
type Change struct {
	Old, New Snapshot
	// Material: connections made before are likely dead, or new ones now possible.
	Material bool
	// Words are constant words: "online", "offline", "link", "address", "gateway", "vpn", "portal", "metered",
	// "name" (only the name changed), "unknown" (the source began or ceased to know), "asleep" (the machine is about
	// to sleep), "resumed" (it woke; the network has not been looked at yet), "same" (looked at after a sleep, and nothing
	// differs). Empty: nothing differs.
	Words []string
	// Slept is how long the machine slept before, with "resumed" and with the one change that follows it.
	Slept time.Duration
}

// Event is a change that is worth telling. Only a Material one is worth acting on.
type Event struct {
	Change Change
	At     time.Time
}
