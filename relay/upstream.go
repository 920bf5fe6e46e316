package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/proxy"
	"golang.org/x/sys/unix"
)

const (
	dialLimit   = 10 * time.Second
	tunnelLimit = 30 * time.Second
	userTimeout = 20 * time.Second // for the other side to acknowledge: a dead path is noticed
	notSent     = 128 << 10        // bytes that wait in the kernel: what counts as sent is nearly on the wire
)

// upstream is the way to the servers.
type upstream struct {
	isSelf func(netip.AddrPort) bool
	proxy  func(*url.URL) (*url.URL, error)
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	log    *slog.Logger

	// Uploads run over HTTP/1.1: each has a connection of its own, so that one which is dead takes down nothing else,
	// and servers that do not buffer grant HTTP/2 streams windows of a few KiB. A server that speaks nothing else gets HTTP/2.
	h1, h2 *http.Transport

	mu     sync.Mutex // guards the following
	h2only map[string]bool
}

func newUpstream(c Config, isSelf func(netip.AddrPort) bool) *upstream {
	u := &upstream{isSelf: isSelf, log: c.Log, h2only: map[string]bool{}}
	u.proxy = c.Proxy
	if u.proxy == nil {
		u.proxy = environmentProxy(c.Log)
	}
	u.dial = c.Dial
	if u.dial == nil {
		u.dial = newRacer(u.control).DialContext
	}
	base := &http.Transport{
		Proxy:                 func(r *http.Request) (*url.URL, error) { return u.proxyFor(r.URL) },
		DialContext:           u.dialTuned,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots, ClientSessionCache: tls.NewLRUClientSessionCache(16)},
		TLSHandshakeTimeout:   15 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   2,
		DisableCompression:    true, // bodies pass untouched
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        32 << 10,
	}
	u.h1 = base.Clone()
	u.h1.TLSClientConfig.NextProtos = []string{"http/1.1"}
	u.h1.Protocols = new(http.Protocols)
	u.h1.Protocols.SetHTTP1(true)
	u.h2 = base.Clone()
	u.h2.TLSClientConfig.NextProtos = []string{"h2"}
	u.h2.Protocols = new(http.Protocols)
	u.h2.Protocols.SetHTTP2(true)
	u.h2.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second, WriteByteTimeout: userTimeout}
	return u
}

// control refuses to connect to this relay itself, whatever name led there.
func (u *upstream) control(_ context.Context, _, addr string, _ syscall.RawConn) error {
	if a, err := netip.ParseAddrPort(addr); err == nil && u.isSelf(a) {
		return errLoop
	}
	return nil
}

// dialTuned connects and makes sure that a path that died is noticed soon.
func (u *upstream) dialTuned(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := u.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if c, ok := conn.(*net.TCPConn); ok {
		if err := tune(c); err != nil {
			u.log.Debug("connection cannot be tuned", "error", err)
		}
	}
	return conn, nil
}

func tune(c *net.TCPConn) error {
	if err := c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}); err != nil {
		return fmt.Errorf("set keep-alive: %w", err)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var opt error
	err = raw.Control(func(fd uintptr) {
		opt = errors.Join(
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds())),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSent))
	})
	return errors.Join(err, opt)
}

// tcpProgress says how many bytes the other side has acknowledged, and whether there are some that it has not.
func tcpProgress(c *net.TCPConn) (acked uint64, unacked bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false
	}
	_ = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			acked, unacked = info.Bytes_acked, info.Unacked > 0 || info.Notsent_bytes > 0
		}
	})
	return acked, unacked
}

// addressStillHere says whether this machine still has addr. When it is not to be found out, it has.
func addressStillHere(addr net.Addr) bool {
	local, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return true
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			if p.Addr().Unmap() == local.Addr().Unmap().WithZone("") || p.Addr().IsLoopback() && local.Addr().Unmap().IsLoopback() {
				return true
			}
		}
	}
	return false
}

// roundTrip sends one request. A server that knows only HTTP/2 is remembered as such.
func (u *upstream) roundTrip(req *http.Request) (*http.Response, error) {
	host := req.URL.Host
	u.mu.Lock()
	h2 := u.h2only[host]
	u.mu.Unlock()
	if !h2 {
		resp, err := u.h1.RoundTrip(req)
		if err == nil || !strings.Contains(err.Error(), "no application protocol") {
			return resp, err
		}
		u.mu.Lock()
		u.h2only[host] = true
		u.mu.Unlock()
		if req.GetBody != nil {
			body, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			req.Body = body
		} else if req.Body != nil && req.Body != http.NoBody {
			return nil, err
		}
	}
	return u.h2.RoundTrip(req)
}

