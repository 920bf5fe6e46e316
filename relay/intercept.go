package relay

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// connect answers CONNECT, in HTTP/1.0 and 1.1 (RFC 9110 section 9.3.6).
func (f *front) connect(ctx context.Context, req *http.Request) {
	target, err := canonicalTarget(req.URL.Host, "")
	if err != nil {
		target, err = canonicalTarget(req.Host, "")
	}
	if err != nil {
		f.refuse(req, http.StatusBadRequest, "CONNECT needs a host and a port.")
		return
	}
	if addr, err := netip.ParseAddrPort(target); err == nil && f.r.isSelf(addr) {
		f.refuse(req, http.StatusMisdirectedRequest, "This is the relay itself.")
		return
	}
	if f.r.hosts.Load().secure[target] && !isBrowser(req) {
		name, _, _ := net.SplitHostPort(target)
		cert, err := f.r.c.Leaves.Leaf(name)
		if err == nil {
			f.intercept(ctx, target, cert)
			return
		}
		f.r.c.Log.Warn("no certificate to show; the connection is tunnelled", logTarget(target), "error", err)
	}
	f.tunnel(ctx, req, target)
}

const established = "HTTP/1.1 200 Connection established\r\n\r\n"

// intercept ends the client's TLS here. What turns out to be neither HTTP nor TLS is tunnelled after all: XMPP itself
// may use port 443 of the same host (XEP-0368, ALPN xmpp-client).
func (f *front) intercept(ctx context.Context, target string, cert *tls.Certificate) {
	if err := f.write(established); err != nil {
		return
	}
	f.readBy(ctx, time.Now().Add(headLimit))
	hello, seen, err := readHello(f.br, f.conn)
	if err != nil {
		return
	}
	below := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(seen), f.br), 128<<10)
	client := &replayConn{Conn: f.conn, r: below}
	if hello == nil || !speaksHTTP1(hello.SupportedProtos) {
		f.readBy(ctx, time.Time{})
		f.splice(ctx, target, seen)
		return
	}
	tc := tls.Server(client, serverTLS(target, cert))
	hctx, cancel := context.WithTimeout(ctx, headLimit)
	defer cancel()
	if err := tc.HandshakeContext(hctx); err != nil {
		f.r.c.Log.Info("client refused the handshake; does it trust the certificate of Holdfast?", logTarget(target), "error", err)
		return
	}
	in := newFront(f.r, tc, f.raw)
	in.target, in.below = target, below
	in.serve(ctx)
	_ = f.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_ = tc.CloseWrite()
}

func (f *front) write(s string) error {
	_ = f.conn.SetWriteDeadline(time.Now().Add(sendLimit))
	_, err := io.WriteString(f.conn, s)
	_ = f.conn.SetWriteDeadline(time.Time{})
	return err
}

// speaksHTTP1 says whether an ALPN offer allows HTTP/1.1; no offer does (RFC 7301).
func speaksHTTP1(protos []string) bool {
	return len(protos) == 0 || slices.Contains(protos, "http/1.1")
}

func serverTLS(target string, cert *tls.Certificate) *tls.Config {
	name, _, _ := net.SplitHostPort(target)
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			sni, err := canonicalName(h.ServerName)
			if h.ServerName != "" && (err != nil || !strings.EqualFold(sni, name)) {
				return nil, fmt.Errorf("client asks for %q on a connection for %q", h.ServerName, name)
			}
			return cert, nil
		},
	}
}

var errSeen = errors.New("hello was read")

// readHello reads a TLS ClientHello from br and returns every byte that it took. A nil hello: this is not TLS.
// conn only lends its deadlines and addresses.
func readHello(br *bufio.Reader, conn net.Conn) (hello *tls.ClientHelloInfo, seen []byte, err error) {
	first, err := br.Peek(1)
	if err != nil {
		return nil, nil, fmt.Errorf("wait for the client: %w", err)
	}
	if first[0] != 0x16 { // handshake, RFC 8446 section 5.1
		return nil, nil, nil
	}
	var b bytes.Buffer
	probe := tls.Server(&helloConn{Conn: conn, r: io.TeeReader(br, &b)}, &tls.Config{
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			hello = h
			return nil, errSeen
		},
	})
	err = probe.Handshake()
	if hello == nil && !errors.Is(err, errSeen) {
		var ne net.Error
		if errors.As(err, &ne) || errors.Is(err, io.EOF) {
			return nil, nil, fmt.Errorf("wait for the client: %w", err)
		}
		return nil, b.Bytes(), nil
	}
	return hello, b.Bytes(), nil
}

// helloConn is read from r and swallows what is written: the alert of a handshake that is only looked at.
type helloConn struct {
	net.Conn
	r io.Reader
}

func (c *helloConn) Read(p []byte) (int, error)  { return c.r.Read(p) }
func (c *helloConn) Write(p []byte) (int, error) { return len(p), nil }

// replayConn gives first what was already read.
type replayConn struct {
	net.Conn
	r io.Reader
}

func (c *replayConn) Read(p []byte) (int, error) { return c.r.Read(p) }
