package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"
)

// stagger is how long one address may try alone before the next one joins (RFC 8305 section 5).
const stagger = 250 * time.Millisecond

const resolvConf = "/etc/resolv.conf"

// racer connects to whichever address of a name answers first. The addresses start one after another, of both families in
// turn; one that fails lets the next start at once. A dead address so costs a quarter of a second, not a timeout.
type racer struct {
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	dial   func(ctx context.Context, network, addr string) (net.Conn, error) // to one address
}

func newRacer(control func(ctx context.Context, network, addr string, c syscall.RawConn) error) *racer {
	one := &net.Dialer{ControlContext: control}
	names := &net.Resolver{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, nameServer(addr, resolvConf))
	}}
	return &racer{lookup: names.LookupNetIP, dial: one.DialContext}
}

// nameServer is where a question for addr goes now. Go reads resolv.conf every 5 s at most, which is long when the network has
// just changed: a name server that is no longer in the file is replaced by the first one that is.
func nameServer(addr, file string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return addr
	}
	first := ""
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if f[1] == host {
			return addr
		}
		if _, err := netip.ParseAddr(f[1]); err == nil && first == "" {
			first = f[1]
		}
	}
	if first == "" {
		return addr
	}
	return net.JoinHostPort(first, port)
}

// DialContext is net.Dialer's.
func (r *racer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	if _, err := netip.ParseAddr(host); err == nil {
		return r.dial(ctx, network, addr)
	}
	ips, err := r.lookup(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	return r.race(ctx, cancel, network, port, takeTurns(ips))
}

type arrival struct {
	conn net.Conn
	err  error
}

// race starts the addresses one after another and returns the first connection. It waits for all that it started.
func (r *racer) race(ctx context.Context, cancel context.CancelFunc, network, port string, ips []netip.Addr) (net.Conn, error) {
	arrived := make(chan arrival)
	running := 0
	begin := func() {
		to := net.JoinHostPort(ips[0].Unmap().String(), port)
		ips = ips[1:]
		running++
		go func() {
			c, err := r.dial(ctx, network, to)
			arrived <- arrival{c, err}
		}()
	}
	var won net.Conn
	var why error
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-next.C:
			if len(ips) > 0 && won == nil {
				begin()
				next.Reset(stagger)
			}
		case a := <-arrived:
			running--
			switch {
			case a.err != nil:
				why = worse(why, a.err)
				if len(ips) > 0 && won == nil && ctx.Err() == nil {
					begin()
					next.Reset(stagger)
				}
			case won == nil:
				won = a.conn
				cancel() // the others
			default:
				_ = a.conn.Close()
			}
			if running == 0 && (won != nil || len(ips) == 0 || ctx.Err() != nil) {
				if won != nil {
					return won, nil
				}
				return nil, why
			}
		}
	}
}

// worse is the error of two that says more. That a family has no route at all is the usual thing, and says nothing.
func worse(a, b error) error {
	switch {
	case a == nil, errors.Is(a, syscall.ENETUNREACH), errors.Is(a, context.Canceled):
		return b
	}
	return a
}

// takeTurns orders addresses so that both families take turns, beginning with that of the first (RFC 8305 section 4).
func takeTurns(ips []netip.Addr) []netip.Addr {
	if len(ips) == 0 {
		return nil
	}
	var same, other []netip.Addr
	for _, ip := range ips {
		if ip.Unmap().Is4() == ips[0].Unmap().Is4() {
			same = append(same, ip)
		} else {
			other = append(other, ip)
		}
	}
	out := make([]netip.Addr, 0, len(ips))
	for len(same) > 0 || len(other) > 0 {
		if len(same) > 0 {
			out, same = append(out, same[0]), same[1:]
		}
		if len(other) > 0 {
			out, other = append(out, other[0]), other[1:]
		}
	}
	return out
}
