package netlink

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"holdfast/cmd/lab"
	"holdfast/detect/network"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	inside = "HOLDFAST_TEST_NETLINK"
	nobody = "HOLDFAST_TEST_NETLINK_NOBODY"
)

// again runs one test of this program as another process and wants it to pass.
func again(t *testing.T, test, env string, attr *syscall.SysProcAttr) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+test+"$", "-test.v", "-test.count=1", "-test.timeout=60s")
	cmd.Env, cmd.Dir, cmd.SysProcAttr = append(os.Environ(), env+"=1"), "/", attr
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+test) {
		t.Errorf("%s: %v\n%s", test, err, out)
	}
}

func TestRoutesOfTheKernel(t *testing.T) {
	lab.NeedRoot(t)
	lab.Need(t, "ip", "iproute2")
	again(t, "TestInsideNamespace", inside, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS})
}

func TestNoPrivilegeIsNeeded(t *testing.T) {
	lab.NeedRoot(t)
	again(t, "TestAsNobody", nobody, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}})
}

func TestAsNobody(t *testing.T) {
	if os.Getenv(nobody) == "" {
		t.Skip("TestNoPrivilegeIsNeeded runs this one")
	}
	s, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Snapshot(t.Context()); err != nil {
		t.Error(err)
	}
	s.Close()
}

func TestRunEndsWithItsContext(t *testing.T) {
	s, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := s.Run(ctx, cancel); err != nil { // ends as soon as it listens
		t.Error(err)
	}
}

func TestInsideNamespace(t *testing.T) {
	if os.Getenv(inside) == "" {
		t.Skip("TestRoutesOfTheKernel runs this one")
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	ip := func(args string) {
		t.Helper()
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", args, err, out)
		}
	}
	for _, n := range []string{"0", "1"} {
		ip("link add eth" + n + " type veth peer name peer" + n)
		ip("link set peer" + n + " up")
		ip("link set eth" + n + " up")
		ip("addr add 10.91." + n + ".2/24 dev eth" + n)
	}
	s, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan network.Event, 16)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- network.Watch(ctx, s, network.Awake{}, func(e network.Event) { events <- e }) }()
	next := func(want string) network.Snapshot {
		t.Helper()
		select {
		case e := <-events:
			if got := e.Change.String(); got != want {
				t.Fatalf("event %s %v, want %s", got, e.Change.Words, want)
			}
			return e.Change.New
		case <-time.After(10 * time.Second):
			t.Fatalf("no event, want %s", want)
			return network.Snapshot{}
		}
	}
	none := func() {
		t.Helper()
		select {
		case e := <-events:
			t.Fatalf("event %s %v, want none", e.Change, e.Change.Words)
		case <-time.After(1500 * time.Millisecond):
		}
	}
	next("offline: no change")
	ip("route add default via 10.91.0.1 dev eth0 metric 100")
	snap := next(`offline -> Ethernet "eth0"`)
	if !snap.Online || snap.Gateway.String() != "10.91.0.1" || len(snap.Addrs) != 1 || snap.Addrs[0].String() != "10.91.0.2/24" {
		t.Errorf("snapshot %+v", snap)
	}
	ip("route add default via 10.91.1.1 dev eth1 metric 600") // worse: no change
	none()
	ip("link set peer0 down") // a pulled cable: the route stays, marked linkdown
	next(`Ethernet "eth0" -> Ethernet "eth1"`)
	ip("link set peer0 up")
	next(`Ethernet "eth1" -> Ethernet "eth0"`)
	ip("addr add 10.91.0.55/24 dev eth0")
	next(`Ethernet "eth0": new address`)
	ip("addr add fd00:1::1234/64 dev eth0") // no IPv6 default route yet: it leads nowhere
	none()
	ip("-6 route add default dev eth0 metric 100")
	next(`Ethernet "eth0": new address`)
	ip("addr add fd00:1::5678/64 dev eth0") // a privacy address of the same network
	none()
	unplug := tun(t, "tun0")
	ip("link set tun0 up")
	ip("addr add 10.92.0.1/32 dev tun0")
	next(`Ethernet "eth0": VPN "tun0" up`)
	ip("route add default dev tun0 metric 50")
	next(`Ethernet "eth0" -> VPN "tun0"`)
	unplug()
	next(`VPN "tun0" -> Ethernet "eth0"`)
	ip("link set eth0 down")
	next(`Ethernet "eth0" -> Ethernet "eth1"`)
	ip("link set eth1 down")
	next(`Ethernet "eth1" -> offline`)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// tun makes a VPN's device, which is there and has a carrier for as long as a program holds it.
