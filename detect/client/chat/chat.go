// Package chat sees whether a chat client can send messages again after the network was away.
//
// A client sends the link of a file the moment its upload is through. Gajim drops a message for which it has no
// session (docs/clients.md), so whoever tells it "through" should wait for that. What can be seen from outside is the
// client's own TCP connection to its server: package chat finds the process behind a connection to this machine
// and looks at the others it has. Nothing is read or sent on them.
//
// # Invariants
//   - It only looks, at processes of the same person; what cannot be seen is never guessed to be there.
//   - Wait ends with its context, whatever the client does.
//   - Programs that are no chat clients of a desktop are not waited for.
package chat

import (
	"context"
	"net"
	"net/netip"
	"time"

	"holdfast/detect/client"
)

// Watcher looks at the chat connections of programs on this machine.
type Watcher struct {
	every   time.Duration // between looks
	outside func(netip.Addr) bool
}

// New returns a Watcher.
func New() *Watcher {
	return &Watcher{every: 500 * time.Millisecond, outside: func(a netip.Addr) bool { return !a.IsLoopback() }}
}

// Wait returns nil when the program that has the end peer of a connection to local can send messages: when it has a
// connection to elsewhere that carried something after since and whose session has begun, as far as that shows.
// A program whose User-Agent is not that of a desktop client is not waited for.
func (w *Watcher) Wait(ctx context.Context, userAgent string, peer, local netip.AddrPort, since time.Time) error {
	if client.Parse(userAgent).Kind != client.Desktop {
		return nil
	}
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	seen := map[uint32]time.Time{} // sockets by inode
	var family []int
	for {
		now := time.Now()
		if all, err := established(); err == nil {
			if family == nil {
				family = familyOf(all, peer, local)
			}
			for _, s := range w.chats(all, family) {
				if seen[s.inode].IsZero() {
					seen[s.inode] = now
				}
				if s.carries(since, seen[s.inode], now) {
					return nil
				}
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// chats are the connections to elsewhere that the nearest of the processes has, if they can still work.
func (w *Watcher) chats(all []socket, family []int) []socket {
	for _, pid := range family {
		inodes := socketsOf(pid)
		var own []socket
		for _, s := range all {
			if inodes[s.inode] && w.outside(s.remote.Addr()) {
				own = append(own, s)
			}
		}
		if len(own) == 0 {
			continue // the connections may belong to the process that started this one
		}
		var alive []socket
		for _, s := range own {
			if addressHere(s.local.Addr()) {
				alive = append(alive, s)
			}
		}
		return alive
	}
	return nil
}

// socket is an established TCP connection of this machine.
type socket struct {
	local, remote netip.AddrPort
	inode         uint32
	retransmits   uint8         // of what is not acknowledged now
	received      uint64        // bytes
	quiet         time.Duration // since the last byte came
}

const (
	hello   = 2000            // TLS and a login need more bytes than this
	breath  = time.Second     // a login is over when the server has been quiet for so long,
	settled = 5 * time.Second // or is not what keeps the connection busy
)

// carries says whether a message that is sent now would arrive.
func (s socket) carries(since, seen, now time.Time) bool {
	if s.retransmits > 0 || s.received < hello {
		return false
	}
	if !since.IsZero() && now.Add(-s.quiet).Before(since) {
		return false // nothing came since the network changed: it may be dead
	}
	return s.quiet >= breath || now.Sub(seen) >= settled
}

// addressHere says whether an address is one of this machine's.
func addressHere(a netip.Addr) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, x := range addrs {
		if p, err := netip.ParsePrefix(x.String()); err == nil && p.Addr().Unmap() == a.WithZone("") {
			return true
		}
	}
	return false
}
