package ledger

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// sessionLife is how long an identity is known after its last upload in time.
const sessionLife = 30 * 24 * time.Hour

const (
	cachedSessions = 4096
	maxName        = 100 // bytes of a client's name: it comes from the client
)

// Session is what is remembered of an identity that uploaded in time.
type Session struct {
	ID        string // random and opaque; may be shown
	LastFresh time.Time
	FreshAddr string // AddrHash of the last upload within its token's lifetime
	Name      string // of the client
}

// known tells whether the session counts at now.
func (s Session) known(now time.Time) bool { return now.Sub(s.LastFresh) < sessionLife }

// Session returns what is remembered of owner; false: never seen, or longer than 30 days ago.
func (l *Ledger) Session(ctx context.Context, owner string) (Session, bool, error) {
	now := l.opt.Now()
	l.mu.RLock()
	s, ok := l.sessionLocked(owner)
	l.mu.RUnlock()
	if ok {
		return known(s, now)
	}
	var lastFresh int64
	err := l.stmts.session.QueryRowContext(ctx, owner).Scan(&s.ID, &lastFresh, &s.FreshAddr, &s.Name)
	if errors.Is(err, sql.ErrNoRows) {
		return Session{}, false, nil
	}
	if err != nil {
		return Session{}, false, fmt.Errorf("look for a session: %w", err)
	}
	s.LastFresh = moment(lastFresh).time()
	l.mu.Lock()
	if newer, ok := l.sessionLocked(owner); ok {
		s = newer
	} else {
		l.cacheLocked(owner, s)
	}
	l.mu.Unlock()
	return known(s, now)
}

func known(s Session, now time.Time) (Session, bool, error) {
	if !s.known(now) {
		return Session{}, false, nil
	}
	return s, true, nil
}

// sessionLocked looks for a session in memory.
func (l *Ledger) sessionLocked(owner string) (Session, bool) {
	if s, ok := l.next.sessions[owner]; ok {
		return s, true
	}
	if l.writing != nil {
		if s, ok := l.writing.sessions[owner]; ok {
			return s, true
		}
	}
	s, ok := l.sessions[owner]
	return s, ok
}

// cacheLocked keeps a session that is on disk. When there are too many, any other one goes.
func (l *Ledger) cacheLocked(owner string, s Session) {
	if len(l.sessions) >= cachedSessions {
		for other := range l.sessions {
			delete(l.sessions, other)
			break
		}
	}
	l.sessions[owner] = s
}

// Fresh notes an upload of owner within its token's lifetime, which began at now, from addr (an AddrHash) by the client name, and
// returns the id of the session. An upload that began before the last one noted changes nothing.
func (l *Ledger) Fresh(ctx context.Context, owner, addr, name string, now time.Time) (string, error) {
	old, ok, err := l.Session(ctx, owner)
	if err != nil {
		return "", err
	}
	id := rand.Text() // 130 random bits
	l.note(func(b *batch) {
		if newer, found := l.sessionLocked(owner); found && newer.known(now) {
			old, ok = newer, true // noted by somebody else meanwhile
		}
		if ok {
			id = old.ID
			if now.Before(old.LastFresh) && !old.LastFresh.After(l.opt.Now()) {
				return
			}
		}
		b.sessions[owner] = Session{ID: id, LastFresh: now, FreshAddr: addr, Name: shorten(name)}
	})
	return id, nil
}

func shorten(name string) string {
	return strings.ToValidUTF8(name[:min(len(name), maxName)], "")
}
