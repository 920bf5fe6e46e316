// Package relay is the loopback proxy that carries uploads across network changes.
//
// A client's CONNECT for a listed host ends here; the request is spooled, sent upstream, and repeated until the
// server has the file. Everything else is tunnelled byte for byte.
//
// # Invariants
//   - Only the owner's own processes are answered; browsers are tunnelled.
//   - The real server's certificate is checked as strictly as without the relay.
//   - 201 reaches the client only after the server has the very bytes.
//   - A request is sent with its exact length, to the host it was for, with the client's own end-to-end headers.
//   - No upload is ended by its total time, only by the lack of progress.
//
// # Concurrency
// A Relay may be used by several goroutines. Serve owns every goroutine that is started and waits for it.
//
// The files, in the way of one upload: serve.go reads requests, peer.go asks whose they are, intercept.go ends TLS,
// put.go holds the client, chat.go until it can send its message, spool.go the bytes, deliver.go repeats, attempt.go sends once, judge.go decides what an
// answer means, resume.go how to go on after a cut; compare.go and resign.go are two more of the things it may mean.
// known.go remembers servers, waiting.go tells the log. tunnel.go and forward.go are for all the rest.
package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/relay/credential"
)

// Leaves gives the certificate to show a client for a listed host. relay/authority implements it.
// After an error the connection is tunnelled.
type Leaves interface {
	Leaf(host string) (*tls.Certificate, error)
}

// Keys finds what the relay may sign with for an upload host, named without port. ErrNoKey means: forward unsigned.
// It may take as long as ctx allows (a keyring can ask the person). relay/credential implements it.
type Keys interface {
	Key(ctx context.Context, host string) (Key, error)
}

// Key is a shared secret that the person holds for a server that they run.
type Key = credential.Key

// ErrNoKey says that there is nothing to sign with.
var ErrNoKey = credential.ErrNoKey

