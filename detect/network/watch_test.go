package network

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeSource is a source whose state a test sets.
type fakeSource struct {
	mu    sync.Mutex // guards snap, err, reads
	snap  Snapshot
	err   error
	reads int

	news chan struct{}
	end  chan error
}

func newFake(s Snapshot) *fakeSource {
	return &fakeSource{snap: s, news: make(chan struct{}), end: make(chan error)}
}

func (f *fakeSource) Run(ctx context.Context, notify func()) error {
	notify()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-f.end:
			return err
		case <-f.news:
			notify()
		}
	}
}

func (f *fakeSource) Snapshot(context.Context) (Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	return f.snap, f.err
}

// become changes the state and tells of it.
func (f *fakeSource) become(s Snapshot, err error) {
	f.mu.Lock()
	f.snap, f.err = s, err
	f.mu.Unlock()
	f.news <- struct{}{}
}

// seen is an event as tests compare it: when, and what it says.
type seen struct {
	At   time.Duration
	Says string
}

// watching runs Watch in a bubble and returns what it sends while script runs.
func watching(t *testing.T, src Source, script func()) (events []seen, err error) {
	t.Helper()
	return watchingSleep(t, src, Awake{}, script)
}

// watchingSleep is watching of a machine that sleeps.
func watchingSleep(t *testing.T, src Source, sleep Sleeper, script func()) (events []seen, err error) {
	t.Helper()
	start := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- Watch(ctx, src, sleep, func(e Event) {
			events = append(events, seen{e.At.Sub(start), e.Change.String()})
		})
	}()
	script()
	synctest.Wait()
	cancel()
	return events, <-done
}

func TestWatch(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	renumbered := with(wired, func(s *Snapshot) { s.Addrs = prefixes("198.51.100.8/24") })
	tests := []struct {
		name   string
		script func(f *fakeSource)
		want   []seen
	}{
		{"the first state is sent at once, and repeated news of it are not", func(f *fakeSource) {
			time.Sleep(ms(5000))
		}, []seen{{0, `offline -> Wi-Fi "Home"`}}},
		{"a burst of signals is one event, 750 ms after the last", func(f *fakeSource) {
			time.Sleep(ms(1000))
			for range 40 {
				f.become(offline, nil)
				time.Sleep(ms(10))
			}
			f.become(wired, nil)
			time.Sleep(ms(5000))
		}, []seen{{0, `offline -> Wi-Fi "Home"`}, {ms(1400 + 750), `Wi-Fi "Home" -> Ethernet "wired0"`}}},
		{"a source that never rests is read every 3 s", func(f *fakeSource) {
			time.Sleep(ms(1000))
			for range 30 {
				f.become(wired, nil)
				time.Sleep(ms(500))
			}
		}, []seen{{0, `offline -> Wi-Fi "Home"`}, {ms(4000), `Wi-Fi "Home" -> Ethernet "wired0"`}}},
		{"a state that comes back within the burst is no event", func(f *fakeSource) {
			time.Sleep(ms(1000))
			f.become(offline, nil)
			time.Sleep(ms(700))
			f.become(home, nil)
			time.Sleep(ms(5000))
		}, []seen{{0, `offline -> Wi-Fi "Home"`}}},
		{"two changes far apart are two events", func(f *fakeSource) {
			time.Sleep(ms(1000))
			f.become(wired, nil)
			time.Sleep(ms(2000))
			f.become(renumbered, nil)
			time.Sleep(ms(2000))
		}, []seen{{0, `offline -> Wi-Fi "Home"`}, {ms(1750), `Wi-Fi "Home" -> Ethernet "wired0"`}, {ms(3750), `Ethernet "wired0": new address`}}},
		{"a VPN that passes through connecting is one event", func(f *fakeSource) {
			time.Sleep(ms(1000))
			f.become(Snapshot{Settling: true}, nil)
			time.Sleep(ms(2000))
			f.become(with(home, func(s *Snapshot) { s.VPNs = []string{"work"} }), nil)
			time.Sleep(ms(5000))
		}, []seen{{0, `offline -> Wi-Fi "Home"`}, {ms(3750), `Wi-Fi "Home": VPN "work" up`}}},
		{"connecting that leads nowhere is told after 5 s", func(f *fakeSource) {
			time.Sleep(ms(1000))
			f.become(Snapshot{Settling: true}, nil)
			time.Sleep(ms(9000))
			f.become(wired, nil)
			time.Sleep(ms(2000))
		}, []seen{{0, `offline -> Wi-Fi "Home"`}, {ms(1750 + 5000), `Wi-Fi "Home" -> offline`}, {ms(10750), `offline -> Ethernet "wired0"`}}},
		{"a failed connection attempt that changes nothing is no event", func(f *fakeSource) {
			time.Sleep(ms(1000))
			f.become(with(home, func(s *Snapshot) { s.Settling = true }), nil)
			time.Sleep(ms(9000))
		}, []seen{{0, `offline -> Wi-Fi "Home"`}}},
		{"a reading that fails is tried again every 3 s", func(f *fakeSource) {
			time.Sleep(ms(1000))
			f.become(wired, errors.New("the bus is busy"))
			time.Sleep(ms(4000))
			f.mu.Lock()
			f.err = nil
			f.mu.Unlock()
			time.Sleep(ms(5000))
		}, []seen{{0, `offline -> Wi-Fi "Home"`}, {ms(1750 + 6000), `Wi-Fi "Home" -> Ethernet "wired0"`}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(home)
				got, err := watching(t, f, func() { tt.script(f) })
				if err != nil {
					t.Errorf("error %v", err)
				}
				if d := cmp.Diff(tt.want, got); d != "" {
					t.Errorf("events (-want +got):\n%s", d)
				}
			})
		})
	}
}

