package sleep

import "time"

const (
	// poll is how often the clock is looked at.
	poll = 15 * time.Second
	// jump is how far the clock must have gone beyond a poll to be taken for a sleep. Less would take a slow machine or
	// a corrected clock for one.
	jump = 10 * time.Minute
	// longest is how long a machine stays awake after it said that it will sleep: logind gives programs 5 s, at most a
	// few more. Who sees its clock tick on for longer is awake.
	longest = time.Minute
)

// nap is what is known about the machine's sleep. Its methods are functions of what they are given: no clock is read.
// Times carry a wall clock and a monotonic one, which stands still during sleep.
type nap struct {
	seen   time.Time // of the last look at the clock
	since  time.Time // when it said that it will sleep; zero: it is awake
	missed bool      // found awake by the clock, while logind has not said so yet
}

// sleeps takes note of the news that the machine will sleep. It says whether that is news.
func (n *nap) sleeps(now time.Time) bool {
	fresh := n.since.IsZero()
	if fresh {
		n.since = now
	}
	n.seen, n.missed = now, false
	return fresh
}

// wakes takes note of the news that it is awake. It says how long it slept, and whether that is news.
func (n *nap) wakes(now time.Time) (time.Duration, bool) {
	if n.missed {
		n.missed, n.seen = false, now
		return 0, false
	}
	from := n.since
	if from.IsZero() {
		from = n.seen // its beginning was missed
	}
	n.since, n.seen = time.Time{}, now
	return max(0, wall(from, now)), true
}

// looks is called every poll. It finds a sleep that nobody told of, and the end of one that is not told.
func (n *nap) looks(now time.Time) (time.Duration, bool) {
	gone := wall(n.seen, now)
	n.seen = now
	switch {
	case !n.since.IsZero():
		slept := wall(n.since, now)
		if slept < jump && now.Sub(n.since) < longest {
			return 0, false
		}
		n.since, n.missed = time.Time{}, true
		return max(0, slept), true
	case gone > jump+poll:
		return gone, true
	}
	return 0, false
}

// wall is the time between two moments by the wall clock.
func wall(from, to time.Time) time.Duration { return to.Round(0).Sub(from.Round(0)) }
