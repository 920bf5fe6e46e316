package relay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

const (
	maxHead   = 64 << 10         // of a request
	headLimit = 30 * time.Second // for the first request of a connection
	idleLimit = 5 * time.Minute  // between requests
	bodyLimit = 10 * time.Minute // between two pieces of a body: the client is on the same machine
	sendLimit = 30 * time.Second // for a client to take what it is sent
)

var (
	errHeadTooLarge = errors.New("request head is too large")
	errBadName      = errors.New("header name is not valid")
	errClientGone   = errors.New("the client left")
	errCancelled    = errors.New("cancelled")
	errStopped      = errors.New("the relay ends")
)

// Serve answers connections on l until ctx ends; it blocks, and returns only when all it started is gone.
// It closes l. Uploads that still run are ended; their clients get an answer.
func (r *Relay) Serve(ctx context.Context, l net.Listener) error {
	if addr, err := netip.ParseAddrPort(l.Addr().String()); err == nil {
		r.self.Store(&addr)
		if !addr.Addr().IsLoopback() {
			r.c.Log.Warn("relay listens beyond this machine; only local peers are answered", "listen", addr)
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(errStopped)
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	defer r.up.close()
	var wg sync.WaitGroup
	defer r.devices.wg.Wait()
	defer wg.Wait()
	wg.Go(func() { r.renewDevices(ctx) })
	defer cancel(errStopped)
	pause := time.Duration(0)
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("accept clients: %w", err)
			}
			// Out of file descriptors, for one: it passes.
			pause = min(max(2*pause, 10*time.Millisecond), time.Second)
			r.c.Log.Warn("cannot accept a connection", "error", err)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			continue
		}
		pause = 0
		wg.Go(func() { r.serveConn(ctx, conn) })
	}
}

// serveConn answers one connection if it comes from the owner.
func (r *Relay) serveConn(ctx context.Context, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	if err := r.checkPeer(conn); err != nil {
		r.c.Log.Warn("connection refused", "peer", conn.RemoteAddr().String(), "reason", err)
		return
	}
	// Reads end at once when the relay stops; answers may still be written.
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	f := newFront(r, conn, conn)
	f.serve(ctx)
}

func (r *Relay) checkPeer(conn net.Conn) error {
	peer, err1 := netip.ParseAddrPort(conn.RemoteAddr().String())
	local, err2 := netip.ParseAddrPort(conn.LocalAddr().String())
	if err1 != nil || err2 != nil {
		return errNoPeer
	}
	uid, err := peerUID(peer, local)
	if err != nil {
		return err
	}
	if uid != r.c.UID {
		return fmt.Errorf("the peer is user %d, not %d", uid, r.c.UID)
	}
	return nil
}

// front is the side of a connection that talks to a client: the proxy itself, or (with target set) a listed host
// inside of a CONNECT.
type front struct {
	r      *Relay
	conn   net.Conn // what is read and written: the socket, or TLS on it
	raw    net.Conn // the socket
	head   *headReader
	br     *bufio.Reader
	target string // host:port of the intercepted host; empty: the proxy itself

	below *bufio.Reader // below TLS, for reading several records at a time; nil without TLS
}

func newFront(r *Relay, conn, raw net.Conn) *front {
	h := &headReader{r: conn}
	return &front{r: r, conn: conn, raw: raw, head: h, br: bufio.NewReaderSize(h, 64<<10)}
}

// headReader limits how much is read while a request's head is awaited.
type headReader struct {
	r    io.Reader
	left int64 // negative: no limit
}

func (h *headReader) Read(p []byte) (int, error) {
	if h.left < 0 {
		return h.r.Read(p)
	}
	if h.left == 0 {
		return 0, errHeadTooLarge
	}
	if int64(len(p)) > h.left {
		p = p[:h.left]
	}
	n, err := h.r.Read(p)
	h.left -= int64(n)
	return n, err
}

// serve reads requests and answers each, until one side wants no more.
func (f *front) serve(ctx context.Context) {
	limit := headLimit
	for ctx.Err() == nil {
		f.readBy(ctx, time.Now().Add(limit))
		f.head.left = maxHead
		req, err := http.ReadRequest(f.br)
		f.head.left = -1
		if err == nil {
			err = checkNames(req.Header)
		}
		if err != nil {
			f.badRequest(err)
			return
		}
		f.readBy(ctx, time.Time{})
		if !f.handle(ctx, req) {
			return
		}
		limit = idleLimit
	}
}

