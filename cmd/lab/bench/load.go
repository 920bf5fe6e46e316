package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// load is one measurement: conns connections do the same request again and again, each to a path of its own if it is a PUT.
type load struct {
	method string
	size   int64
	conns  int
	time   time.Duration // no request begins later
	most   int           // requests in all; each connection does one at least
}

// sample is what one round of a load gave.
type sample struct {
	requests int
	wall     time.Duration
	cpu      time.Duration // of the server
	peak     int64         // of the server, bytes
	p99      time.Duration
}

func (s sample) perSecond() float64  { return float64(s.requests) / s.wall.Seconds() }
func (s sample) perRequest() float64 { return float64(s.cpu) / float64(s.requests) } // ns

// source is the body of every PUT: a file in memory, so that sending it costs the generator next to nothing.
type source struct{ file *os.File }

func newSource(size int64) (*source, error) {
	fd, err := unix.MemfdCreate("bench", 0)
	if err != nil {
		return nil, fmt.Errorf("make the body: %w", err)
	}
	f := os.NewFile(uintptr(fd), "bench")
	block := bytes.Repeat([]byte("holdfast"), 1<<17)
	for ; size > 0; size -= int64(len(block)) {
		if _, err := f.Write(block); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return &source{f}, nil
}

// open returns the body with a position of its own.
func (s *source) open() (*os.File, error) {
	return os.Open(fmt.Sprintf("/proc/self/fd/%d", s.file.Fd()))
}

// small is the largest body that is sent in one piece with its head.
const small = 16 << 10

// run does the load against p. name makes the paths of this round differ from those of all others.
func (l load) run(ctx context.Context, p *peer, src *source, name string) (sample, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.forgetPeak()
	cpu, began := p.cpu(), time.Now()
	var started atomic.Int64
	var mu sync.Mutex // guards all below
	var took []time.Duration
	var firstErr error
	var wg sync.WaitGroup
	for c := range l.conns {
		wg.Go(func() {
			mine, err := l.connection(ctx, p, src, fmt.Sprintf("%s-%d", name, c), func(n int) bool {
				if n > 0 && time.Since(began) > l.time {
					return false
				}
				return started.Add(1) <= int64(l.most) || n == 0
			})
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			if err != nil && firstErr == nil {
				firstErr = fmt.Errorf("%s to %s: %w", l.method, p.name, err)
				cancel()
			}
		})
	}
	wg.Wait()
	wall := time.Since(began)
	if firstErr != nil {
		return sample{}, firstErr
	}
	slices.Sort(took)
	return sample{
		requests: len(took), wall: wall, cpu: p.cpu() - cpu, peak: p.peak(),
		p99: took[min(len(took)-1, len(took)*99/100)],
	}, nil
}

// connection does requests on one connection as long as more says so, and returns how long each took.
func (l load) connection(ctx context.Context, p *peer, src *source, name string, more func(n int) bool) (took []time.Duration, err error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", p.addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	body, err := src.open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	c := &client{tcp: conn.(*net.TCPConn), in: bufio.NewReaderSize(conn, 4<<10), body: body}
	for n := 0; more(n); n++ {
		head, err := l.head(p, fmt.Sprintf("%s-%d/file.txt", name, n))
		if err != nil {
			return took, err
		}
		began := time.Now()
		if err := c.request(l, head); err != nil {
			return took, err
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// head is the head of a request. A GET asks for what seed has put there.
func (l load) head(p *peer, path string) ([]byte, error) {
	if l.method == "GET" {
		path = seedPath(l.size)
		return fmt.Appendf(nil, "GET /upload/%s HTTP/1.1\r\nHost: bench\r\nUser-Agent: gajim/1.7.3\r\n\r\n", path), nil
	}
	target, err := p.target(path, l.size)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "PUT %s HTTP/1.1\r\nHost: bench\r\nUser-Agent: gajim/1.7.3\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
		target, mediaType, l.size), nil
}

// seedPath is the file that a GET of that size fetches. The null server reads the size from it.
func seedPath(size int64) string { return fmt.Sprintf("seed/%d", size) }

// seed uploads the file for GETs of a size.
func seed(ctx context.Context, p *peer, src *source, size int64) error {
	l := load{method: "PUT", size: size}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", p.addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	body, err := src.open()
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	head, err := l.head(p, seedPath(size))
	if err != nil {
		return err
	}
	c := &client{tcp: conn.(*net.TCPConn), in: bufio.NewReaderSize(conn, 4<<10), body: body}
	return c.request(l, head)
}

// client speaks as much HTTP/1.1 as these servers need.
type client struct {
	tcp  *net.TCPConn
	in   *bufio.Reader
	body *os.File
	buf  []byte
}

func (c *client) request(l load, head []byte) error {
	if _, err := c.body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	switch {
	case l.method == "GET":
		if _, err := c.tcp.Write(head); err != nil {
			return err
		}
	case l.size <= small:
		c.buf = append(c.buf[:0], head...)
		n := len(c.buf)
		c.buf = append(c.buf, make([]byte, l.size)...)
		if _, err := io.ReadFull(c.body, c.buf[n:]); err != nil {
			return err
		}
		if _, err := c.tcp.Write(c.buf); err != nil {
			return err
		}
	default:
		if _, err := c.tcp.Write(head); err != nil {
			return err
		}
		if _, err := c.tcp.ReadFrom(&io.LimitedReader{R: c.body, N: l.size}); err != nil { // sendfile
			return err
		}
	}
	return c.answer(l)
}

// answer reads an answer and drops its body.
func (c *client) answer(l load) error {
	status, length, err := c.readHead()
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	want := 201
	if l.method == "GET" {
		want = 200
	}
	if status != want {
		return fmt.Errorf("the answer was %d", status)
	}
	if l.method == "GET" && length != l.size {
		return fmt.Errorf("%d bytes came of %d", length, l.size)
	}
	have := min(length, int64(c.in.Buffered()))
	if _, err := c.in.Discard(int(have)); err != nil {
		return err
	}
	return drop(c.tcp, length-have)
}

func (c *client) readHead() (status int, length int64, err error) {
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case first && len(line) >= 12:
			if status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return 0, 0, err
			}
		case len(line) == 0:
			return status, length, nil
		default:
			name, value, _ := bytes.Cut(line, []byte(":"))
			if bytes.EqualFold(name, []byte("content-length")) {
				if length, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err != nil {
					return 0, 0, err
				}
			}
		}
	}
}

// drop takes n bytes from the socket without copying them: with MSG_TRUNC a TCP socket throws them away.
func drop(tcp *net.TCPConn, n int64) error {
	if n == 0 {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	err = raw.Read(func(fd uintptr) bool {
		for n > 0 {
			// The address must be valid but nothing is written to it.
			m, _, err := unix.Recvfrom(int(fd), scratch(n), unix.MSG_TRUNC|unix.MSG_DONTWAIT)
			switch {
			case errors.Is(err, unix.EAGAIN):
				return false
			case errors.Is(err, unix.EINTR):
			case err != nil:
				result = err
				return true
			case m == 0:
				result = io.ErrUnexpectedEOF
				return true
			}
			n -= int64(max(m, 0))
		}
		return true
	})
	return errors.Join(err, result)
}

// dropped is never written; it lends its length to recv.
var dropped = make([]byte, 4<<20)

func scratch(n int64) []byte { return dropped[:min(n, int64(len(dropped)))] }
