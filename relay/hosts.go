package relay

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// Host is an upload host as a person lists it.
type Host struct {
	Name string // lower case, ASCII; or an IP address without brackets
	Port string // empty: 443, and 80 for plain http
}

// String is the form that ParseHost reads.
func (h Host) String() string {
	switch {
	case h.Port != "":
		return net.JoinHostPort(h.Name, h.Port)
	case strings.Contains(h.Name, ":"):
		return "[" + h.Name + "]"
	}
	return h.Name
}

// ParseHost reads "upload.example.org", "upload.example.org:8443", "[::1]:8443". What else it could be (a URL, a path)
// is refused with a sentence that says what is wanted.
func ParseHost(s string) (Host, error) {
	refuse := func() (Host, error) {
		return Host{}, fmt.Errorf("upload host %q: give a name like upload.example.org or upload.example.org:8443", s)
	}
	name, port := strings.TrimSpace(s), ""
	if h, p, err := net.SplitHostPort(name); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return refuse()
		}
		name, port = h, strconv.FormatUint(n, 10)
	} else if strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]") {
		name = name[1 : len(name)-1]
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		if ip.Zone() != "" {
			return refuse()
		}
		return Host{ip.Unmap().String(), port}, nil
	}
	name, err := canonicalName(name)
	if err != nil || !isName(name) {
		return refuse()
	}
	return Host{name, port}, nil
}

// isName says whether name can be a host name: labels of letters, digits, hyphens (and underscores), none empty.
func isName(name string) bool {
	return name != "" && !strings.HasPrefix(name, ".") && !strings.HasSuffix(name, ".") && !strings.Contains(name, "..") &&
		!strings.ContainsFunc(name, notInName)
}

func notInName(c rune) bool {
	return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_')
}

// canonicalName is the form in which two spellings of one name are equal.
func canonicalName(name string) (string, error) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if isASCII(name) {
		return name, nil
	}
	return idna.Lookup.ToASCII(name)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c >= 0x80 })
}

// hostList answers whether a target is listed. The zero value lists nothing.
type hostList struct {
	secure map[string]bool // host:port of intercepted TLS
	plain  map[string]bool // host:port of plain http
	names  []string        // sorted
}

func newHostList(hosts []string) (*hostList, error) {
	l := &hostList{secure: map[string]bool{}, plain: map[string]bool{}}
	names := map[string]bool{}
	for _, s := range hosts {
		h, err := ParseHost(s)
		if err != nil {
			return nil, err
		}
		names[h.Name] = true
		secure, plain := h.Port, h.Port
		if h.Port == "" {
			secure, plain = "443", "80"
		}
		l.secure[net.JoinHostPort(h.Name, secure)] = true
		l.plain[net.JoinHostPort(h.Name, plain)] = true
	}
	l.names = slices.Sorted(maps.Keys(names))
	return l, nil
}

// canonicalTarget brings host:port into the form of the list; defaultPort stands in for a missing port.
func canonicalTarget(hostport, defaultPort string) (string, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		host, port = strings.Trim(hostport, "[]"), defaultPort
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("%q has no valid port", hostport)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return net.JoinHostPort(ip.Unmap().String(), port), nil
	}
	name, err := canonicalName(host)
	if err != nil || !isName(name) {
		return "", fmt.Errorf("%q is not a host", hostport)
	}
	return net.JoinHostPort(name, port), nil
}
