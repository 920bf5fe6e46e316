package relay

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// outcome is how an upload ended: what the client is told.
type outcome struct {
	ok       bool
	status   int
	sentence string
	reason   string
	detail   string
}

// delivery brings one body to one server, however often it has to be sent.
type delivery struct {
	r      *Relay
	u      *upload
	spool  *spool
	size   int64
	target string // host name for Keys

	// What is sent, by the goroutine that runs.
	url    *url.URL
	host   string // Host header
	header http.Header
	origin *url.URL // as the client asked

	res      resumption
	signing  signing
	past     past
	noExpect bool
	failures int // in a row without progress
	waiting  waiting

	mu       sync.Mutex // guards the following
	best     int64      // the most bytes of any attempt
	further  bool       // the present attempt got further than all before
	deadline time.Time  // to give up
	extended time.Duration
}

// run sends the upload until the server has it or nothing more can be done.
func (d *delivery) run(ctx context.Context) outcome {
	d.extend()
	d.freshen(ctx)
	ctx, cancel := context.WithCancelCause(ctx)
	sums := &summing{spool: d.spool}
	defer sums.wait()
	defer cancel(nil)
	for puts := 0; ; {
		changed := d.r.nextRefresh()
		d.drainTryNow()
		d.forgetGain()
		l := d.res.next(d.size)
		if l.kind == part && l.to-l.from <= maxPiece { // bounded requests are quick ones
			d.spool.await(ctx, l.to)
			d.extend()
		}
		if d.res.inherited && l.kind == part && l.to == d.size && !d.vouch(ctx, sums) {
			continue
		}
		high := d.furthest()
		a := d.attempt(ctx, l, sums.get(l.to == d.size), puts > 0 && !d.noExpect)
		if ctx.Err() != nil {
			d.res.most = max(d.res.most, l.from+a.sent)
			return ended(context.Cause(ctx))
		}
		d.note(l, a, changed)
		if again := min(high, l.from+a.sent) - l.from; again > 0 {
			d.u.change(func(s *Upload) { s.Resent += again })
		}
		if l.kind == whole {
			puts++
		}
		v, known := d.res.learn(l, a, d.size)
		d.r.known.learn(d.url.Host, a.header, d.res.bound())
		if !known && d.proofRefused(ctx, a) {
			continue
		}
		if !known {
			v = judge(a, d.past, time.Now())
		}
		if isCertificate(v.reason) && d.spool.repeatable() && d.behindPortal(ctx) {
			v = portalVerdict(d.past)
		}
		if v.sentence == "" && a.err == nil {
			v.sentence = refusal(a.status)
		}
		d.r.c.Log.Debug("attempt ended", "upload", d.u.snap.ID, "method", l.kind.method(), "from", l.from, "sent", a.sent, "status", a.status,
			"error", a.err, "sent_all", a.whole, "detail", v.sentence, "offset", d.res.offset, "piece", d.res.piece)
		switch v.step {
		case onward:
			if l.kind == ask {
				d.u.change(func(s *Upload) { s.Sent = d.res.offset })
				sums.begin(ctx)
			}
			continue
		case succeed:
			return outcome{ok: true, status: http.StatusCreated}
		case fail:
			return outcome{status: v.status, sentence: v.sentence, reason: v.reason, detail: describe(a, v)}
		case redirect:
			to, refused := redirectTarget(d.url, a.header.Get("Location"))
			if refused != "" {
				return outcome{status: http.StatusBadGateway, sentence: refused, reason: ReasonRefused, detail: refused + whereTo(a.header.Get("Location"))}
			}
			d.url = to
			d.past.redirects++
			continue
		case resign:
			d.signing.afterRefusal = true
			if d.sign(ctx) {
				continue
			}
			return outcome{status: v.status, sentence: v.sentence, reason: v.reason, detail: describe(a, v)}
		case compare:
			d.spool.await(ctx, d.size)
			same, err := d.sameAsStored(ctx)
			switch {
			case ctx.Err() != nil:
				return ended(context.Cause(ctx))
			case err != nil: // the question got lost, too
				v = verdict{step: repeat, status: http.StatusGatewayTimeout, reason: ReasonNetwork, sentence: sentence(err)}
			case same && v.reason == ReasonPortal:
				return outcome{ok: true, status: http.StatusCreated}
			case v.reason == ReasonPortal:
				v = portalVerdict(d.past)
			case same:
				d.r.c.Log.Info("server has the file from an attempt whose answer was lost", "upload", d.u.snap.ID)
				return outcome{ok: true, status: http.StatusCreated}
			default:
				return outcome{status: v.status, sentence: v.sentence, reason: v.reason, detail: describe(a, v)}
			}
		case again, await:
			d.noExpect = d.noExpect || v.noExpect
			if isCertificate(v.reason) {
				d.past.certWaits++
			}
		}
		if d.past.redirects > 0 { // the next attempt asks at the front door again
			d.url, d.past.redirects = d.origin, 0
		}
		if err := d.wait(ctx, v, changed); err != nil {
			if errors.Is(err, errGaveUp) {
				return d.gaveUp(v)
			}
			return ended(err)
		}
		d.u.change(func(s *Upload) { s.Repeats++ })
		d.freshen(ctx)
	}
}

