package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"holdfast/relay/server/realip"
)

// Limits of a connection that no configuration changes.
const (
	handshakeTimeout = 10 * time.Second
	headerTimeout    = 15 * time.Second
	headerBytes      = 32 << 10
	downloadDrain    = 10 * time.Second // how long downloads may hold up a stop
)

// serve is Serve.
func serve(ctx context.Context, l net.Listener, tc *tls.Config, sites []Site) error {
	s := sites[0].Server
	in := newListener(l, tc, s.proxied, s.idle, s.log)
	srv := &http.Server{
		Handler:           sitesHandler(sites),
		ReadHeaderTimeout: s.headerTimeout,
		IdleTimeout:       s.idle,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext:       withConn,
		ConnState: func(c net.Conn, state http.ConnState) {
			if c, ok := c.(*conn); ok && state == http.StateIdle {
				c.settle()
			}
		},
		HTTP2: &http.HTTP2Config{SendPingTimeout: s.idle, WriteByteTimeout: s.idle},
	}
	if tc != nil {
		srv.TLSConfig = &tls.Config{NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(in) }()
	select {
	case err := <-served:
		_ = in.Close()
		_ = srv.Close()
		finished(sites)
		return fmt.Errorf("accept connections: %w", err)
	case <-ctx.Done():
	}
	drainServer(srv, sites)
	err := <-served
	_ = in.Close()
	finished(sites)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// finished waits for the requests in handlers.
func finished(sites []Site) {
	for _, s := range sites {
		s.Server.running.Wait()
	}
}

// drainServer stops srv: no new connections, idle ones closed, uploads waited for, downloads cut after a while.
func drainServer(srv *http.Server, sites []Site) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Shutdown(ctx) // its error is our own cancel
	}()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; {
		select {
		case <-done:
			_ = srv.Close()
			return
		case <-tick.C:
			var uploads int64
			for _, s := range sites {
				uploads += s.Server.uploads.Load()
			}
			if uploads == 0 && time.Since(began) > downloadDrain {
				cancel()
				<-done
				_ = srv.Close()
				return
			}
		}
	}
}

// listener hands out connections that are ready for HTTP: wrapped for HTTP/1, bare TLS for HTTP/2. The TLS handshake
// is done here, since net/http speaks HTTP/2 only on a *tls.Conn and HTTP/1 needs the wrapper around it; the header of
// the PROXY protocol comes before both.
type listener struct {
	net.Listener
	tls     *tls.Config
	proxied func(peer netip.Addr) bool // whose connections begin with a header of the PROXY protocol; nil: nobody's
	idle    time.Duration
	log     *slog.Logger

	ready  chan net.Conn
	failed chan error
	ctx    context.Context // ends at Close; a handshake belongs to the listener, not to a caller
	cancel context.CancelFunc
	once   sync.Once
	group  sync.WaitGroup
}

func newListener(l net.Listener, tc *tls.Config, proxied func(netip.Addr) bool, idle time.Duration, log *slog.Logger) net.Listener {
	in := &listener{Listener: l, proxied: proxied, idle: idle, log: log}
	if in.simple(tc) {
		return in
	}
	if tc != nil {
		in.tls = tc.Clone()
		in.tls.NextProtos = []string{"h2", "http/1.1"}
	}
	in.ready, in.failed = make(chan net.Conn), make(chan error, 1)
	in.ctx, in.cancel = context.WithCancel(context.Background())
	in.group.Go(in.accept)
	return in
}

// simple reports whether a connection is ready for HTTP as it comes.
func (l *listener) simple(tc *tls.Config) bool { return tc == nil && l.proxied == nil }

// Accept returns the next connection.
func (l *listener) Accept() (net.Conn, error) {
	if l.simple(l.tls) {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		return &conn{Conn: c, raw: c, idle: l.idle}, nil
	}
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	case err := <-l.failed:
		return nil, err
	}
}

func (l *listener) accept() {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			var temporary interface{ Temporary() bool }
			if errors.As(err, &temporary) && temporary.Temporary() && l.ctx.Err() == nil {
				l.log.Warn("accept failed", "error", err)
				select {
				case <-time.After(50 * time.Millisecond):
					continue
				case <-l.ctx.Done():
				}
			}
			l.failed <- err
			return
		}
		l.group.Go(func() { l.prepare(c) })
	}
}

// prepare makes a connection ready for HTTP, or closes it.
func (l *listener) prepare(raw net.Conn) {
	ctx, cancel := context.WithTimeout(l.ctx, handshakeTimeout)
	defer cancel()
	from, err := l.proxyHeader(ctx, raw)
	if err != nil {
		l.log.Debug("proxy header refused", "error", err)
		_ = raw.Close()
		return
	}
	var c net.Conn = &conn{Conn: raw, raw: raw, from: from, idle: l.idle}
	if l.tls != nil {
		t := tls.Server(addressed{raw, from}, l.tls)
		if err := t.HandshakeContext(ctx); err != nil {
			l.log.Debug("tls handshake failed", "error", err)
			_ = raw.Close()
			return
		}
		c = t
		if t.ConnectionState().NegotiatedProtocol != "h2" {
			c = &conn{Conn: t, raw: raw, from: from, idle: l.idle}
		}
	}
	select {
	case l.ready <- c:
	case <-l.ctx.Done():
		_ = raw.Close()
	}
}

// addressed is a socket that comes from whom a proxy named.
type addressed struct {
	net.Conn
	from net.Addr // nil: the peer of the socket
}

func (a addressed) RemoteAddr() net.Addr {
	if a.from != nil {
		return a.from
	}
	return a.Conn.RemoteAddr()
}

// proxyHeader reads the header with which a trusted proxy names its client; nil: the peer is the client.
func (l *listener) proxyHeader(ctx context.Context, raw net.Conn) (net.Addr, error) {
	if l.proxied == nil || !l.proxied(addrOf(raw.RemoteAddr().String())) {
		return nil, nil //nolint:nilnil // nil: the peer's own
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.SetReadDeadline(time.Unix(1, 0)) })
	from, err := realip.ReadProxyHeader(raw)
	if !stop() || err != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	if !from.IsValid() {
		return nil, nil //nolint:nilnil // nil: the proxy's own
	}
	return net.TCPAddrFromAddrPort(from), nil
}

// Close stops accepting and waits for running handshakes to end.
func (l *listener) Close() error {
	var err error
	l.once.Do(func() {
		err = l.Listener.Close()
		if !l.simple(l.tls) {
			l.cancel()
			l.group.Wait()
		}
	})
	return err
}
