package lab

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Cutter is a TCP proxy that behaves like a bad network: it can go silent, reset, refuse, and be slow.
type Cutter struct {
	listener net.Listener
	target   string

	mu       sync.Mutex // guards the fields below
	state    cutState
	changed  chan struct{} // closed and replaced at every change of state
	conns    map[net.Conn]struct{}
	limit    *rate.Limiter
	up, down int64
	accepted int
	cutAt    int64 // reset a connection once it has sent this many bytes up; 0: never
	closed   bool
	wg       sync.WaitGroup
}

type cutState int

// lineBuffer is what is under way in a Cutter at most, towards each side.
const lineBuffer = 128 << 10

const (
	flowing cutState = iota
	stalled
	refusing
)

// NewCutter listens on addr ("127.0.0.1:0" for a free port) and passes what comes to target.
func NewCutter(addr, target string) (*Cutter, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &Cutter{listener: l, target: target, changed: make(chan struct{}), conns: map[net.Conn]struct{}{}, limit: rate.NewLimiter(rate.Inf, 1<<20)}
	c.wg.Add(1)
	go c.accept()
	return c, nil
}

// Addr is where the cutter listens.
func (c *Cutter) Addr() string { return c.listener.Addr().String() }

// Up returns how many bytes have been passed towards the target.
func (c *Cutter) Up() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.up
}

// Accepted returns how many connections have come.
func (c *Cutter) Accepted() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accepted
}

// Stall passes nothing on any more, in both directions, and answers nothing: a path that died silently.
func (c *Cutter) Stall() { c.set(stalled, false) }

// Refuse resets every connection and every new one at once: a machine without a route.
func (c *Cutter) Refuse() { c.set(refusing, true) }

// Restore lets everything flow again. Connections that were stalled go on unless they are reset by Reset.
func (c *Cutter) Restore() { c.set(flowing, false) }

// Reset resets every present connection and goes on as before.
func (c *Cutter) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resetLocked()
}

// Limit sets the bytes per second towards the target; 0 means no limit.
func (c *Cutter) Limit(bytesPerSecond int) {
	l := rate.Limit(bytesPerSecond)
	if bytesPerSecond == 0 {
		l = rate.Inf
	}
	c.limit.SetLimit(l)
}

// CutAfter resets each connection as soon as n bytes have gone up on it; 0: never.
func (c *Cutter) CutAfter(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cutAt = n
}

// WaitUp waits until n bytes have been passed towards the target.
func (c *Cutter) WaitUp(ctx context.Context, n int64) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for c.Up() < n {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

// Close ends all connections and waits for what it started.
func (c *Cutter) Close() error {
	err := c.listener.Close()
	c.mu.Lock()
	c.closed = true
	c.resetLocked()
	c.state = flowing
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	c.wg.Wait()
	return err
}

func (c *Cutter) set(s cutState, reset bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = s
	if reset {
		c.resetLocked()
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Cutter) resetLocked() {
	for conn := range c.conns {
		abort(conn)
	}
}

// holdLittle makes a cut cost what it costs on a line: the kernel would keep megabytes for a program that stands between two
// others on one machine, and a reset throws them away.
func holdLittle(in, out net.Conn) {
	if t, ok := in.(*net.TCPConn); ok {
		_ = t.SetReadBuffer(lineBuffer)
	}
	if t, ok := out.(*net.TCPConn); ok {
		_ = t.SetWriteBuffer(lineBuffer)
	}
}

// abort closes with RST instead of FIN.
func abort(conn net.Conn) {
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = conn.Close()
}

func (c *Cutter) accept() {
	defer c.wg.Done()
	for {
		in, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.mu.Lock()
		c.accepted++
		if c.closed || c.state == refusing {
			c.mu.Unlock()
			abort(in)
			continue
		}
		c.conns[in] = struct{}{}
		c.wg.Add(1)
		c.mu.Unlock()
		go c.serve(in)
	}
}

func (c *Cutter) serve(in net.Conn) {
	defer c.wg.Done()
	defer c.drop(in)
	if !c.pass() {
		return
	}
	out, err := net.Dial("tcp", c.target)
	if err != nil {
		abort(in)
		return
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		_ = out.Close()
		return
	}
	c.conns[out] = struct{}{}
	c.mu.Unlock()
	defer c.drop(out)
	holdLittle(in, out)
	back := make(chan struct{})
	go func() {
		defer close(back)
		c.copy(in, out, nil)
	}()
	var sent int64
	c.copy(out, in, &sent)
	<-back
}

func (c *Cutter) drop(conn net.Conn) {
	c.mu.Lock()
	delete(c.conns, conn)
	c.mu.Unlock()
	_ = conn.Close()
}

// pass waits while the cutter is stalled; false means that the connection must end.
func (c *Cutter) pass() bool {
	for {
		c.mu.Lock()
		state, changed, closed := c.state, c.changed, c.closed
		c.mu.Unlock()
		switch {
		case closed || state == refusing:
			return false
		case state == flowing:
			return true
		}
		<-changed
	}
}

// copy moves bytes from src to dst; sent is not nil on the way up.
func (c *Cutter) copy(dst, src net.Conn, sent *int64) {
	buf := make([]byte, 16<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if !c.pass() {
				abort(dst)
				abort(src)
				return
			}
			if sent != nil {
				_ = c.limit.WaitN(context.Background(), n)
			}
			if _, werr := dst.Write(buf[:n]); werr != nil {
				abort(src)
				return
			}
			if c.count(int64(n), sent) {
				abort(dst)
				abort(src)
				return
			}
		}
		if err != nil {
			if !c.pass() || !errors.Is(err, io.EOF) {
				abort(dst)
				return
			}
			if t, ok := dst.(*net.TCPConn); ok {
				_ = t.CloseWrite()
			}
			return
		}
	}
}

// count adds n and says whether the connection must be cut now.
func (c *Cutter) count(n int64, sent *int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if sent == nil {
		c.down += n
		return false
	}
	c.up += n
	*sent += n
	return c.cutAt > 0 && *sent >= c.cutAt
}
