package realip_test

import (
	"net/http"
	"net/netip"
	"testing"

	"holdfast/relay/server/realip"
)

func trust(t testing.TB, nets ...string) realip.Trust {
	t.Helper()
	var ps []netip.Prefix
	for _, n := range nets {
		ps = append(ps, netip.MustParsePrefix(n))
	}
	return realip.New(ps)
}

// header makes an http.Header from name, value, name, value...; an equal name adds a line.
func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestClientIsTheRightMostUntrustedAddress(t *testing.T) {
	const (
		xff = "X-Forwarded-For"
		fwd = "Forwarded"
		xri = "X-Real-IP"
	)
	tests := []struct {
		name, remote string
		header       http.Header
		want         string
	}{
		{"no header", "127.0.0.1", nil, "127.0.0.1"},
		{"an untrusted peer's X-Forwarded-For counts for nothing", "203.0.113.9", header(xff, "127.0.0.1"), "203.0.113.9"},
		{"an untrusted peer's Forwarded counts for nothing", "203.0.113.9", header(fwd, "for=127.0.0.1"), "203.0.113.9"},
		{"an untrusted peer's X-Real-IP counts for nothing", "203.0.113.9", header(xri, "127.0.0.1"), "203.0.113.9"},
		{"an IPv4-mapped peer is IPv4", "::ffff:203.0.113.9", header(xff, "127.0.0.1"), "203.0.113.9"},
		{"an IPv4-mapped trusted peer is trusted", "::ffff:127.0.0.1", header(xff, "198.51.100.7"), "198.51.100.7"},
		{"an IPv6 peer that is trusted", "::1", header(xff, "2001:db8::7"), "2001:db8::7"},
		{"an IPv6 peer with a zone that is not trusted", "fe80::1%eth0", header(xff, "2001:db8::7"), "fe80::1%eth0"},

		{"X-Forwarded-For with one hop", "127.0.0.1", header(xff, "198.51.100.7"), "198.51.100.7"},
		{"what the client put in front is not read", "127.0.0.1", header(xff, "10.9.9.9, 198.51.100.7"), "198.51.100.7"},
		{"not even if it names a trusted address", "127.0.0.1", header(xff, "127.0.0.1, 198.51.100.7"), "198.51.100.7"},
		{"two proxies", "127.0.0.1", header(xff, "6.6.6.6, 198.51.100.7, 10.0.0.2"), "198.51.100.7"},
		{"two lines are one list", "127.0.0.1", header(xff, "6.6.6.6, 198.51.100.7", xff, "10.0.0.2"), "198.51.100.7"},
		{"all hops trusted: the first of them", "127.0.0.1", header(xff, "10.0.0.3, 10.0.0.2"), "10.0.0.3"},
		{"garbage behind a trusted hop: that hop", "127.0.0.1", header(xff, "198.51.100.7, garbage, 10.0.0.2"), "10.0.0.2"},
		{"garbage in the last place: the peer", "127.0.0.1", header(xff, "198.51.100.7, garbage"), "127.0.0.1"},
		{"empty elements are none", "127.0.0.1", header(xff, "198.51.100.7, ,"), "198.51.100.7"},
		{"an empty header says nothing", "127.0.0.1", header(xff, ""), "127.0.0.1"},
		{"no spaces", "127.0.0.1", header(xff, "6.6.6.6,198.51.100.7"), "198.51.100.7"},
		{"IPv4 with a port", "127.0.0.1", header(xff, "198.51.100.7:4711"), "198.51.100.7"},
		{"IPv6 in brackets", "127.0.0.1", header(xff, "[2001:db8::7]"), "2001:db8::7"},
		{"IPv6 in brackets with a port", "127.0.0.1", header(xff, "[2001:db8::7]:4711"), "2001:db8::7"},
		{"IPv4-mapped is IPv4", "127.0.0.1", header(xff, "::ffff:198.51.100.7"), "198.51.100.7"},
		{"an IPv4-mapped proxy is a proxy", "127.0.0.1", header(xff, "198.51.100.7, ::ffff:10.0.0.2"), "198.51.100.7"},
		{"IPv4 in brackets is garbage", "127.0.0.1", header(xff, "[198.51.100.7]"), "127.0.0.1"},
		{"a zone is garbage", "127.0.0.1", header(xff, "fe80::1%eth0"), "127.0.0.1"},
		{"the unspecified address is garbage", "127.0.0.1", header(xff, "0.0.0.0"), "127.0.0.1"},
		{"a multicast address is garbage", "127.0.0.1", header(xff, "ff02::1"), "127.0.0.1"},
		{"a host name is garbage", "127.0.0.1", header(xff, "localhost"), "127.0.0.1"},
		{"leading zeros are garbage", "127.0.0.1", header(xff, "198.051.100.007"), "127.0.0.1"},
		{"a port out of range is garbage", "127.0.0.1", header(xff, "198.51.100.7:70000"), "127.0.0.1"},

		{"X-Real-IP", "127.0.0.1", header(xri, "198.51.100.7"), "198.51.100.7"},
		{"X-Real-IP twice says nothing", "127.0.0.1", header(xri, "6.6.6.6", xri, "198.51.100.7"), "127.0.0.1"},
		{"X-Real-IP is no list", "127.0.0.1", header(xri, "6.6.6.6, 198.51.100.7"), "127.0.0.1"},

		{"Forwarded", "127.0.0.1", header(fwd, "for=198.51.100.7"), "198.51.100.7"},
		{"Forwarded in any case", "127.0.0.1", header(fwd, "For=198.51.100.7;Proto=https;BY=10.0.0.1"), "198.51.100.7"},
		{"Forwarded with IPv6 and port", "127.0.0.1", header(fwd, `for="[2001:db8:cafe::17]:4711"`), "2001:db8:cafe::17"},
		{"Forwarded without the quotes it needs", "127.0.0.1", header(fwd, `for=[2001:db8:cafe::17]:4711`), "2001:db8:cafe::17"},
		{"Forwarded with a quoted pair", "127.0.0.1", header(fwd, `for="198.51.100\.7"`), "198.51.100.7"},
		{"Forwarded with two hops", "127.0.0.1", header(fwd, "for=6.6.6.6, for=198.51.100.7;by=10.0.0.2, for=10.0.0.2"), "198.51.100.7"},
		{"Forwarded in two lines", "127.0.0.1", header(fwd, "for=198.51.100.7", fwd, "for=10.0.0.2"), "198.51.100.7"},
		{"Forwarded with a comma in quotes", "127.0.0.1", header(fwd, `for=198.51.100.7;ext="a, for=6.6.6.6"`), "198.51.100.7"},
		{"Forwarded: unknown ends the search", "127.0.0.1", header(fwd, "for=6.6.6.6, for=unknown"), "127.0.0.1"},
		{"Forwarded: an obfuscated name ends the search", "127.0.0.1", header(fwd, "for=6.6.6.6, for=_hidden, for=10.0.0.2"), "10.0.0.2"},
		{"Forwarded: an element without for ends the search", "127.0.0.1", header(fwd, "for=6.6.6.6, proto=https"), "127.0.0.1"},
		{"Forwarded: for twice in one element", "127.0.0.1", header(fwd, "for=6.6.6.6;for=198.51.100.7"), "127.0.0.1"},
		{"Forwarded: an unfinished quote", "127.0.0.1", header(fwd, `for="6.6.6.6, for=198.51.100.7`), "127.0.0.1"},
		{"Forwarded: a client's quote that swallows the proxy's", "127.0.0.1", header(fwd, `for=6.6.6.6;x=", for="[2001:db8::7]"`), "127.0.0.1"},
		{"Forwarded: a broken line to the left of a good one", "127.0.0.1", header(fwd, `for="6`, fwd, "for=198.51.100.7"), "198.51.100.7"},
		{"Forwarded: a semicolon at the end", "127.0.0.1", header(fwd, "for=6.6.6.6;, for=198.51.100.7;"), "198.51.100.7"},
		{"Forwarded: no value", "127.0.0.1", header(fwd, "for="), "127.0.0.1"},
		{"Forwarded: not a pair", "127.0.0.1", header(fwd, "198.51.100.7"), "127.0.0.1"},

		{"two headers that agree", "127.0.0.1", header(xff, "6.6.6.6, 198.51.100.7", xri, "198.51.100.7"), "198.51.100.7"},
		{"three headers that agree", "127.0.0.1", header(xff, "198.51.100.7", xri, "198.51.100.7", fwd, "for=198.51.100.7"), "198.51.100.7"},
		{"X-Real-IP that names the inner proxy is no contradiction", "127.0.0.1", header(xff, "198.51.100.7, 10.0.0.2", xri, "10.0.0.2"), "198.51.100.7"},
		{"a client's Forwarded beside the proxy's X-Forwarded-For", "127.0.0.1", header(fwd, "for=6.6.6.6", xff, "198.51.100.7"), "127.0.0.1"},
		{"a client's X-Forwarded-For beside the proxy's X-Real-IP", "127.0.0.1", header(xff, "6.6.6.6", xri, "198.51.100.7"), "127.0.0.1"},
		{"a client's garbage beside the proxy's X-Real-IP", "127.0.0.1", header(xff, "garbage", fwd, `for="`, xri, "198.51.100.7"), "198.51.100.7"},
	}
	tr := trust(t, "127.0.0.0/8", "::1/128", "10.0.0.0/16")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tr.Client(netip.MustParseAddr(tt.remote), tt.header)
			if got != netip.MustParseAddr(tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestTheZeroTrustTrustsNobody(t *testing.T) {
	var nobody realip.Trust
	h := header("X-Forwarded-For", "198.51.100.7", "Forwarded", "for=198.51.100.7", "X-Real-IP", "198.51.100.7")
	for _, remote := range []string{"127.0.0.1", "::1", "10.0.0.1"} {
		addr := netip.MustParseAddr(remote)
		if got := nobody.Client(addr, h); got != addr {
			t.Errorf("a request from %v counts as from %v", remote, got)
		}
	}
	if got := nobody.Client(netip.Addr{}, h); got.IsValid() {
		t.Errorf("a request without an address counts as from %v", got)
	}
}

func TestTrustedNetworksAreMaskedAndUnmapped(t *testing.T) {
	tests := []struct {
		name, network, addr string
		want                bool
	}{
		{"host bits are ignored", "10.1.2.3/8", "10.9.9.9", true},
		{"an IPv4-mapped network", "::ffff:10.0.0.0/104", "10.9.9.9", true},
		{"an IPv4-mapped address", "10.0.0.0/8", "::ffff:10.9.9.9", true},
		{"IPv6 does not cover IPv4", "::/0", "10.9.9.9", false},
		{"a zone does not matter", "fe80::/10", "fe80::1%eth0", true},
		{"outside", "10.0.0.0/8", "11.0.0.1", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := trust(t, tt.network).Trusted(netip.MustParseAddr(tt.addr)); got != tt.want {
				t.Errorf("%s in %s: %v, want %v", tt.addr, tt.network, got, tt.want)
			}
		})
	}
}

// A client writes what it likes in front; the proxy appends the truth. The answer is the truth or the proxy.
func FuzzClientNeverBelievesTheClient(f *testing.F) {
	for _, s := range []string{"6.6.6.6", `for="6.6.6.6`, "for=6.6.6.6;x=\"", "for=6.6.6.6,", `"\`, ",,;,", "for=[::1]:1"} {
		f.Add(s, false)
		f.Add(s, true)
	}
	proxy := netip.MustParseAddr("127.0.0.1")
	tr := trust(f, "127.0.0.1/32", "10.0.0.0/8")
	f.Fuzz(func(t *testing.T, forged string, v6 bool) {
		truth, node := netip.MustParseAddr("198.51.100.7"), "198.51.100.7"
		if v6 {
			truth, node = netip.MustParseAddr("2001:db8::7"), `"[2001:db8::7]:4711"`
		}
		if got := tr.Client(proxy, header("X-Forwarded-For", forged+", "+truth.String())); got != truth {
			t.Errorf("X-Forwarded-For %q: %v", forged, got)
		}
		if got := tr.Client(proxy, header("X-Forwarded-For", forged, "X-Forwarded-For", truth.String())); got != truth {
			t.Errorf("X-Forwarded-For line %q: %v", forged, got)
		}
		if got := tr.Client(proxy, header("Forwarded", forged+", for="+node)); got != truth && got != proxy {
			t.Errorf("Forwarded %q: %v", forged, got)
		}
		if got := tr.Client(proxy, header("Forwarded", forged, "Forwarded", "for="+node)); got != truth {
			t.Errorf("Forwarded line %q: %v", forged, got)
		}
		if got := tr.Client(proxy, header("X-Real-IP", truth.String(), "X-Forwarded-For", forged)); got != truth && !tr.Trusted(got) {
			t.Errorf("X-Real-IP beside X-Forwarded-For %q: %v", forged, got)
		}
		if got := tr.Client(truth, header("X-Forwarded-For", forged, "Forwarded", forged, "X-Real-IP", forged)); got != truth {
			t.Errorf("from an untrusted peer %q: %v", forged, got)
		}
	})
}
