// Package ledger remembers what an upload server must not forget: burnt slots, used tokens, sessions, when files end, how
// much everybody uses, and the devices of people.
//
// # Invariants
//   - What was noted is seen at once by every reader; it is on disk within a second and after Close. What is said of devices
//     is on disk before the call returns.
//   - A burnt path stays burnt until its time is over, also when its file is gone.
//   - Addresses are kept only as keyed hashes, paths of burnt slots only as SHA-256.
//   - Nothing is forgotten silently: what a crash or a full memory may have cost is what Unclean tells at the next start.
//
// # On disk
// The state folder holds ledger.db (SQLite, write-ahead log, version in user_version), ledger.lock, held by the one server that
// uses the ledger, and address.key, the random key of the address hashes. All are readable by the owner alone.
//
// # Concurrency
// A Ledger may be used by many goroutines at once. One goroutine, which Close ends and waits for, writes what was noted, many
// entries in one transaction, and removes what is over. The common question, whether a path is burnt that nobody has ever used, is
// answered from memory.
package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
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

const (
	maxPending = 100_000
	writeAfter = 250 * time.Millisecond // after the first entry of a batch
	retryAfter = time.Second            // after a batch that could not be written
	failLimit  = 30 * time.Second       // a ledger that cannot be written for so long is not healthy
	pruneEvery = time.Hour
)

// Ledger is open.
type Ledger struct {
	opt     Options
	db      *sql.DB
	lock    *os.File
	addrKey []byte
	stmts   statements
	since   time.Time // what Unclean tells
	unclean bool

	stop context.CancelFunc
	done chan struct{} // closed when the writing goroutine has ended
	wake chan struct{} // holds one value when there is something to write

	tokens   sync.Mutex // held while BurnToken decides
	flushing sync.Mutex // held while a batch is written

	mu        sync.RWMutex // guards all below
	next      *batch       // noted, not yet being written
	writing   *batch       // being written; read-only; nil: none
	used      *filter      // of every burnt slot and token
	growing   *filter      // takes the place of used when it is complete; nil: none
	sessions  map[string]Session
	blocked   map[[32]byte]bool
	recovered bool      // the disk may say that everything up to the last batch is known
	lost      bool      // something was dropped: the disk may not say that any more
	failing   time.Time // since when batches cannot be written; zero: they can
	failure   error
}

// Open opens or makes the ledger in dir, the server's state folder. ErrInUse, ErrCorrupt: see there.
func Open(dir string, opt Options) (*Ledger, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.MaxPending <= 0 {
		opt.MaxPending = maxPending
	}
	l := &Ledger{
		opt:      opt,
		done:     make(chan struct{}),
		wake:     make(chan struct{}, 1),
		next:     newBatch(1),
		sessions: make(map[string]Session),
	}
	if err := l.open(dir); err != nil {
		return nil, errors.Join(err, l.release())
	}
	var ctx context.Context
	ctx, l.stop = context.WithCancel(context.Background())
	go l.run(ctx)
	return l, nil
}

func (l *Ledger) open(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	var err error
	if l.lock, err = takeLock(dir); err != nil {
		return err
	}
	if l.addrKey, err = addressKey(dir); err != nil {
		return err
	}
	return l.openDatabase(dir)
}

// Close writes what is not yet written and marks the stop as clean.
func (l *Ledger) Close() error {
	l.stop()
	<-l.done
	err := l.flush()
	if err == nil {
		l.mu.RLock()
		clean := l.recovered && !l.lost
		l.mu.RUnlock()
		if clean {
			err = l.markClean()
		}
	}
	if err = errors.Join(err, l.release()); err != nil {
		return fmt.Errorf("close ledger: %w", err)
	}
	return nil
}

func (l *Ledger) release() error {
	var errs []error
	if l.db != nil {
		errs = append(errs, l.stmts.close(), l.db.Close())
	}
	if l.lock != nil {
		errs = append(errs, l.lock.Close())
	}
	return errors.Join(errs...)
}

// run writes batches and removes what is over until ctx ends.
func (l *Ledger) run(ctx context.Context) {
	defer close(l.done)
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	var due <-chan time.Time // nil: nothing to write
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
			if due == nil {
				due = time.After(writeAfter)
			}
		case <-due:
			due = nil
			if l.flush() != nil {
				due = time.After(retryAfter)
			}
		case <-prune.C:
			if err := l.prune(ctx); err != nil && ctx.Err() == nil {
				l.opt.Log.Warn("ledger not pruned", "error", err)
			}
			if err := l.growFilter(ctx); err != nil && ctx.Err() == nil {
				l.opt.Log.Warn("ledger not read", "error", err)
			}
		}
	}
}

// Health returns why the ledger cannot take more, or nil. While it is not nil a server should answer 503 to uploads.
func (l *Ledger) Health() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.failing.IsZero() {
		return nil
	}
	if l.opt.Now().Sub(l.failing) < failLimit && l.pendingLocked() < l.opt.MaxPending {
		return nil // what is in memory is safe as long as the process is, and the next start looks at the store otherwise
	}
	return fmt.Errorf("ledger cannot be written since %s: %w", l.failing.UTC().Format(time.RFC3339), l.failure)
}

// Sync waits until what was noted is on disk.
func (l *Ledger) Sync() error { return l.flush() }

// Unclean reports whether the ledger may have forgotten slots burnt after since, because it was new or the last stop was not clean.
// The server then walks the store for files younger than since, burns them again, and calls Recovered.
func (l *Ledger) Unclean() (since time.Time, unclean bool) { return l.since, l.unclean }

// Recovered notes that every file younger than Unclean's since is burnt again. Until then every start is unclean.
func (l *Ledger) Recovered() {
	l.note(func(b *batch) { b.recovered = true })
}