// vouch waits for the SHA-256 of the whole file, which has to go with the last request of an upload that somebody else began.
// Without it the upload begins afresh: false.
func (d *delivery) vouch(ctx context.Context, sums *summing) bool {
	sums.begin(ctx)
	d.spool.await(ctx, d.size)
	sums.wait()
	d.extend()
	if ctx.Err() == nil && sums.get(true) == "" {
		d.res.restart()
		d.res.inherited = false
		return false
	}
	return true
}

// note remembers what an attempt says about the ones to come.
func (d *delivery) note(l leg, a answer, changed <-chan struct{}) {
	if d.gained() {
		d.failures = 0
	}
	if a.secure {
		d.past.trusted = true
		d.r.checkClock(d.target, a.header)
	}
	d.past.reached = a.fresh
	d.past.repeatable = d.spool.repeatable()
	d.signing.setClock(a.header, time.Now())
	d.past.canResign = d.maySign() && d.signing.mayAfterRefusal(time.Now())
	d.r.devices.learn(d.url.Host, a.header)
	d.past.asked = !d.noExpect
	select {
	case <-changed:
		d.past.changed = true
	default:
		d.past.changed = false
	}
	// From now on a 409 may be about our own file.
	if l.kind != ask && a.whole && l.to == d.size && (a.err != nil || a.status >= 500) {
		d.past.lost = true
	}
}

// wait pauses before a repeat: for the back-off or the Retry-After; for Refresh while the machine is offline and the server
// is not reached all the same.
// It returns nil when it is time to repeat.
func (d *delivery) wait(ctx context.Context, v verdict, changed <-chan struct{}) error {
	if v.step == again {
		return nil
	}
	// Who just had a new connection to the server, or got bytes through, knows better than any watcher. But not while the
	// machine goes to sleep or has just woken: then what was reached may be gone in a moment.
	online := !d.r.isHeld() && (d.r.isOnline() || d.gained() || d.past.reached)
	if online && v.step == repeat && v.reason == ReasonNetwork && d.res.unsure && d.gained() {
		return nil // asking for the offset is cheap, and something got through before the cut
	}
	pause := max(backOff(d.failures, d.r.c.BackOff, d.r.c.MaxBackOff), v.after)
	if v.reason == ReasonPortal { // nothing tells of a sign-in where there is no NetworkManager
		pause = d.r.c.MaxBackOff
	}
	d.failures++
	reason := v.reason
	if !online {
		reason = ReasonOffline
	}
	d.u.change(func(s *Upload) { s.State, s.Reason, s.Detail, s.Sent = Waiting, reason, v.sentence, d.res.offset })
	began := time.Now()
	defer func() {
		if !online {
			d.forgive(time.Since(began))
		}
	}()
	var timeUp <-chan time.Time
	if online && (v.step != await || v.reason == ReasonPortal) {
		t := time.NewTimer(pause)
		defer t.Stop()
		timeUp = t.C
	}
	giveUp := time.NewTimer(d.remaining(online))
	defer giveUp.Stop()
	d.tellWaits(reason, v.sentence)
	d.r.c.Log.Debug("waiting", "upload", d.u.snap.ID, "reason", reason, "pause", pause)
	select {
	case <-timeUp:
	case <-changed:
	case <-d.u.tryNow:
	case <-giveUp.C:
		return errGaveUp
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

func (d *delivery) drainTryNow() {
	select {
	case <-d.u.tryNow:
	default:
	}
}

// offlineFactor bounds how much longer an upload is held while the machine is known to be offline.
const offlineFactor = 24

// extend puts off giving up: there was progress.
func (d *delivery) extend() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deadline = time.Now().Add(d.r.giveUp())
	d.extended = 0
}

// forgive does not count time for which the machine was offline, within bounds.
func (d *delivery) forgive(t time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t = min(t, offlineFactor*d.r.giveUp()-d.extended)
	d.extended += t
	d.deadline = d.deadline.Add(t)
}

func (d *delivery) remaining(online bool) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := time.Until(d.deadline)
	if !online {
		left += offlineFactor*d.r.giveUp() - d.extended
	}
	return max(left, 0)
}

