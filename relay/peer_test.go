package relay

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/cmd/lab"
)

// pairOn connects to a listener on addr and returns both ends.
func pairOn(t *testing.T, network, addr, dial string) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Skipf("cannot listen on %s: %v", addr, err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	client, err = net.Dial("tcp", net.JoinHostPort(dial, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return client, server
}

func TestPeerIsFoundBothWays(t *testing.T) {
	for _, tc := range []struct{ name, network, listen, dial string }{
		{"IPv4", "tcp4", "127.0.0.1:0", "127.0.0.1"},
		{"IPv6", "tcp6", "[::1]:0", "::1"},
		{"IPv4 to a listener of both", "tcp", "[::]:0", "127.0.0.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, server := pairOn(t, tc.network, tc.listen, tc.dial)
			peer, local := netip.MustParseAddrPort(server.RemoteAddr().String()), netip.MustParseAddrPort(server.LocalAddr().String())
			uid, err := peerUID(peer, local)
			if err != nil || uid != os.Getuid() {
				t.Errorf("sock_diag: %d %v", uid, err)
			}
			peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
			local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
			found := false
			for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
				f, err := os.Open(name)
				if err != nil {
					continue
				}
				if uid, err := procUID(f, peer, local); err == nil {
					found = found || uid == os.Getuid()
				}
				_ = f.Close()
			}
			if !found {
				t.Error("not found in /proc/net")
			}
		})
	}
}

func TestNobodyIsRefused(t *testing.T) {
	client, server := pairOn(t, "tcp4", "127.0.0.1:0", "127.0.0.1")
	peer, local := netip.MustParseAddrPort(server.RemoteAddr().String()), netip.MustParseAddrPort(server.LocalAddr().String())
	if _, err := peerUID(netip.AddrPortFrom(peer.Addr(), 1), local); !errors.Is(err, errNoPeer) {
		t.Errorf("a socket that is not there: %v", err)
	}
	// After the client's end is closed no process owns it; the kernel then reports uid 0.
	_ = client.Close()
	if uid, err := peerUID(peer, local); !errors.Is(err, errNoPeer) {
		t.Errorf("a socket without a process: uid %d, %v", uid, err)
	}
}

func TestAnotherUserIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be another user")
	}
	curl, setpriv := lab.Need(t, "curl", "curl"), lab.Need(t, "setpriv", "util-linux")
	w := newWorld(t, nil)
	ask := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), args[0], append(args[1:], curl, "-s", "--max-time", "10", "-o", os.DevNull, "-w", "%{http_code}", "http://"+w.addr+"/healthz")...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
		cmd.Dir = "/"
		out, _ := cmd.Output()
		return string(out)
	}
	if got := ask("env"); got != "200" {
		t.Errorf("the owner got %s", got)
	}
	if got := ask(setpriv, "--reuid=65534", "--regid=65534", "--clear-groups"); got != "000" {
		t.Errorf("nobody got %s", got)
	}
	if !strings.Contains(w.log.String(), "the peer is user 65534, not 0") {
		t.Error("the log does not say who was refused")
	}
	other := newWorld(t, func(c *Config) { c.UID = 65534 })
	c, br := other.dialRaw()
	_, _ = c.Write([]byte("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	if _, err := br.ReadByte(); err == nil {
		t.Error("root got an answer from another user's relay")
	}
}

const procTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1504 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 11 1 0000000000000000 100 0 0 10 0
   1: 0100007F:C001 0100007F:1504 01 00000000:00000000 00:00000000 00000000  1000        0 12 1 0000000000000000 20 4 30 10 -1
   2: 0100007F:C002 0100007F:1504 06 00000000:00000000 03:00000CAB 00000000     0        0 0 3 0000000000000000
   3: 0000000000000000FFFF00000100007F:C003 0000000000000000FFFF00000100007F:1504 01 00000000:00000000 00:00000000 00000000  1001        0 13 1 0 20 4 30 10 -1
   4: 00000000000000000000000001000000:C004 00000000000000000000000001000000:1504 01 00000000:00000000 00:00000000 00000000  1002        0 14 1 0 20 4 30 10 -1
`

func TestSocketTable(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the sample is from a little-endian machine")
	}
	for _, tc := range []struct {
		name, peer, local string
		uid               int
	}{
		{"a connection", "127.0.0.1:49153", "127.0.0.1:5380", 1000},
		{"one in TIME_WAIT", "127.0.0.1:49154", "127.0.0.1:5380", -1},
		{"a mapped one", "127.0.0.1:49155", "127.0.0.1:5380", 1001},
		{"IPv6", "[::1]:49156", "[::1]:5380", 1002},
		{"one that is not there", "127.0.0.1:49157", "127.0.0.1:5380", -1},
		{"the listener", "127.0.0.1:5380", "0.0.0.0:0", -1},
	} {
		uid, err := procUID(strings.NewReader(procTable), netip.MustParseAddrPort(tc.peer), netip.MustParseAddrPort(tc.local))
		if uid != tc.uid || (err == nil) != (tc.uid >= 0) {
			t.Errorf("%s: %d %v, want %d", tc.name, uid, err, tc.uid)
		}
	}
}

func TestSockDiagAnswersThatAreNotTrusted(t *testing.T) {
	peer, local := netip.MustParseAddrPort("127.0.0.1:49153"), netip.MustParseAddrPort("127.0.0.1:5380")
	answer := func(edit func(m []byte)) []byte {
		b := make([]byte, unix.SizeofNlMsghdr+diagAnswerLen)
		binary.NativeEndian.PutUint16(b[4:], sockDiagByFamily)
		m := b[unix.SizeofNlMsghdr:]
		m[0], m[1] = unix.AF_INET, tcpEstablished
		putDiagID(m[4:], peer, local)
		binary.NativeEndian.PutUint32(m[64:], 1000)
		binary.NativeEndian.PutUint32(m[68:], 77)
		if edit != nil {
			edit(m)
		}
		return b
	}
	if uid, err := parseDiag(answer(nil), peer, local); err != nil || uid != 1000 {
		t.Fatalf("%d %v", uid, err)
	}
	for name, b := range map[string][]byte{
		"a listener in its place": answer(func(m []byte) { m[1] = 10 }),
		"TIME_WAIT":               answer(func(m []byte) { m[1] = 6 }),
		"no process":              answer(func(m []byte) { binary.NativeEndian.PutUint32(m[68:], 0) }),
		"another socket":          answer(func(m []byte) { m[5]++ }),
		"another peer":            answer(func(m []byte) { m[27]++ }),
		"cut short":               answer(nil)[:50],
		"nothing":                 nil,
	} {
		if uid, err := parseDiag(b, peer, local); err == nil {
			t.Errorf("%s: uid %d", name, uid)
		}
	}
}

func FuzzProcUID(f *testing.F) {
	f.Add(procTable)
	f.Add("x\n0: 0100007F:C001 0100007F:1504 01 a b c 1000 0 12")
	f.Fuzz(func(t *testing.T, table string) {
		uid, err := procUID(strings.NewReader(table), netip.MustParseAddrPort("127.0.0.1:49153"), netip.MustParseAddrPort("127.0.0.1:5380"))
		if err == nil && uid < 0 {
			t.Fatal("negative uid without an error")
		}
	})
}

func FuzzParseDiag(f *testing.F) {
	f.Add(diagRequest(netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = parseDiag(b, netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2"))
	})
}
