package relay

import (
	"net/http"
	"sync"
	"time"
)

// Notice is something about a server that a person should know, or that is over.
type Notice struct {
	Kind  NoticeKind
	Host  string
	Ahead time.Duration // ClockWrong: how far this computer's clock is ahead of the server's; negative: behind
}

// NoticeKind is what a Notice is about.
type NoticeKind string

// The kinds of notices.
const (
	ClockWrong    NoticeKind = "clock-wrong"
	ClockRight    NoticeKind = "clock-right"    // ends ClockWrong
	DeviceRevoked NoticeKind = "device-revoked" // the server takes this person's device no longer
	DeviceMade    NoticeKind = "device-made"    // ends DeviceRevoked
)

// clockLimit is how wrong a clock may be before anybody is told. Tokens of 5 minutes fail then.
const clockLimit = 5 * time.Minute

// clocks are the servers whose time differs from this computer's.
type clocks struct {
	mu    sync.Mutex // guards the following
	wrong map[string]bool
}

// compare takes the Date of an answer and returns what is new about it.
func (c *clocks) compare(host string, h http.Header, now time.Time) (Notice, bool) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return Notice{}, false
	}
	ahead := now.Sub(date)
	wrong := ahead.Abs() > clockLimit
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wrong[host] == wrong {
		return Notice{}, false
	}
	if c.wrong == nil {
		c.wrong = map[string]bool{}
	}
	c.wrong[host] = wrong
	if wrong {
		return Notice{ClockWrong, host, ahead.Round(time.Second)}, true
	}
	return Notice{ClockRight, host, 0}, true
}

// checkClock looks at the Date of an answer whose sender is known.
func (r *Relay) checkClock(host string, h http.Header) {
	n, news := r.clocks.compare(host, h, time.Now().Round(0))
	if !news {
		return
	}
	r.c.Log.Warn("clock compared with the server's", "host", host, "wrong", n.Kind == ClockWrong, "ahead", n.Ahead)
	r.notice(n)
}

func (r *Relay) notice(n Notice) {
	if r.c.OnNotice != nil {
		r.c.OnNotice(n)
	}
}
