package diagnose

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// About is what a report says of the machine.
type About struct {
	Version string `json:"version"` // of Holdfast
	System  string `json:"system"`  // "linux/amd64"
	Distro  string `json:"distribution,omitempty"`
	Desktop string `json:"desktop,omitempty"`
}

// report is the file for a bug report.
type report struct {
	Schema int       `json:"schema"`
	Made   time.Time `json:"made"`
	About
	OK     bool    `json:"ok"`
	Checks []Check `json:"checks"`
}

// Report writes a document down for a bug report: indented JSON, without what is private. private are words of this
// person that may occur in it: names of networks and of files, the home folder.
func Report(d Document, a About, private []string, now time.Time) ([]byte, error) {
	r := report{Schema: 1, Made: now.UTC().Truncate(time.Second), About: a, OK: d.OK}
	for _, c := range d.Checks {
		c.Text, c.Remedy = redact(c.Text, private), redact(c.Remedy, private)
		r.Checks = append(r.Checks, c)
	}
	return json.MarshalIndent(r, "", "  ")
}

var (
	// account is the address of an account or an e-mail; what comes before the @ is somebody's name.
	account = regexp.MustCompile(`[^\s@"'<>(),;]+@[^\s@"'<>(),;]+`)
	// query is what follows the ? of an address: tokens.
	query = regexp.MustCompile(`(https?://[^\s?"'<>]+)\?[^\s"'<>]*`)
	// secret is a long run of characters as in signatures and keys. Host names have dots, and stay.
	secret = regexp.MustCompile(`\b[0-9A-Za-z_+/=-]{32,}\b`)
	// address is an IP address, perhaps with a prefix length.
	address = regexp.MustCompile(`\b(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7})(?:/\d{1,3})?`)
	// path is a file below somebody's home.
	path = regexp.MustCompile(`/(?:home|root|Users)/[^\s"'<>,;]*`)
)

// redact takes out what says who or where the person is.
func redact(s string, private []string) string {
	for _, p := range private {
		if len(p) > 1 {
			s = strings.ReplaceAll(s, p, "(private)")
		}
	}
	s = query.ReplaceAllString(s, "$1?(removed)")
	s = account.ReplaceAllString(s, "(account)")
	s = path.ReplaceAllString(s, "(path)")
	s = address.ReplaceAllStringFunc(s, network)
	return secret.ReplaceAllString(s, "(removed)")
}

// network cuts an address to its network, as the server's log does: IPv4 /24, IPv6 /48. Those that say nothing stay.
func network(s string) string {
	bare, _, _ := strings.Cut(s, "/")
	a, err := netip.ParseAddr(bare)
	if err != nil || a.IsLoopback() || a.IsUnspecified() {
		return s
	}
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return "(address)"
	}
	return p.String()
}
