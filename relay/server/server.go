// Package server is the HTTP of the upload server: XEP-0363 slots signed by an XMPP server are filled with PUT,
// files are fetched with GET and HEAD.
//
// A PUT goes one way: path rules, length, token.Verify, admit.Decide, limits, burnt or there already, store, 201.
// Handlers only translate; what is decided is decided in relay/token and relay/server/admit.
//
// # Invariants
//   - 201 is answered only for bytes that are on disk under that path.
//   - A slot is good for one file. The same bytes again are 201 again, other bytes 409, also when the file is gone.
//   - Not a byte of a body is read, and no 100 Continue sent, before everything that can refuse it was asked.
//   - Nothing a client sends but its token opens a path, and nothing it sends at all opens a path twice.
//   - No redirect, no listing, no path cleaning: a path is what the request line says, decoded once.
//   - Every refusal is a row of the table in errors.go.
//
// # Concurrency
//
// A Server is safe for concurrent use. Update replaces its settings between two requests, never within one.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/relay/server/admit"
	"holdfast/relay/server/device"
	"holdfast/relay/server/ledger"
	"holdfast/relay/server/realip"
	"holdfast/relay/server/resume"
	"holdfast/relay/server/store"
	"holdfast/relay/token"
)

// Store keeps the files. relay/server/store.Disk is one; the errors are those of package store and io/fs. One that is also
// a resume.Store, as Disk is, can keep incomplete uploads too.
type Store interface {
	Create(ctx context.Context, path string, size int64, meta store.Meta) (store.Upload, error)
	Open(path string) (store.File, error)
	Remove(path string) error
	Free() (uint64, error)
	Walk(ctx context.Context, since time.Time, fn func(path string, size int64, mod time.Time) error) error
}

// Ledger remembers burnt slots, used tokens, sessions and when files end. relay/server/ledger.Ledger is one.
type Ledger interface {
	Health() error
	Burn(path string, until time.Time)
	Burnt(ctx context.Context, path string) (bool, error)
	BurnToken(ctx context.Context, mac [32]byte, path string, until time.Time) error
	Session(ctx context.Context, owner string) (ledger.Session, bool, error)
	Fresh(ctx context.Context, owner, addr, name string, now time.Time) (string, error)
	AddrHash(addr netip.Addr) string
	Expire(path string, until time.Time)
	Due(ctx context.Context, now time.Time, limit int) ([]string, error)
	Expired(path string)
	Charge(path, owner string, size int64)
	Release(ctx context.Context, path string) error
	Used(ctx context.Context, owner string) (int64, error)
	Charged(ctx context.Context, after string, limit int) ([]string, error)
	Owned(ctx context.Context, owner string, fn func(path string) error) error
	Block(ctx context.Context, digest [32]byte) error
	Unblock(ctx context.Context, digest [32]byte) (bool, error)
	Blocked(digest [32]byte) bool
	Blocking() bool
	Blocks(ctx context.Context) ([]ledger.Block, error)
	TokenUsedElsewhere(ctx context.Context, mac [32]byte, path string) (bool, error)
	Devices() *ledger.Devices
	Sync() error
	Unclean() (since time.Time, unclean bool)
	Recovered()
}

// Config is what a Server is made of. Zero values take the defaults named.
type Config struct {
	Prefix   string // path below which the files live, as in the URL, for example "/upload/"; "": "/"
	Settings Settings
	Store    Store
	Ledger   Ledger
	Proxied  bool          // connections from trusted proxies begin with a header of the PROXY protocol, version 2
	Devices  *device.Keys  // nil: there are no devices
	Public   string        // the URL below which the files live; needed for devices
	Idle     time.Duration // 120 s: a transfer that makes no progress that long is cut; there is no total limit
	Header   time.Duration // 15 s: for the head of a request
	Log      *slog.Logger  // nil: no log
	Now      func() time.Time
	Registry *prometheus.Registry // nil: metrics are kept but not registered
	Site     string               // name among several servers, for a label of the metrics; empty: the only one

	// How much of a resumable upload a crash may cost: after so many bytes, or so long, what came is put on disk.
	SyncBytes int64         // 8 MiB
	SyncEvery time.Duration // 1 s
}