// Config is all a Relay needs. Zero durations take the defaults named.
type Config struct {
	Hosts     []string // "upload.example.org" (port 443) or "upload.example.org:8443"
	Leaves    Leaves
	Keys      Keys           // nil: never re-sign
	Devices   Devices        // nil: no device signs
	Chats     Chats          // nil: nobody is waited for
	Roots     *x509.CertPool // nil: the system's; for upstream verification
	SpoolDir  string         // made with 0700 if missing
	UID       int            // the owner; peers with another uid are refused
	GiveUp    time.Duration  // 30 min: an upload that makes no progress that long fails; time known to be offline does not count, up to 24 times as long
	Interim   time.Duration  // 5 s: between 102s
	ChatLimit time.Duration  // 60 s: how long at most the answer waits for the client's chat connection
	Log       *slog.Logger
	OnUpload  func(Upload) // called on every change of state and at most 4 times a second for progress; must not block
	OnNotice  func(Notice) // called for news about a server; must not block; nil: nobody is told

	BackOff    time.Duration // 1 s: before the first repeat, then doubling
	MaxBackOff time.Duration // 30 s
	Stall      time.Duration // 25 s: an attempt that the network takes no byte from that long is ended and repeated

	// Proxy chooses the person's own proxy for a URL; nil: as the environment says (http_proxy, https_proxy, no_proxy).
	Proxy func(*url.URL) (*url.URL, error)
	// Dial replaces the way to the network, for tests; nil: a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Upload is a snapshot of one upload.
type Upload struct {
	ID, Host, File, URL, UserAgent string // URL is without query: what the receiver opens
	Size                           int64
	Sent                           int64 // what the server is known to have, and what the present attempt has written to it
	Resent                         int64 // bytes that were written once more after a cut
	State                          State
	Started, Ended                 time.Time
	Repeats, Resigned              int
	Reason                         string // why it waits or failed: one of the Reason codes; or NoCopy while it runs
	Detail                         string // for the log and the person: what the server or the network said
}

// State of an upload.
type State string

// States of an upload.
const (
	Receiving State = "receiving" // the first attempt has no connection yet
	Sending   State = "sending"
	Waiting   State = "waiting" // for the network, for a back-off to end
	Done      State = "done"
	Failed    State = "failed"
	Cancelled State = "cancelled"
)

// Reasons of a State.
const (
	ReasonOffline     = "offline"     // waiting: the network watcher says so
	ReasonNetwork     = "network"     // waiting: the connection failed
	ReasonBusy        = "busy"        // waiting: the server asks for another try
	ReasonPortal      = "portal"      // waiting: a network wants the person to sign in
	ReasonCertificate = "certificate" // the server's certificate is not good; the next three say why
	ReasonExpired     = "certificate-expired"
	ReasonSelfSigned  = "certificate-self-signed"
	ReasonOtherName   = "certificate-other-name"
	ReasonRefused     = "refused"        // failed: the server said no
	ReasonGaveUp      = "gave-up"        // failed: no progress for Config.GiveUp
	ReasonNoCopy      = "not-repeatable" // too large for a copy: goes on, but a cut ends it
	ReasonClientGone  = "client-gone"    // cancelled: the client left
	ReasonCancelled   = "cancelled"      // cancelled: by Cancel
	ReasonStopped     = "stopped"        // cancelled: the relay ends
)

// Relay is a running relay. Make one with New, run it with Serve.
type Relay struct {
	c           Config
	hosts       atomic.Pointer[hostList]
	self        atomic.Pointer[netip.AddrPort] // where it listens
	up          *upstream
	free        func(dir string) int64 // space left for spools
	probe       time.Duration          // how long an attempt may stand still right after a Refresh
	known       acquaintances
	devices     devices
	kept        kept
	clocks      clocks
	giveUpAfter atomic.Int64 // a time.Duration

	mu        sync.Mutex // guards the following
	online    bool
	held      bool
	refreshed chan struct{} // closed and replaced by Refresh
	changed   time.Time     // when the network was last said to be another one, or gone
	uploads   map[string]*upload
	reserved  int64 // bytes that running spools may still fill
}

// New checks the configuration and makes the spool folder.
func New(c Config) (*Relay, error) {
	if c.Leaves == nil {
		return nil, errors.New("relay: no source of certificates")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{
		{&c.GiveUp, 30 * time.Minute}, {&c.Interim, 5 * time.Second}, {&c.BackOff, time.Second},
		{&c.ChatLimit, time.Minute}, {&c.MaxBackOff, 30 * time.Second}, {&c.Stall, 25 * time.Second},
	} {
		if *d.value < 0 {
			return nil, errors.New("relay: a duration is negative")
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if c.SpoolDir == "" {
		return nil, errors.New("relay: no spool folder")
	}
	if err := os.MkdirAll(c.SpoolDir, 0o700); err != nil {
		return nil, fmt.Errorf("relay: make spool folder: %w", err)
	}
	r := &Relay{c: c, free: freeSpace, probe: probeLimit, online: true, refreshed: make(chan struct{}), uploads: map[string]*upload{}}
	if err := r.SetHosts(c.Hosts); err != nil {
		return nil, err
	}
	r.SetGiveUp(c.GiveUp)
	r.up = newUpstream(c, r.isSelf)
	return r, nil
}

// SetGiveUp changes how long an upload without progress is held, from the next progress of each on.
func (r *Relay) SetGiveUp(t time.Duration) { r.giveUpAfter.Store(int64(t)) }

func (r *Relay) giveUp() time.Duration { return time.Duration(r.giveUpAfter.Load()) }

// Refresh drops idle upstream connections, resolves names afresh and retries everything that waits, at once.
// A running attempt goes on if its connection still works, and is repeated if not.
func (r *Relay) Refresh() {
	r.up.renew()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = time.Now()
	close(r.refreshed)
	r.refreshed = make(chan struct{})
}

// SetOnline tells what the network watcher knows: while offline, repeats wait for Refresh instead of backing off.
// Becoming online is a Refresh for what waits.
func (r *Relay) SetOnline(online bool) {
	r.mu.Lock()
	was := r.online
	r.online = online
	if was != online {
		r.changed = time.Now()
	}
	r.mu.Unlock()
	if online && !was {
		r.Refresh()
	}
}

// Hold lets every repeat wait until it is released, whatever was reached: the machine is about to sleep, or has just woken
// and its network is not known yet. An attempt that runs goes on. Releasing is a Refresh.
func (r *Relay) Hold(held bool) {
	r.mu.Lock()
	was := r.held
	r.held = held
	r.mu.Unlock()
	if was && !held {
		r.Refresh()
	}
}

func (r *Relay) isHeld() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

func (r *Relay) isOnline() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.online
}

// nextRefresh returns a channel that the next Refresh closes.
func (r *Relay) nextRefresh() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refreshed
}

// SetHosts replaces the list of intercepted hosts for new connections.
func (r *Relay) SetHosts(hosts []string) error {
	l, err := newHostList(hosts)
	if err != nil {
		return err
	}
	r.hosts.Store(l)
	return nil
}

// Active lists running uploads, newest first.
func (r *Relay) Active() []Upload {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Upload, 0, len(r.uploads))
	for _, u := range r.uploads {
		list = append(list, u.snapshot())
	}
	slices.SortFunc(list, func(a, b Upload) int { return b.Started.Compare(a.Started) })
	return list
}

// TryNow ends the back-off of one upload. False: no such upload.
func (r *Relay) TryNow(id string) bool {
	u := r.upload(id)
	if u == nil {
		return false
	}
	select {
	case u.tryNow <- struct{}{}:
	default:
	}
	return true
}

// Cancel ends one upload; the client gets an error. False: no such upload.
func (r *Relay) Cancel(id string) bool {
	u := r.upload(id)
	if u == nil {
		return false
	}
	u.cancel(errCancelled)
	return true
}

func (r *Relay) upload(id string) *upload {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.uploads[id]
}

// isSelf says whether addr is where this relay listens: a connection there would go round in circles.
func (r *Relay) isSelf(addr netip.AddrPort) bool {
	self := r.self.Load()
	if self == nil || addr.Port() != self.Port() {
		return false
	}
	ip := addr.Addr().Unmap()
	return ip == self.Addr().Unmap() || (self.Addr().IsUnspecified() || self.Addr().IsLoopback()) && (ip.IsLoopback() || ip.IsUnspecified())
}
