package network

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Diff compares two snapshots.
//
// Being online or not, another connection or device, other addresses, another gateway, another set of VPNs and a
// captive portal are material; a metered flag or a new name for the same connection are not, and neither is
// anything that happens while the machine stays offline.
func Diff(old, new Snapshot) Change {
	c := Change{Old: old, New: new}
	add := func(differs, material bool, word string) {
		if differs {
			c.Words = append(c.Words, word)
			c.Material = c.Material || material
		}
	}
	on := new.Online
	add(!old.Online && on, true, "online")
	add(old.Online && !on, true, "offline")
	add(old.Unknown != new.Unknown, on, "unknown")
	link := old.Link != new.Link || old.UUID != new.UUID || old.Device != new.Device
	add(link, on, "link")
	add(!slices.Equal(old.Addrs, new.Addrs), on, "address")
	add(old.Gateway != new.Gateway, on, "gateway")
	add(!slices.Equal(old.VPNs, new.VPNs), on, "vpn")
	add(old.Portal != new.Portal, on, "portal")
	add(old.Metered != new.Metered, false, "metered")
	add(old.Name != new.Name && !link, false, "name")
	return c
}

// String is the change as one neutral English line for logs: `Wi-Fi "Home" -> Ethernet "wired0"`.
// Sentences for a person are in app/words.
func (c Change) String() string {
	if len(c.Words) == 0 {
		return c.New.String() + ": no change"
	}
	has := func(w string) bool { return slices.Contains(c.Words, w) }
	if has("asleep") {
		return "the machine is about to sleep"
	}
	if has("resumed") {
		return "resumed after " + c.Slept.Round(time.Second).String()
	}
	if has("same") {
		return c.New.String() + ": the same as before the sleep"
	}
	if has("online") || has("offline") || has("link") || has("unknown") {
		s := c.Old.String() + " -> " + c.New.String()
		if c.New.Portal {
			s += " (captive portal)"
		}
		return s
	}
	var notes []string
	note := func(word string, gone bool, lost, changed string) {
		if !has(word) {
			return
		}
		if gone {
			notes = append(notes, lost)
			return
		}
		notes = append(notes, changed)
	}
	note("address", len(c.New.Addrs) == 0, "address lost", "new address")
	note("gateway", !c.New.Gateway.IsValid(), "gateway lost", "new gateway")
	if has("vpn") {
		up, down := missing(c.New.VPNs, c.Old.VPNs), missing(c.Old.VPNs, c.New.VPNs)
		for _, n := range up {
			notes = append(notes, fmt.Sprintf("VPN %q up", n))
		}
		for _, n := range down {
			notes = append(notes, fmt.Sprintf("VPN %q down", n))
		}
	}
	note("portal", !c.New.Portal, "captive portal passed", "captive portal")
	note("metered", !c.New.Metered, "no longer metered", "metered")
	note("name", false, "", fmt.Sprintf("was named %q", c.Old.Name))
	return c.New.String() + ": " + strings.Join(notes, ", ")
}

// String names the network: `Wi-Fi "Home"`, "offline", "unknown".
func (s Snapshot) String() string {
	switch {
	case s.Unknown:
		return "unknown"
	case !s.Online:
		return "offline"
	}
	kind := map[Link]string{
		WiFi: "Wi-Fi", Ethernet: "Ethernet", Mobile: "Mobile", VPN: "VPN",
	}[s.Link]
	if kind == "" {
		kind = "network"
	}
	name := s.Name
	if name == "" {
		name = s.Device
	}
	if name == "" {
		return kind
	}
	return fmt.Sprintf("%s %q", kind, name)
}

// missing returns what is in a and not in b.
func missing(a, b []string) []string {
	var out []string
	for _, s := range a {
		if !slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}
