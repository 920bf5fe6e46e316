package sleep

import (
	"testing"
	"time"
)

func TestEachSleepIsToldOnceWhoeverNoticesIt(t *testing.T) {
	t0 := time.Date(2026, 5, 4, 22, 0, 0, 0, time.UTC)
	type step struct {
		after time.Duration // since the step before
		what  string        // sleeps, wakes, looks
		slept time.Duration
		news  bool
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"logind tells of both ends", []step{
			{0, "sleeps", 0, true}, {6 * time.Hour, "wakes", 6 * time.Hour, true}, {15 * time.Second, "looks", 0, false},
		}},
		{"the clock alone tells", []step{
			{15 * time.Second, "looks", 0, false}, {6 * time.Hour, "looks", 6 * time.Hour, true}, {15 * time.Second, "looks", 0, false},
		}},
		{"the clock is read before logind's word, which then is no second sleep", []step{
			{0, "sleeps", 0, true}, {6 * time.Hour, "looks", 6 * time.Hour, true}, {time.Second, "wakes", 0, false},
			{8 * time.Second, "sleeps", 0, true}, {time.Hour, "wakes", time.Hour, true},
		}},
		{"the beginning was missed", []step{{15 * time.Second, "looks", 0, false}, {3 * time.Hour, "wakes", 3 * time.Hour, true}}},
		{"a slow machine does not sleep", []step{{9 * time.Minute, "looks", 0, false}, {10 * time.Minute, "looks", 0, false}}},
		{"just above the jump it does", []step{{10*time.Minute + 16*time.Second, "looks", 10*time.Minute + 16*time.Second, true}}},
		{"a clock that is set back is no sleep", []step{{-6 * time.Hour, "looks", 0, false}, {15 * time.Second, "looks", 0, false}}},
		{"a sleep that was called off and not told is over after a minute", []step{
			{0, "sleeps", 0, true}, {15 * time.Second, "looks", 0, false}, {50 * time.Second, "looks", 65 * time.Second, true},
			{time.Second, "wakes", 0, false},
		}},
		{"told twice is one sleep", []step{{0, "sleeps", 0, true}, {time.Second, "sleeps", 0, false}, {time.Hour, "wakes", time.Hour + time.Second, true}}},
		{"a clock set back during sleep gives no negative time", []step{{0, "sleeps", 0, true}, {-time.Hour, "wakes", 0, true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := t0
			n := nap{seen: t0}
			for i, s := range c.steps {
				now = now.Add(s.after)
				var slept time.Duration
				var news bool
				switch s.what {
				case "sleeps":
					news = n.sleeps(now)
				case "wakes":
					slept, news = n.wakes(now)
				case "looks":
					slept, news = n.looks(now)
				}
				if slept != s.slept || news != s.news {
					t.Errorf("step %d, %s: slept %v, news %v; want %v, %v", i, s.what, slept, news, s.slept, s.news)
				}
			}
		})
	}
}