// renew drops connections that nobody uses.
func (u *upstream) renew() {
	u.h1.CloseIdleConnections()
	u.h2.CloseIdleConnections()
}

func (u *upstream) close() { u.renew() }

// proxyFor is the person's own proxy for a URL, but never this relay.
func (u *upstream) proxyFor(to *url.URL) (*url.URL, error) {
	p, err := u.proxy(to)
	if err != nil || p == nil {
		return nil, err
	}
	port := p.Port()
	if port == "" {
		port = "80"
	}
	host := p.Hostname()
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if addr, err := netip.ParseAddrPort(net.JoinHostPort(host, port)); err == nil && u.isSelf(addr) {
		return nil, nil
	}
	return p, nil
}

// environmentProxy reads the environment once. What only some libraries understand (pac+http:) is left out.
func environmentProxy(log *slog.Logger) func(*url.URL) (*url.URL, error) {
	c := httpproxy.FromEnvironment()
	for _, v := range []*string{&c.HTTPProxy, &c.HTTPSProxy} {
		if scheme, _, ok := strings.Cut(*v, "://"); ok {
			switch strings.ToLower(scheme) {
			case "http", "https", "socks5", "socks5h":
			default:
				log.Warn("proxy of the environment is of a kind that is not known; going directly", "scheme", scheme)
				*v = ""
			}
		}
	}
	return c.ProxyFunc()
}

// tunnel connects to target for bytes that pass untouched, through the person's own proxy if there is one.
func (u *upstream) tunnel(ctx context.Context, target string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, tunnelLimit)
	defer cancel()
	via, err := u.proxyFor(&url.URL{Scheme: "https", Host: target})
	if err != nil {
		return nil, fmt.Errorf("choose proxy: %w", err)
	}
	if via == nil {
		return u.dial(ctx, "tcp", target)
	}
	if strings.HasPrefix(via.Scheme, "socks5") {
		var auth *proxy.Auth
		if via.User != nil {
			password, _ := via.User.Password()
			auth = &proxy.Auth{User: via.User.Username(), Password: password}
		}
		d, err := proxy.SOCKS5("tcp", withPort(via, "1080"), auth, dialFunc(u.dial))
		if err != nil {
			return nil, fmt.Errorf("use proxy: %w", err)
		}
		return d.(proxy.ContextDialer).DialContext(ctx, "tcp", target)
	}
	return u.connectVia(ctx, via, target)
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

func (d dialFunc) Dial(network, addr string) (net.Conn, error) {
	return d(context.Background(), network, addr)
}
func (d dialFunc) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return d(ctx, network, addr)
}

func withPort(u *url.URL, port string) string {
	if p := u.Port(); p != "" {
		port = p
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// connectVia asks an HTTP proxy for the way to target.
func (u *upstream) connectVia(ctx context.Context, via *url.URL, target string) (conn net.Conn, err error) {
	port := "80"
	if via.Scheme == "https" {
		port = "443"
	}
	conn, err = u.dial(ctx, "tcp", withPort(via, port))
	if err != nil {
		return nil, fmt.Errorf("connect to proxy: %w", err)
	}
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	if via.Scheme == "https" {
		tc := tls.Client(conn, &tls.Config{MinVersion: tls.VersionTLS12, ServerName: via.Hostname()})
		if err := tc.HandshakeContext(ctx); err != nil {
			return conn, fmt.Errorf("connect to proxy: %w", err)
		}
		conn = tc
	}
	if t, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(t)
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: http.Header{"User-Agent": {""}}}
	if via.User != nil {
		password, _ := via.User.Password()
		basic := &http.Request{Header: http.Header{}}
		basic.SetBasicAuth(via.User.Username(), password)
		req.Header.Set("Proxy-Authorization", basic.Header.Get("Authorization"))
	}
	if err := req.Write(conn); err != nil {
		return conn, fmt.Errorf("ask proxy: %w", err)
	}
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, req)
	if err != nil {
		return conn, fmt.Errorf("ask proxy: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return conn, fmt.Errorf("proxy says %s", resp.Status)
	}
	_ = conn.SetDeadline(time.Time{})
	if br.Buffered() > 0 {
		return &bufferedConn{Conn: conn, r: br}, nil
	}
	return conn, nil
}

// bufferedConn gives first what came along with the proxy's answer, and keeps half-closing.
type bufferedConn struct {
	net.Conn
	r io.Reader
}

func (c *bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

func (c *bufferedConn) CloseWrite() error {
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return c.Conn.Close()
}
