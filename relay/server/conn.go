package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// How long a connection is read on after a refusal, so that the answer reaches a client that is still sending
// (closing at once would make the kernel send a reset, and the client would throw the answer away).
const (
	lingerTotal = 30 * time.Second
	lingerIdle  = 5 * time.Second
)

// conn is an HTTP/1 connection. It does three things that net/http leaves out: it sets the reason phrase of a
// refusal (Gajim shows it to the person), it closes without a reset, and it gives up on a reader that stopped.
type conn struct {
	net.Conn          // what HTTP is spoken on: the socket, or TLS over it
	raw      net.Conn // the socket
	from     net.Addr // whom a proxy speaks for by the PROXY protocol; nil: the peer of the socket
	idle     time.Duration

	phrase atomic.Pointer[phrase]
	linger atomic.Bool
}

// phrase is the reason phrase for the next answer with that status.
type phrase struct {
	status int
	text   string
}

type connKey struct{}

// connOf returns the connection of r, or nil for HTTP/2 and for handlers called without a listener.
func connOf(r *http.Request) *conn {
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}

// withConn is for http.Server.ConnContext, the only way that net/http has from a request to its connection.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, c)
	}
	return ctx
}

// say sets the reason phrase of the answer that is about to be written (RFC 9112 section 4).
func (c *conn) say(status int, text string) { c.phrase.Store(&phrase{status, text}) }

// lingers makes the next Close wait for the client.
func (c *conn) lingers() { c.linger.Store(true) }

// settle forgets what was set for an answer; the connection is idle again.
func (c *conn) settle() {
	c.phrase.Store(nil)
	c.linger.Store(false)
}

// RemoteAddr is the address of the client, as far as a trusted proxy or the kernel knows it.
func (c *conn) RemoteAddr() net.Addr {
	if c.from != nil {
		return c.from
	}
	return c.Conn.RemoteAddr()
}

// ConnectionState tells net/http that the connection is TLS.
func (c *conn) ConnectionState() tls.ConnectionState {
	if t, ok := c.Conn.(*tls.Conn); ok {
		return t.ConnectionState()
	}
	return tls.ConnectionState{}
}

// Write writes p, with the reason phrase put in where p begins with the status line it belongs to. net/http writes
// interim answers on their own and flushes after every answer, so a status line is always at the start of a write.
func (c *conn) Write(p []byte) (int, error) {
	if c.idle > 0 {
		_ = c.Conn.SetWriteDeadline(time.Now().Add(c.idle))
	}
	ph := c.phrase.Load()
	if ph == nil {
		return c.Conn.Write(p)
	}
	line, ok := ph.rewrite(p)
	if !ok {
		return c.Conn.Write(p)
	}
	c.phrase.Store(nil)
	n, err := c.Conn.Write(line)
	if err != nil {
		return min(n, len(p)), err
	}
	return len(p), nil
}

// rewrite returns p with the reason phrase of its status line replaced, if that line has the status of ph.
func (ph *phrase) rewrite(p []byte) ([]byte, bool) {
	const version = len("HTTP/1.1 ")
	end := bytes.Index(p, []byte("\r\n"))
	if end < version+3 || !bytes.HasPrefix(p, []byte("HTTP/1.")) || string(p[version:version+3]) != strconv.Itoa(ph.status) {
		return nil, false
	}
	out := make([]byte, 0, len(p)+len(ph.text))
	out = append(out, p[:version+3]...)
	out = append(out, ' ')
	out = append(out, ph.text...)
	return append(out, p[end:]...), true
}

// chunk is how much of a download must leave within one idle timeout.
const chunk = 256 << 10

// ReadFrom sends a file piece by piece, with sendfile where the socket and the source allow it.
func (c *conn) ReadFrom(src io.Reader) (int64, error) {
	tcp, ok := c.Conn.(*net.TCPConn)
	lr, limited := src.(*io.LimitedReader)
	if !ok || !limited {
		buf := buffers.Get().(*[]byte)
		defer buffers.Put(buf)
		return io.CopyBuffer(onlyWriter{c}, src, *buf)
	}
	var sent int64
	for lr.N > 0 {
		if c.idle > 0 {
			_ = tcp.SetWriteDeadline(time.Now().Add(c.idle))
		}
		piece := &io.LimitedReader{R: lr.R, N: min(lr.N, chunk)}
		n, err := tcp.ReadFrom(piece)
		sent += n
		lr.N -= n
		if err != nil || n == 0 {
			return sent, err
		}
	}
	return sent, nil
}

// onlyWriter hides ReadFrom, so that io.Copy does not call it again.
type onlyWriter struct{ io.Writer }

// CloseWrite ends our side; net/http calls it when it has left part of a request unread.
func (c *conn) CloseWrite() error {
	var err error
	if t, ok := c.Conn.(*tls.Conn); ok {
		err = t.CloseWrite()
	}
	if h, ok := c.raw.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return err
}

// Close closes the connection. After a refusal it first ends our side and reads what the client still sends.
// A second Close, which comes when the server is stopped hard, ends the waiting of the first.
func (c *conn) Close() error {
	if c.linger.CompareAndSwap(true, false) {
		c.drain()
	}
	return c.Conn.Close()
}

func (c *conn) drain() {
	_ = c.CloseWrite() // not open any more: the reads below say so
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for end := time.Now().Add(lingerTotal); ; {
		now := time.Now()
		if !now.Before(end) {
			return
		}
		limit := now.Add(lingerIdle)
		if limit.After(end) {
			limit = end
		}
		if c.raw.SetReadDeadline(limit) != nil {
			return
		}
		if _, err := c.raw.Read(*buf); err != nil {
			return
		}
	}
}

// buffers holds the buffers of everything that compares or copies.
var buffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}
