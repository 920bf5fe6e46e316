// Package realip finds the client's address behind trusted proxies. The zero value trusts nobody.
//
// # Invariants
//   - A header counts only from a trusted address, and each of its hops only when the hop to its right is trusted.
//   - What cannot be read, and headers that contradict each other, end the search at the last trusted hop: the
//     answer may be a proxy's address, never one that a client could have made up.
//
// An answer that is itself Trusted says that the client's address is not known for certain (or that it is a proxy's
// own request). Whoever draws conclusions from a change of address must not draw them from such an answer.
package realip

import (
	"net/http"
	"net/netip"
	"strings"
)

// Trust is the set of proxies whose word counts.
type Trust struct{ nets []netip.Prefix }

// New returns a Trust in the given networks. IPv4-mapped networks are those of IPv4.
func New(nets []netip.Prefix) Trust {
	own := make([]netip.Prefix, 0, len(nets))
	for _, n := range nets {
		if n.Addr().Is4In6() && n.Bits() >= 96 {
			n = netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-96)
		}
		if n.IsValid() {
			own = append(own, n.Masked())
		}
	}
	return Trust{own}
}

// Trusted reports whether the address is that of a trusted proxy.
func (t Trust) Trusted(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, n := range t.nets {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

// Client returns the address the request really comes from: remote, unless it is trusted; then the
// right-most untrusted address of Forwarded (RFC 7239), X-Forwarded-For or X-Real-IP.
//
// Proxies pass on the headers that they do not know, so that a client may add one of the three to what its proxy
// says in another. If they name different clients, none is believed, and remote is the answer.
func (t Trust) Client(remote netip.Addr, h http.Header) netip.Addr {
	remote = remote.Unmap()
	if !t.Trusted(remote) {
		return remote
	}
	chains := [][]hop{
		chain(h.Values("Forwarded"), forwardedHops),
		chain(h.Values("X-Forwarded-For"), listHops),
		realIP(h.Values("X-Real-Ip")),
	}
	client, proxy := netip.Addr{}, netip.Addr{}
	for _, c := range chains {
		addr, ok := t.walk(c)
		switch {
		case !ok:
		case t.Trusted(addr):
			if !proxy.IsValid() {
				proxy = addr
			}
		case client.IsValid() && client != addr:
			return remote
		default:
			client = addr
		}
	}
	switch {
	case client.IsValid():
		return client
	case proxy.IsValid():
		return proxy
	}
	return remote
}

// hop is one address of a chain; the zero value is one that cannot be read.
type hop = netip.Addr

// walk goes from the right end of a chain to the first address that is not trusted, or as far as it can read.
// False: the chain says nothing.
func (t Trust) walk(c []hop) (netip.Addr, bool) {
	var last netip.Addr
	for i := len(c) - 1; i >= 0; i-- {
		if !c[i].IsValid() {
			break
		}
		if last = c[i]; !t.Trusted(last) {
			break
		}
	}
	return last, last.IsValid()
}

// chain reads the lines of a header into one list of hops. A line that cannot be read is one unreadable hop.
func chain(lines []string, parse func(line string) ([]hop, bool)) []hop {
	var hops []hop
	for _, line := range lines {
		parsed, ok := parse(line)
		if !ok {
			parsed = []hop{{}}
		}
		hops = append(hops, parsed...)
	}
	return hops
}

// listHops reads a line of X-Forwarded-For. Empty elements are none (RFC 9110 section 5.6.1.2).
func listHops(line string) ([]hop, bool) {
	var hops []hop
	for element := range strings.SplitSeq(line, ",") {
		if element = strings.Trim(element, " \t"); element != "" {
			hops = append(hops, node(element))
		}
	}
	return hops, true
}

// realIP reads X-Real-IP, which holds one address and no chain; of several lines none is believed.
func realIP(lines []string) []hop {
	if len(lines) != 1 {
		return nil
	}
	return []hop{node(strings.Trim(lines[0], " \t"))}
}

// node reads the address of "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]" or "[2001:db8::1]:80".
// Anything else, "unknown" and RFC 7239's obfuscated names too, is an unreadable hop.
func node(s string) hop {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
			addr, err = netip.ParseAddr(strings.TrimSuffix(inner, "]"))
			if err == nil && addr.Is4() {
				return hop{}
			}
		} else {
			var ap netip.AddrPort
			ap, err = netip.ParseAddrPort(s)
			addr = ap.Addr()
		}
	}
	if err != nil || addr.Zone() != "" || addr.IsUnspecified() || addr.IsMulticast() {
		return hop{}
	}
	return addr.Unmap()
}
