package realip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// ErrProxyHeader is returned for a connection that does not begin with a header of the PROXY protocol, version 2.
var ErrProxyHeader = errors.New("no header of the PROXY protocol, version 2")

// proxySignature begins every header of version 2. No HTTP request and no TLS record begins like that.
const proxySignature = "\r\n\r\n\x00\r\nQUIT\n"

// LocalHeader is the header of a proxy that speaks for itself, for example to ask for its health.
const LocalHeader = proxySignature + "\x20\x00\x00\x00"

// ReadProxyHeader reads the header with which a proxy begins a connection (PROXY protocol of HAProxy, version 2,
// section 2.2), and not one byte more. The zero address says that the proxy speaks for itself (LOCAL), or for a client
// without an internet address; then the address of the connection counts.
//
// Whoever calls it has made sure that the connection comes from a trusted proxy.
func ReadProxyHeader(r io.Reader) (netip.AddrPort, error) {
	var head [16]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return netip.AddrPort{}, fmt.Errorf("%w: %w", ErrProxyHeader, err)
	}
	if string(head[:12]) != proxySignature {
		return netip.AddrPort{}, ErrProxyHeader
	}
	command, family := head[12], head[13]
	block := make([]byte, binary.BigEndian.Uint16(head[14:])) // at most 64 KiB: addresses, and what else the proxy has to say
	if _, err := io.ReadFull(r, block); err != nil {
		return netip.AddrPort{}, fmt.Errorf("%w: %w", ErrProxyHeader, err)
	}
	const local, proxy = 0x20, 0x21
	switch {
	case command == local:
		return netip.AddrPort{}, nil
	case command != proxy:
		return netip.AddrPort{}, fmt.Errorf("%w: version and command %#x", ErrProxyHeader, command)
	}
	const tcp4, tcp6 = 0x11, 0x21
	switch {
	case family == tcp4 && len(block) >= 12:
		return client(netip.AddrFrom4([4]byte(block)), block[8:])
	case family == tcp6 && len(block) >= 36:
		return client(netip.AddrFrom16([16]byte(block)), block[32:])
	case family == tcp4, family == tcp6:
		return netip.AddrPort{}, fmt.Errorf("%w: it is too short for its addresses", ErrProxyHeader)
	}
	return netip.AddrPort{}, nil
}

// client puts address and port together; an address that no client can have is an error.
func client(addr netip.Addr, port []byte) (netip.AddrPort, error) {
	if addr = addr.Unmap(); addr.IsUnspecified() || addr.IsMulticast() {
		return netip.AddrPort{}, fmt.Errorf("%w: %s is no address of a client", ErrProxyHeader, addr)
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port)), nil
}
