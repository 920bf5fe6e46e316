package network

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var (
	home = Snapshot{
		Online: true, Link: WiFi, Name: "Home", UUID: "u1", Device: "wlan0",
		Addrs: prefixes("192.0.2.10/24", "2001:db8:1::/64"), Gateway: netip.MustParseAddr("192.0.2.1"),
	}
	wired = Snapshot{
		Online: true, Link: Ethernet, Name: "wired0", UUID: "u2", Device: "eth0",
		Addrs: prefixes("198.51.100.7/24"), Gateway: netip.MustParseAddr("198.51.100.1"),
	}
	offline = Snapshot{}
	unknown = Snapshot{Online: true, Unknown: true}
)

func prefixes(s ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// with returns a changed copy.
func with(s Snapshot, change func(*Snapshot)) Snapshot {
	change(&s)
	return s
}

func TestDiff(t *testing.T) {
	tests := []struct {
		name     string
		old, new Snapshot
		material bool
		words    []string
		says     string
	}{
		{"the same network twice is no change", home, home, false, nil, `Wi-Fi "Home": no change`},
		{"Wi-Fi to Ethernet", home, wired, true, []string{"link", "address", "gateway"}, `Wi-Fi "Home" -> Ethernet "wired0"`},
		{
			"the same connection gets another address", home,
			with(home, func(s *Snapshot) { s.Addrs = prefixes("192.0.2.99/24", "2001:db8:1::/64") }),
			true, []string{"address"}, `Wi-Fi "Home": new address`,
		},
		{
			"the same connection gets another IPv6 network", home,
			with(home, func(s *Snapshot) { s.Addrs = prefixes("192.0.2.10/24", "2001:db8:2::/64") }),
			true, []string{"address"}, `Wi-Fi "Home": new address`,
		},
		{
			"the gateway is gone while the connection is still called up", wired,
			with(wired, func(s *Snapshot) { s.Gateway = netip.Addr{} }),
			true, []string{"gateway"}, `Ethernet "wired0": gateway lost`,
		},
		{
			"the gateway comes back", with(wired, func(s *Snapshot) { s.Gateway = netip.Addr{} }), wired,
			true, []string{"gateway"}, `Ethernet "wired0": new gateway`,
		},
		{
			"a VPN comes up beside the primary connection", home,
			with(home, func(s *Snapshot) { s.VPNs = []string{"work"} }),
			true, []string{"vpn"}, `Wi-Fi "Home": VPN "work" up`,
		},
		{
			"one VPN follows another", with(home, func(s *Snapshot) { s.VPNs = []string{"work"} }),
			with(home, func(s *Snapshot) { s.VPNs = []string{"school"} }),
			true, []string{"vpn"}, `Wi-Fi "Home": VPN "school" up, VPN "work" down`,
		},
		{
			"a captive portal appears", home, with(home, func(s *Snapshot) { s.Portal = true }),
			true, []string{"portal"}, `Wi-Fi "Home": captive portal`,
		},
		{
			"a captive portal is passed", with(home, func(s *Snapshot) { s.Portal = true }), home,
			true, []string{"portal"}, `Wi-Fi "Home": captive portal passed`,
		},
		{
			"coming online behind a captive portal", offline, with(home, func(s *Snapshot) { s.Portal = true }),
			true, []string{"online", "link", "address", "gateway", "portal"}, `offline -> Wi-Fi "Home" (captive portal)`,
		},
		{
			"only the price changed", home, with(home, func(s *Snapshot) { s.Metered = true }),
			false, []string{"metered"}, `Wi-Fi "Home": metered`,
		},
		{
			"only the name changed", home, with(home, func(s *Snapshot) { s.Name = "Attic" }),
			false, []string{"name"}, `Wi-Fi "Attic": was named "Home"`,
		},
		{"going offline", home, offline, true, []string{"offline", "link", "address", "gateway"}, `Wi-Fi "Home" -> offline`},
		{"coming online", offline, home, true, []string{"online", "link", "address", "gateway"}, `offline -> Wi-Fi "Home"`},
		{
			"a VPN listed while offline is nothing to act on", offline, with(offline, func(s *Snapshot) { s.VPNs = []string{"work"} }),
			false, []string{"vpn"}, `offline: VPN "work" up`,
		},
		{"the source stops knowing", wired, unknown, true, []string{"unknown", "link", "address", "gateway"}, `Ethernet "wired0" -> unknown`},
		{"the source knows again", unknown, wired, true, []string{"unknown", "link", "address", "gateway"}, `unknown -> Ethernet "wired0"`},
		{"nobody knows from the start", offline, unknown, true, []string{"online", "unknown"}, `offline -> unknown`},
		{
			"waiting for an outcome is no difference", home, with(home, func(s *Snapshot) { s.Settling = true }),
			false, nil, `Wi-Fi "Home": no change`,
		},
		{
			"a connection without a name is called by its device", offline,
			Snapshot{Online: true, Link: Other, Device: "br0"},
			true, []string{"online", "link"}, `offline -> network "br0"`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Diff(tt.old, tt.new)
			if c.Material != tt.material {
				t.Errorf("material %v, want %v", c.Material, tt.material)
			}
			if d := cmp.Diff(tt.words, c.Words); d != "" {
				t.Errorf("words (-want +got):\n%s", d)
			}
			if got := c.String(); got != tt.says {
				t.Errorf("says %s, want %s", got, tt.says)
			}
			if d := cmp.Diff([]Snapshot{tt.old, tt.new}, []Snapshot{c.Old, c.New}, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})); d != "" {
				t.Errorf("snapshots (-want +got):\n%s", d)
			}
		})
	}
}
