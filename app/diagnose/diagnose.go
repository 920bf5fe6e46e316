// Package diagnose is the network check: it looks at what an upload needs, judges it, and says what to do.
//
// Look gathers Facts from the kernel, the resolver, the upload servers and the companion; Judge turns them into
// Checks, each with a verdict and a remedy; Report writes them down for a bug report, without what is private.
//
// # Invariants
//   - Judge is a function of Facts; it reads no clock and opens no connection.
//   - Looking changes nothing, sends nothing secret and speaks to nobody but the nameservers of this machine, the relay and
//     the upload servers.
//   - A certificate that is not valid is reported as such; the connection is then only used to read a date and a status.
//   - A Report holds no token, no address of an account and no file name.
package diagnose

import (
	"context"
	"crypto/x509"
	"net/netip"
	"time"

	"holdfast/app/words"
)

// Verdict is what one check came to.
type Verdict string

// The verdicts. A warning is something that uploads work in spite of.
const (
	Pass Verdict = "pass"
	Warn Verdict = "warn"
	Fail Verdict = "fail"
)

// Check is one line of the document.
type Check struct {
	// Name is a constant word: network, interfaces, default-route, dns, portal, relay, relay-port, keyring, token, trust,
	// route, client, host, way, certificate, health, clock.
	Name      string  `json:"name"`
	Host      string  `json:"host,omitempty"`
	OK        bool    `json:"ok"` // not "fail"
	Verdict   Verdict `json:"verdict"`
	Interface string  `json:"interface,omitempty"`
	Family    string  `json:"family,omitempty"` // ipv4, ipv6
	Client    string  `json:"client,omitempty"`
	Text      string  `json:"text"`
	Remedy    string  `json:"remedy,omitempty"`
}

// Document is the document of Diagnose.
type Document struct {
	Schema int     `json:"schema"`
	OK     bool    `json:"ok"` // no check failed
	Checks []Check `json:"checks"`
}

// Host is an upload server to be looked at.
type Host struct {
	Text string // as configured
	Name string
	Port string // empty: 443
	Bad  string // why the text is no host; nothing else is set then
}

// Trust is whether clients are known to accept the relay for one host.
type Trust struct {
	Host      string
	Installed bool
}

// Client is one installed client as the companion sees it.
type Client struct {
	Kind, Install, Version string
	Running                bool
	State                  string
}

// Question is what Look needs from the companion. Functions may be nil: then the check is left out.
type Question struct {
	Running bool   // a companion runs
	Listen  string // where the relay should answer
	Wanted  string // where it was told to listen; empty or the same: as wanted
	Hosts   []Host
	Roots   *x509.CertPool // of the relay; nil: the system's
	Network *Network       // nil: nobody watches the network
	Keyring func(context.Context) string
	Token   func(context.Context, Host) bool // a secret to renew permissions with is at hand
	Trust   []Trust
	Clients []Client
}

// Network is what the network watcher says.
type Network struct {
	Line    string // in words
	Name    string
	Online  bool
	Portal  bool
	Metered bool
}

// Facts are what was seen, before anything is judged.
type Facts struct {
	Question
	Interfaces []Interface
	Routes     []Route
	Servers    []Nameserver
	Relay      error // nil: it answers
	KeyringIs  string
	Found      []Found // one for each of Hosts
}

// Interface is one that is up, without loopback.
type Interface struct {
	Name  string
	Addrs []netip.Prefix
}

// Route is a default route.
type Route struct {
	Interface string
	Gateway   netip.Addr
	Metric    int
	IPv6      bool
}

// Nameserver is one of resolv.conf, and how it answered for one of the hosts.
type Nameserver struct {
	Addr netip.Addr
	Err  error // nil: it answered
}

// Found is what was seen of one upload server.
type Found struct {
	Addrs   []netip.Addr
	NameErr error // the name could not be resolved
	Main    Way   // as any program of this machine goes
	Ways    []Way // over each interface with a default route, in each family
	HasKey  bool
	// PlainTo is where plain http on port 80 was sent, empty: nowhere else. A captive portal answers for everybody.
	PlainTo string
}

// Way is one attempt to reach a server.
type Way struct {
	Interface string
	IPv6      bool
	Err       error // no connection, or no TLS on it
	Took      time.Duration
	Cert      error // why the certificate is not good
	NotAfter  time.Time
	Issuer    string
	Status    int           // of GET /health; 0: no answer
	Holdfast  bool          // it is a holdfast-server
	Ahead     time.Duration // of this machine's clock before the server's
	Dated     bool          // Ahead is known
}

// Run looks and judges.
func Run(ctx context.Context, q Question, w *words.Words) Document { return Judge(Look(ctx, q), w) }
