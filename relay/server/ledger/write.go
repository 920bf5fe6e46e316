package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// write puts a batch on disk in one transaction. mayAdvance: everything noted before the batch was closed is in it or on disk.
func (l *Ledger) write(b *batch, mayAdvance bool) error {
	ctx := context.Background() // bounded by the busy timeout; half a batch would help nobody
	return l.inTx(ctx, func(tx *sql.Tx) error {
		for _, part := range []func(context.Context, *sql.Tx) error{
			b.writeSlots, b.writeTokens, b.writeSessions, b.writeEnds, b.writeAttributes, b.writeContents, b.writeCharges,
		} {
			if err := part(ctx, tx); err != nil {
				return err
			}
		}
		if err := setMark(ctx, tx, markBatch, b.number); err != nil {
			return err
		}
		if !mayAdvance {
			return nil
		}
		return setMark(ctx, tx, markKnown, int64(toMoment(b.cut.Add(-uncleanSlack))))
	})
}

// each prepares a statement if there is something to do with it.
func each[K comparable, V any](ctx context.Context, tx *sql.Tx, query string, entries map[K]V, args func(K, V) []any) (err error) {
	if len(entries) == 0 {
		return nil
	}
	stmt, err := tx.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stmt.Close()) }()
	for k, v := range entries {
		if a := args(k, v); a != nil {
			if _, err := stmt.ExecContext(ctx, a...); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *batch) writeSlots(ctx context.Context, tx *sql.Tx) error {
	return each(ctx, tx, `INSERT INTO slots (path, until) VALUES (?, ?) ON CONFLICT DO UPDATE
		SET until = iif(until = 0 OR excluded.until = 0, 0, max(until, excluded.until))`, b.slots,
		func(k key, until moment) []any { return []any{k[:], int64(until)} })
}

func (b *batch) writeTokens(ctx context.Context, tx *sql.Tx) error {
	return each(ctx, tx, `INSERT INTO tokens (mac, path, until) VALUES (?, ?, ?) ON CONFLICT DO UPDATE
		SET path = excluded.path, until = excluded.until`, b.tokens,
		func(mac key, t usedToken) []any { return []any{mac[:], t.path[:], int64(t.until)} })
}

func (b *batch) writeSessions(ctx context.Context, tx *sql.Tx) error {
	return each(ctx, tx, `INSERT INTO sessions (owner, id, last_fresh, fresh_addr, name) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
		SET id = excluded.id, last_fresh = excluded.last_fresh, fresh_addr = excluded.fresh_addr, name = excluded.name`, b.sessions,
		func(owner string, s Session) []any {
			return []any{owner, s.ID, int64(toMoment(s.LastFresh)), s.FreshAddr, s.Name}
		})
}

func (b *batch) writeEnds(ctx context.Context, tx *sql.Tx) error {
	err := each(ctx, tx, `INSERT INTO ends (path, until) VALUES (?, ?) ON CONFLICT DO UPDATE SET until = excluded.until`, b.ends,
		func(path string, until moment) []any {
			if until == forgotten {
				return nil
			}
			return []any{path, int64(until)}
		})
	if err != nil {
		return err
	}
	return each(ctx, tx, `DELETE FROM ends WHERE path = ?`, b.ends, func(path string, until moment) []any {
		if until != forgotten {
			return nil
		}
		return []any{path}
	})
}

func (b *batch) writeAttributes(ctx context.Context, tx *sql.Tx) error {
	err := each(ctx, tx, `INSERT INTO attributes (path, type, digest, retain) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE
		SET type = excluded.type, digest = excluded.digest, retain = excluded.retain`, b.attributes,
		func(k key, a attributes) []any {
			if a.forgotten {
				return nil
			}
			return []any{k[:], a.mediaType, a.digest, int64(a.retain)}
		})
	if err != nil {
		return err
	}
	return each(ctx, tx, `DELETE FROM attributes WHERE path = ?`, b.attributes, func(k key, a attributes) []any {
		if !a.forgotten {
			return nil
		}
		return []any{k[:]}
	})
}

// prune removes what is over.
func (l *Ledger) prune(ctx context.Context) error {
	now := l.opt.Now()
	for _, p := range []struct {
		query string
		limit moment
	}{
		{`DELETE FROM slots WHERE until > 0 AND until <= ?`, toMoment(now)},
		{`DELETE FROM tokens WHERE until > 0 AND until <= ?`, toMoment(now)},
		{`DELETE FROM sessions WHERE last_fresh <= ?`, toMoment(now.Add(-sessionLife))},
		{`DELETE FROM devices WHERE revoked = 0 AND used <= ?`, toMoment(now.Add(-deviceLife))},
		{`DELETE FROM codes WHERE until <= ?`, toMoment(now)},
		{`DELETE FROM spent WHERE until <= ?`, toMoment(now)},
	} {
		if _, err := l.db.ExecContext(ctx, p.query, int64(p.limit)); err != nil {
			return fmt.Errorf("remove what is over: %w", err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for owner, s := range l.sessions {
		if !s.known(now) {
			delete(l.sessions, owner)
		}
	}
	return nil
}

// rebuildFilter makes the filter of used keys from the database. Keys noted meanwhile go into it too.
func (l *Ledger) rebuildFilter(ctx context.Context) (err error) {
	var count int
	err = l.db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM slots) + (SELECT count(*) FROM tokens)`).Scan(&count)
	if err != nil {
		return err
	}
	fresh := newFilter(count * 2)
	l.mu.Lock()
	l.growing = fresh
	for _, b := range []*batch{l.next, l.writing} {
		if b != nil {
			b.fill(fresh)
		}
	}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.growing = nil
		if err == nil {
			l.used = fresh
		}
	}()
	rows, err := l.db.QueryContext(ctx, `SELECT path FROM slots UNION ALL SELECT mac FROM tokens`)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var raw sql.RawBytes
		if err := rows.Scan(&raw); err != nil {
			return err
		}
		var k key
		copy(k[:], raw)
		l.mu.Lock()
		fresh.add(k)
		l.mu.Unlock()
	}
	return rows.Err()
}

// growFilter makes a larger filter when the old one is so full that it says "perhaps" too often.
func (l *Ledger) growFilter(ctx context.Context) error {
	l.mu.RLock()
	full := l.used.full()
	l.mu.RUnlock()
	if !full {
		return nil
	}
	began := time.Now()
	err := l.rebuildFilter(ctx)
	l.opt.Log.Debug("ledger filter rebuilt", "took", time.Since(began))
	return err
}
