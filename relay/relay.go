// Package relay is the loopback proxy that carries uploads across network changes.
//
// A client's CONNECT for a listed host ends here; the request is spooled, sent upstream, and repeated until the
// server has the file. Everything else is tunnelled byte for byte.
//
// # Invariants
//   - Only the owner's own processes are answered; browsers are tunnelled.
//   - The real server's certificate is checked as strictly as without the relay.
//   - 201 reaches the client only after the server has the very bytes.
package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"time"

	"holdfast/relay/token"
)

// Leaves gives the certificate to show a client for a listed host. relay/authority implements it.
type Leaves interface {
	Leaf(host string) (*tls.Certificate, error)
}

// Keys finds what the relay may sign with for an upload host. ErrNoKey means: forward unsigned.
// It may take as long as ctx allows (a keyring can ask the person).
type Keys interface {
	Key(ctx context.Context, host string) (Key, error)
}

// Key is a shared secret that the person holds for a server that they run.
type Key struct {
	Scheme token.Scheme // V2 or JWT
	Secret token.Secret
	Prefix string // path of the server's base URL, e.g. "/upload/"
}

// Config is all a Relay needs. Zero durations take the defaults named.
type Config struct {
	Hosts    []string // "upload.example.org" (port 443) or "upload.example.org:8443"
	Leaves   Leaves
	Keys     Keys           // nil: never re-sign
	Roots    *x509.CertPool // nil: the system's; for upstream verification
	SpoolDir string         // made with 0700 if missing
	UID      int            // the owner; peers with another uid are refused
	GiveUp   time.Duration  // 30 min: an upload that makes no progress that long fails
	Interim  time.Duration  // 5 s: between 102s
	Log      *slog.Logger
	OnUpload func(Upload) // called on every change of state and at most 4 times a second for progress; must not block
}

// Upload is a snapshot of one upload.
type Upload struct {
	ID, Host, File, URL, UserAgent string
	Size, Sent                     int64
	State                          State
	Started, Ended                 time.Time
	Repeats, Resigned              int
	Reason                         string // why it waits or failed: a constant code such as "offline", "refused", "certificate", "gave-up", "client-gone"
	Detail                         string // for the log and the person: what the server or the network said
}

// State of an upload.
type State string

// States of an upload.
const (
	Receiving State = "receiving"
	Sending   State = "sending"
	Waiting   State = "waiting"
	Done      State = "done"
	Failed    State = "failed"
	Cancelled State = "cancelled"
)

// Relay is a running relay. Make one with New, run it with Serve.
type Relay struct{}

// New checks the configuration.
func New(c Config) (*Relay, error) { return &Relay{}, nil }

// Serve answers connections on l until ctx ends; it blocks, and returns only when all it started is gone.
func (r *Relay) Serve(ctx context.Context, l net.Listener) error { return nil }

// Refresh drops idle upstream connections, resolves names afresh and retries everything that waits, at once.
func (r *Relay) Refresh() {}

// SetOnline tells what the network watcher knows: while offline, attempts wait for Refresh instead of backing off.
func (r *Relay) SetOnline(online bool) {}

// SetHosts replaces the list of intercepted hosts for new connections.
func (r *Relay) SetHosts(hosts []string) error { return nil }

// Active lists running uploads, newest first.
func (r *Relay) Active() []Upload { return nil }

// TryNow ends the back-off of one upload; Cancel ends the upload. False: no such upload.
func (r *Relay) TryNow(id string) bool { return false }

// Cancel ends one upload; the client gets an error. False: no such upload.
func (r *Relay) Cancel(id string) bool { return false }
