// Package network says which network this machine is on, and when that changes in a way that matters to an upload.
//
// Sources (NetworkManager, later netlink and sleep) give Snapshots; Watch settles them and gives Events; Diff is pure.
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
	Online  bool // NetworkManager: state >= 60 (connected to site or better)
	Portal  bool // a captive portal stands in the way
	Metered bool
	Link    Link
	Name    string // connection id, SSID for Wi-Fi
	UUID    string
	Device  string         // interface name
	Addrs   []netip.Prefix // of the primary connection; IPv6 as /64, sorted
	Gateway netip.Addr
	VPNs    []string // names of other active VPN connections, sorted
}

// Source tells of network changes. It never decides.
type Source interface {
	// Run calls notify after everything that may have changed the network, until ctx ends.
	// It blocks, and returns only when all it started is gone.
	Run(ctx context.Context, notify func()) error
	// Snapshot reads the present state whole.
	Snapshot(ctx context.Context) (Snapshot, error)
}

// Change says what differs between two snapshots, in answers rather than fields.
type Change struct {
	Old, New Snapshot
	Material bool     // connections made before are likely dead, or new ones now possible
	Words    []string // constant words: "online", "offline", "link", "address", "gateway", "vpn", "portal", "metered"
}

// Event is a change that is worth acting on.
type Event struct {
	Change Change
	At     time.Time
}

// Diff compares two snapshots.
func Diff(old, new Snapshot) Change { return Change{} }

// Watch settles what src tells (750 ms without news, at most 3 s) and sends an Event for each
// difference to the snapshot sent last; the first one compares with the zero Snapshot.
// It blocks until ctx ends.
func Watch(ctx context.Context, src Source, out func(Event)) error { return nil }
