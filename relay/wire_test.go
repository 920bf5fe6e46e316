package relay

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// dialRaw connects to the relay.
func (w *world) dialRaw() (net.Conn, *bufio.Reader) {
	w.t.Helper()
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	w.t.Cleanup(func() { _ = c.Close() })
	return c, bufio.NewReader(c)
}

// dialTLS gets inside of an intercepted connection by hand.
func (w *world) dialTLS() (*tls.Conn, *bufio.Reader) {
	w.t.Helper()
	c, br := w.dialRaw()
	fmt.Fprintf(c, "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n\r\n", listed, listed)
	line, err := br.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 200 ") {
		w.t.Fatalf("CONNECT: %q %v", line, err)
	}
	if _, err := br.ReadString('\n'); err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.relayCA())
	tc := tls.Client(c, &tls.Config{ServerName: listed, RootCAs: roots})
	if err := tc.Handshake(); err != nil {
		w.t.Fatal(err)
	}
	return tc, bufio.NewReader(tc)
}

// readHead reads an answer up to the empty line and returns its status line.
func readHead(t *testing.T, br *bufio.Reader) string {
	t.Helper()
	status, err := br.ReadString('\n')
	if err != nil {
		t.Fatalf("read answer: %q %v", status, err)
	}
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			t.Fatalf("read answer: %v", err)
		}
		if strings.TrimRight(line, "\r\n") == "" {
			return strings.TrimRight(status, "\r\n")
		}
	}
}
