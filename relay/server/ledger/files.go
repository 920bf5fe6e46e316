package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Expire notes that the file at path ends at until; zero: it is kept.
func (l *Ledger) Expire(path string, until time.Time) {
	if until.IsZero() {
		l.Expired(path)
		return
	}
	l.note(func(b *batch) { b.ends[path] = toMoment(until) })
}

// Expired notes that the file at path was removed.
func (l *Ledger) Expired(path string) {
	l.note(func(b *batch) { b.ends[path] = forgotten })
}

// Due lists up to limit paths whose time is over, the oldest first. Each stays due until Expired is called for it.
func (l *Ledger) Due(ctx context.Context, now time.Time, limit int) ([]string, error) {
	type end struct {
		path  string
		until moment
	}
	var ends []end
	noted := l.notedEnds()
	for path, until := range noted {
		if until != forgotten && until.over(now) {
			ends = append(ends, end{path, until})
		}
	}
	// What is noted in memory takes the place of as many rows at most.
	rows, err := l.db.QueryContext(ctx, `SELECT path, until FROM ends WHERE until <= ? ORDER BY until LIMIT ?`, int64(toMoment(now)), limit+len(noted))
	if err != nil {
		return nil, fmt.Errorf("look for files that end: %w", err)
	}
	for rows.Next() {
		var e end
		if err := rows.Scan(&e.path, &e.until); err != nil {
			return nil, errors.Join(fmt.Errorf("look for files that end: %w", err), rows.Close())
		}
		if _, ok := noted[e.path]; !ok {
			ends = append(ends, e)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("look for files that end: %w", err)
	}
	slices.SortFunc(ends, func(a, b end) int {
		return cmp.Or(cmp.Compare(a.until, b.until), cmp.Compare(a.path, b.path))
	})
	ends = ends[:min(len(ends), limit)]
	paths := make([]string, len(ends))
	for i, e := range ends {
		paths[i] = e.path
	}
	return paths, nil
}

// notedEnds returns what is noted of ends and not yet on disk.
func (l *Ledger) notedEnds() map[string]moment {
	l.mu.RLock()
	defer l.mu.RUnlock()
	noted := make(map[string]moment, len(l.next.ends))
	for _, b := range []*batch{l.writing, l.next} {
		if b == nil {
			continue
		}
		for path, until := range b.ends {
			noted[path] = until
		}
	}
	return noted
}

// SetAttributes keeps what rides with a file for a store without extended attributes.
func (l *Ledger) SetAttributes(path, mediaType string, digest []byte, retain time.Time) {
	a := attributes{mediaType: mediaType, digest: slices.Clone(digest), retain: toMoment(retain)}
	l.note(func(b *batch) { b.attributes[pathKey(path)] = a })
}

// ForgetAttributes removes what SetAttributes kept.
func (l *Ledger) ForgetAttributes(path string) {
	l.note(func(b *batch) { b.attributes[pathKey(path)] = attributes{forgotten: true} })
}

// Attributes returns what SetAttributes kept; zero values if nothing.
func (l *Ledger) Attributes(path string) (mediaType string, digest []byte, retain time.Time, err error) {
	k := pathKey(path)
	l.mu.RLock()
	a, ok := l.next.attributes[k]
	if !ok && l.writing != nil {
		a, ok = l.writing.attributes[k]
	}
	l.mu.RUnlock()
	if !ok {
		err = l.stmts.attributes.QueryRowContext(context.Background(), k[:]).Scan(&a.mediaType, &a.digest, &a.retain)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return "", nil, time.Time{}, fmt.Errorf("look for attributes: %w", err)
		}
	}
	if a.forgotten {
		a = attributes{}
	}
	return a.mediaType, a.digest, a.retain.time(), nil
}
