package control_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"holdfast/app/agent"
	"holdfast/app/control"
	"holdfast/cmd/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// transport is one way to reach a companion.
type transport struct {
	name string
	// serve begins to answer and returns how to connect and how to stop.
	serve func(t *testing.T, s control.Service, hub *control.Hub) (dial func() (control.Client, error), stop func())
}

func transports() []transport {
	return []transport{
		{"socket", func(t *testing.T, s control.Service, hub *control.Hub) (func() (control.Client, error), func()) {
			dir := t.TempDir()
			k, err := control.ListenSocket(dir, os.Getuid(), s, hub, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			return func() (control.Client, error) { return control.Dial(t.Context(), dir) }, background(t, k.Serve)
		}},
		{"bus", func(t *testing.T, s control.Service, hub *control.Hub) (func() (control.Client, error), func()) {
			address := lab.Bus(t)
			b, err := control.ListenBus(t.Context(), address, s, hub, "1.2.3", slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			return func() (control.Client, error) { return control.DialBus(t.Context(), address) }, background(t, b.Serve)
		}},
	}
}

// background runs serve until stop is called or the test ends, and waits for it.
func background(t *testing.T, serve func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx) }()
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func connect(t *testing.T, dial func() (control.Client, error)) control.Client {
	t.Helper()
	c, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestEveryMethodReachesTheCompanion(t *testing.T) {
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			s := &companion{state: agent.State{Schema: 1, Status: agent.Ready, AutoFix: true}}
			dial, _ := tr.serve(t, s, control.NewHub())
			c := connect(t, dial)
			ctx := t.Context()
			for _, m := range []struct {
				want string
				call func() (string, error)
			}{
				{"Reset dino+gajim true", func() (string, error) { return c.Reset(ctx, []string{"dino", "gajim"}, true) }},
				{"Reset  false", func() (string, error) { return c.Reset(ctx, nil, false) }},
				{"Undo a/b", func() (string, error) { return c.Undo(ctx, "a/b") }},
				{"SetAutoFix true", func() (string, error) { return "", c.SetAutoFix(ctx, true) }},
				{"Pause 15m0s", func() (string, error) { return "", c.Pause(ctx, 15*time.Minute) }},
				{"Pause 0s", func() (string, error) { return "", c.Pause(ctx, 0) }},
				{"Pause 1s", func() (string, error) { return "", c.Pause(ctx, time.Millisecond) }},
				{"Resume", func() (string, error) { return "", c.Resume(ctx) }},
				{"Uploads 5", func() (string, error) { return c.Uploads(ctx, 5) }},
				{"Cancel x", func() (string, error) { return "", c.Cancel(ctx, "x") }},
				{"TryNow y", func() (string, error) { return "", c.TryNow(ctx, "y") }},
				{"Hosts add ü.example", func() (string, error) { return c.Hosts(ctx, "add", "ü.example") }},
				{"TrustStatus", func() (string, error) { return c.TrustStatus(ctx) }},
				{"RouteStatus", func() (string, error) { return c.RouteStatus(ctx) }},
				{"RoutePlan pac true", func() (string, error) { return c.RoutePlan(ctx, "pac", true) }},
				{"RouteApply p", func() (string, error) { return c.RouteApply(ctx, "p") }},
				{"Diagnose", func() (string, error) { return c.Diagnose(ctx) }},
				{"ReportClient dino 7 stuck a \"line\"\n", func() (string, error) { return "", c.ReportClient(ctx, "dino", 7, "stuck", "a \"line\"\n") }},
				{"Stop", func() (string, error) { return "", c.Stop(ctx) }},
			} {
				if _, err := m.call(); err != nil {
					t.Errorf("%s: %v", m.want, err)
				}
				got := s.calls()
				if len(got) == 0 || got[len(got)-1] != m.want {
					t.Errorf("companion was asked %q, want %q", got, m.want)
				}
			}
			state, err := control.ReadState(ctx, c)
			if err != nil || state.Status != agent.Ready || !state.AutoFix {
				t.Errorf("ReadState: %+v, %v", state, err)
			}
			doc, err := c.Uploads(ctx, 9)
			if err != nil || doc != `{"call":"Uploads 9","schema":1}` {
				t.Errorf("the document is not verbatim: %q, %v", doc, err)
			}
		})
	}
}

