// Package resume keeps uploads that outlive their connection: the core that every way of resuming goes through.
//
// An upload resource is an append-only file with a state beside it, both in the private folder of the store. A Hold is the
// right to write to one; there is one Hold of a resource at a time, and a newer request ends the older one.
//
// # Invariants
//   - An offset that was told to anybody never goes back, over SIGKILL and power cuts too.
//   - The bytes below an offset are those that were sent: no byte is taken twice, none is left out.
//   - One writer at a time. A newer Take ends the older within milliseconds; the older keeps what it has written.
//   - Limits are asked when a resource is made; one that lives is never evicted for another.
//   - An id is a capability: it is known here only by its SHA-256 and never logged.
//
// # On disk
//
// The size of a file proves nothing after a power cut: many file systems may show a size, and zeros or old blocks below it,
// that no fsync has covered. So what counts is a mark in the state file, written in this order: fsync of the bytes, then the
// mark, then fdatasync of the mark, and only then anybody is told. After any stop a part is cut to its mark. A mark is
// written in turn to two places with a checksum each, so a torn write leaves the one before it, which was the last that
// anybody can have been told of. While bytes stream in, marks follow by bytes and by time (Config.SyncBytes, SyncEvery), which
// bounds what a crash costs; the last one of a cut connection is written when it ends.
//
// Publishing is a rename. The state says so before: a part whose bytes are gone and whose state says that they were about to
// move was published. Resources that are published stay known, without bytes, until they expire, so that whoever missed the
// answer can ask. A resource that nobody was told an offset of may be forgotten by a power cut; that costs a repeat.
//
// # Concurrency
//
// A Core may be used by many goroutines at once, a Hold by one, apart from being ended.
package resume

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"holdfast/relay/server/store"
)

// Sentinels a caller branches on. Errors of the store come wrapped, with store.ErrFull where it fits.
var (
	ErrUnknown    = errors.New("no such upload")                          // also: expired
	ErrExists     = errors.New("upload id is in use")                     //
	ErrLimit      = errors.New("too many incomplete uploads")             // Limits
	ErrSuperseded = errors.New("a newer request goes on with the upload") // also the cause of Hold.Context
	ErrPastEnd    = errors.New("more bytes than the declared length")
	ErrChecksum   = errors.New("checksum differs")
	ErrDiffers    = errors.New("bytes differ from those received before")
	ErrDone       = errors.New("upload is complete")
)

// Store keeps parts. store.Disk is one.
type Store interface {
	NewPart(name string, size int64, facts []byte) (store.Part, error)
	OpenPart(name string) (store.Part, error)
	RemovePart(name string) error
	Parts(ctx context.Context) ([]string, error)
}

// ID names a resource towards clients. Whoever knows it may go on with the upload.
type ID string

// idLength is 128 bits in base64url.
const idLength = 22

// NewID returns a random id.
func NewID() ID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return ID(base64.RawURLEncoding.EncodeToString(b[:]))
}

// ParseID takes an id that a client sent or chose: 22 characters of base64url.
func ParseID(s string) (ID, bool) {
	if len(s) != idLength {
		return "", false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return "", false
		}
	}
	return ID(s), true
}

// LogValue keeps ids out of logs.
func (ID) LogValue() slog.Value { return slog.StringValue("***") }

// key is the name of the part.
func (id ID) key() string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

// Facts are what is declared of an upload when it begins.
type Facts struct {
	Path    string          `json:"path"`   // where it will be published
	Size    int64           `json:"size"`   // of the whole
	Meta    store.Meta      `json:"meta"`   // rides with the file; Digest is what the client declared
	Source  string          `json:"source"` // whom Limits.PerSource counts: identity or address block
	Door    string          `json:"door"`   // the protocol it came by
	Note    json.RawMessage `json:"note,omitempty"`
	Piece   bool            `json:"piece,omitempty"` // of another resource, for which Limits and Other count its bytes already
	Created time.Time       `json:"created"`         // set by Create
	Expires time.Time       `json:"expires"`         // set by Create, unless it is set and sooner
}

// Status is what is known of a resource.
type Status struct {
	Facts
	Offset int64     // acknowledged: this much is on disk
	Done   bool      // published under its path by this resource, or found there with the same bytes
	Last   time.Time // when bytes were last acknowledged; until then, or since a restart, Created
}

// Limits are asked when a resource is made. Zero: the default.
type Limits struct {
	Bytes     int64 // declared by all unfinished resources together; 10 GB
	PerSource int   // unfinished resources of one source; 20
}

// Lifetime is how long a resource is kept.
const Lifetime = 72 * time.Hour

// Config is what a Core is made of. Zero values take the defaults named.
type Config struct {
	Store     Store
	Limits    Limits
	Lifetime  time.Duration // of a resource, from its creation: the constant of that name
	SyncBytes int64         // received bytes after which a mark is written: 8 MiB
	SyncEvery time.Duration // the same by time: 1 s
	Log       *slog.Logger
	Now       func() time.Time
}

// Core holds all resources.
type Core struct {
	c   Config
	log *slog.Logger

	mu        sync.Mutex // guards all below, and the fields of resources
	limits    Limits
	byKey     map[string]*resource
	byPath    map[string]int   // resources for a path, also published ones
	bytes     int64            // declared by unfinished ones
	perSource map[string]share // of the unfinished ones
}

// share is what one source has of the limits.
type share struct {
	resources int
	bytes     int64
}

