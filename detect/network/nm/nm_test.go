package nm

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"holdfast/cmd/lab"
	"holdfast/detect/network"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for something that must happen.
const patience = 15 * time.Second

// watch runs network.Watch over a source until the test ends.
type watch struct {
	t      *testing.T
	events chan network.Event
}

func startWatch(t *testing.T, src network.Source) *watch {
	t.Helper()
	w := &watch{t: t, events: make(chan network.Event, 64)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- network.Watch(ctx, src, network.Awake{}, func(e network.Event) { w.events <- e }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
	return w
}

// next waits for the next event and compares what it says.
func (w *watch) next(want string, material bool) network.Change {
	w.t.Helper()
	select {
	case e := <-w.events:
		if got := e.Change.String(); got != want || e.Change.Material != material {
			w.t.Fatalf("event %s (material %v), want %s (%v)\n%+v", got, e.Change.Material, want, material, e.Change)
		}
		return e.Change
	case <-time.After(patience):
		w.t.Fatalf("no event; want %s", want)
	}
	return network.Change{}
}

func open(t *testing.T, address string) *Source {
	t.Helper()
	s, err := Open(t.Context(), Options{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSnapshotReadsTheWholeState(t *testing.T) {
	address := lab.SystemBus(t)
	f := startFake(t, address)
	s := open(t, address)
	defer func() { _ = s.Close() }()
	wifi := network.Snapshot{
		Online: true, Link: network.WiFi, Name: "Home", UUID: "u-home", Device: "wlan0",
		Addrs:   []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24"), netip.MustParsePrefix("2001:db8:1::/64")},
		Gateway: netip.MustParseAddr("192.0.2.1"),
	}
	set := func(change func(*network.Snapshot)) network.Snapshot { s := wifi; change(&s); return s }
	for _, tt := range []struct {
		name string
		do   func()
		want network.Snapshot
	}{
		{"Wi-Fi", func() {}, wifi},
		{"an IPv6 privacy address is no other network", func() {
			f.set(wifi6, ip6, "AddressData", addresses("2001:db8:1::9999", uint32(64), "2001:db8:1::abcd", uint32(64)))
		}, wifi},
		{"a phone's hotspot is metered by guess", func() { f.set(root, name, "Metered", uint32(3)) },
			set(func(s *network.Snapshot) { s.Metered = true })},
		{"an Ethernet of a fixed price", func() {
			f.set(root, name, "Metered", uint32(2))
			f.primary(wiredActive, "802-3-ethernet")
		}, network.Snapshot{
			Online: true, Link: network.Ethernet, Name: "wired0", UUID: "u-wired", Device: "eth0",
			Addrs: []netip.Prefix{netip.MustParsePrefix("198.51.100.7/24")}, Gateway: netip.MustParseAddr("198.51.100.1"),
		}},
		{"a VPN counts, a virtual machine's device in a bridge and a VPN that is still connecting do not", func() {
			f.primary(wifiActive, "802-11-wireless")
			f.set(root, name, "ActiveConnections", []dbus.ObjectPath{vmActive, vpnActive, wifiActive})
		}, set(func(s *network.Snapshot) { s.VPNs = []string{"work"} })},
		{"a VPN that is still connecting does not count", func() { f.set(vpnActive, active, "State", uint32(1)) }, wifi},
		{"a captive portal", func() { f.set(root, name, "Connectivity", uint32(2)) },
			set(func(s *network.Snapshot) { s.Portal = true })},
		{"connected to the local network only is offline", func() { f.set(root, name, "State", uint32(50)) },
			set(func(s *network.Snapshot) { s.Online = false })},
		{"connecting is offline, and an outcome is to come", func() { f.set(root, name, "State", uint32(40)) },
			set(func(s *network.Snapshot) { s.Online, s.Settling = false, true })},
		{"networking is off", func() {
			f.set(root, name, "State", uint32(10))
			f.set(root, name, "PrimaryConnection", none)
			f.set(root, name, "ActiveConnections", []dbus.ObjectPath{})
		}, network.Snapshot{}},
		{"an object that went away meanwhile is left out", func() {
			f.set(root, name, "State", uint32(70))
			f.set(root, name, "Connectivity", uint32(4))
			f.set(root, name, "PrimaryConnection", root+"/ActiveConnection/99")
			f.set(root, name, "ActiveConnections", []dbus.ObjectPath{root + "/ActiveConnection/99"})
		}, network.Snapshot{Online: true}},
		{"NetworkManager is gone", f.stop, network.Snapshot{Online: true, Unknown: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.do()
			got, err := s.Snapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestWatchFollowsNetworkManager(t *testing.T) {
	t.Parallel()
	address := lab.SystemBus(t)
	f := startFake(t, address)
	w := startWatch(t, open(t, address))
	w.next(`offline -> Wi-Fi "Home"`, true)

	f.primary(wiredActive, "802-3-ethernet")
	w.next(`Wi-Fi "Home" -> Ethernet "wired0"`, true)

	f.set(wired4, ip4, "AddressData", addresses("198.51.100.99", uint32(24))) // the only signal of a new lease
	w.next(`Ethernet "wired0": new address`, true)

	f.set(root, name, "Connectivity", uint32(2))
	w.next(`Ethernet "wired0": captive portal`, true)
	f.set(root, name, "Connectivity", uint32(4))
	w.next(`Ethernet "wired0": captive portal passed`, true)

	f.set(root, name, "Metered", uint32(1))
	w.next(`Ethernet "wired0": metered`, false)

	f.stop()
	w.next(`Ethernet "wired0" -> unknown`, true)
	startFake(t, address)
	w.next(`unknown -> Wi-Fi "Home"`, true)
}

func TestSignalStrengthNeitherTellsNorDelaysAChange(t *testing.T) {
	t.Parallel()
	address := lab.SystemBus(t)
	f := startFake(t, address)
	s := open(t, address)
	notified := make(chan struct{}, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, func() { notified <- struct{}{} }) }()
	<-notified // it listens
	for i := range 100 {
		f.set(cafe, wireless, "Strength", byte(i))
		f.set(cafe, wireless, "LastSeen", int32(i))
	}
	f.set(wifi4, ip4, "Gateway", "192.0.2.254")
	select {
	case <-notified:
	case <-time.After(patience):
		t.Fatal("no notice of the new gateway")
	}
	if n := len(notified); n > 0 { // signals come in order, so those before would have been here
		t.Errorf("%d notices too many", n)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestOpenSaysWhatIsMissing(t *testing.T) {
	if _, err := Open(t.Context(), Options{Address: "unix:path=" + filepath.Join(t.TempDir(), "none")}); !errors.Is(err, ErrNoBus) {
		t.Errorf("without a bus: %v", err)
	}
	if _, err := Open(t.Context(), Options{Address: lab.SystemBus(t)}); !errors.Is(err, ErrNotRunning) {
		t.Errorf("without NetworkManager: %v", err)
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+filepath.Join(t.TempDir(), "none"))
	if _, err := Open(t.Context(), Options{}); !errors.Is(err, ErrNoBus) {
		t.Errorf("DBUS_SYSTEM_BUS_ADDRESS is not used: %v", err)
	}
}

func TestABusThatDoesNotAnswerIsGivenUp(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", socket) // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, Options{Address: "unix:path=" + socket}); !errors.Is(err, ErrNoBus) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestABusThatGoesAwayIsConnectedAgain(t *testing.T) {
	t.Parallel()
	daemon := lab.Need(t, "dbus-daemon", "dbus-daemon")
	dir := t.TempDir()
	config, socket := filepath.Join(dir, "bus.conf"), filepath.Join(dir, "bus")
	if err := os.WriteFile(config, []byte(`<busconfig><type>system</type><listen>unix:path=`+socket+`</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/></policy></busconfig>`), 0o600); err != nil {
		t.Fatal(err)
	}
	bus := startBus(t, daemon, config, socket)
	startFake(t, "unix:path="+socket)
	w := startWatch(t, open(t, "unix:path="+socket))
	w.next(`offline -> Wi-Fi "Home"`, true)
	bus()
	w.next(`Wi-Fi "Home" -> unknown`, true)
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	defer startBus(t, daemon, config, socket)()
	startFake(t, "unix:path="+socket)
	w.next(`unknown -> Wi-Fi "Home"`, true)
}

func TestRelevant(t *testing.T) {
	changed := func(iface string, props ...string) *dbus.Signal {
		m := map[string]dbus.Variant{}
		for _, p := range props {
			m[p] = dbus.MakeVariant(1)
		}
		return &dbus.Signal{Name: props1, Body: []any{iface, m, []string{}}}
	}
	for _, tt := range []struct {
		name string
		sig  *dbus.Signal
		want bool
	}{
		{"a new primary connection", changed(name, "PrimaryConnection", "WirelessEnabled"), true},
		{"a new lease", changed(ip4, "AddressData"), true},
		{"an invalidated gateway", &dbus.Signal{Name: props1, Body: []any{ip6, map[string]dbus.Variant{}, []string{"Gateway"}}}, true},
		{"NetworkManager's own signal", &dbus.Signal{Name: name + ".StateChanged", Body: []any{uint32(70)}}, true},
		{"NetworkManager came or went", &dbus.Signal{Name: busName + ".NameOwnerChanged"}, true},
		{"bytes received", changed(device+".Statistics", "RxBytes"), false},
		{"signal strength", changed(wireless, "Strength", "LastSeen"), false},
		{"a scan", changed(device+".Wireless", "LastScan", "AccessPoints"), false},
		{"a bit rate", changed(device+".Wireless", "Bitrate"), false},
		{"lease options", changed(name+".DHCP4Config", "Options"), false},
		{"a connection check", changed(name, "ConnectivityCheckAvailable"), false},
		{"a signal without a body", &dbus.Signal{Name: props1}, false},
		{"a signal of another shape", &dbus.Signal{Name: props1, Body: []any{1, 2, 3}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := relevant(tt.sig); got != tt.want {
				t.Errorf("relevant %v, want %v", got, tt.want)
			}
		})
	}
}

const props1 = props + ".PropertiesChanged"

func FuzzPrefixes(f *testing.F) {
	f.Add("192.0.2.1", uint32(24))
	f.Add("2001:db8::1%eth0", uint32(129))
	f.Add("::ffff:192.0.2.1", uint32(120))
	f.Fuzz(func(t *testing.T, address string, bits uint32) {
		for _, p := range prefixes(addresses(address, bits)) {
			if !p.IsValid() || p.Addr().Is6() && p.Bits() != 64 {
				t.Errorf("%q/%d became %v", address, bits, p)
			}
		}
		if g := gateway(address, ""); g.IsValid() && g.String() == "" {
			t.Errorf("gateway %q", address)
		}
	})
}
