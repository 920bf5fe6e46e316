package relay

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// errNoPeer says that no living process owns the other end of a connection.
var errNoPeer = errors.New("owner of the connection not found")

// Socket states in which a process still waits for an answer (include/net/tcp_states.h).
const (
	tcpEstablished = 1
	tcpFinWait1    = 4
	tcpFinWait2    = 5
	tcpCloseWait   = 8
)

func answerable(state byte) bool {
	return state == tcpEstablished || state == tcpFinWait1 || state == tcpFinWait2 || state == tcpCloseWait
}

// peerUID is the user who owns the socket at peer that is connected to local on this machine.
func peerUID(peer, local netip.AddrPort) (int, error) {
	peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	uid, err := diagUID(peer, local)
	if err == nil || errors.Is(err, errNoPeer) {
		return uid, err
	}
	// No sock_diag here (a sandbox, a kernel without it): the slow way.
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		uid, err := procUID(f, peer, local)
		_ = f.Close()
		if err == nil {
			return uid, nil
		}
	}
	return -1, errNoPeer
}

const (
	sockDiagByFamily = 20 // SOCK_DIAG_BY_FAMILY, linux/sock_diag.h
	diagRequestLen   = 56 // struct inet_diag_req_v2, linux/inet_diag.h
	diagAnswerLen    = 72 // struct inet_diag_msg
)

// diagUID asks the kernel for one socket by its four-tuple.
func diagUID(peer, local netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return -1, fmt.Errorf("open sock_diag: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	timeout := unix.NsecToTimeval(int64(2 * time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return -1, fmt.Errorf("limit sock_diag: %w", err)
	}
	if err := unix.Sendto(fd, diagRequest(peer, local), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return -1, fmt.Errorf("ask sock_diag: %w", err)
	}
	buf := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, buf, 0)
	if err != nil {
		return -1, fmt.Errorf("read sock_diag: %w", err)
	}
	return parseDiag(buf[:n], peer, local)
}

// diagRequest asks for the socket whose own end is peer.
func diagRequest(peer, local netip.AddrPort) []byte {
	b := make([]byte, unix.SizeofNlMsghdr+diagRequestLen)
	le := binary.NativeEndian
	le.PutUint32(b[0:], uint32(len(b)))
	le.PutUint16(b[4:], sockDiagByFamily)
	le.PutUint16(b[6:], unix.NLM_F_REQUEST)
	r := b[unix.SizeofNlMsghdr:]
	r[0] = unix.AF_INET
	if peer.Addr().Is6() {
		r[0] = unix.AF_INET6
	}
	r[1] = unix.IPPROTO_TCP
	le.PutUint32(r[4:], 0xffffffff) // all states
	putDiagID(r[8:], peer, local)
	for i := 48; i < 56; i++ {
		r[i] = 0xff // INET_DIAG_NOCOOKIE
	}
	return b
}

// putDiagID writes the ports and addresses of struct inet_diag_sockid.
func putDiagID(b []byte, src, dst netip.AddrPort) {
	binary.BigEndian.PutUint16(b[0:], src.Port())
	binary.BigEndian.PutUint16(b[2:], dst.Port())
	copy(b[4:20], src.Addr().AsSlice())
	copy(b[20:36], dst.Addr().AsSlice())
}

func parseDiag(b []byte, peer, local netip.AddrPort) (int, error) {
	if len(b) < unix.SizeofNlMsghdr {
		return -1, errors.New("read sock_diag: short answer")
	}
	le := binary.NativeEndian
	switch le.Uint16(b[4:]) {
	case unix.NLMSG_ERROR:
		if len(b) >= unix.SizeofNlMsghdr+4 {
			if errno := unix.Errno(-int32(le.Uint32(b[unix.SizeofNlMsghdr:]))); errno != unix.ENOENT {
				return -1, fmt.Errorf("sock_diag: %w", errno)
			}
		}
		return -1, errNoPeer
	case sockDiagByFamily:
	default:
		return -1, errors.New("read sock_diag: unknown answer")
	}
	m := b[unix.SizeofNlMsghdr:]
	if len(m) < diagAnswerLen {
		return -1, errors.New("read sock_diag: short answer")
	}
	uid, inode := le.Uint32(m[64:]), le.Uint32(m[68:])
	// A listener in its place, or a socket that no process has any more (inode 0, uid 0), is nobody.
	if diagAddr(m, 4, 8) != peer || diagAddr(m, 6, 24) != local || !answerable(m[1]) || inode == 0 {
		return -1, errNoPeer
	}
	return int(uid), nil
}

// diagAddr reads an end of a socket out of struct inet_diag_msg. An IPv6 socket on an IPv4 connection has the mapped form.
func diagAddr(m []byte, port, addr int) netip.AddrPort {
	size := 4
	if m[0] == unix.AF_INET6 {
		size = 16
	}
	ip, _ := netip.AddrFromSlice(m[addr : addr+size])
	return netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(m[port:]))
}

// procUID finds the owner in the form of /proc/net/tcp and tcp6.
func procUID(r io.Reader, peer, local netip.AddrPort) (int, error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 10 {
			continue
		}
		src, ok1 := procAddr(f[1])
		dst, ok2 := procAddr(f[2])
		state, err := strconv.ParseUint(f[3], 16, 8)
		if !ok1 || !ok2 || err != nil || src != peer || dst != local {
			continue
		}
		uid, err := strconv.ParseUint(f[7], 10, 32)
		if err != nil || !answerable(byte(state)) || f[9] == "0" {
			return -1, errNoPeer
		}
		return int(uid), nil
	}
	if err := lines.Err(); err != nil {
		return -1, fmt.Errorf("read socket table: %w", err)
	}
	return -1, errNoPeer
}

// procAddr reads "0100007F:1F90": 32-bit words in the machine's order, then the port.
func procAddr(s string) (netip.AddrPort, bool) {
	words, port, ok := strings.Cut(s, ":")
	if !ok || len(words) != 8 && len(words) != 32 {
		return netip.AddrPort{}, false
	}
	raw, err := hex.DecodeString(words)
	if err != nil {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	ip, ok := netip.AddrFromSlice(raw)
	p, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(p)), true
}