// Settings are the values that may change while the server runs.
type Settings struct {
	Issuers   []token.Issuer
	Windows   admit.Windows
	MaxUpload int64 // bytes; 0: no limit
	Retention time.Duration
	Trust     realip.Trust

	QuotaPerUser int64 // bytes of the files of one identity; 0: no limit. Uploads without an identity do not count.
	QuotaTotal   int64 // bytes of all files; 0: no limit

	Incomplete resume.Limits // of resumable uploads

	Enrol       device.Enrol // how devices enrol; "": off
	DeviceNonce bool         // a proof must carry the server's newest nonce

	RatePerIdentity Rate // uploads that begin, for each identity; those without one do not count
	RatePerAddress  Rate // the same for each address
}

// active is Settings ready for use; never changed once stored.
type active struct {
	Settings
	verifier *token.Verifier
}

// Server is the upload server. Make one with New.
type Server struct {
	prefix        string // escaped, begins and ends with a slash
	store         Store
	parts         *resume.Core // nil: the store cannot keep incomplete uploads, and nothing is resumed
	ledger        Ledger
	proxied       func(netip.Addr) bool // whose connections begin with a header of the PROXY protocol; nil: nobody's
	idle          time.Duration
	headerTimeout time.Duration
	log           *slog.Logger
	now           func() time.Time
	metrics       *metrics
	quotas        *quotas
	identities    buckets // rates
	addresses     buckets
	devices       *devices // nil: none
	registry      *prometheus.Registry
	api           map[string]door // by path below the api; filled by New
	slots         door            // what can be done with a path below the prefix; filled by New

	set     atomic.Pointer[active]
	uploads atomic.Int64   // running PUTs
	running sync.WaitGroup // requests in handlers
}

// New checks the configuration and brings the ledger up to date with the store after an unclean stop.
func New(c Config) (*Server, error) {
	s := &Server{
		store: c.Store, ledger: c.Ledger, quotas: newQuotas(), idle: c.Idle, headerTimeout: c.Header, log: c.Log, now: c.Now, registry: c.Registry,
	}
	if s.store == nil || s.ledger == nil {
		return nil, errors.New("a server needs a store and a ledger")
	}
	if s.idle <= 0 {
		s.idle = 120 * time.Second
	}
	if s.headerTimeout <= 0 {
		s.headerTimeout = headerTimeout
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if c.Proxied {
		s.proxied = func(peer netip.Addr) bool { return s.set.Load().Trust.Trusted(peer) }
	}
	var err error
	if s.prefix, err = cleanPrefix(c.Prefix); err != nil {
		return nil, err
	}
	s.metrics = newMetrics(s.registry, c.Site)
	if err := s.openParts(context.Background(), c); err != nil {
		return nil, err
	}
	if s.devices, err = newDevices(c.Devices, c.Public); err != nil {
		return nil, err
	}
	s.api, s.slots = s.doors(), s.files()
	if err := s.Update(c.Settings); err != nil {
		return nil, err
	}
	if err := s.recover(context.Background()); err != nil {
		return nil, fmt.Errorf("burn the slots of files that are there: %w", err)
	}
	if err := s.count(context.Background()); err != nil {
		return nil, fmt.Errorf("count the files for the quota: %w", err)
	}
	return s, nil
}

// Update replaces the settings. On an error the old ones stay.
func (s *Server) Update(set Settings) error {
	v, err := token.NewVerifier(set.Issuers)
	if err != nil {
		return fmt.Errorf("token issuers: %w", err)
	}
	if s.parts != nil {
		s.parts.SetLimits(set.Incomplete)
	}
	s.set.Store(&active{Settings: set, verifier: v})
	s.quotas.settings(set)
	s.identities.set(set.RatePerIdentity)
	s.addresses.set(set.RatePerAddress)
	return nil
}

// cleanPrefix returns the escaped form of a prefix with a slash at both ends.
func cleanPrefix(p string) (string, error) {
	u, err := url.ParseRequestURI("/" + strings.TrimPrefix(p, "/"))
	if err != nil || u.RawQuery != "" {
		return "", fmt.Errorf("prefix %q is not a path", p)
	}
	e := u.EscapedPath()
	if !strings.HasSuffix(e, "/") {
		e += "/"
	}
	return e, nil
}