func tun(t *testing.T, name string) (unplug func()) {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		t.Fatal(err)
	}
	return func() { _ = unix.Close(fd) }
}

func TestBestRoute(t *testing.T) {
	_, all, _ := net.ParseCIDR("0.0.0.0/0")
	_, lan, _ := net.ParseCIDR("192.0.2.0/24")
	gw := net.IPv4(192, 0, 2, 1)
	route := func(index, metric int, change func(*netlink.Route)) netlink.Route {
		r := netlink.Route{LinkIndex: index, Priority: metric, Gw: gw, Type: unix.RTN_UNICAST}
		if change != nil {
			change(&r)
		}
		return r
	}
	for _, tt := range []struct {
		name   string
		routes []netlink.Route
		want   int // link, 0: none
	}{
		{"none", nil, 0},
		{"the lower metric", []netlink.Route{route(2, 600, nil), route(3, 100, nil)}, 3},
		{"no default route", []netlink.Route{route(2, 0, func(r *netlink.Route) { r.Dst = lan })}, 0},
		{"a default route with a written destination", []netlink.Route{route(2, 0, func(r *netlink.Route) { r.Dst = all })}, 2},
		{"a cable that is pulled", []netlink.Route{route(2, 0, func(r *netlink.Route) { r.Flags = unix.RTNH_F_LINKDOWN }), route(3, 9, nil)}, 3},
		{"a route that refuses", []netlink.Route{route(1, 0, func(r *netlink.Route) { r.Type = unix.RTN_UNREACHABLE })}, 0},
		{"several ways at once", []netlink.Route{route(0, 0, func(r *netlink.Route) {
			r.MultiPath = []*netlink.NexthopInfo{{LinkIndex: 4, Gw: gw}}
		})}, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if r, ok := best(tt.routes); r.LinkIndex != tt.want || ok != (tt.want != 0) {
				t.Errorf("link %d (%v), want %d", r.LinkIndex, ok, tt.want)
			}
		})
	}
}

func TestANewsOfAWirelessDriverIsDropped(t *testing.T) {
	name := []byte{8, 0, unix.IFLA_IFNAME, 0, 'w', 'l', '0', 0}
	wireless := []byte{4, 0, unix.IFLA_WIRELESS, 0}
	for _, tt := range []struct {
		name  string
		kind  uint16
		attrs [][]byte
		want  bool
	}{
		{"a link that changed", unix.RTM_NEWLINK, [][]byte{name}, true},
		{"a scan", unix.RTM_NEWLINK, [][]byte{name, wireless}, false},
		{"a link that is gone", unix.RTM_DELLINK, [][]byte{name}, true},
		{"a new route", unix.RTM_NEWROUTE, nil, true},
		{"an attribute that claims to be longer than the message", unix.RTM_NEWLINK, [][]byte{{200, 0, 1, 0}, wireless}, true},
		{"an attribute without a length", unix.RTM_NEWLINK, [][]byte{{0, 0, 1, 0}, wireless}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data := append(make([]byte, unix.SizeofIfInfomsg), bytes.Join(tt.attrs, nil)...)
			if got := relevant(tt.kind, data); got != tt.want {
				t.Errorf("relevant %v, want %v", got, tt.want)
			}
		})
	}
}

func FuzzRelevant(f *testing.F) {
	f.Add(uint16(unix.RTM_NEWLINK), make([]byte, 40))
	f.Add(uint16(unix.RTM_NEWLINK), append(make([]byte, unix.SizeofIfInfomsg), 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)) // not padded
	f.Add(uint16(unix.RTM_NEWLINK), append(make([]byte, unix.SizeofIfInfomsg), 4, 0, unix.IFLA_WIRELESS, 0))
	f.Fuzz(func(t *testing.T, kind uint16, data []byte) {
		if !relevant(kind, data) && kind != unix.RTM_NEWLINK {
			t.Errorf("message %d was dropped", kind)
		}
	})
}
