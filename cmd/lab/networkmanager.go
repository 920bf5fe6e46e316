package lab

import (
	"sync"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"
)

// NetworkManager is a fake org.freedesktop.NetworkManager on a private bus: one primary connection at a time, or none.
// It has the properties that a watcher reads and sends the signals that the real one sends.
type NetworkManager struct {
	conn *dbus.Conn
	root *prop.Properties

	mu sync.Mutex // guards n
	n  int        // connections so far; each has paths of its own
}

// Names of NetworkManager's interfaces and of its root object.
const (
	nmName = "org.freedesktop.NetworkManager"
	nmRoot = dbus.ObjectPath("/org/freedesktop/NetworkManager")
)

// Wired and Wifi are types of connections as NetworkManager names them.
const (
	Wired = "802-3-ethernet"
	Wifi  = "802-11-wireless"
)

// FakeNetworkManager owns NetworkManager's name on the bus given, with no connection at first.
func FakeNetworkManager(tb TB, busAddress string) *NetworkManager {
	tb.Helper()
	conn, err := dbus.Connect(busAddress)
	if err != nil {
		tb.Fatalf("connect to the bus: %v", err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	nm := &NetworkManager{conn: conn}
	nm.root, err = prop.Export(conn, nmRoot, prop.Map{nmName: {
		"State":                 emit(uint32(20)),
		"Connectivity":          emit(uint32(1)),
		"Metered":               emit(uint32(4)),
		"PrimaryConnection":     emit(dbus.ObjectPath("/")),
		"PrimaryConnectionType": emit(""),
		"ActiveConnections":     emit([]dbus.ObjectPath{}),
		"NetworkingEnabled":     emit(true),
		"WirelessEnabled":       emit(true),
		"Version":               emit("1.42.4"),
	}})
	if err != nil {
		tb.Fatalf("export the fake NetworkManager: %v", err)
	}
	if _, err := conn.RequestName(nmName, dbus.NameFlagDoNotQueue); err != nil {
		tb.Fatalf("own %s: %v", nmName, err)
	}
	return nm
}

func emit(v any) *prop.Prop { return &prop.Prop{Value: v, Emit: prop.EmitTrue} }

// Connect makes a connection of the type (Wired, Wifi), name, interface and IPv4 address given the primary one.
func (nm *NetworkManager) Connect(kind, name, device, address, gateway string) error {
	nm.mu.Lock()
	nm.n++
	n := dbus.ObjectPath("/" + string(rune('0'+nm.n%10)))
	nm.mu.Unlock()
	ip4, dev, active := nmRoot+"/IP4Config"+n, nmRoot+"/Devices"+n, nmRoot+"/ActiveConnection"+n
	ap := dbus.ObjectPath("/")
	if kind == Wifi {
		ap = nmRoot + "/AccessPoint" + n
		if _, err := prop.Export(nm.conn, ap, prop.Map{nmName + ".AccessPoint": {"Ssid": emit([]byte(name)), "Strength": emit(uint8(70))}}); err != nil {
			return err
		}
	}
	objects := []struct {
		path  dbus.ObjectPath
		props prop.Map
	}{
		{ip4, prop.Map{nmName + ".IP4Config": {
			"AddressData": emit([]map[string]dbus.Variant{{"address": dbus.MakeVariant(address), "prefix": dbus.MakeVariant(uint32(24))}}),
			"Gateway":     emit(gateway),
		}}},
		{dev, prop.Map{nmName + ".Device": {"Interface": emit(device), "State": emit(uint32(100)), "Ip4Config": emit(ip4)}}},
		{active, prop.Map{nmName + ".Connection.Active": {
			"Id": emit(name), "Uuid": emit("uuid-" + name), "Type": emit(kind), "State": emit(uint32(2)), "Vpn": emit(false),
			"Default": emit(true), "Default6": emit(false),
			"Devices": emit([]dbus.ObjectPath{dev}), "SpecificObject": emit(ap),
			"Ip4Config": emit(ip4), "Ip6Config": emit(dbus.ObjectPath("/")),
		}}},
	}
	for _, o := range objects {
		if _, err := prop.Export(nm.conn, o.path, o.props); err != nil {
			return err
		}
	}
	return nm.become(70, 4, active, kind)
}

// Disconnect takes the primary connection away.
func (nm *NetworkManager) Disconnect() error { return nm.become(20, 1, "/", "") }

func (nm *NetworkManager) become(state, connectivity uint32, primary dbus.ObjectPath, kind string) error {
	active := []dbus.ObjectPath{}
	if primary != "/" {
		active = append(active, primary)
	}
	for _, p := range []struct {
		name  string
		value any
	}{
		{"ActiveConnections", active},
		{"PrimaryConnection", primary},
		{"PrimaryConnectionType", kind},
		{"Connectivity", connectivity},
		{"State", state},
	} {
		nm.root.SetMust(nmName, p.name, p.value)
	}
	return nm.conn.Emit(nmRoot, nmName+".StateChanged", state)
}
