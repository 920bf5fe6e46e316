package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// charge is a change of what an identity uses: of path's file, size bytes more, or all of them given back.
type charge struct {
	path     string
	owner    string
	size     int64
	released bool
}

// delta is what the charge changes.
func (c charge) delta() int64 {
	if c.released {
		return -c.size
	}
	return c.size
}

// Charge notes that the file at path, of size bytes, counts for owner until Release.
func (l *Ledger) Charge(path, owner string, size int64) {
	l.note(func(b *batch) { b.charge(charge{path: path, owner: owner, size: size}) })
}

// Release notes that the file at path counts no more. That it never did is fine.
func (l *Ledger) Release(ctx context.Context, path string) error {
	c, ok, err := l.charged(ctx, path)
	if err != nil || !ok {
		return err
	}
	c.released = true
	l.note(func(b *batch) { b.charge(c) })
	return nil
}

// Used returns how many bytes count for owner.
func (l *Ledger) Used(ctx context.Context, owner string) (int64, error) {
	type pending struct {
		batch int64
		bytes int64
	}
	var noted []pending
	l.mu.RLock()
	for _, b := range []*batch{l.next, l.writing} {
		if b != nil {
			noted = append(noted, pending{b.number, b.used[owner]})
		}
	}
	l.mu.RUnlock()
	var used, last int64 // last: the batch up to which the sum is; it may be the one that is still being written for all we know
	if err := l.stmts.used.QueryRowContext(ctx, owner).Scan(&used, &last); err != nil {
		return 0, fmt.Errorf("look for what is used: %w", err)
	}
	for _, p := range noted {
		if p.batch > last {
			used += p.bytes
		}
	}
	return max(0, used), nil
}

// Charged lists up to limit paths that are charged and on disk, in order, from the first behind after; to look whether their files
// are still there.
func (l *Ledger) Charged(ctx context.Context, after string, limit int) (paths []string, err error) {
	rows, err := l.db.QueryContext(ctx, `SELECT path FROM charges WHERE path > ? ORDER BY path LIMIT ?`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list charged files: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var path string
		if err := rows.Scan(&path); err != nil {
			return nil, fmt.Errorf("list charged files: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, rows.Err()
}

// charged returns what path's file counts for.
func (l *Ledger) charged(ctx context.Context, path string) (charge, bool, error) {
	l.mu.RLock()
	for _, b := range []*batch{l.next, l.writing} {
		if b == nil {
			continue
		}
		for i := len(b.charges) - 1; i >= 0; i-- {
			if c := b.charges[i]; c.path == path {
				l.mu.RUnlock()
				return c, !c.released, nil
			}
		}
	}
	l.mu.RUnlock()
	c := charge{path: path}
	err := l.db.QueryRowContext(ctx, `SELECT owner, size FROM charges WHERE path = ?`, path).Scan(&c.owner, &c.size)
	if errors.Is(err, sql.ErrNoRows) {
		return c, false, nil
	}
	if err != nil {
		return c, false, fmt.Errorf("look for a charge: %w", err)
	}
	return c, true, nil
}

func (b *batch) charge(c charge) {
	b.charges = append(b.charges, c)
	b.used[c.owner] += c.delta()
}

// writeCharges brings the charges and their sums to disk, in the order in which they were noted.
func (b *batch) writeCharges(ctx context.Context, tx *sql.Tx) error {
	sums := make(map[string]int64)
	for _, c := range b.charges {
		var old charge
		err := tx.QueryRowContext(ctx, `DELETE FROM charges WHERE path = ? RETURNING owner, size`, c.path).Scan(&old.owner, &old.size)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		sums[old.owner] -= old.size
		if c.released {
			continue
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO charges (path, owner, size) VALUES (?, ?, ?)`, c.path, c.owner, c.size); err != nil {
			return err
		}
		sums[c.owner] += c.size
	}
	return each(ctx, tx, `INSERT INTO used (owner, bytes) VALUES (?, ?) ON CONFLICT DO UPDATE SET bytes = max(0, bytes + excluded.bytes)`, sums,
		func(owner string, sum int64) []any {
			if sum == 0 {
				return nil
			}
			return []any{owner, sum}
		})
}
