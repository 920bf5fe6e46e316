package ledger

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Block notes that no file with the bytes of that SHA-256 is taken any more. It is on disk when Block returns.
func (l *Ledger) Block(ctx context.Context, digest [32]byte) error {
	_, err := l.db.ExecContext(ctx, `INSERT INTO blocked (digest, since) VALUES (?, ?) ON CONFLICT DO NOTHING`, digest[:], int64(toMoment(l.opt.Now())))
	if err != nil {
		return fmt.Errorf("block bytes: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blocked[digest] = true
	return nil
}

// Unblock takes a Block back. False: there was none.
func (l *Ledger) Unblock(ctx context.Context, digest [32]byte) (bool, error) {
	res, err := l.db.ExecContext(ctx, `DELETE FROM blocked WHERE digest = ?`, digest[:])
	if err != nil {
		return false, fmt.Errorf("unblock bytes: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("unblock bytes: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.blocked, digest)
	return n > 0, nil
}

// Blocked reports whether files with the bytes of that SHA-256 are refused.
func (l *Ledger) Blocked(digest [32]byte) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.blocked[digest]
}

// Blocking reports whether anything is blocked, so that the bytes of uploads have to be hashed.
func (l *Ledger) Blocking() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.blocked) > 0
}

// Block of the ledger: which bytes, and since when.
type Block struct {
	Digest [32]byte
	Since  time.Time
}

// Blocks lists what is blocked, the oldest first.
func (l *Ledger) Blocks(ctx context.Context) (blocks []Block, err error) {
	rows, err := l.db.QueryContext(ctx, `SELECT digest, since FROM blocked ORDER BY since, digest`)
	if err != nil {
		return nil, fmt.Errorf("list what is blocked: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var raw []byte
		var since int64
		if err := rows.Scan(&raw, &since); err != nil {
			return nil, fmt.Errorf("list what is blocked: %w", err)
		}
		b := Block{Since: moment(since).time()}
		if copy(b.Digest[:], raw) != len(b.Digest) || len(raw) != len(b.Digest) {
			return nil, fmt.Errorf("%w: a blocked digest is %s", ErrCorrupt, hex.EncodeToString(raw))
		}
		blocks = append(blocks, b)
	}
	return blocks, rows.Err()
}

// readBlocks learns at the start what is blocked.
func (l *Ledger) readBlocks(ctx context.Context) error {
	blocks, err := l.Blocks(ctx)
	if err != nil {
		return err
	}
	blocked := make(map[[32]byte]bool, len(blocks))
	for _, b := range blocks {
		blocked[b.Digest] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blocked = blocked
	return nil
}

// Owned calls fn for every path that is charged to owner, in order.
func (l *Ledger) Owned(ctx context.Context, owner string, fn func(path string) error) (err error) {
	if err := l.Sync(); err != nil {
		return fmt.Errorf("list the files of an identity: %w", err)
	}
	rows, err := l.db.QueryContext(ctx, `SELECT path FROM charges WHERE owner = ? ORDER BY path`, owner)
	if err != nil {
		return fmt.Errorf("list the files of an identity: %w", err)
	}
	var paths []string
	for rows.Next() {
		var path string
		if err := rows.Scan(&path); err != nil {
			return errors.Join(fmt.Errorf("list the files of an identity: %w", err), rows.Close())
		}
		paths = append(paths, path)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("list the files of an identity: %w", err)
	}
	for _, path := range paths { // without a connection of the database held
		if err := fn(path); err != nil {
			return err
		}
	}
	return nil
}
