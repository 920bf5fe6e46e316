package server_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/relay/server"
	"holdfast/relay/token"
)

func proxied(c *server.Config) { c.Proxied = true }

// Headers of the PROXY protocol, version 2, for home and away.
const (
	proxySaysHome = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + "\xc0\x00\x02\x0a" + "\x7f\x00\x00\x01" + "\x12\x67" + "\x01\xbb"
	proxySaysAway = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + "\xc6\x33\x64\x14" + "\x7f\x00\x00\x01" + "\x12\x67" + "\x01\xbb"
)

// through makes the lab's client begin each connection with a header.
func through(l *lab, header string, tc *tls.Config) *http.Transport {
	return &http.Transport{
		TLSClientConfig: tc, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err == nil {
				_, err = io.WriteString(c, header)
			}
			return c, err
		},
	}
}

func TestATrustedProxyNamesTheClientByThePROXYProtocol(t *testing.T) {
	l := newLab(t, trusting, proxied)
	secure, pool, _ := tlsLab(t, l)
	for _, tt := range []struct {
		name, base, user string
		tls              *tls.Config
	}{
		{"plain", l.base, "plain@example.org", nil},
		{"TLS with HTTP/2", secure, "h2@example.org", &tls.Config{RootCAs: pool}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			put := func(path, header string, fields ...string) *http.Response {
				t.Helper()
				tr := through(l, header, tt.tls)
				defer tr.CloseIdleConnections()
				l.http.Transport = tr
				sl := l.sign(token.JWT, path, 5, user(tt.user))
				sl.url = rebase(sl.url, tt.base)
				return l.put(sl, "hello", append(fields, gajim)...)
			}
			want(t, put(tt.name+"/first", proxySaysHome), 201, "")
			resp := put(tt.name+"/same", proxySaysHome, "X-Forwarded-For: 198.51.100.20")
			want(t, resp, 201, "")
			if resp.Header.Get("X-Network-Switch-Detected") != "" {
				t.Error("what the client said of its own address was believed")
			}
			resp = put(tt.name+"/moved", proxySaysAway)
			want(t, resp, 201, "")
			if resp.Header.Get("X-Network-Switch-Detected") != "true" {
				t.Error("the change of the address was not seen")
			}
		})
	}
}

func TestWithoutItsHeaderATrustedProxyGetsNoAnswer(t *testing.T) {
	for _, tt := range []struct {
		name, sent, want string
		changes          []change
	}{
		{"a trusted proxy without the header", "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "", []change{trusting, proxied}},
		{"its own health check", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\n", []change{trusting, proxied}},
		{"nobody is trusted: the header is none", proxySaysHome + "GET /health HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 ", []change{proxied}},
		{"nobody is trusted: a request", "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\n", []change{proxied}},
		{"it is not switched on", proxySaysHome + "GET /health HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 ", []change{trusting}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, tt.changes...)
			c, err := net.Dial("tcp", strings.TrimPrefix(l.base, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, tt.sent); err != nil {
				t.Fatal(err)
			}
			answer, _ := io.ReadAll(c) // a reset says no, too
			if got := string(answer); !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
