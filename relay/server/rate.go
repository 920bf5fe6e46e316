package server

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is how many uploads may begin in how much time: so many at once, and then one whenever its share of the time is over.
// The zero value is no limit.
type Rate struct {
	Uploads int
	Every   time.Duration
}

// limit is the Rate as x/time/rate has it.
func (r Rate) limit() rate.Limit { return rate.Limit(float64(r.Uploads) / r.Every.Seconds()) }

// rateKeys is how many identities or addresses a bucket is kept for. Over it the full ones leave, which is no loss, and if
// there is none, all of them: a flood of addresses must cost no memory.
const rateKeys = 100_000

// buckets holds a bucket for each identity, or for each address.
type buckets struct {
	mu   sync.Mutex // guards all below
	rate Rate
	of   map[string]*rate.Limiter
}

// set changes the rate. Everybody begins anew with a full bucket.
func (b *buckets) set(r Rate) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r != b.rate {
		b.rate, b.of = r, make(map[string]*rate.Limiter)
	}
}

// take takes one upload out of the bucket of key. It returns how long to wait if there is none, and else how to put it back.
func (b *buckets) take(key string, now time.Time) (wait time.Duration, undo func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate.Uploads <= 0 || key == "" {
		return 0, func() {}
	}
	lim, ok := b.of[key]
	if !ok {
		if len(b.of) >= rateKeys {
			b.makeRoomLocked(now)
		}
		lim = rate.NewLimiter(b.rate.limit(), b.rate.Uploads)
		b.of[key] = lim
	}
	res := lim.ReserveN(now, 1)
	if wait = res.DelayFrom(now); wait > 0 {
		res.CancelAt(now)
		return wait, nil
	}
	return 0, func() { res.CancelAt(now) }
}

func (b *buckets) makeRoomLocked(now time.Time) {
	for key, lim := range b.of {
		if lim.TokensAt(now) >= float64(b.rate.Uploads) {
			delete(b.of, key)
		}
	}
	if len(b.of) >= rateKeys {
		clear(b.of)
	}
}

// busy is ErrBusy with the time after which the next upload may begin.
type busy struct{ wait time.Duration }

func (b busy) Error() string {
	return fmt.Sprintf("%v: the next may begin in %v", ErrBusy, b.wait.Round(time.Millisecond))
}
func (b busy) Unwrap() error { return ErrBusy }

// limited takes an upload that begins out of the rates of its address and of its identity, of both or of none.
func (s *Server) limited(u *upload) error {
	now := s.now()
	wait, undo := s.addresses.take(rateAddress(u.peer), now)
	if wait > 0 {
		s.metrics.limited.WithLabelValues("address").Inc()
		return busy{wait}
	}
	if wait, _ = s.identities.take(u.claims.Owner, now); wait > 0 {
		undo()
		s.metrics.limited.WithLabelValues("identity").Inc()
		return busy{wait}
	}
	return nil
}

// rateAddress is whose bucket an address is: its own, of IPv6 that of the /64, which one customer has. An address that is
// not known for certain is that of a proxy, and all clients behind it share its bucket.
func rateAddress(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return "unknown"
	}
	return p.String()
}
