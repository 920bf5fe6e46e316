package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// probeLimit is how long an attempt may stand still right after the network changed.
const probeLimit = 3 * time.Second

// Limits where the server resumes, so that a cut too many costs a round trip and not the upload.
const (
	quickProbe  = 500 * time.Millisecond // as probeLimit
	quickStall  = 10 * time.Second       // as Config.Stall
	answerLimit = 15 * time.Second       // for an answer after the last byte; asking again waits for a server that is busy
)

// attempt sends one request and says what came of it. digest is that of the whole file; empty: none.
func (d *delivery) attempt(parent context.Context, l leg, digest string, expect bool) (a answer) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	expect = expect && l.kind == whole && d.size > 64<<10
	t := &trial{d: d, leg: l, cancel: cancel, refreshed: d.r.nextRefresh()}
	req := d.request(httptrace.WithClientTrace(ctx, t.trace()), l, digest, expect)
	if l.size() > 0 {
		req.GetBody = func() (io.ReadCloser, error) { return d.spool.open(ctx, l.from, l.to, t.start()), nil }
		req.Body, _ = req.GetBody()
	} else if l.kind != ask {
		req.Body = http.NoBody
	}
	defer d.spool.leave()
	guarded := make(chan struct{})
	go func() {
		defer close(guarded)
		t.guard(ctx)
	}()
	defer func() {
		cancel(nil)
		<-guarded
		a.sent = t.sent.Load()
		a.begun, a.whole, a.asked = a.sent > 0, l.kind != ask && a.sent == l.size(), expect
		a.secure, a.fresh = t.secure.Load(), t.fresh.Load()
		a.plain, a.host = d.url.Scheme == "http", d.url.Hostname()
	}()
	resp, err := d.r.up.roundTrip(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return answer{err: err}
	}
	t.secure.Store(true)
	defer func() { _ = resp.Body.Close() }()
	a = answer{status: resp.StatusCode, header: resp.Header, reason: reasonOf(resp)}
	if resp.StatusCode >= 300 {
		stop := time.AfterFunc(3*time.Second, func() { cancel(nil) })
		defer stop.Stop()
		a.sentence = explanation(resp)
	}
	return a
}

// request is the client's request as it goes upstream, or the part of it that leg l is.
func (d *delivery) request(ctx context.Context, l leg, digest string, expect bool) *http.Request {
	u := *d.url
	req := (&http.Request{
		Method: l.kind.method(), URL: &u, Host: d.host, Header: d.header.Clone(), ContentLength: l.size(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	d.res.mark(req.Header, l, d.size)
	d.prove(req)
	if l.kind == part && digest != "" {
		req.Header.Set("Repr-Digest", digest)
	}
	if expect {
		// On a repeat the server may say no before it is sent everything once more (RFC 9110 section 10.1.1).
		req.Header.Set("Expect", "100-continue")
	}
	return req
}

// trial watches over one attempt.
type trial struct {
	d         *delivery
	leg       leg
	cancel    context.CancelCauseFunc
	refreshed <-chan struct{}
	sent      atomic.Int64 // of the body, handed to the transport
	conn      atomic.Pointer[net.TCPConn]
	got       atomic.Bool // a connection
	secure    atomic.Bool
	fresh     atomic.Bool
}

// start begins to count anew: the transport repeats by itself when a connection turns out to be dead before
// anything was written to it.
func (t *trial) start() func(int) {
	t.sent.Store(0)
	return func(n int) {
		sent := t.sent.Add(int64(n))
		t.d.progress(t.leg.from + sent)
	}
}

func (t *trial) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			t.got.Store(true)
			t.secure.Store(true)
			t.fresh.Store(!info.Reused)
			t.conn.Store(tcpOf(info.Conn))
			t.d.connected()
		},
		// Any number of interim answers is fine; having this hook lifts the transport's limit.
		Got1xxResponse: func(int, textproto.MIMEHeader) error { return nil },
	}
}

// tcpOf finds the TCP connection below TLS.
func tcpOf(c net.Conn) *net.TCPConn {
	for {
		switch v := c.(type) {
		case *net.TCPConn:
			return v
		case *tls.Conn:
			c = v.NetConn()
		default:
			return nil
		}
	}
}

