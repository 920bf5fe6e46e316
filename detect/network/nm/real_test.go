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

	"golang.org/x/sys/unix"

	"holdfast/cmd/lab"
	"holdfast/detect/network"
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
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestInsideNamespaces$", "-test.v", "-test.count=1", "-test.timeout=100s")
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
	w := startWatch(t, src)
	w.next("offline: no change", false)

	step := func(name string) { t.Logf("%s %s", time.Now().Format("05.000"), name) }
	up := func(c string) { r.run("nmcli", "-w", "10", "connection", "up", c) }

	step("the first network")
	up("wired0")
	c := w.next(`offline -> Ethernet "wired0"`, true)
	if c.New.Device != "eth0" || c.New.Gateway.String() != "10.90.0.1" || len(c.New.Addrs) != 1 || c.New.Addrs[0].String() != "10.90.0.2/24" {
		t.Errorf("snapshot %+v", c.New)
	}

	step("a second network of a worse metric is no change")
	up("wired1")
	w.none(2 * time.Second)

	step("the first goes, the second takes over")
	r.run("nmcli", "-w", "10", "connection", "down", "wired0")
	w.next(`Ethernet "wired0" -> Ethernet "wired1"`, true)

	step("the first comes back")
	up("wired0")
	w.next(`Ethernet "wired1" -> Ethernet "wired0"`, true)

	step("another address for the same connection")
	r.run("nmcli", "connection", "modify", "wired0", "ipv4.addresses", "10.90.0.77/24")
	r.run("nmcli", "device", "reapply", "eth0")
	w.next(`Ethernet "wired0": new address`, true)

	step("only the price")
	r.run("nmcli", "connection", "modify", "wired0", "connection.metered", "yes")
	r.run("nmcli", "device", "reapply", "eth0")
	w.next(`Ethernet "wired0": metered`, false)

	step("a pulled cable")
	r.run("ip", "link", "set", "peer0", "down")
	first := w.any()
	if !first.Material {
		t.Errorf("a pulled cable is not material: %s %v", first, first.Words)
	}
	for s := first.New; s.Name != "wired1"; { // NetworkManager takes some seconds to believe it
		s = w.any().New
	}

	step("NetworkManager stops and starts")
	r.must(r.nm.Close())
	w.next(`Ethernet "wired1" -> unknown`, true)
	r.start()
	if c := w.any(); c.Old.Unknown != true || c.New.Unknown {
		t.Errorf("event %s", c)
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
