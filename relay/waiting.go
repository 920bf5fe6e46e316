package relay

import "sync"

// waiting is what the log was told of an upload that waits. Hundreds of attempts are one line as long as the reason stays.
type waiting struct {
	mu     sync.Mutex
	reason string // empty: nothing since it went on
}

// tellWaits logs why the upload waits, unless that was the last thing to be said.
func (d *delivery) tellWaits(reason, detail string) {
	d.waiting.mu.Lock()
	same := d.waiting.reason == reason
	d.waiting.reason = reason
	d.waiting.mu.Unlock()
	if !same {
		d.r.c.Log.Info("upload waits", "upload", d.u.snap.ID, "host", d.u.snap.Host, "reason", reason, "why", why(reason), "detail", detail)
	}
}

// tellGoesOn logs that bytes flow again. A server that is busy takes bytes before it says so: only getting further than
// before counts there.
func (d *delivery) tellGoesOn(at int64, further bool) {
	d.waiting.mu.Lock()
	reason := d.waiting.reason
	over := reason != "" && (further || reason != ReasonBusy)
	if over {
		d.waiting.reason = ""
	}
	d.waiting.mu.Unlock()
	if over {
		d.r.c.Log.Info("upload goes on", "upload", d.u.snap.ID, "host", d.u.snap.Host, "at", at, "size", d.size)
	}
}

// why is the reason of a wait in plain words, for the log.
func why(reason string) string {
	switch reason {
	case ReasonOffline:
		return "this computer has no network"
	case ReasonNetwork:
		return "the server cannot be reached, or the connection was lost"
	case ReasonBusy:
		return "the server wants it later"
	case ReasonPortal:
		return "a network wants its sign-in first"
	case ReasonCertificate, ReasonExpired, ReasonSelfSigned, ReasonOtherName:
		return "the server's certificate is not good; it may be the sign-in page of a network"
	}
	return reason
}
