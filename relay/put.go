package relay

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

// put holds a client's upload until the server has it: the body goes to a spool and from there upstream at the same
// time; 102 tells the client to wait (its patience is 10 s to 60 s without a byte).
func (f *front) put(ctx context.Context, req *http.Request) bool {
	if len(req.Header["Content-Length"]) != 1 || req.ContentLength < 0 {
		return f.refuse(req, http.StatusLengthRequired, "An upload needs a Content-Length.")
	}
	serving := ctx // an enrolment may outlive the upload that began it
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	room := f.r.reserve(req.ContentLength)
	defer f.r.release(room)
	sp, err := newSpool(f.r.c.SpoolDir, req.ContentLength, room)
	defer sp.close()
	u := f.r.begin(req, cancel)
	if err != nil || sp.room < sp.size {
		f.r.c.Log.Warn("upload goes on without a full copy; a cut may end it", "upload", u.snap.ID, "size", sp.size, "room", sp.room, "error", err)
	}
	d := f.delivery(req, u, sp)

	if hasToken(req.Header, "Expect", "100-continue") {
		if err := f.interim(req, http.StatusContinue); err != nil {
			f.r.finish(u, Cancelled, ReasonClientGone, "the client left before the end")
			return false
		}
	}
	if enrolled := f.r.enrol(serving, req.URL, d.header, sp.size); enrolled != nil {
		sp.holdLast(ctx, enrolled, enrolHold)
	}
	slot := slotID(req)
	if k, ok := f.r.kept.take(slot, time.Now()); ok {
		d.res.inherit(k)
		f.r.c.Log.Info("upload goes on where an earlier one ended", "upload", u.snap.ID, "host", u.snap.Host)
	}
	w := f.watch(ctx, cancel, func() error { return sp.fill(ctx, bodyOf(ctx, f, req)) })
	done := make(chan outcome, 1)
	go func() { done <- d.run(ctx) }()
	o := f.hold(req, sp, w, cancel, done)
	if o.ok {
		f.awaitChat(ctx, req, u, sp, w, cancel)
	}
	cancel(nil) // whoever still waits to hand over bytes of the body waits in vain
	w.stop()
	switch o.reason {
	case ReasonClientGone, ReasonGaveUp:
		f.r.kept.keep(slot, d.res, time.Now())
	}
	if sp.complete() {
		req.Body = http.NoBody
	} else {
		req.Close = true
	}
	return f.tell(req, u, o)
}

// delivery prepares what goes upstream: the client's own end-to-end headers, exact length, same host.
func (f *front) delivery(req *http.Request, u *upload, sp *spool) *delivery {
	h := endToEnd(req.Header)
	h.Del("Expect")
	h.Del("Content-Length")
	name := req.URL.Hostname()
	return &delivery{
		r: f.r, u: u, spool: sp, size: req.ContentLength, target: name,
		res: newResumption(h, req.ContentLength, f.r.known.of(req.URL.Host).piece),
		url: req.URL, origin: req.URL, host: req.Host, header: h,
	}
}

// hold waits for the outcome and keeps the client waiting with it.
func (f *front) hold(req *http.Request, sp *spool, w *watcher, cancel context.CancelCauseFunc, done <-chan outcome) outcome {
	tick := time.NewTicker(f.r.c.Interim)
	defer tick.Stop()
	for {
		select {
		case o := <-done:
			return o
		case <-tick.C:
			// While its body is still on the way the client is not waiting.
			if !w.received.Load() && !sp.blocked() {
				continue
			}
			if err := f.interim(req, http.StatusProcessing); err != nil {
				cancel(errClientGone)
			}
		}
	}
}

// tell ends the upload for everybody: those who look on, and the client.
func (f *front) tell(req *http.Request, u *upload, o outcome) bool {
	switch {
	case o.ok:
		f.r.finish(u, Done, "", "")
		return f.answer(req, http.StatusCreated, "", nil, "")
	case o.reason == ReasonClientGone:
		f.r.finish(u, Cancelled, o.reason, o.detail)
		return false
	case o.reason == ReasonCancelled, o.reason == ReasonStopped:
		f.r.finish(u, Cancelled, o.reason, o.sentence)
	default:
		detail := o.detail
		if detail == "" {
			detail = o.sentence
		}
		f.r.finish(u, Failed, o.reason, detail)
	}
	return f.refuse(req, o.status, o.sentence)
}

// watcher reads a client in a goroutine of its own: first its body, then whatever tells that it left.
type watcher struct {
	f        *front
	received atomic.Bool
	stopping atomic.Bool
	done     chan struct{}
}

// watch runs body and then waits for the client to leave; both cancel with errClientGone when it does.
// The caller calls stop before it reads the connection again.
func (f *front) watch(ctx context.Context, cancel context.CancelCauseFunc, body func() error) *watcher {
	w := &watcher{f: f, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		err := body()
		if err == nil {
			w.received.Store(true)
			w.arm(ctx, time.Time{})
			_, err = f.br.Peek(1) // a byte is the next request, sent early
		}
		if err != nil && !w.stopping.Load() && ctx.Err() == nil {
			cancel(errClientGone)
		}
	}()
	return w
}

// arm sets a read deadline unless reading has to end anyway.
func (w *watcher) arm(ctx context.Context, t time.Time) {
	w.f.readBy(ctx, t)
	if w.stopping.Load() {
		_ = w.f.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// stop ends reading and waits for the goroutine.
func (w *watcher) stop() {
	w.stopping.Store(true)
	_ = w.f.conn.SetReadDeadline(time.Unix(1, 0))
	<-w.done
}

// bodyOf reads a request's body with a limit for each piece.
func bodyOf(ctx context.Context, f *front, req *http.Request) *limitedBody {
	return &limitedBody{ctx: ctx, f: f, req: req}
}

type limitedBody struct {
	ctx context.Context
	f   *front
	req *http.Request
	set time.Time
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if now := time.Now(); now.Sub(b.set) > time.Second {
		b.set = now
		b.f.readBy(b.ctx, now.Add(bodyLimit))
	}
	n, err := b.req.Body.Read(p)
	// TLS gives one record (16 KiB) at a time; take those that are already here, so that the spool is written in larger pieces.
	for err == nil && n < len(p) && b.f.below != nil && b.f.below.Buffered() > maxRecord {
		var m int
		m, err = b.req.Body.Read(p[n:])
		n += m
	}
	return n, err
}

const maxRecord = 16<<10 + 256 + 5 // RFC 8446 section 5.2
