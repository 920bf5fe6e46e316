package server

import (
	"fmt"
	"net/http"
	"net/netip"

	"holdfast/detect/client"
	"holdfast/relay/server/admit"
)

// admission is who uploads and by which window.
type admission struct {
	verdict admit.Verdict
	client  client.Client
	peer    netip.Addr
	addr    string // keyed hash of peer; empty: not known for certain
	session string // id, if one is known
	known   bool
	judged  bool
}

// makesSession reports whether the upload proves an identity within its token's lifetime.
func (u *upload) makesSession() bool {
	return u.claims.Owner != "" && u.verdict.Window == admit.Fresh
}

// admit judges the time of a verified token and says so in the answer's header.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, set *active, u *upload) error {
	u.client = client.Parse(r.UserAgent())
	u.peer = set.Trust.Client(remote(r), r.Header)
	if u.claims.Owner != "" && !set.Trust.Trusted(u.peer) { // else it is a proxy's, and says nothing of the client
		u.addr = s.ledger.AddrHash(u.peer)
	}
	proven, err := s.proven(w, r, set, u)
	if err != nil {
		return err
	}
	var seen admit.History
	if u.claims.Owner != "" {
		sess, ok, err := s.ledger.Session(r.Context(), u.claims.Owner)
		if err != nil {
			return fmt.Errorf("%w: look up the session: %w", ErrUnavailable, err)
		}
		if ok {
			seen = admit.History{Known: true, LastFresh: sess.LastFresh, FreshAddr: sess.FreshAddr}
			u.session, u.known = sess.ID, true
		}
	}
	u.verdict = admit.Decide(u.claims, admit.Peer{Client: u.client, Addr: u.addr, Device: proven}, seen, set.Windows, u.began)
	u.judged = true
	if !u.verdict.OK && u.verdict.Reason == admit.ReasonTooEarly {
		return fmt.Errorf("%w: issued in the future", ErrBadToken)
	}
	if !u.verdict.OK {
		s.metrics.beyond.WithLabelValues(u.client.Kind.String()).Inc()
		return ErrLate
	}
	h := w.Header()
	if u.session != "" {
		h.Set("X-Session-ID", u.session)
	}
	if u.verdict.Changed {
		h.Set("X-Network-Switch-Detected", "true")
	}
	if u.late() {
		h.Set("Holdfast-Grace", string(u.verdict.Window))
	}
	return nil
}

// late reports whether a grace window was needed.
func (u *upload) late() bool {
	return u.verdict.Window != admit.None && u.verdict.Window != admit.Fresh
}

// remote is the address of the connection.
func remote(r *http.Request) netip.Addr { return addrOf(r.RemoteAddr) }

// addrOf reads the address of a peer. A unix socket is reached only from this machine and counts as loopback.
func addrOf(peer string) netip.Addr {
	ap, err := netip.ParseAddrPort(peer)
	if err != nil {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return ap.Addr().Unmap()
}
