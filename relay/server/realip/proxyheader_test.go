package realip_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"holdfast/relay/server/realip"
)

const (
	signature = "\r\n\r\n\x00\r\nQUIT\n"
	fromIPv4  = signature + "\x21\x11\x00\x0c" + "\xc0\x00\x02\x0a" + "\x7f\x00\x00\x01" + "\x12\x67" + "\x01\xbb"
	addrsIPv6 = "\x20\x01\x0d\xb8\x00\x01\x00\x02\x00\x00\x00\x00\x00\x00\x00\x07" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + "\x12\x67" + "\x01\xbb"
)

func TestTheProxyHeaderNamesTheClient(t *testing.T) {
	tests := []struct{ name, header, want string }{
		{"IPv4", fromIPv4, "192.0.2.10:4711"},
		{"IPv6", signature + "\x21\x21\x00\x24" + addrsIPv6, "[2001:db8:1:2::7]:4711"},
		{"IPv6 with more to say", signature + "\x21\x21\x00\x2b" + addrsIPv6 + "\x04\x00\x04abcd", "[2001:db8:1:2::7]:4711"},
		{"IPv4-mapped is IPv4", signature + "\x21\x21\x00\x24" + strings.Repeat("\x00", 10) + "\xff\xff\xc0\x00\x02\x0a" + addrsIPv6[16:], "192.0.2.10:4711"},
		{"LOCAL, a health check of the proxy", realip.LocalHeader, "invalid AddrPort"},
		{"LOCAL with addresses, which are not to be read", signature + "\x20" + fromIPv4[13:], "invalid AddrPort"},
		{"a client on a unix socket", signature + "\x21\x31\x00\xd8" + strings.Repeat("x", 216), "invalid AddrPort"},
		{"a family that is not told", signature + "\x21\x00\x00\x00", "invalid AddrPort"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := strings.NewReader(tt.header + "PUT /")
			got, err := realip.ReadProxyHeader(r)
			if err != nil || got.String() != tt.want {
				t.Errorf("got %s, %v; want %s", got, err, tt.want)
			}
			if rest, _ := io.ReadAll(r); string(rest) != "PUT /" {
				t.Errorf("what follows is %q", rest)
			}
		})
	}
}

func TestAWrongProxyHeaderIsRefused(t *testing.T) {
	tests := []struct{ name, header string }{
		{"nothing", ""},
		{"a request", "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"version 1", "PROXY TCP4 192.0.2.10 127.0.0.1 4711 443\r\n"},
		{"cut in the signature", fromIPv4[:7]},
		{"cut in the addresses", fromIPv4[:20]},
		{"a length too short for IPv4", signature + "\x21\x11\x00\x0b" + fromIPv4[16:]},
		{"a length too short for IPv6", signature + "\x21\x21\x00\x23" + addrsIPv6},
		{"another version", signature + "\x31" + fromIPv4[13:]},
		{"a command that is none", signature + "\x22" + fromIPv4[13:]},
		{"the unspecified address", signature + "\x21\x11\x00\x0c" + strings.Repeat("\x00", 4) + fromIPv4[20:]},
		{"a multicast address", signature + "\x21\x11\x00\x0c" + "\xe0\x00\x00\x01" + fromIPv4[20:]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := realip.ReadProxyHeader(strings.NewReader(tt.header)); !errors.Is(err, realip.ErrProxyHeader) {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
}

// Whatever comes, no byte behind the header is taken, and an address is one that a client can have.
func FuzzReadProxyHeader(f *testing.F) {
	f.Add([]byte(fromIPv4))
	f.Add([]byte(signature + "\x21\x21\x00\x24" + addrsIPv6))
	f.Add([]byte(signature + "\x20\x00\x00\x00GET"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		got, err := realip.ReadProxyHeader(r)
		if err != nil {
			if got.IsValid() {
				t.Errorf("%v with %s", err, got)
			}
			return
		}
		if read, want := len(b)-r.Len(), 16+int(b[14])<<8+int(b[15]); read != want {
			t.Errorf("%d bytes were read, the header has %d", read, want)
		}
		if a := got.Addr(); got.IsValid() && (a.Is4In6() || a.IsUnspecified() || a.IsMulticast()) {
			t.Errorf("%s is no client's", a)
		}
	})
}
