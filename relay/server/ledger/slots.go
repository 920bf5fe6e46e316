package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Burn notes that the slot at path is used until then; zero: for ever. A longer time that was noted before stays.
func (l *Ledger) Burn(path string, until time.Time) {
	k := pathKey(path)
	l.note(func(b *batch) {
		b.burn(k, toMoment(until))
		l.useLocked(k)
	})
}

// Burnt reports whether the slot at path is used.
func (l *Ledger) Burnt(ctx context.Context, path string) (bool, error) {
	k := pathKey(path)
	now := l.opt.Now()
	l.mu.RLock()
	for _, b := range []*batch{l.next, l.writing} {
		if b == nil {
			continue
		}
		if until, ok := b.slots[k]; ok && !until.over(now) {
			l.mu.RUnlock()
			return true, nil
		}
	}
	perhaps := l.used.has(k)
	l.mu.RUnlock()
	if !perhaps {
		return false, nil
	}
	var until int64
	err := l.stmts.slot.QueryRowContext(ctx, k[:]).Scan(&until)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for a burnt slot: %w", err)
	}
	return !moment(until).over(now), nil
}

// BurnToken binds a token to the first path it was used for. ErrTokenUsed: it was used for another one.
func (l *Ledger) BurnToken(ctx context.Context, mac [32]byte, path string, until time.Time) error {
	l.tokens.Lock() // of two that come at once only one may find the token unused
	defer l.tokens.Unlock()
	k := pathKey(path)
	old, ok, err := l.token(ctx, mac)
	if err != nil {
		return err
	}
	if ok && old.path != k {
		return ErrTokenUsed
	}
	if ok && later(old.until, toMoment(until)) == old.until {
		return nil
	}
	noted := l.note(func(b *batch) {
		b.tokens[mac] = usedToken{path: k, until: toMoment(until)}
		l.useLocked(mac)
	})
	if !noted {
		return fmt.Errorf("note a used token: %w", l.Health())
	}
	return nil
}

// TokenUsedElsewhere reports whether a token is bound to another path than this one.
func (l *Ledger) TokenUsedElsewhere(ctx context.Context, mac [32]byte, path string) (bool, error) {
	old, ok, err := l.token(ctx, mac)
	return ok && old.path != pathKey(path), err
}

// token returns what mac was used for, if that still counts.
func (l *Ledger) token(ctx context.Context, mac key) (usedToken, bool, error) {
	now := l.opt.Now()
	l.mu.RLock()
	for _, b := range []*batch{l.next, l.writing} {
		if b == nil {
			continue
		}
		if t, ok := b.tokens[mac]; ok && !t.until.over(now) {
			l.mu.RUnlock()
			return t, true, nil
		}
	}
	perhaps := l.used.has(mac)
	l.mu.RUnlock()
	if !perhaps {
		return usedToken{}, false, nil
	}
	var path []byte
	var until int64
	err := l.stmts.token.QueryRowContext(ctx, mac[:]).Scan(&path, &until)
	if errors.Is(err, sql.ErrNoRows) {
		return usedToken{}, false, nil
	}
	if err != nil {
		return usedToken{}, false, fmt.Errorf("look for a used token: %w", err)
	}
	t := usedToken{until: moment(until)}
	copy(t.path[:], path)
	return t, !t.until.over(now), nil
}
