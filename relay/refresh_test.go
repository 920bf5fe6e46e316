package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestRefreshEndsADialThatHangs(t *testing.T) {
	hang := make(chan struct{}, 1)
	var hung atomic.Bool
	var w *world
	w = newWorld(t, func(c *Config) {
		c.BackOff, c.MaxBackOff = time.Hour, time.Hour
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if hung.CompareAndSwap(false, true) {
				hang <- struct{}{}
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return w.dialer(ctx, network, addr)
		}
	})
	w.serve(listed, &keep{})
	done := make(chan result, 1)
	go func() { done <- w.put("/u/s/f", sample(100_000)) }()
	<-hang
	w.r.Refresh()
	if got := <-done; !got.stored() {
		t.Error(got)
	}
}

func TestRefreshLeavesADeadConnectionAndKeepsALivingOne(t *testing.T) {
	t.Run("dead", func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.Stall, c.BackOff = time.Hour, time.Hour })
		w.r.probe = 200 * time.Millisecond
		var got []byte
		var mu sync.Mutex
		stuck, end := make(chan struct{}), make(chan struct{})
		defer close(end)
		w.raw(listed, func(_ *tls.Conn, br *bufio.Reader) {
			_, _ = io.CopyN(io.Discard, br, 10_000)
			close(stuck)
			<-end
		}, store(&got, &mu, created))
		body := sample(16 << 20)
		done := make(chan result, 1)
		go func() { done <- w.put("/u/s/f", body) }()
		<-stuck
		// The kernels' buffers may take a little more at first; when nothing moves any more, a Refresh finds out.
		tick := time.NewTicker(2500 * time.Millisecond)
		defer tick.Stop()
		for {
			w.r.Refresh()
			select {
			case r := <-done:
				if !r.stored() || sumOf(got) != sumOf(body) {
					t.Error(r)
				}
				return
			case <-tick.C:
			}
		}
	})
	t.Run("living", func(t *testing.T) {
		w := newWorld(t, nil)
		var puts atomic.Int32
		w.serve(listed, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			puts.Add(1)
			buf := make([]byte, 64<<10)
			for {
				w.r.Refresh()
				if _, err := req.Body.Read(buf); err != nil {
					break
				}
			}
			w.r.Refresh()
			rw.WriteHeader(http.StatusCreated)
		}))
		if got := w.put("/u/s/f", sample(4<<20)); !got.stored() || puts.Load() != 1 {
			t.Errorf("%v after %d requests", got, puts.Load())
		}
	})
}

// portal answers every TLS handshake with a certificate of its own, as a captive portal does.
func (w *world) portal() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	conf := w.serverTLS("other.test")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = tls.Server(c, conf).Handshake()
			_ = c.Close()
		}
	}()
	w.t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func TestCaptivePortalInTheMiddleIsOutlived(t *testing.T) {
	w := newWorld(t, nil)
	var got []byte
	var mu sync.Mutex
	portal := w.portal()
	cut := make(chan struct{})
	w.raw(listed, func(c *tls.Conn, br *bufio.Reader) {
		_, _ = io.CopyN(io.Discard, br, 100_000)
		<-cut
		_ = tcpOf(c).SetLinger(0)
	}, store(&got, &mu, created))
	w.mu.Lock()
	good := w.dial[listed+":443"]
	w.mu.Unlock()
	body := sample(4 << 20)
	done := make(chan result, 1)
	go func() { done <- w.put("/u/s/f", body) }()
	w.await("sending", func(u Upload) bool { return u.State == Sending })
	w.point(listed+":443", portal)
	close(cut)
	w.await("held because of the certificate", func(u Upload) bool { return u.State == Waiting && u.Reason == ReasonOtherName })
	w.point(listed+":443", good)
	w.r.Refresh()
	if r := <-done; !r.stored() || sumOf(got) != sumOf(body) {
		t.Error(r)
	}
}

func TestWaitingForABetterCertificateHasAnEnd(t *testing.T) {
	w := newWorld(t, nil)
	portal := w.portal()
	cut := make(chan struct{})
	w.raw(listed, func(c *tls.Conn, br *bufio.Reader) {
		<-cut
		_ = tcpOf(c).SetLinger(0)
	})
	done := make(chan result, 1)
	go func() { done <- w.put("/u/s/f", sample(1000)) }()
	w.await("sending", func(u Upload) bool { return u.State == Sending })
	w.point(listed+":443", portal)
	close(cut)
	for i := range maxCertWaits {
		w.awaitLog("msg=waiting", "reason=certificate", i+1)
		w.r.Refresh()
	}
	if got := <-done; got.status != 502 || got.reason != "The server's certificate is for another name (other.test)" {
		t.Error(got)
	}
}

// awaitLog waits until n lines of the log have both texts.
func (w *world) awaitLog(a, b string, n int) {
	w.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-tick.C {
		found := 0
		for line := range strings.SplitSeq(w.log.String(), "\n") {
			if strings.Contains(line, a) && strings.Contains(line, b) {
				found++
			}
		}
		if found >= n {
			return
		}
	}
	w.t.Fatalf("the log does not say %q, %q %d times", a, b, n)
}

func TestAddressesOfThisMachine(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1:5": true, "127.9.9.9:5": true, "[::1]:5": true, "203.0.113.77:5": false, "[2001:db8::77]:5": false} {
		if got := addressStillHere(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}

func TestProblemsOfCertificatesAreNamed(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want flaw
	}{
		{x509.CertificateInvalidError{Reason: x509.Expired}, flaw{ReasonExpired, "The server's certificate has expired"}},
		{x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}, flaw{ReasonCertificate, "The server's certificate is not valid"}},
		{x509.HostnameError{Certificate: &x509.Certificate{}, Host: "a"}, flaw{ReasonOtherName, "The server's certificate is for another name"}},
		{x509.UnknownAuthorityError{}, flaw{ReasonCertificate, "The server's certificate comes from an unknown authority"}},
	} {
		wrapped := fmt.Errorf("x: %w", &tls.CertificateVerificationError{Err: tc.err})
		if got, ok := certificateProblem(wrapped); !ok || got != tc.want {
			t.Errorf("%v: %q", tc.err, got)
		}
	}
}
