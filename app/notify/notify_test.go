package notify

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"go.uber.org/goleak"

	"holdfast/cmd/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for something that must happen.
const patience = 15 * time.Second

// told is what a Notifier said of a note.
type told struct {
	key, button string
	err         error
}

func start(t *testing.T, address string) (*Notifier, <-chan told, func()) {
	t.Helper()
	said := make(chan told, 16)
	n := New(Options{
		Address: func() string { return address }, App: "Holdfast", Entry: "im.holdfast.Holdfast", Icon: "holdfast",
		Clicked: func(key, button string) { said <- told{key: key, button: button} },
		Failed:  func(key string, err error) { said <- told{key: key, err: err} },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	ended := false
	stop := func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	return n, said, stop
}

func hear[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestANoteIsShownReplacedClickedAndTakenAway(t *testing.T) {
	address := lab.Bus(t)
	f := lab.FakeNotifications(t, address, "actions", "body", "body-markup")
	n, said, stop := start(t, address)

	n.Show(Note{Key: "a", Summary: "photo <1>", Body: "<b>x</b> & y", Buttons: []Button{{"try", "Try now"}}, Lasts: 30 * time.Second, Category: "transfer"})
	first := hear(t, f.Shown)
	if first.Summary != "photo <1>" || first.Body != "&lt;b&gt;x&lt;/b&gt; &amp; y" || !slices.Equal(first.Actions, []string{"try", "Try now"}) ||
		first.Replaces != 0 || first.Timeout != 30000 || first.App != "Holdfast" || first.Hints["desktop-entry"].Value() != "im.holdfast.Holdfast" {
		t.Errorf("shown %+v", first)
	}
	n.Show(Note{Key: "a", Summary: "later", Buttons: []Button{{"try", "Try now"}}})
	if second := hear(t, f.Shown); second.Replaces != first.ID || second.ID != first.ID || second.Timeout != -1 {
		t.Errorf("replaced by %+v", second)
	}
	n.Show(Note{Key: "b", Summary: "another"})
	if third := hear(t, f.Shown); third.Replaces != 0 || third.ID == first.ID {
		t.Errorf("another: %+v", third)
	}

	if err := f.Click(999, "try"); err != nil { // of another program
		t.Fatal(err)
	}
	if err := f.Click(first.ID, "try"); err != nil {
		t.Fatal(err)
	}
	if got := hear(t, said); got != (told{key: "a", button: "try"}) {
		t.Errorf("told %+v", got)
	}
	n.Withdraw("a")
	if id := hear(t, f.Closed); id != first.ID {
		t.Errorf("taken away: %d", id)
	}
	n.Withdraw("a") // not there any more
	n.Show(Note{Key: "a", Summary: "anew"})
	if again := hear(t, f.Shown); again.Replaces != 0 {
		t.Errorf("anew: %+v", again)
	}
	stop()
	if len(f.Closed) != 2 {
		t.Errorf("%d notes were taken away at the end, want both", len(f.Closed))
	}
}

func TestOneThatAPersonClosedIsShownAnew(t *testing.T) {
	address := lab.Bus(t)
	f := lab.FakeNotifications(t, address, "actions")
	n, said, _ := start(t, address)
	n.Show(Note{Key: "a", Summary: "x", Body: "<b>", Buttons: []Button{{"open", "Open"}}})
	first := hear(t, f.Shown)
	if first.Body != "<b>" {
		t.Errorf("a server without markup got %q", first.Body)
	}
	if err := f.Dismiss(first.ID); err != nil {
		t.Fatal(err)
	}
	if err := f.Click(first.ID, "open"); err != nil { // too late: it is nobody's
		t.Fatal(err)
	}
	n.Show(Note{Key: "b", Summary: "y", Buttons: []Button{{"open", "Open"}}})
	second := hear(t, f.Shown)
	if err := f.Click(second.ID, "open"); err != nil {
		t.Fatal(err)
	}
	if got := hear(t, said); got.key != "b" {
		t.Errorf("told %+v", got)
	}
	n.Show(Note{Key: "a", Summary: "z"})
	if third := hear(t, f.Shown); third.Replaces != 0 {
		t.Errorf("shown %+v", third)
	}
}

func TestWhatCannotBeShownIsTold(t *testing.T) {
	t.Run("without a bus", func(t *testing.T) {
		n, said, _ := start(t, "")
		n.Show(Note{Key: "a"})
		if got := hear(t, said); got.key != "a" || !errors.Is(got.err, ErrNoServer) {
			t.Errorf("told %+v", got)
		}
	})
	t.Run("without a server", func(t *testing.T) {
		n, said, _ := start(t, lab.Bus(t))
		n.Show(Note{Key: "a"})
		if got := hear(t, said); got.key != "a" || !errors.Is(got.err, ErrNoServer) {
			t.Errorf("told %+v", got)
		}
	})
	t.Run("a server without buttons", func(t *testing.T) {
		address := lab.Bus(t)
		f := lab.FakeNotifications(t, address, "body")
		n, said, _ := start(t, address)
		n.Show(Note{Key: "a", NeedsReply: true, Buttons: []Button{{"x", "X"}}})
		if got := hear(t, said); got.key != "a" || !errors.Is(got.err, ErrNoActions) {
			t.Errorf("told %+v", got)
		}
		n.Show(Note{Key: "a", Buttons: []Button{{"x", "X"}}})
		if got := hear(t, f.Shown); len(got.Actions) != 0 {
			t.Errorf("shown %+v", got)
		}
	})
	t.Run("until a server comes", func(t *testing.T) {
		address := lab.Bus(t)
		n, said, _ := start(t, address)
		n.Show(Note{Key: "a"})
		hear(t, said)
		f := lab.FakeNotifications(t, address, "actions")
		n.Show(Note{Key: "a", Summary: "now"})
		if got := hear(t, f.Shown); got.Summary != "now" {
			t.Errorf("shown %+v", got)
		}
	})
}

// python-dbusmock's server is written by others.
func TestTheServerOfDbusmockShowsANote(t *testing.T) {
	python := lab.Need(t, "/usr/bin/python3", "python3-dbusmock")
	if err := exec.Command(python, "-c", "import dbusmock").Run(); err != nil {
		lab.Need(t, "python3-dbusmock", "python3-dbusmock") // it is no program: skips, or fails in CI
	}
	address := lab.Bus(t)
	cmd := exec.Command(python, "-m", "dbusmock", "--session", "--template", "notification_daemon")
	cmd.Env = append(cmd.Environ(), "DBUS_SESSION_BUS_ADDRESS="+address)
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
		if err := conn.BusObject().Call(busName+".NameHasOwner", 0, name).Store(&owned); err == nil && owned {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("dbusmock does not own the name")
		}
		<-time.After(20 * time.Millisecond)
	}
	calls := make(chan *dbus.Signal, 16)
	conn.Signal(calls)
	if err := conn.AddMatchSignal(dbus.WithMatchInterface("org.freedesktop.DBus.Mock"), dbus.WithMatchMember("MethodCalled")); err != nil {
		t.Fatal(err)
	}
	n, said, _ := start(t, address)
	n.Show(Note{Key: "a", Summary: "photo.jpg", Buttons: []Button{{"try", "Try now"}}})
	for {
		sig := hear(t, calls)
		if len(sig.Body) == 2 && sig.Body[0] == "Notify" {
			break
		}
	}
	call := conn.Object(name, path).Call("org.freedesktop.DBus.Mock.EmitSignal", 0, name, "ActionInvoked", "us",
		[]dbus.Variant{dbus.MakeVariant(uint32(1)), dbus.MakeVariant("try")})
	if call.Err != nil {
		t.Fatal(call.Err)
	}
	if got := hear(t, said); got != (told{key: "a", button: "try"}) {
		t.Errorf("told %+v", got)
	}
}