// resource is an upload that a Core knows.
type resource struct {
	key    string
	status Status
	holder *Hold
	turn   uint64 // counts Takes, so that of two that wait the newer wins
	gone   bool
}

// Open reads the resources that are there and removes what is expired, damaged or left over.
func Open(ctx context.Context, c Config) (*Core, error) {
	if c.Lifetime <= 0 {
		c.Lifetime = Lifetime
	}
	if c.SyncBytes <= 0 {
		c.SyncBytes = 8 << 20
	}
	if c.SyncEvery <= 0 {
		c.SyncEvery = time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	core := &Core{c: c, log: c.Log, byKey: make(map[string]*resource), byPath: make(map[string]int), perSource: make(map[string]share)}
	core.SetLimits(c.Limits)
	if err := core.load(ctx); err != nil {
		return nil, err
	}
	return core, nil
}

// SetLimits replaces the limits for resources to come.
func (c *Core) SetLimits(l Limits) {
	if l.Bytes <= 0 {
		l.Bytes = 10 << 30
	}
	if l.PerSource <= 0 {
		l.PerSource = 20
	}
	c.mu.Lock()
	c.limits = l
	c.mu.Unlock()
}

// Look returns what is known of a resource without touching it. Of one that is being written the offset is the last mark's.
func (c *Core) Look(id ID) (Status, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.findLocked(id.key())
	if r == nil {
		return Status{}, false
	}
	return r.status, true
}

// Other reports whether there is a resource for path that has another id.
func (c *Core) Other(path string, id ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.byPath[path]
	if r := c.byKey[id.key()]; r != nil && r.status.Path == path && !r.status.Piece {
		n--
	}
	return n > 0
}

// findLocked returns a resource that is not over.
func (c *Core) findLocked(key string) *resource {
	r := c.byKey[key]
	if r == nil || r.holder == nil && !c.c.Now().Before(r.status.Expires) {
		return nil
	}
	return r
}

// addLocked counts r in.
func (c *Core) addLocked(r *resource) {
	c.byKey[r.key] = r
	if r.status.Piece {
		return
	}
	c.byPath[r.status.Path]++
	if !r.status.Done {
		c.shareLocked(r, 1)
	}
}

// finishLocked notes that r needs no room any more.
func (c *Core) finishLocked(r *resource) {
	if r.status.Done {
		return
	}
	r.status.Done, r.status.Offset = true, r.status.Size
	c.releaseLocked(r)
}

func (c *Core) releaseLocked(r *resource) {
	if r.status.Piece {
		return
	}
	c.shareLocked(r, -1)
}

// shareLocked counts an unfinished resource in (1) or out (-1).
func (c *Core) shareLocked(r *resource, n int) {
	c.bytes += int64(n) * r.status.Size
	of := c.perSource[r.status.Source]
	of.resources += n
	of.bytes += int64(n) * r.status.Size
	if c.perSource[r.status.Source] = of; of.resources == 0 {
		delete(c.perSource, r.status.Source)
	}
}

// dropLocked forgets r.
func (c *Core) dropLocked(r *resource) {
	if r.gone {
		return
	}
	r.gone = true
	delete(c.byKey, r.key)
	if r.status.Piece {
		return
	}
	if c.byPath[r.status.Path]--; c.byPath[r.status.Path] == 0 {
		delete(c.byPath, r.status.Path)
	}
	if !r.status.Done {
		c.releaseLocked(r)
	}
}

// load reads what a former process left.
func (c *Core) load(ctx context.Context) error {
	names, err := c.c.Store.Parts(ctx)
	if err != nil {
		return err
	}
	var live, gone int
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		r, err := c.read(name)
		if err != nil {
			return err
		}
		if r != nil {
			c.addLocked(r)
			live++
			continue
		}
		if err := c.c.Store.RemovePart(name); err != nil {
			c.log.Warn("leftover of an upload not removed", "error", err)
		}
		gone++
	}
	if live+gone > 0 {
		c.log.Info("resumable uploads found", "live", live, "removed", gone)
	}
	return nil
}

// read returns the resource of a part, or nil if it is of no use.
func (c *Core) read(name string) (*resource, error) {
	p, err := c.c.Store.OpenPart(name)
	if errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrReadOnly) {
		return nil, err // not the part's fault
	}
	if err != nil {
		c.log.Warn("resumable upload lost", "error", err)
		return nil, nil //nolint:nilnil // nil: of no use
	}
	var f Facts
	m := p.Mark()
	err = errors.Join(json.Unmarshal(p.Facts(), &f), p.Close())
	if err != nil || m.Offset > f.Size || strings.TrimSpace(f.Path) == "" || !c.c.Now().Before(f.Expires) {
		return nil, nil //nolint:nilnil // nil: of no use
	}
	return &resource{key: name, status: Status{Facts: f, Offset: m.Offset, Done: m.Done, Last: f.Created}}, nil
}

// Sweep removes resources whose time is over and that nobody writes to.
func (c *Core) Sweep(ctx context.Context) {
	now := c.c.Now()
	var over []*Hold
	c.mu.Lock()
	for _, r := range c.byKey {
		if r.holder == nil && !now.Before(r.status.Expires) {
			r.holder = newHold(ctx, c, r, nil)
			over = append(over, r.holder)
		}
	}
	c.mu.Unlock()
	for _, h := range over {
		if err := h.Drop(); err != nil {
			c.log.Error("expired upload not removed", "error", err) // the next start removes it
		}
		h.end()
	}
	if len(over) > 0 && ctx.Err() == nil {
		c.log.Info("expired uploads removed", "uploads", len(over))
	}
}
