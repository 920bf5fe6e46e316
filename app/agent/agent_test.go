package agent

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// outside notes what the agent does to the world.
type outside struct {
	mu   sync.Mutex // guards all following fields
	did  []string
	fail error
	seen []State
}

func (o *outside) note(s string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.did = append(o.did, s)
}

func (o *outside) Refresh()  { o.note("refresh") }
func (o *outside) Hold(bool) {}

func (o *outside) SetOnline(on bool) {
	if on {
		o.note("online")
	} else {
		o.note("offline")
	}
}

func (o *outside) Keep(u Upload) error {
	o.note("keep " + u.ID)
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.fail
}

func (o *outside) state(s State) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, s)
}

func (o *outside) calls() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.did)
}

func (o *outside) last() State {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen[len(o.seen)-1]
}

func (o *outside) states() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.seen)
}

// begin runs an agent until the test ends.
func begin(t *testing.T, o *outside) (*Agent, func()) {
	a := New(Config{Version: "1", AutoFix: true, Carrier: o, Keeper: o, Phrases: phrase, OnState: o.state})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- a.Run(ctx) }()
	return a, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func TestDoIsSeenInState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, end := begin(t, &outside{})
		defer end()
		if err := a.Do(t.Context(), AutoFixSet{On: false}); err != nil {
			t.Fatal(err)
		}
		if a.State().AutoFix {
			t.Error("auto-fix is still on")
		}
	})
}

func TestStatesAreToldAtMostFourTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outside{}
		a, end := begin(t, o)
		defer end()
		for i := range 100 { // one second of progress
			a.Tell(UploadChanged{Upload{ID: "a", State: "sending", Sent: int64(i)}})
			time.Sleep(10 * time.Millisecond)
		}
		if n := o.states(); n < 4 || n > 5 {
			t.Errorf("%d states in a second", n)
		}
		time.Sleep(pace)
		if got := o.last(); got.Uploads.Active != 1 {
			t.Errorf("the last state is not told: %+v", got.Uploads)
		}
		told := o.states()
		time.Sleep(time.Hour)
		if n := o.states() - told; n != 0 {
			t.Errorf("%d states without news", n)
		}
	})
}

func TestAPauseEndsAtItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outside{}
		a, end := begin(t, o)
		defer end()
		if err := a.Do(t.Context(), PauseAsked{Until: time.Now().Add(90 * time.Second)}); err != nil {
			t.Fatal(err)
		}
		a.Tell(change(home, wired))
		time.Sleep(89 * time.Second)
		if s := a.State(); s.Status != Paused || len(o.calls()) != 0 {
			t.Errorf("after 89 s: %s, %q", s.Status, o.calls())
		}
		time.Sleep(2 * time.Second)
		if s := a.State(); s.Status != Ready || s.Paused {
			t.Errorf("after 91 s: %s", s.Status)
		}
		if d := cmp.Diff([]string{"refresh"}, o.calls()); d != "" {
			t.Error(d)
		}
	})
}

func TestAnUploadThatWaitsForTheNetworkIsTriedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outside{}
		a, end := begin(t, o)
		defer end()
		a.Tell(change(home, none))
		a.Tell(upload("a", "waiting"))
		time.Sleep(95 * time.Second)
		if d := cmp.Diff([]string{"offline", "refresh", "refresh", "refresh"}, o.calls()); d != "" {
			t.Error(d)
		}
		a.Tell(change(none, home))
		a.Tell(upload("a", "done"))
		time.Sleep(time.Hour)
		if d := cmp.Diff([]string{"offline", "refresh", "refresh", "refresh", "online", "refresh", "keep a"}, o.calls()); d != "" {
			t.Error(d)
		}
	})
}

func TestEventsBeforeTheEndAreTakenIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outside{}
		a, end := begin(t, o)
		a.Tell(upload("a", "cancelled"))
		end()
		if d := cmp.Diff([]string{"keep a"}, o.calls()); d != "" {
			t.Error(d)
		}
		if err := a.Do(t.Context(), Elapsed{}); !errors.Is(err, context.Canceled) {
			t.Errorf("Do after the end: %v", err)
		}
		a.Tell(Elapsed{}) // does not block
	})
}

func TestAHistoryThatCannotBeWrittenIsAProblem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outside{fail: errors.New("disk full")}
		a, end := begin(t, o)
		defer end()
		if err := a.Do(t.Context(), upload("a", "done")); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"history-failed disk full"}, codes(a.State())); d != "" {
			t.Error(d)
		}
		o.mu.Lock()
		o.fail = nil
		o.mu.Unlock()
		if err := a.Do(t.Context(), upload("b", "done")); err != nil {
			t.Fatal(err)
		}
		if got := codes(a.State()); len(got) != 0 {
			t.Errorf("still %q", got)
		}
	})
}

func TestTheLastUploadOfAnEarlierRunIsShown(t *testing.T) {
	a := New(Config{Carrier: &outside{}, Last: &Upload{ID: "old"}})
	if s := a.State(); s.Last == nil || s.Last.ID != "old" {
		t.Errorf("%+v", s.Last)
	}
}
