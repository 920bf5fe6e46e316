package nm

import (
	"maps"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"
)

// fake is a NetworkManager on a private bus, in as much as a Source reads it.
type fake struct {
	t    *testing.T
	conn *dbus.Conn

	mu      sync.Mutex // guards objects and values
	objects map[dbus.ObjectPath]*prop.Properties
	values  map[dbus.ObjectPath]map[string]any
}

// paths of the fake's objects
const (
	wifiActive  = root + "/ActiveConnection/1"
	wiredActive = root + "/ActiveConnection/2"
	vpnActive   = root + "/ActiveConnection/3"
	vmActive    = root + "/ActiveConnection/4"
	wifiDevice  = root + "/Devices/1"
	wiredDevice = root + "/Devices/2"
	wifi4       = root + "/IP4Config/1"
	wifi6       = root + "/IP6Config/1"
	wired4      = root + "/IP4Config/2"
	cafe        = root + "/AccessPoint/1"
	none        = dbus.ObjectPath("/")
)

// startFake puts a NetworkManager on the bus that is connected to the Wi-Fi "Home".
func startFake(t *testing.T, address string) *fake {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, conn: conn, objects: map[dbus.ObjectPath]*prop.Properties{}, values: map[dbus.ObjectPath]map[string]any{}}
	t.Cleanup(f.stop)
	f.export(root, name, map[string]any{
		"State": uint32(70), "Connectivity": uint32(4), "Metered": uint32(4),
		"PrimaryConnection": wifiActive, "PrimaryConnectionType": "802-11-wireless",
		"ActiveConnections": []dbus.ObjectPath{wifiActive},
	})
	f.export(wifiActive, active, activeProps("Home network", "u-home", "802-11-wireless", wifiDevice, wifi4, wifi6, cafe))
	f.export(wiredActive, active, activeProps("wired0", "u-wired", "802-3-ethernet", wiredDevice, wired4, none, none))
	vpn := activeProps("work", "u-work", "vpn", wifiDevice, none, none, none)
	vpn["Vpn"] = true
	f.export(vpnActive, active, vpn)
	vm := activeProps("vnet0", "u-vm", "tun", none, none, none, none)
	vm["Master"] = wiredDevice
	f.export(vmActive, active, vm)
	f.export(wifiDevice, device, map[string]any{"Interface": "wlan0", "State": uint32(100)})
	f.export(wiredDevice, device, map[string]any{"Interface": "eth0", "State": uint32(100)})
	f.export(cafe, wireless, map[string]any{"Ssid": []byte("Home"), "Strength": byte(70), "LastSeen": int32(1)})
	f.export(wifi4, ip4, map[string]any{"AddressData": addresses("192.0.2.10", uint32(24)), "Gateway": "192.0.2.1"})
	f.export(wifi6, ip6, map[string]any{
		"AddressData": addresses("2001:db8:1::abcd", uint32(64), "2001:db8:1::1234", uint32(128), "fe80::1", uint32(64)),
		"Gateway":     "fe80::1",
	})
	f.export(wired4, ip4, map[string]any{"AddressData": addresses("198.51.100.7", uint32(24)), "Gateway": "198.51.100.1"})
	r, err := conn.RequestName(name, dbus.NameFlagDoNotQueue)
	if err != nil || r != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("own %s: %v %v", name, r, err)
	}
	return f
}

func activeProps(id, uuid, typ string, dev, v4, v6, specific dbus.ObjectPath) map[string]any {
	devices := []dbus.ObjectPath{}
	if dev != none {
		devices = append(devices, dev)
	}
	return map[string]any{
		"Id": id, "Uuid": uuid, "Type": typ, "State": uint32(2), "Vpn": false, "Devices": devices,
		"Ip4Config": v4, "Ip6Config": v6, "SpecificObject": specific, "Master": none,
	}
}

// addresses makes an AddressData from address, prefix, address, prefix...
func addresses(pairs ...any) []map[string]dbus.Variant {
	out := []map[string]dbus.Variant{}
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, map[string]dbus.Variant{"address": dbus.MakeVariant(pairs[i]), "prefix": dbus.MakeVariant(pairs[i+1])})
	}
	return out
}

func (f *fake) export(path dbus.ObjectPath, iface string, values map[string]any) {
	f.t.Helper()
	m := map[string]*prop.Prop{}
	for k, v := range values {
		m[k] = &prop.Prop{Value: v, Emit: prop.EmitTrue}
	}
	p, err := prop.Export(f.conn, path, prop.Map{iface: m})
	if err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	f.objects[path], f.values[path] = p, values
	f.mu.Unlock()
}

// set changes a property and sends its signal.
func (f *fake) set(path dbus.ObjectPath, iface, property string, value any) {
	f.mu.Lock()
	p, values := f.objects[path], maps.Clone(f.values[path])
	f.mu.Unlock()
	if _, ok := value.([]map[string]dbus.Variant); ok {
		// prop writes new maps into the old ones while an answer may still be reading them.
		values[property] = value
		f.export(path, iface, values)
		changed := map[string]dbus.Variant{property: dbus.MakeVariant(value)}
		if err := f.conn.Emit(path, props+".PropertiesChanged", iface, changed, []string{}); err != nil {
			f.t.Error(err)
		}
		return
	}
	p.SetMust(iface, property, value)
}

// primary makes a connection the primary one, with the signals in the order in which NetworkManager sends them.
func (f *fake) primary(path dbus.ObjectPath, typ string) {
	f.set(root, name, "State", uint32(40))
	f.set(root, name, "ActiveConnections", []dbus.ObjectPath{path})
	f.set(root, name, "PrimaryConnection", path)
	f.set(root, name, "PrimaryConnectionType", typ)
	f.set(root, name, "State", uint32(70))
	if err := f.conn.Emit(root, name+".StateChanged", uint32(70)); err != nil {
		f.t.Error(err)
	}
}

func (f *fake) stop() { _ = f.conn.Close() }