func TestTheFirstEventIsSentAlsoWhenOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, err := watching(t, newFake(offline), func() { time.Sleep(time.Second) })
		if d := cmp.Diff([]seen{{0, "offline: no change"}}, got); d != "" || err != nil {
			t.Errorf("%v, events (-want +got):\n%s", err, d)
		}
	})
}

func TestAnIdleWatchReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(home)
		_, err := watching(t, f, func() { time.Sleep(24 * time.Hour) })
		if err != nil || f.reads != 2 { // at the start, and once it listens
			t.Errorf("%d reads, %v", f.reads, err)
		}
	})
}

func TestWatchEndsWithItsSource(t *testing.T) {
	gone := errors.New("gone")
	for _, tt := range []struct {
		name      string
		end, want error
	}{
		{"with its error", gone, gone},
		{"without an error", nil, errEnded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(home)
				_, err := watching(t, f, func() { f.end <- tt.end })
				if !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
			})
		})
	}
}

func TestFirst(t *testing.T) {
	t.Run("the first source that knows is asked", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			nm, kernel := newFake(home), newFake(wired)
			got, err := watching(t, First(nm, kernel), func() {
				time.Sleep(2 * time.Second)
				nm.become(unknown, nil) // stopped
				time.Sleep(2 * time.Second)
				kernel.become(offline, nil) // news of the second are passed on
				time.Sleep(2 * time.Second)
				nm.become(home, nil) // started again
				time.Sleep(2 * time.Second)
			})
			want := []seen{
				{0, `offline -> Wi-Fi "Home"`},
				{2750 * time.Millisecond, `Wi-Fi "Home" -> Ethernet "wired0"`},
				{4750 * time.Millisecond, `Ethernet "wired0" -> offline`},
				{6750 * time.Millisecond, `offline -> Wi-Fi "Home"`},
			}
			if d := cmp.Diff(want, got); d != "" || err != nil {
				t.Errorf("%v, events (-want +got):\n%s", err, d)
			}
		})
	})
	t.Run("a source that ends is replaced by the next, and the last one's end is an error", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			nm, kernel := newFake(home), newFake(wired)
			gone := errors.New("gone")
			got, err := watching(t, First(nm, kernel), func() {
				time.Sleep(2 * time.Second)
				nm.end <- gone
				time.Sleep(2 * time.Second)
				kernel.end <- gone
			})
			want := []seen{{0, `offline -> Wi-Fi "Home"`}, {2750 * time.Millisecond, `Wi-Fi "Home" -> Ethernet "wired0"`}}
			if d := cmp.Diff(want, got); d != "" || !errors.Is(err, gone) {
				t.Errorf("%v, events (-want +got):\n%s", err, d)
			}
		})
	})
	t.Run("without any source the network is unknown", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			got, err := watching(t, First(), func() { time.Sleep(time.Hour) })
			if d := cmp.Diff([]seen{{0, "offline -> unknown"}}, got); d != "" || err != nil {
				t.Errorf("%v, events (-want +got):\n%s", err, d)
			}
		})
	})
	t.Run("when the one that would know fails, the next is asked", func(t *testing.T) {
		nm, kernel := newFake(home), newFake(wired)
		nm.err = errors.New("the bus is busy")
		s, err := First(nm, kernel).Snapshot(t.Context())
		if err != nil || s.UUID != wired.UUID {
			t.Errorf("%v %v", s, err)
		}
		kernel.err = nm.err
		if _, err := First(nm, kernel).Snapshot(t.Context()); !errors.Is(err, nm.err) {
			t.Errorf("error %v", err)
		}
	})
}

