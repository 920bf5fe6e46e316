package relay

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"
)

// Chats knows whether the program at the end peer of a connection to local can send messages to its chat server again.
// Wait returns nil when it can, or at once when the program sends none; since is when the network last changed, zero
// if it did not. detect/client/chat implements it.
type Chats interface {
	Wait(ctx context.Context, userAgent string, peer, local netip.AddrPort, since time.Time) error
}

// errChatLate is the cause when a client was waited for long enough.
var errChatLate = errors.New("the client has no chat connection yet")

// awaitChat puts off the answer to an upload that lived through a loss of the network: a client sends the file's
// link the moment it has the 201, and Gajim drops the message if its chat session is not there yet.
func (f *front) awaitChat(ctx context.Context, req *http.Request, u *upload, sp *spool, w *watcher, cancel context.CancelCauseFunc) {
	s := u.snapshot()
	since := f.r.changedAfter(s.Started)
	if f.r.c.Chats == nil || s.Repeats == 0 && since.IsZero() {
		return
	}
	peer, err1 := netip.ParseAddrPort(f.raw.RemoteAddr().String())
	local, err2 := netip.ParseAddrPort(f.raw.LocalAddr().String())
	if err1 != nil || err2 != nil {
		return
	}
	ctx, stop := context.WithTimeoutCause(ctx, f.r.c.ChatLimit, errChatLate)
	defer stop()
	began := time.Now()
	done := make(chan outcome, 1)
	var err error
	go func() {
		err = f.r.c.Chats.Wait(ctx, s.UserAgent, peer, local, since)
		done <- outcome{}
	}()
	f.hold(req, sp, w, cancel, done)
	f.r.c.Log.Info("answer given after the client's chat connection", "upload", s.ID, "host", s.Host,
		"seen", err == nil, "waited", time.Since(began).Round(time.Millisecond))
}

// changedAfter is when the network last changed, if that was after start.
func (r *Relay) changedAfter(start time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed.After(start) {
		return r.changed
	}
	return time.Time{}
}
