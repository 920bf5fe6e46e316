package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"strings"
	"time"
)

// key identifies a path or a token.
type key [sha256.Size]byte

// pathKey is the SHA-256 of a path. A file of share.php is named by just that, since nobody knows its path any more.
func pathKey(path string) key {
	if digits, ok := strings.CutPrefix(path, "store-"); ok && len(digits) == 2*sha256.Size {
		var k key
		if n, err := hex.Decode(k[:], []byte(digits)); err == nil && n == len(k) {
			return k
		}
	}
	return sha256.Sum256([]byte(path))
}

// moment is a time as the database keeps it: Unix milliseconds; 0 is never.
type moment int64

func toMoment(t time.Time) moment {
	if t.IsZero() {
		return 0
	}
	return moment(max(t.UnixMilli(), 1))
}

func (m moment) time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(m)).UTC()
}

// over tells whether something that holds until m is over.
func (m moment) over(now time.Time) bool { return m != 0 && m <= toMoment(now) }

// later returns the one that ends later, where 0 never ends.
func later(a, b moment) moment {
	if a == 0 || b == 0 {
		return 0
	}
	return max(a, b)
}

type usedToken struct {
	path  key
	until moment
}

type attributes struct {
	mediaType string
	digest    []byte
	retain    moment
	forgotten bool
}

// forgotten, as the end of a file, means that there is nothing to remember.
const forgotten moment = -1

// batch is what was noted and is not on disk yet.
type batch struct {
	number     int64 // the disk has every batch up to markBatch
	slots      map[key]moment
	tokens     map[key]usedToken
	sessions   map[string]Session
	ends       map[string]moment
	attributes map[key]attributes
	contents   map[key]string   // by SHA-256; empty: forgotten
	charges    []charge         // in order
	used       map[string]int64 // what they come to for each owner
	recovered  bool
	cut        time.Time // when the batch was closed for writing
}

func newBatch(number int64) *batch {
	return &batch{
		number:     number,
		slots:      make(map[key]moment),
		tokens:     make(map[key]usedToken),
		sessions:   make(map[string]Session),
		ends:       make(map[string]moment),
		attributes: make(map[key]attributes),
		contents:   make(map[key]string),
		used:       make(map[string]int64),
	}
}

func (b *batch) len() int {
	return len(b.slots) + len(b.tokens) + len(b.sessions) + len(b.ends) + len(b.attributes) + len(b.contents) + len(b.charges)
}

func (b *batch) empty() bool { return b.len() == 0 && !b.recovered }

func (b *batch) burn(k key, until moment) {
	if old, ok := b.slots[k]; ok {
		until = later(old, until)
	}
	b.slots[k] = until
}

// add puts a younger batch on top.
func (b *batch) add(younger *batch) {
	for k, until := range younger.slots {
		b.burn(k, until)
	}
	maps.Copy(b.tokens, younger.tokens)
	maps.Copy(b.sessions, younger.sessions)
	maps.Copy(b.ends, younger.ends)
	maps.Copy(b.attributes, younger.attributes)
	maps.Copy(b.contents, younger.contents)
	for _, c := range younger.charges {
		b.charge(c)
	}
	b.recovered = b.recovered || younger.recovered
}

// note adds to the next batch and tells the writing goroutine. A full batch is written first, by the caller, so that a walk
// through a large store is as slow as the disk; where that is not possible, nothing is added and the result is false.
func (l *Ledger) note(add func(*batch)) bool {
	l.mu.Lock()
	if l.pendingLocked() >= l.opt.MaxPending {
		full := !l.failing.IsZero() // the writing goroutine keeps trying
		if !full {
			l.mu.Unlock()
			full = l.flush() != nil
			l.mu.Lock()
		}
		if full && l.pendingLocked() >= l.opt.MaxPending {
			defer l.mu.Unlock()
			if !l.lost {
				l.lost = true
				l.opt.Log.Error("ledger entries dropped, the next start will look at the store again", "pending", l.pendingLocked(), "error", l.failure)
			}
			return false
		}
	}
	add(l.next)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default: // it knows
	}
	return true
}

// pendingLocked is how many entries are in memory and not known to be on disk.
func (l *Ledger) pendingLocked() int {
	n := l.next.len()
	if l.writing != nil {
		n += l.writing.len()
	}
	return n
}

// flush writes the next batch. What could not be written stays, below what was noted meanwhile.
func (l *Ledger) flush() error {
	l.flushing.Lock()
	defer l.flushing.Unlock()

	l.mu.Lock()
	b := l.next
	if b.empty() {
		l.mu.Unlock()
		return nil
	}
	b.cut = l.opt.Now()
	l.writing, l.next = b, newBatch(b.number+1)
	mayAdvance := (l.recovered || b.recovered) && !l.lost
	l.mu.Unlock()

	err := l.write(b, mayAdvance)

	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing = nil
	if err != nil {
		b.add(l.next)
		b.number = l.next.number
		l.next = b
		if l.failing.IsZero() {
			l.failing = l.opt.Now()
			l.opt.Log.Warn("ledger not written", "pending", b.len(), "error", err)
		}
		l.failure = err
		return err
	}
	if !l.failing.IsZero() {
		l.opt.Log.Info("ledger written again", "entries", b.len())
		l.failing, l.failure = time.Time{}, nil
	}
	l.recovered = l.recovered || b.recovered
	for owner, s := range b.sessions {
		l.cacheLocked(owner, s)
	}
	return nil
}