// fakeSleep is a machine that a test puts to sleep.
type fakeSleep struct{ news chan Sleep }

func (f fakeSleep) Run(ctx context.Context, tell func(Sleep)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-f.news:
			tell(s)
		}
	}
}

func TestSleep(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	hours := 6 * time.Hour
	tests := []struct {
		name   string
		script func(f *fakeSource, s fakeSleep)
		want   []seen
	}{
		{"the same network after sleep is told, since connections are dead", func(_ *fakeSource, s fakeSleep) {
			time.Sleep(ms(1000))
			s.news <- Sleep{Asleep: true}
			time.Sleep(ms(1000))
			s.news <- Sleep{Slept: hours}
			time.Sleep(ms(60000))
		}, []seen{
			{0, `offline -> Wi-Fi "Home"`}, {ms(1000), "the machine is about to sleep"}, {ms(2000), "resumed after 6h0m0s"},
			{ms(2750), `Wi-Fi "Home": the same as before the sleep`},
		}},
		{"what happens while it falls asleep waits until it woke, and comes after that", func(f *fakeSource, s fakeSleep) {
			time.Sleep(ms(1000))
			s.news <- Sleep{Asleep: true}
			f.become(offline, nil)
			time.Sleep(ms(10000))
			f.become(wired, nil)
			s.news <- Sleep{Slept: hours}
			time.Sleep(ms(60000))
		}, []seen{
			{0, `offline -> Wi-Fi "Home"`}, {ms(1000), "the machine is about to sleep"}, {ms(11000), "resumed after 6h0m0s"},
			{ms(11750), `Wi-Fi "Home" -> Ethernet "wired0"`},
		}},
		{"a Wi-Fi that has to be found first is waited for", func(f *fakeSource, s fakeSleep) {
			s.news <- Sleep{Asleep: true}
			f.become(offline, nil)
			s.news <- Sleep{Slept: hours}
			time.Sleep(ms(6000))
			f.become(home, nil)
			time.Sleep(ms(60000))
		}, []seen{
			{0, `offline -> Wi-Fi "Home"`}, {0, "the machine is about to sleep"}, {0, "resumed after 6h0m0s"},
			{ms(6750), `Wi-Fi "Home": the same as before the sleep`},
		}},
		{"but not for ever", func(f *fakeSource, s fakeSleep) {
			s.news <- Sleep{Asleep: true}
			f.become(offline, nil)
			s.news <- Sleep{Slept: hours}
			time.Sleep(ms(60000))
			f.become(home, nil)
			time.Sleep(ms(60000))
		}, []seen{
			{0, `offline -> Wi-Fi "Home"`}, {0, "the machine is about to sleep"}, {0, "resumed after 6h0m0s"},
			{ms(15000), `Wi-Fi "Home" -> offline`}, {ms(60750), `offline -> Wi-Fi "Home"`},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, s := newFake(home), fakeSleep{make(chan Sleep)}
				got, err := watchingSleep(t, f, s, func() { synctest.Wait(); tt.script(f, s) })
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(tt.want, got); d != "" {
					t.Errorf("events (-want +got):\n%s", d)
				}
			})
		})
	}
}

func TestASleeperThatGivesUpIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("no clock")
		_, err := watchingSleep(t, newFake(home), sleeperFunc(func(context.Context, func(Sleep)) error { return broken }), func() {})
		if !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
	})
}

type sleeperFunc func(context.Context, func(Sleep)) error

func (f sleeperFunc) Run(ctx context.Context, tell func(Sleep)) error { return f(ctx, tell) }