func TestErrorsKeepTheirKindAndSentence(t *testing.T) {
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			s := &companion{}
			dial, _ := tr.serve(t, s, control.NewHub())
			c := connect(t, dial)
			for _, kind := range []control.Kind{control.Invalid, control.UnknownClient, control.Busy, control.NotRunning, control.Denied, control.Failed} {
				s.fail(&control.Error{Kind: kind, Text: "Dino did not quit."})
				err := c.Resume(t.Context())
				if control.KindOf(err) != kind || err.Error() != "Dino did not quit." {
					t.Errorf("%s came as %s %v", kind, control.KindOf(err), err)
				}
				_, err = c.Reset(t.Context(), nil, true)
				if control.KindOf(err) != kind {
					t.Errorf("%s came as %v", kind, err)
				}
			}
			s.fail(fmt.Errorf("wrapped: %w", &control.Error{Kind: control.Busy, Text: "busy"}))
			if err := c.Resume(t.Context()); control.KindOf(err) != control.Busy {
				t.Errorf("a wrapped error came as %v", err)
			}
			s.fail(errors.New("disk gone"))
			if err := c.Resume(t.Context()); control.KindOf(err) != control.Failed || err.Error() != "disk gone" {
				t.Errorf("any other error came as %v", err)
			}
		})
	}
}

func TestEventsBeginWithTheStateAndFollowIt(t *testing.T) {
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			first := agent.State{Schema: 1, Status: agent.Ready, Clients: []agent.Client{}, Problems: []agent.Problem{}}
			s := &companion{state: first}
			hub := control.NewHub()
			hub.State(first)
			dial, stop := tr.serve(t, s, hub)
			c := connect(t, dial)
			events, err := c.Events(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			// The bus tells the first state as a signal as well, the socket only once.
			if got := expect(t, events, agent.Ready); got.Kind != "state" {
				t.Errorf("first event is %+v", got)
			}
			second := first
			second.Status = agent.Working
			hub.State(second)
			expect(t, events, agent.Working)
			hub.Upload(agent.Upload{ID: "u1", State: "sending"})
			e := <-events
			u, err := e.Upload()
			if e.Kind != "upload" || err != nil || u.ID != "u1" {
				t.Errorf("upload event is %+v, %v", e, err)
			}
			stop()
			select {
			case _, open := <-events:
				if open {
					t.Error("an event came after the end")
				}
			case <-time.After(10 * time.Second):
				t.Error("events did not end with the companion")
			}
		})
	}
}

// expect waits for the state with the given status.
func expect(t *testing.T, events <-chan control.Event, want agent.Status) control.Event {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case e, open := <-events:
			if !open {
				t.Fatal("events ended")
			}
			if s, err := e.State(); err == nil && s.Status == want {
				return e
			}
		case <-deadline:
			t.Fatalf("no state %s came", want)
		}
	}
}

func TestEventsEndWithTheirContext(t *testing.T) {
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			dial, _ := tr.serve(t, &companion{}, control.NewHub())
			c := connect(t, dial)
			ctx, cancel := context.WithCancel(t.Context())
			events, err := c.Events(ctx)
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			deadline := time.After(10 * time.Second)
			for {
				select {
				case _, open := <-events:
					if !open {
						return
					}
				case <-deadline:
					t.Fatal("events did not end")
				}
			}
		})
	}
}

func TestACallThatRunsIsAnsweredWhileStopping(t *testing.T) {
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			s := &companion{block: make(chan struct{}), begun: make(chan struct{})}
			dial, stop := tr.serve(t, s, control.NewHub())
			c := connect(t, dial)
			answer := make(chan error, 1)
			go func() { _, err := c.Diagnose(t.Context()); answer <- err }()
			<-s.begun
			stopped := make(chan struct{})
			go func() { stop(); close(stopped) }()
			close(s.block)
			if err := <-answer; err != nil {
				t.Errorf("the running call: %v", err)
			}
			<-stopped
			if _, err := c.GetState(t.Context()); control.KindOf(err) != control.NotRunning {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestWithoutACompanionTheErrorIsNotRunning(t *testing.T) {
	if _, err := control.Dial(t.Context(), t.TempDir()); control.KindOf(err) != control.NotRunning {
		t.Errorf("socket: %v", err)
	}
	if _, err := control.Dial(t.Context(), t.TempDir()+"/no/such/folder"); control.KindOf(err) != control.NotRunning {
		t.Errorf("no folder: %v", err)
	}
	if _, err := control.DialBus(t.Context(), lab.Bus(t)); control.KindOf(err) != control.NotRunning {
		t.Errorf("bus: %v", err)
	}
	if _, err := control.DialBus(t.Context(), ""); err == nil {
		t.Error("no bus at all: no error")
	}
}

func TestKindOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want control.Kind
	}{{nil, ""}, {errors.New("x"), control.Failed}, {&control.Error{Kind: control.Busy}, control.Busy}} {
		if d := cmp.Diff(c.want, control.KindOf(c.err)); d != "" {
			t.Error(d)
		}
	}
}
