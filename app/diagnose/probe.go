package diagnose

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// prober makes connections to one upload server.
type prober struct {
	host, port string
	roots      *x509.CertPool
}

// probe connects over one interface, or as any program does if device is empty, and asks /health.
func (p prober) probe(ctx context.Context, device string, addrs []netip.Addr) Way {
	w := Way{Interface: device}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	begin := time.Now()
	conn, err := dial(ctx, device, addrs, p.port)
	if err != nil {
		w.Err = plainError(err)
		return w
	}
	defer func() { _ = conn.Close() }() // nothing that has to arrive was sent
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			w.Err = err
			return w
		}
	}
	// The certificate is verified by hand, as strictly as ever, so that date and status can still be read behind one that is
	// not good. Nothing is sent but a question that everybody may ask.
	client := tls.Client(conn, &tls.Config{
		ServerName: serverName(p.host), MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, NextProtos: []string{"http/1.1"},
		VerifyConnection: func(state tls.ConnectionState) error {
			w.Cert = p.verify(state.PeerCertificates)
			if len(state.PeerCertificates) > 0 {
				w.NotAfter, w.Issuer = state.PeerCertificates[0].NotAfter, state.PeerCertificates[0].Issuer.CommonName
			}
			return nil
		},
	})
	if err := client.HandshakeContext(ctx); err != nil {
		w.Err = plainError(err)
		return w
	}
	w.Took = time.Since(begin)
	p.ask(client, &w)
	return w
}

// verify checks a chain as crypto/tls does.
func (p prober) verify(chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return errors.New("no certificate was shown")
	}
	opts := x509.VerifyOptions{Roots: p.roots, DNSName: serverName(p.host), Intermediates: x509.NewCertPool()}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(opts)
	return err
}

// ask sends GET /health and reads status and date.
func (p prober) ask(conn net.Conn, w *Way) {
	req, err := http.NewRequest(http.MethodGet, "https://"+net.JoinHostPort(p.host, p.port)+"/health", nil)
	if err != nil {
		return
	}
	req.Close = true
	req.Header.Set("User-Agent", "holdfast-diagnose")
	sent := time.Now()
	if err := req.Write(conn); err != nil {
		return
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return
	}
	defer func() { _ = resp.Body.Close() }() // as above
	came := time.Now()
	w.Status = resp.StatusCode
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64))
	w.Holdfast = err == nil && resp.StatusCode == http.StatusOK && strings.HasPrefix(string(body), "OK")
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		// The header has whole seconds, and is of some moment between sending and receiving.
		middle := sent.Add(came.Sub(sent) / 2).Round(0)
		w.Ahead, w.Dated = middle.Sub(date.Add(500*time.Millisecond)), true
	}
}

// plain asks the host on port 80 without TLS. A captive portal answers in everybody's name and sends people elsewhere.
func (p prober) plain(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, checkTime/2)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+bracket(p.host)+"/health", nil)
	if err != nil {
		return ""
	}
	req.Header.Set("User-Agent", "holdfast-diagnose")
	c := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // without the proxy of the environment: the network itself is asked
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := c.Do(req)
	if err != nil {
		return ""
	}
	_ = resp.Body.Close()                                            // only the header counts
	if resp.StatusCode == http.StatusNetworkAuthenticationRequired { // RFC 6585: what a portal should say
		return p.host
	}
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || resp.StatusCode < 300 || resp.StatusCode > 399 || to.Host == "" || sameSite(to.Hostname(), p.host) {
		return ""
	}
	return to.Hostname()
}

// sameSite says whether a redirect stays with the people who run a host: to itself, or up or down in its domain.
func sameSite(to, host string) bool {
	to, host = strings.ToLower(to), strings.ToLower(host)
	parent := func(name string) string {
		labels := strings.Split(name, ".")
		return strings.Join(labels[max(0, len(labels)-2):], ".")
	}
	return to == host || parent(to) == parent(host)
}

// dial tries the addresses in turn, over one interface if device is not empty.
func dial(ctx context.Context, device string, addrs []netip.Addr, port string) (net.Conn, error) {
	d := net.Dialer{Timeout: checkTime / 2}
	if device != "" {
		d.ControlContext = func(_ context.Context, _, _ string, c syscall.RawConn) error {
			var berr error
			err := c.Control(func(fd uintptr) { berr = unix.BindToDevice(int(fd), device) })
			return errors.Join(err, berr)
		}
	}
	var first error
	for _, a := range addrs {
		conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(a.String(), port))
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// serverName is the name to verify; an address stands for itself.
func serverName(name string) string {
	if a, err := netip.ParseAddr(name); err == nil {
		return a.String()
	}
	return name
}

func bracket(host string) string {
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		return "[" + host + "]"
	}
	return host
}
