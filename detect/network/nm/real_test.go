package nm

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"holdfast/cmd/lab"
	"holdfast/detect/network"
	"holdfast/detect/network/netlink"
)

const inside = "HOLDFAST_TEST_NETWORKMANAGER"

// TestRealNetworkManager runs TestInsideNamespaces as the first process of its own network, mount and process
// namespaces: with it ends everything it started, and nothing of this machine's network is seen or touched.
func TestRealNetworkManager(t *testing.T) {
	lab.NeedRoot(t)
	lab.Need(t, "NetworkManager", "network-manager")
	lab.Need(t, "nmcli", "network-manager")
	lab.Need(t, "dbus-daemon", "dbus-daemon")
	lab.Need(t, "ip", "iproute2")
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestInsideNamespaces$", "-test.v", "-test.count=1", "-test.timeout=150s")
	cmd.Env = append(os.Environ(), inside+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestInsideNamespaces") {
		t.Errorf("inside: %v\n%s", err, out)
	}
}

// nmConfig keeps NetworkManager away from everything but the two Ethernets of this test.
const nmConfig = `[main]
plugins=keyfile
dns=none
rc-manager=unmanaged
no-auto-default=*
dhcp=internal
auth-polkit=false
configure-and-quit=no
systemd-resolved=false
[keyfile]
unmanaged-devices=interface-name:peer*
[connectivity]
enabled=false
[device]
match-device=interface-name:eth*
managed=1
`

// room is the place in which the real NetworkManager runs.
type room struct {
	t      *testing.T
	dir    string
	socket string
	nm     *lab.Process
	log    *os.File
}

func (r *room) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// run runs a command that has to work.
func (r *room) run(name string, args ...string) {
	r.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		r.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// enter hides the machine's NetworkManager, makes two cables and starts a bus.
func enter(t *testing.T, dir string) *room {
	r := &room{t: t, dir: dir, socket: filepath.Join(dir, "bus")}
	r.must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	r.must(unix.Mount("proc", "/proc", "proc", 0, ""))
	// A read-only /sys tells NetworkManager not to wait for udev, which does not know these devices.
	r.must(unix.Mount("sysfs", "/sys", "sysfs", unix.MS_RDONLY, ""))
	for _, d := range []string{"/run", "/var/lib/NetworkManager", "/etc/NetworkManager"} {
		r.must(unix.Mount("tmpfs", d, "tmpfs", 0, "size=8m"))
	}
	for _, d := range []string{"/run/NetworkManager", "/etc/NetworkManager/system-connections", "/etc/NetworkManager/conf.d"} {
		r.must(os.MkdirAll(d, 0o755))
	}
	r.must(os.WriteFile("/etc/NetworkManager/NetworkManager.conf", []byte(nmConfig), 0o600))
	r.run("ip", "link", "set", "lo", "up")
	for _, n := range []string{"0", "1"} {
		r.run("ip", "link", "add", "eth"+n, "type", "veth", "peer", "name", "peer"+n)
		r.run("ip", "link", "set", "peer"+n, "up")
	}
	config := filepath.Join(dir, "bus.conf")
	r.must(os.WriteFile(config, []byte(`<busconfig><type>system</type><listen>unix:path=`+r.socket+`</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/></policy></busconfig>`), 0o600))
	startBus(t, lab.Need(t, "dbus-daemon", "dbus-daemon"), config, r.socket)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+r.socket)
	return r
}

// start starts NetworkManager and returns when it answers nmcli.
func (r *room) start() {
	r.t.Helper()
	var err error
	if r.log == nil {
		r.log, err = os.Create(filepath.Join(r.dir, "nm.log"))
		r.must(err)
	}
	cmd := exec.Command("NetworkManager", "--no-daemon", "--config=/etc/NetworkManager/NetworkManager.conf")
	cmd.Stdout, cmd.Stderr = r.log, r.log
	r.nm, err = lab.Start(cmd)
	r.must(err)
	r.t.Cleanup(func() { _ = r.nm.Close() })
	for deadline := time.Now().Add(patience); ; {
		err := exec.Command("nmcli", "-t", "general", "status").Run()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("NetworkManager does not answer: %v", err)
		}
		<-time.After(50 * time.Millisecond)
	}
}

