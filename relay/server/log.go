package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"holdfast/detect/client"
	"holdfast/relay/server/admit"
)

// refusedUpload carries what is known of a PUT along with the error that refused it.
type refusedUpload struct {
	*upload
	err error
}

func (e refusedUpload) Error() string { return e.err.Error() }
func (e refusedUpload) Unwrap() error { return e.err }

// explain adds to err what is known of the upload, for the log.
func (u *upload) explain(err error) error { return refusedUpload{u, err} }

// attrs are the facts of an upload that every line about it has. The query and the credential are never among them;
// the address is cut to a network, the identity to the head of its hash.
func (u *upload) attrs() []any {
	a := []any{"path", u.path, "size", u.size}
	if u.claims.Scheme != "" {
		a = append(a, "scheme", string(u.claims.Scheme))
	}
	if !u.judged {
		return a
	}
	a = append(a, "client", clientName(u.client), "kind", u.client.Kind.String(), "peer", shortAddr(u.peer))
	if u.claims.Owner != "" {
		a = append(a, "owner", u.claims.Owner[:min(8, len(u.claims.Owner))])
	}
	return append(a, "window", string(u.verdict.Window), "late", u.verdict.Late.Round(time.Second), "reason", u.verdict.Reason)
}

// stored writes the lines and counts the metrics of an upload that was answered with 201.
func (s *Server) stored(u *upload, again bool) {
	result, msg := "stored", "upload stored"
	if again {
		result, msg = "repeated", "upload repeated"
	} else {
		s.metrics.uploaded.Add(float64(u.size))
	}
	s.metrics.uploads.WithLabelValues(result, string(u.claims.Scheme)).Inc()
	a := u.attrs()
	if u.late() {
		s.metrics.grace.WithLabelValues(string(u.verdict.Window), u.client.Kind.String()).Inc()
		s.log.Info(lateMessage(u.verdict.Window), a...)
	}
	if u.verdict.Window == admit.Restore || u.verdict.Window == admit.Ultra {
		s.metrics.sessions.WithLabelValues("restored").Inc()
	}
	if u.makesSession() && !u.known && !again {
		s.metrics.sessions.WithLabelValues("new").Inc()
	}
	if u.verdict.Changed {
		s.metrics.changes.Inc()
		s.log.Info("address changed", a...)
	}
	s.log.Info(msg, append(a, "took", s.now().Sub(u.began).Round(time.Millisecond))...)
}

// lateMessage is the line for a token that a grace window admitted.
func lateMessage(w admit.Window) string {
	switch w {
	case admit.Mobile:
		return "mobile client admitted late"
	case admit.Desktop:
		return "desktop client admitted late"
	case admit.Restore:
		return "session restored"
	case admit.Ultra:
		return "ultra grace used"
	}
	return "client admitted late"
}

// refused writes the one line and counts the metric of a refusal. Uploads at info, the rest at debug, our own faults at error.
func (s *Server) refused(r *http.Request, ref *Refusal, err error) {
	s.metrics.refusals.WithLabelValues(ref.Code).Inc()
	var up refusedUpload
	var dev refusedDevice
	isUpload := errors.As(err, &up)
	level, msg := slog.LevelDebug, "request refused"
	var a []any
	switch {
	case isUpload && ref == ErrLate:
		level, msg, a = slog.LevelInfo, "refused beyond grace", up.attrs()
	case errors.Is(err, errCut):
		level, msg, a = slog.LevelInfo, "upload cut", up.attrs()
	case isUpload:
		level, msg, a = slog.LevelInfo, "upload refused", up.attrs()
	case errors.As(err, &dev):
		level, msg = slog.LevelInfo, "device refused"
	case r.Method == http.MethodPut:
		level, msg = slog.LevelInfo, "upload refused"
	}
	if !isUpload {
		a = []any{"method", r.Method, "target", s.target(r)}
	}
	if isUpload && !up.judged {
		a = append(a, "client", clientName(client.Parse(r.UserAgent())), "peer", shortAddr(s.set.Load().Trust.Client(remote(r), r.Header)))
	}
	if ref.Status >= 500 && ref != ErrUnfinished {
		level = slog.LevelError
	}
	a = append(a, "code", ref.Code, "status", ref.Status, "error", err)
	s.log.Log(context.WithoutCancel(r.Context()), level, msg, a...)
}

// target is the path of a request, without the id of an upload: that is the right to go on with it.
func (s *Server) target(r *http.Request) string {
	path := r.URL.EscapedPath()
	name, own := strings.CutPrefix(path, s.prefix+apiSegment)
	if kind, id, below := strings.Cut(name, "/"); own && below && id != "" {
		return s.prefix + apiSegment + kind + "/***"
	}
	return path
}

// clientName is "Gajim 1.7.3", or "unknown".
func clientName(c client.Client) string {
	if c.Name == "" {
		return "unknown"
	}
	return strings.TrimSpace(c.Name + " " + c.Version)
}

// shortAddr names the network an address is in: enough to see a change, not enough to name a person.
func shortAddr(a netip.Addr) string {
	bits := 48
	if a = a.Unmap(); a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return "unknown"
	}
	return p.String()
}
