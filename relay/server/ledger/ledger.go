// Package ledger remembers what an upload server must not forget: burnt slots, used tokens, sessions, and when files end.
//
// # Invariants
//   - What was noted is seen at once by every reader; it is on disk within a second and after Close.
//   - A burnt path stays burnt until its time is over, also when its file is gone.
//   - Addresses are kept only as keyed hashes, paths of burnt slots only as SHA-256.
package ledger

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"
)

// Sentinels a caller branches on.
var (
	ErrTokenUsed = errors.New("token was used for another path")
	ErrInUse     = errors.New("ledger is in use by another process")
	ErrCorrupt   = errors.New("ledger is damaged")
)

// Options of a Ledger. The zero value is good.
type Options struct {
	Log        *slog.Logger     // nil: no log
	Now        func() time.Time // nil: time.Now
	Recover    bool             // a damaged database is moved aside and a fresh one made; else Open returns ErrCorrupt
	MaxPending int              // entries not yet written that are kept in memory; 0: 100000
}

// Ledger is open. Safe for concurrent use.
type Ledger struct{}

// Session is what is remembered of an identity that uploaded in time.
type Session struct {
	ID        string // random and opaque; may be shown
	LastFresh time.Time
	FreshAddr string // AddrHash of the last upload within its token's lifetime
	Name      string // of the client
}

// Open opens or makes the ledger in dir, the server's state folder.
func Open(dir string, opt Options) (*Ledger, error) { return &Ledger{}, nil }

// Close writes what is not yet written and marks the stop as clean.
func (l *Ledger) Close() error { return nil }

// Health returns why the ledger cannot take more, or nil. While it is not nil a server should answer 503 to uploads.
func (l *Ledger) Health() error { return nil }

// Burn notes that the slot at path is used until then; zero: for ever.
func (l *Ledger) Burn(path string, until time.Time) {}

// Burnt reports whether the slot at path is used.
func (l *Ledger) Burnt(ctx context.Context, path string) (bool, error) { return false, nil }

// BurnToken binds a token to the first path it was used for. ErrTokenUsed: it was used for another one.
func (l *Ledger) BurnToken(ctx context.Context, mac [32]byte, path string, until time.Time) error {
	return nil
}

// Session returns what is remembered of owner; false: never seen, or longer than 30 days ago.
func (l *Ledger) Session(ctx context.Context, owner string) (Session, bool, error) {
	return Session{}, false, nil
}

// Fresh notes an upload of owner within its token's lifetime from addr (an AddrHash) and returns the id of the session.
func (l *Ledger) Fresh(ctx context.Context, owner, addr, name string, now time.Time) (string, error) {
	return "", nil
}

// AddrHash returns the keyed hash of the full IPv4 address or of the /64 of the IPv6 address; empty for an invalid address.
func (l *Ledger) AddrHash(addr netip.Addr) string { return "" }

// Expire notes that the file at path ends at until.
func (l *Ledger) Expire(path string, until time.Time) {}

// Due lists up to limit paths whose time is over, the oldest first. Each stays due until Expired is called for it.
func (l *Ledger) Due(ctx context.Context, now time.Time, limit int) ([]string, error) {
	return nil, nil
}

// Expired notes that the file at path was removed.
func (l *Ledger) Expired(path string) {}

// Unclean reports whether the ledger may have forgotten slots burnt after since, because it was new or the last stop was not clean.
// The server then walks the store for files younger than since, burns them again, and calls Recovered.
func (l *Ledger) Unclean() (since time.Time, unclean bool) { return time.Time{}, false }

// Recovered notes that every file younger than Unclean's since is burnt again. Until then every start is unclean.
func (l *Ledger) Recovered() {}

// SetAttributes keeps what rides with a file for a store without extended attributes.
func (l *Ledger) SetAttributes(path, mediaType string, digest []byte, retain time.Time) {}

// Attributes returns what SetAttributes kept; zero values if nothing.
func (l *Ledger) Attributes(path string) (mediaType string, digest []byte, retain time.Time, err error) {
	return "", nil, time.Time{}, nil
}

// ForgetAttributes removes what SetAttributes kept.
func (l *Ledger) ForgetAttributes(path string) {}
