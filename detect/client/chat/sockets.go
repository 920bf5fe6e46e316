package chat

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const (
	sockDiagByFamily = 20 // SOCK_DIAG_BY_FAMILY, linux/sock_diag.h
	diagRequestLen   = 56 // struct inet_diag_req_v2, linux/inet_diag.h
	diagAnswerLen    = 72 // struct inet_diag_msg
	diagInfo         = 2  // INET_DIAG_INFO, its struct tcp_info
	tcpEstablished   = 1  // include/net/tcp_states.h
)

// established lists the established TCP connections of this network namespace.
func established() ([]socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open sock_diag: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	timeout := unix.NsecToTimeval(int64(2 * time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return nil, fmt.Errorf("limit sock_diag: %w", err)
	}
	var all []socket
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		if err := unix.Sendto(fd, request(family), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return nil, fmt.Errorf("ask sock_diag: %w", err)
		}
		buf := make([]byte, 64<<10)
		for done := false; !done; {
			n, _, err := unix.Recvfrom(fd, buf, 0)
			if err != nil {
				return nil, fmt.Errorf("read sock_diag: %w", err)
			}
			var some []socket
			if some, done, err = parse(buf[:n]); err != nil {
				return nil, err
			}
			all = append(all, some...)
		}
	}
	return all, nil
}

// request asks for all established connections of a family, with their struct tcp_info.
func request(family byte) []byte {
	b := make([]byte, unix.SizeofNlMsghdr+diagRequestLen)
	le := binary.NativeEndian
	le.PutUint32(b[0:], uint32(len(b)))
	le.PutUint16(b[4:], sockDiagByFamily)
	le.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	r := b[unix.SizeofNlMsghdr:]
	r[0], r[1], r[2] = family, unix.IPPROTO_TCP, 1<<(diagInfo-1)
	le.PutUint32(r[4:], 1<<tcpEstablished)
	return b
}

// parse reads one datagram of answers; done says that it was the last.
func parse(b []byte) (all []socket, done bool, err error) {
	le := binary.NativeEndian
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(le.Uint32(b[0:]))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return nil, false, fmt.Errorf("read sock_diag: a message of %d bytes in %d", size, len(b))
		}
		switch body := b[unix.SizeofNlMsghdr:size]; le.Uint16(b[4:]) {
		case unix.NLMSG_DONE:
			return all, true, nil
		case unix.NLMSG_ERROR:
			return nil, false, fmt.Errorf("read sock_diag: refused")
		case sockDiagByFamily:
			if s, ok := parseSocket(body); ok {
				all = append(all, s)
			}
		}
		b = b[min(align(size), len(b)):]
	}
	return all, false, nil
}

func align(n int) int { return (n + 3) &^ 3 }

func parseSocket(m []byte) (socket, bool) {
	if len(m) < diagAnswerLen || m[1] != tcpEstablished {
		return socket{}, false
	}
	le := binary.NativeEndian
	s := socket{local: address(m, 4, 8), remote: address(m, 6, 24), inode: le.Uint32(m[68:])}
	for attrs := m[diagAnswerLen:]; len(attrs) >= unix.SizeofRtAttr; {
		size := int(le.Uint16(attrs[0:]))
		if size < unix.SizeofRtAttr || size > len(attrs) {
			break
		}
		// Offsets in struct tcp_info (linux/tcp.h): retransmits 2, last_data_recv 52, bytes_received 128.
		if info := attrs[unix.SizeofRtAttr:size]; le.Uint16(attrs[2:]) == diagInfo && len(info) >= 136 {
			s.retransmits = info[2]
			s.quiet = time.Duration(le.Uint32(info[52:])) * time.Millisecond
			s.received = le.Uint64(info[128:])
			return s, s.inode != 0
		}
		attrs = attrs[min(align(size), len(attrs)):]
	}
	return socket{}, false
}

// address reads an end of a socket out of struct inet_diag_msg.
func address(m []byte, port, addr int) netip.AddrPort {
	size := 4
	if m[0] == unix.AF_INET6 {
		size = 16
	}
	ip, _ := netip.AddrFromSlice(m[addr : addr+size])
	return netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(m[port:]))
}
