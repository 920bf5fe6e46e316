package words

import (
	"net/netip"
	"testing"
	"time"

	"holdfast/detect/network"
)

func TestAChangeOfNetworkIsSaidInWords(t *testing.T) {
	home := network.Snapshot{Online: true, Link: network.WiFi, Name: "Home", Device: "wlan0", UUID: "a",
		Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24")}, Gateway: netip.MustParseAddr("192.0.2.1")}
	with := func(s network.Snapshot, f func(*network.Snapshot)) network.Snapshot { f(&s); return s }
	wired := with(home, func(s *network.Snapshot) { s.Link, s.Name, s.Device, s.UUID = network.Ethernet, "wired0", "eth0", "b" })
	moved := with(home, func(s *network.Snapshot) { s.Addrs = []netip.Prefix{netip.MustParsePrefix("192.0.2.99/24")} })
	slept := func(c network.Change, word string) network.Change {
		c.Slept = 6 * time.Hour
		if word != "" {
			c.Words = []string{word}
		}
		return c
	}
	for _, c := range []struct {
		name, en, de string
		change       network.Change
	}{
		{"another connection", "Wi-Fi Home -> Cable wired0", "WLAN Home -> Kabel wired0", network.Diff(home, wired)},
		{"connected", "Connected: Wi-Fi Home", "Verbunden: WLAN Home", network.Diff(network.Snapshot{}, home)},
		{"nothing left", "Wi-Fi Home is gone, there is no network", "WLAN Home ist weg, es gibt kein Netz", network.Diff(home, network.Snapshot{})},
		{"new address on the same link", "Wi-Fi Home: new address", "WLAN Home: neue Adresse", network.Diff(home, moved)},
		{"a VPN", "VPN work is up", "VPN work ist da", network.Diff(home, with(home, func(s *network.Snapshot) { s.VPNs = []string{"work"} }))},
		{"the VPN gone", "VPN work is down", "VPN work ist weg", network.Diff(with(home, func(s *network.Snapshot) { s.VPNs = []string{"work"} }), home)},
		{"a sign-in page", "Wi-Fi Home: sign-in page", "WLAN Home: Anmeldeseite", network.Diff(home, with(home, func(s *network.Snapshot) { s.Portal = true }))},
		{"another network with a sign-in page", "Cable wired0 -> Wi-Fi Home, Wi-Fi Home: sign-in page", "Kabel wired0 -> WLAN Home, WLAN Home: Anmeldeseite",
			network.Diff(wired, with(home, func(s *network.Snapshot) { s.Portal = true }))},
		{"metered", "Wi-Fi Home: metered", "WLAN Home: getaktet", network.Diff(home, with(home, func(s *network.Snapshot) { s.Metered = true }))},
		{"nobody can tell", "Network changes cannot be seen any more", "Netzwechsel sind nicht mehr sichtbar", network.Diff(home, network.Snapshot{Online: true, Unknown: true})},
		{"asleep", "Going to sleep", "Geht schlafen", network.Change{Words: []string{"asleep"}}},
		{"resumed", "Resumed after 6 h", "Aufgewacht nach 6 h", slept(network.Change{Old: home, New: home}, "resumed")},
		{"the same after sleep", "Wi-Fi Home, as before the sleep of 6 h", "WLAN Home, wie vor dem Schlaf von 6 h", slept(network.Change{Old: home, New: home}, "same")},
		{"another after sleep", "Resumed after 6 h, Wi-Fi Home -> Cable wired0", "Aufgewacht nach 6 h, WLAN Home -> Kabel wired0", slept(network.Diff(home, wired), "")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := For("en").NetworkChange(c.change); got != c.en {
				t.Errorf("says %q, want %q", got, c.en)
			}
			if got := For("de").NetworkChange(c.change); got != c.de {
				t.Errorf("says %q, want %q", got, c.de)
			}
		})
	}
}

func TestASpanIsRoundedForPeople(t *testing.T) {
	for d, want := range map[time.Duration]string{
		12 * time.Second: "12 s", 95 * time.Second: "2 min", 40 * time.Minute: "40 min", 100 * time.Minute: "2 h", 6 * time.Hour: "6 h", 70 * time.Hour: "3 days",
	} {
		if got := For("en").Span(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
