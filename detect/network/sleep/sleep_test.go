package sleep

import (
	"context"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"go.uber.org/goleak"

	"holdfast/cmd/lab"
	"holdfast/detect/network"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for something that must happen.
const patience = 15 * time.Second

// clock is a wall clock and ticker that a test moves.
type clock struct {
	mu    sync.Mutex // guards at
	at    time.Time
	ticks chan time.Time
}

func newClock() *clock {
	return &clock{at: time.Date(2026, 5, 4, 22, 0, 0, 0, time.UTC), ticks: make(chan time.Time)}
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// start runs a Source until the test ends and returns what it tells.
func start(t *testing.T, address string, c *clock) <-chan network.Sleep {
	t.Helper()
	s := New(Options{Address: address})
	s.now = c.now
	s.tick = func(time.Duration) (<-chan time.Time, func()) { return c.ticks, func() {} }
	told := make(chan network.Sleep, 16)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, func(s network.Sleep) { told <- s }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	c.ticks <- time.Time{} // taken only when it listens
	return told
}

func next(t *testing.T, told <-chan network.Sleep) network.Sleep {
	t.Helper()
	select {
	case s := <-told:
		return s
	case <-time.After(patience):
		t.Fatal("nothing was told")
		return network.Sleep{}
	}
}

func TestLogindsWordsAreToldInOrder(t *testing.T) {
	address := lab.SystemBus(t)
	l := lab.FakeLogind(t, address)
	c := newClock()
	told := start(t, address, c)
	if err := l.Sleep(); err != nil {
		t.Fatal(err)
	}
	if s := next(t, told); !s.Asleep {
		t.Fatalf("told %+v", s)
	}
	c.move(6 * time.Hour)
	if err := l.Wake(); err != nil {
		t.Fatal(err)
	}
	if s := next(t, told); s.Asleep || s.Slept != 6*time.Hour {
		t.Fatalf("told %+v", s)
	}
	c.ticks <- time.Time{}
	c.ticks <- time.Time{} // the first one has been looked at
	if len(told) > 0 {
		t.Fatalf("the same sleep was told again: %+v", <-told)
	}
}

func TestTheClockTellsWithoutABus(t *testing.T) {
	c := newClock()
	told := start(t, "unix:path="+t.TempDir()+"/no-bus", c)
	c.move(3 * time.Hour)
	c.ticks <- time.Time{}
	if s := next(t, told); s.Asleep || s.Slept != 3*time.Hour {
		t.Fatalf("told %+v", s)
	}
}

func TestABusThatEndsDuringSleepLeavesNobodyAsleep(t *testing.T) {
	address := lab.SystemBus(t)
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var pid uint32
	if err := conn.BusObject().Call("org.freedesktop.DBus.GetConnectionUnixProcessID", 0, "org.freedesktop.DBus").Store(&pid); err != nil {
		t.Fatal(err)
	}
	l := lab.FakeLogind(t, address)
	c := newClock()
	told := start(t, address, c)
	if err := l.Sleep(); err != nil {
		t.Fatal(err)
	}
	if s := next(t, told); !s.Asleep {
		t.Fatalf("told %+v", s)
	}
	c.move(time.Hour)
	if err := syscall.Kill(int(pid), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if s := next(t, told); s.Asleep || s.Slept != time.Hour {
		t.Fatalf("told %+v", s)
	}
}

// python-dbusmock's logind is written by others, after the real one.
func TestTheLogindOfDbusmockIsUnderstood(t *testing.T) {
	python := lab.Need(t, "/usr/bin/python3", "python3-dbusmock")
	if err := exec.Command(python, "-c", "import dbusmock").Run(); err != nil {
		lab.Need(t, "python3-dbusmock", "python3-dbusmock") // it is no program: skips, or fails in CI
	}
	address := lab.SystemBus(t)
	cmd := exec.Command(python, "-m", "dbusmock", "--system", "--template", "logind")
	cmd.Env = append(cmd.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+address)
	p, err := lab.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	for deadline := time.Now().Add(patience); ; {
		var owned bool
		if err := conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, name).Store(&owned); err == nil && owned {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("dbusmock does not own logind's name")
		}
		<-time.After(20 * time.Millisecond)
	}
	c := newClock()
	told := start(t, address, c)
	mock := conn.Object(name, path)
	say := func(asleep bool) {
		t.Helper()
		call := mock.Call("org.freedesktop.DBus.Mock.EmitSignal", 0, manager, preparing, "b", []dbus.Variant{dbus.MakeVariant(asleep)})
		if call.Err != nil {
			t.Fatal(call.Err)
		}
	}
	say(true)
	if s := next(t, told); !s.Asleep {
		t.Fatalf("told %+v", s)
	}
	c.move(8 * time.Hour)
	say(false)
	if s := next(t, told); s.Asleep || s.Slept != 8*time.Hour {
		t.Fatalf("told %+v", s)
	}
}
