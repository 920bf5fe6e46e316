package chat

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestWhatCarriesAMessage(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	change := now.Add(-20 * time.Second)
	for _, c := range []struct {
		name        string
		s           socket
		since, seen time.Time
		want        bool
	}{
		{"logged in after the change and quiet", socket{received: 9000, quiet: 2 * time.Second}, change, now.Add(-3 * time.Second), true},
		{"logging in right now", socket{received: 9000, quiet: 100 * time.Millisecond}, change, now.Add(-time.Second), false},
		{"never quiet, but there for long", socket{received: 9000, quiet: 0}, change, now.Add(-6 * time.Second), true},
		{"only the first bytes of TLS", socket{received: 100, quiet: 4 * time.Second}, change, now.Add(-5 * time.Second), false},
		{"from before the change, nothing came since", socket{received: 1 << 20, quiet: 21 * time.Second}, change, now.Add(-6 * time.Second), false},
		{"from before the change, and alive since", socket{received: 1 << 20, quiet: 10 * time.Second}, change, now.Add(-6 * time.Second), true},
		{"idle, and the network never changed", socket{received: 1 << 20, quiet: time.Hour}, time.Time{}, now, true},
		{"sends again and again without an answer", socket{received: 1 << 20, quiet: 2 * time.Second, retransmits: 1}, time.Time{}, now, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.s.carries(c.since, c.seen, now); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// pair is a TCP connection of this process with itself.
func pair(t *testing.T) (dialed, accepted net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if dialed, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if accepted, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dialed.Close(); _ = accepted.Close() })
	return dialed, accepted
}

func ends(c net.Conn) (local, remote netip.AddrPort) {
	return c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
}

func TestTheProcessBehindAConnectionIsFound(t *testing.T) {
	upload, _ := pair(t)
	all, err := established()
	if err != nil {
		t.Fatal(err)
	}
	peer, local := ends(upload)
	family := familyOf(all, peer, local)
	if len(family) == 0 || family[0] != os.Getpid() {
		t.Fatalf("got %v, want %d first", family, os.Getpid())
	}
	if len(family) == 2 && family[1] != os.Getppid() {
		t.Errorf("the parent is %d, want %d", family[1], os.Getppid())
	}
	if got := familyOf(all, local, local); got != nil {
		t.Errorf("a connection that is not there belongs to %v", got)
	}
}

// The server's end of a loopback connection stands for the chat server: it is the only "outside" here.
func TestWaitEndsOnceTheSessionHasBegun(t *testing.T) {
	upload, _ := pair(t)
	chat, server := pair(t)
	peer, local := ends(upload)
	_, chatServer := ends(chat)
	w := New()
	w.every = 20 * time.Millisecond
	w.outside = func(netip.Addr) bool { return true }
	const gajim = "Gajim 1.7.3"

	before := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := w.Wait(ctx, gajim, peer, local, before); err == nil {
		t.Fatal("a client without a session was not waited for")
	}
	if err := w.Wait(t.Context(), "curl/8.0", peer, local, before); err != nil {
		t.Errorf("a program that is no chat client: %v", err)
	}
	if _, err := server.Write(make([]byte, 2*hello)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(chat, make([]byte, 2*hello)); err != nil {
		t.Fatal(err)
	}
	all, err := established()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, s := range all {
		if s.remote == chatServer {
			found = true
			if s.received != 2*hello || s.quiet > 10*time.Second {
				t.Errorf("the connection is seen as %+v", s)
			}
		}
	}
	if !found {
		t.Fatal("the connection is not listed")
	}
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := w.Wait(ctx, gajim, peer, local, before); err != nil {
		t.Errorf("the session has begun: %v", err)
	}
	if took := time.Since(before); took < breath {
		t.Errorf("it was not waited until the login is over: %s", took)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(request(unix.AF_INET))
	f.Add(append(make([]byte, 16), make([]byte, 200)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, _, err := parse(b)
		for _, s := range all {
			if err != nil || s.inode == 0 {
				t.Errorf("%v %+v", err, s)
			}
		}
	})
}