func TestInsideNamespaces(t *testing.T) {
	dir := os.Getenv(inside)
	if dir == "" {
		t.Skip("TestRealNetworkManager runs this one")
	}
	r := enter(t, dir)
	t.Cleanup(func() {
		if t.Failed() {
			if b, err := os.ReadFile(filepath.Join(dir, "nm.log")); err == nil {
				t.Logf("NetworkManager said:\n%s", b)
			}
		}
	})
	if _, err := Open(t.Context(), Options{}); !errors.Is(err, ErrNotRunning) {
		t.Fatalf("before it runs: %v", err)
	}
	r.start()
	for i, n := range []string{"0", "1"} {
		r.run("nmcli", "connection", "add", "type", "ethernet", "con-name", "wired"+n, "ifname", "eth"+n,
			"ipv4.method", "manual", "ipv4.addresses", "10.90."+n+".2/24", "ipv4.gateway", "10.90."+n+".1",
			"ipv4.route-metric", []string{"100", "200"}[i], "ipv6.method", "disabled", "connection.autoconnect", "no")
	}
	src, err := Open(t.Context(), Options{})
	r.must(err)
	routes, err := netlink.Open()
	r.must(err)
	w := startWatch(t, network.First(src, routes)) // as the companion does
	w.next("offline: no change", false)

	nmcli := func(args ...string) func() {
		return func() { r.run("nmcli", append([]string{"-w", "10"}, args...)...) }
	}
	cable := func(state string) func() { return func() { r.run("ip", "link", "set", "eth0", state) } }
	type told struct {
		Says     string
		Material bool
	}
	const (
		wired0, wired1, vpn = `Ethernet "wired0"`, `Ethernet "wired1"`, `VPN "vpn0"`
		yes, no             = true, false
	)
	for _, s := range []struct {
		name string
		do   []func()
		want []told
	}{
		{"the first network", []func(){nmcli("connection", "up", "wired0")}, []told{{"offline -> " + wired0, yes}}},
		{"a second one of a worse metric is no change", []func(){nmcli("connection", "up", "wired1")}, nil},
		{"the first goes, the second takes over", []func(){nmcli("connection", "down", "wired0")}, []told{{wired0 + " -> " + wired1, yes}}},
		{"the first comes back", []func(){nmcli("connection", "up", "wired0")}, []told{{wired1 + " -> " + wired0, yes}}},
		{"another address for the same connection", []func(){
			nmcli("connection", "modify", "wired0", "ipv4.addresses", "10.90.0.77/24"), nmcli("device", "reapply", "eth0"),
		}, []told{{wired0 + ": new address", yes}}},
		{"the interface goes down", []func(){cable("down")}, []told{{wired0 + ": gateway lost", yes}}},
		{"and up again, with its connection", []func(){cable("up"), nmcli("connection", "up", "wired0")}, []told{{wired0 + ": new gateway", yes}}},
		{"a VPN takes over", []func(){
			nmcli("connection", "add", "type", "tun", "con-name", "vpn0", "ifname", "tun0", "mode", "tun", "ipv4.method", "manual",
				"ipv4.addresses", "10.99.0.2/24", "ipv4.gateway", "10.99.0.1", "ipv4.route-metric", "50", "ipv6.method", "disabled",
				"connection.autoconnect", "no"),
			nmcli("connection", "up", "vpn0"),
		}, []told{{wired0 + " -> " + vpn, yes}}},
		{"the VPN goes", []func(){nmcli("connection", "down", "vpn0")}, []told{{vpn + " -> " + wired0, yes}}},
		{"only the price", []func(){
			nmcli("connection", "modify", "wired0", "connection.metered", "yes"), nmcli("device", "reapply", "eth0"),
		}, []told{{wired0 + ": metered", no}}},
		{"networking is switched off", []func(){nmcli("networking", "off")}, []told{{wired0 + " -> offline", yes}}},
		{"and on", []func(){nmcli("networking", "on"), nmcli("connection", "up", "wired0")}, []told{{"offline -> " + wired0, yes}}},
		{"NetworkManager stops, and the kernel's routes take over", []func(){func() { r.must(r.nm.Close()) }},
			[]told{{wired0 + ` -> Ethernet "eth0"`, yes}}},
		{"a change while it is stopped", []func(){func() {
			r.run("ip", "link", "set", "eth1", "up")
			r.run("ip", "address", "replace", "10.90.1.2/24", "dev", "eth1")
			r.run("ip", "route", "replace", "default", "via", "10.90.1.1", "dev", "eth1", "metric", "10")
		}}, []told{{`Ethernet "eth0" -> Ethernet "eth1"`, yes}}},
	} {
		t.Logf("%s %s", time.Now().Format("05.000"), s.name)
		for _, do := range s.do {
			do()
		}
		var got []told
		for _, c := range w.quiet(3 * time.Second) {
			got = append(got, told{c.String(), c.Material})
		}
		if d := cmp.Diff(s.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", s.name, d)
		}
	}

	r.start()
	if c := w.any(); c.New.UUID == "" {
		t.Errorf("NetworkManager is back, and the event says %s", c)
	}
}

// quiet collects events until none came for so long; longer than the watch ever settles.
func (w *watch) quiet(d time.Duration) (out []network.Change) {
	for {
		select {
		case e := <-w.events:
			w.t.Logf("event %s %v", e.Change, e.Change.Words)
			out = append(out, e.Change)
		case <-time.After(d):
			return out
		}
	}
}

// any waits for the next event, whatever it is.
func (w *watch) any() network.Change {
	w.t.Helper()
	select {
	case e := <-w.events:
		w.t.Logf("event %s %v", e.Change, e.Change.Words)
		return e.Change
	case <-time.After(patience):
		w.t.Fatal("no event")
		return network.Change{}
	}
}
