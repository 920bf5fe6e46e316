package relay

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// session is a client's chat connection as a test has it.
type session struct {
	asked chan time.Time // since
	ready chan struct{}
}

func (s *session) Wait(ctx context.Context, _ string, peer, local netip.AddrPort, since time.Time) error {
	if !peer.IsValid() || !local.IsValid() {
		return nil
	}
	s.asked <- since
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func newSession() *session {
	return &session{asked: make(chan time.Time, 1), ready: make(chan struct{})}
}

func TestTheAnswerWaitsForTheClientsChat(t *testing.T) {
	// held starts an upload that meets a machine without network, and brings the network back.
	held := func(t *testing.T, w *world) <-chan result {
		t.Helper()
		w.r.SetOnline(false)
		w.point(listed+":443", "127.0.0.1:1")
		done := make(chan result, 1)
		go func() { done <- w.put("/u/s/f", sample(1000)) }()
		w.await("offline", func(u Upload) bool { return u.Reason == ReasonOffline })
		w.serve(listed, &keep{})
		w.r.SetOnline(true)
		return done
	}
	t.Run("after the network was away it waits, and the client is kept waiting", func(t *testing.T) {
		s := newSession()
		w := newWorld(t, func(c *Config) { c.Chats = s })
		begun := time.Now()
		done := held(t, w)
		if since := <-s.asked; since.Before(begun) {
			t.Errorf("the network changed at %s, the upload began at %s", since, begun)
		}
		select {
		case r := <-done:
			t.Fatalf("answered before the chat connection was there: %v", r)
		case <-time.After(200 * time.Millisecond): // nothing is what has to be shown
		}
		if len(w.r.Active()) != 1 {
			t.Error("the upload is told to be over")
		}
		close(s.ready)
		if r := <-done; !r.stored() {
			t.Error(r)
		}
	})
	t.Run("it does not wait for ever", func(t *testing.T) {
		s := newSession()
		w := newWorld(t, func(c *Config) { c.Chats, c.ChatLimit = s, 100*time.Millisecond })
		if r := <-held(t, w); !r.stored() {
			t.Error(r)
		}
		if !strings.Contains(w.log.String(), "seen=false") {
			t.Error("the log does not tell that nothing was seen")
		}
	})
	t.Run("an upload that met no trouble is answered at once", func(t *testing.T) {
		s := newSession()
		w := newWorld(t, func(c *Config) { c.Chats = s })
		w.serve(listed, &keep{})
		if r := w.put("/u/s/f", sample(1000)); !r.stored() {
			t.Error(r)
		}
		select {
		case <-s.asked:
			t.Error("the chat connection was asked for")
		default:
		}
	})
}