// spent says whether it is time to give up.
func (d *delivery) spent(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return now.After(d.deadline)
}

// progress notes that an attempt handed over sent bytes. Getting further than ever puts off giving up.
func (d *delivery) progress(sent int64) {
	d.mu.Lock()
	further := sent > d.best
	if further {
		d.best = sent
		d.deadline = time.Now().Add(d.r.giveUp())
		d.extended = 0
		d.further = true
	}
	d.mu.Unlock()
	d.tellGoesOn(sent, further)
	d.u.sent(sent)
}

// furthest is the most bytes that any attempt handed over.
func (d *delivery) furthest() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.best
}

func (d *delivery) forgetGain() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.further = false
}

func (d *delivery) gained() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.further
}

// connected notes that the present attempt has a connection.
func (d *delivery) connected() {
	d.u.change(func(s *Upload) {
		s.State, s.Reason, s.Detail = Sending, "", ""
		if d.spool.overflown() {
			s.Reason = ReasonNoCopy
		}
	})
}

func (d *delivery) gaveUp(v verdict) outcome {
	status := http.StatusGatewayTimeout
	if v.reason == ReasonBusy {
		status = http.StatusServiceUnavailable
	}
	return outcome{status: status, reason: ReasonGaveUp, detail: v.sentence,
		sentence: "Holdfast gave up after " + spoken(d.r.giveUp()) + " without progress: " + v.sentence}
}

func spoken(t time.Duration) string {
	if t >= 2*time.Minute {
		return strconv.Itoa(int(t.Round(time.Minute).Minutes())) + " minutes"
	}
	return t.String()
}

// whereTo names the host of a redirect. The rest of the address may hold the slot's token, which is for nobody to see.
func whereTo(location string) string {
	u, err := url.Parse(location)
	if err != nil || u.Host == "" {
		return ""
	}
	return " (" + u.Scheme + "://" + u.Host + ")"
}

func describe(a answer, v verdict) string {
	if a.err != nil {
		return v.sentence + " (" + a.err.Error() + ")"
	}
	return v.sentence
}

// ended is the outcome of an upload that was ended from this side.
func ended(cause error) outcome {
	switch {
	case errors.Is(cause, errClientGone):
		return outcome{reason: ReasonClientGone, detail: "the client left before the end"}
	case errors.Is(cause, errCancelled):
		return outcome{status: http.StatusServiceUnavailable, reason: ReasonCancelled, sentence: "The upload was cancelled in Holdfast"}
	}
	return outcome{status: http.StatusServiceUnavailable, reason: ReasonStopped, sentence: "Holdfast was stopped before the upload was through"}
}