// checkNames refuses what http.ReadRequest lets through, and the next reader may take for another header: a space before the
// colon (RFC 9112 section 5.1).
func checkNames(h http.Header) error {
	for name := range h {
		if !httpguts.ValidHeaderFieldName(name) {
			return errBadName
		}
	}
	return nil
}

// readBy sets the read deadline, but never takes back the one that ends all reading when the relay stops.
func (f *front) readBy(ctx context.Context, t time.Time) {
	_ = f.conn.SetReadDeadline(t)
	if ctx.Err() != nil {
		_ = f.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

func (f *front) badRequest(err error) {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
		return
	case errors.Is(err, errHeadTooLarge):
		f.refuse(nil, http.StatusRequestHeaderFieldsTooLarge, "The request head is too large.")
	default:
		if ne, ok := errors.AsType[net.Error](err); ok {
			f.r.c.Log.Debug("connection to a client ended", "error", ne)
			return
		}
		f.refuse(nil, http.StatusBadRequest, "This is not an HTTP request.")
	}
}

// handle answers one request and says whether the connection may be used again.
func (f *front) handle(ctx context.Context, req *http.Request) bool {
	if f.target != "" {
		return f.inside(ctx, req)
	}
	switch {
	case req.Method == http.MethodConnect:
		f.connect(ctx, req)
		return false
	case req.URL.IsAbs() || req.URL.Host != "":
		return f.absolute(ctx, req)
	default:
		return f.local(req)
	}
}

// inside answers a request to an intercepted host.
func (f *front) inside(ctx context.Context, req *http.Request) bool {
	name, _, _ := net.SplitHostPort(f.target)
	if req.URL.Host != "" || req.Method == http.MethodConnect || !strings.HasPrefix(req.URL.Path, "/") && req.RequestURI != "*" {
		return f.refuse(req, http.StatusBadRequest, "Only paths of "+name+" can be asked for here.")
	}
	if req.Host != "" {
		// RFC 9110 section 7.4: another host inside of this connection is misdirected.
		if t, err := canonicalTarget(req.Host, "443"); err != nil || !sameName(t, f.target) {
			return f.refuse(req, http.StatusMisdirectedRequest, "This connection is for "+name+" only.")
		}
	} else {
		req.Host = strings.TrimSuffix(f.target, ":443")
	}
	req.URL.Scheme, req.URL.Host = "https", strings.TrimSuffix(f.target, ":443")
	return f.pipeline(ctx, req)
}

// pipeline carries a request to a listed host: an upload is held and repeated, anything else passes through.
func (f *front) pipeline(ctx context.Context, req *http.Request) bool {
	if req.Header.Get("Upgrade") != "" {
		return f.refuse(req, http.StatusNotImplemented, "Only HTTP requests pass through Holdfast here.")
	}
	if req.Method == http.MethodPut {
		return f.put(ctx, req)
	}
	return f.forward(ctx, req)
}

// absolute answers a request in absolute form: plain http through a proxy (RFC 9112 section 3.2.2).
func (f *front) absolute(ctx context.Context, req *http.Request) bool {
	if req.URL.Scheme != "http" {
		return f.refuse(req, http.StatusBadRequest, "Use CONNECT for everything but http.")
	}
	target, err := canonicalTarget(req.URL.Host, "80")
	if err != nil || req.URL.User != nil {
		return f.refuse(req, http.StatusBadRequest, "The address of the request is not valid.")
	}
	if addr, err := netip.ParseAddrPort(target); err == nil && f.r.isSelf(addr) {
		return f.local(req)
	}
	req.URL.Host = strings.TrimSuffix(target, ":80")
	if f.r.hosts.Load().plain[target] && !isBrowser(req) {
		return f.pipeline(ctx, req)
	}
	return f.forward(ctx, req)
}

// isBrowser says whether a request comes from a web browser, whose users look at the server's own certificate.
func isBrowser(req *http.Request) bool { return strings.HasPrefix(req.UserAgent(), "Mozilla/") }

func sameName(a, b string) bool {
	x, _, err1 := net.SplitHostPort(a)
	y, _, err2 := net.SplitHostPort(b)
	return err1 == nil && err2 == nil && x == y
}

func logTarget(target string) slog.Attr { return slog.String("target", target) }