// guard ends the attempt when the network takes no byte for too long, when it changed below the connection, when a server
// that can be asked again gives no answer, or when the upload as a whole made no progress for too long. It never ends one for
// its total time.
func (t *trial) guard(ctx context.Context) {
	stall := t.d.r.c.Stall
	tick := time.NewTicker(max(min(200*time.Millisecond, stall/4, t.d.r.giveUp()/4), time.Millisecond))
	defer tick.Stop()
	var meeting sync.WaitGroup
	defer meeting.Wait()
	met := false
	refreshed := t.refreshed
	var last, before progressMark
	moved, probed := time.Now(), time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-refreshed:
			refreshed = t.d.r.nextRefresh()
			conn := t.conn.Load()
			if !t.got.Load() || conn != nil && !addressStillHere(conn.LocalAddr()) {
				t.end(errRefreshed)
				return
			}
			probed, before = time.Now(), t.mark()
		case now := <-tick.C:
			mark := t.mark()
			if mark != last {
				last, moved = mark, now
			}
			if mark.arrivedSince(before) {
				probed = time.Time{} // the connection outlived the change
			}
			if r := t.d.spool.current(); r != nil && r.starved() {
				t.d.extend() // it is the client who is slow
			}
			if t.d.spent(now) {
				t.end(errGaveUp)
				return
			}
			cheap, sending := t.d.cheap(), t.sending()
			askable := cheap || t.leg.kind == ask
			if !sending && !(askable && t.got.Load() && t.sent.Load() == t.leg.size()) {
				moved = now
				if !probed.IsZero() {
					probed = now
				}
				continue
			}
			limit, patience, cause := stall, t.d.r.probe, errStalled
			if askable {
				limit, patience = min(stall, quickStall), min(t.d.r.probe, quickProbe)
			}
			if !sending {
				limit, cause = answerLimit, errSilent
			}
			if now.Sub(moved) > limit {
				t.end(cause)
				return
			}
			if probed.IsZero() {
				continue
			}
			if now.Sub(probed) > patience {
				t.end(errRefreshed)
				return
			}
			if now.Sub(probed) > quickProbe && !askable && !met && t.d.res.can == untold {
				met = true
				meeting.Go(func() { t.d.introduce(ctx) })
			}
		}
	}
}

// end cancels the attempt and its connection, which must not be used again.
func (t *trial) end(cause error) {
	t.cancel(cause)
	if conn := t.conn.Load(); conn != nil {
		_ = conn.Close()
	}
}

// progressMark changes when bytes get on: out of the spool, or to the other side.
type progressMark struct {
	sent  int64
	acked uint64
}

// arrivedSince says whether the other side got bytes since before; what only the kernel here took proves nothing.
func (m progressMark) arrivedSince(before progressMark) bool {
	if m.acked == 0 {
		return m.sent > before.sent // not to be found out
	}
	return m.acked > before.acked
}

func (t *trial) mark() progressMark {
	m := progressMark{sent: t.sent.Load()}
	if conn := t.conn.Load(); conn != nil {
		m.acked, _ = tcpProgress(conn)
	}
	return m
}

// sending says whether it is the network's turn: there is a connection, and bytes that it has not yet taken.
func (t *trial) sending() bool {
	if !t.got.Load() {
		return false // dialling has limits of its own
	}
	if t.sent.Load() < t.leg.size() {
		r := t.d.spool.current()
		return r != nil && !r.starved()
	}
	if conn := t.conn.Load(); conn != nil {
		_, unacked := tcpProgress(conn)
		return unacked
	}
	return false
}

// reasonOf is the reason phrase of a status line; the standard one counts as none.
func reasonOf(resp *http.Response) string {
	_, reason, _ := strings.Cut(resp.Status, " ")
	if strings.EqualFold(reason, http.StatusText(resp.StatusCode)) {
		return ""
	}
	return cleanReason(reason)
}

// explanation is what the server says in plain words: its reason phrase if it is one of its own, or the first line of
// the body when the server is ours (it sets Holdfast-Error) and the protocol has no reason phrases.
func explanation(resp *http.Response) string {
	head, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if reason := reasonOf(resp); reason != "" {
		return reason
	}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) || resp.Header.Get("Holdfast-Error") == "" || mediaType != "text/plain" {
		return ""
	}
	line, _, _ := strings.Cut(string(head), "\n")
	return cleanReason(line)
}
