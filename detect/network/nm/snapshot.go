package nm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"holdfast/detect/network"
)

// NMState, https://networkmanager.dev/docs/api/latest/nm-dbus-types.html#NMState.
const (
	stateDisconnecting = 30
	stateConnecting    = 40
	stateSite          = 60
)

// NMConnectivityState and NMMetered, same page.
const (
	connectivityPortal = 2
	meteredYes         = 1
	meteredGuessYes    = 3
)

// unknown is what is said while NetworkManager cannot be asked.
func unknown() network.Snapshot { return network.Snapshot{Online: true, Unknown: true} }

// Snapshot reads the state of NetworkManager whole.
func (s *Source) Snapshot(ctx context.Context) (network.Snapshot, error) {
	conn := s.current()
	if conn == nil || !conn.Connected() {
		return unknown(), nil
	}
	up, err := owned(ctx, conn)
	if err != nil {
		if errors.Is(err, dbus.ErrClosed) {
			return unknown(), nil
		}
		return network.Snapshot{}, fmt.Errorf("ask for NetworkManager: %w", err)
	}
	if !up {
		return unknown(), nil
	}
	r := reader{ctx: ctx, conn: conn}
	snap := r.snapshot()
	if r.err != nil {
		if serviceGone(r.err) {
			return unknown(), nil
		}
		return network.Snapshot{}, fmt.Errorf("read the state of NetworkManager: %w", r.err)
	}
	return snap, nil
}

// reader reads properties and keeps the first error that is not about an object that went away meanwhile.
type reader struct {
	ctx  context.Context
	conn *dbus.Conn
	err  error
}

func (r *reader) all(path dbus.ObjectPath, iface string) bag {
	if r.err != nil || path == "" || path == "/" {
		return nil
	}
	var b map[string]dbus.Variant
	err := r.conn.Object(name, path).CallWithContext(r.ctx, props+".GetAll", dbus.FlagNoAutoStart, iface).Store(&b)
	if err != nil && !objectGone(err) {
		r.err = err
	}
	return b
}

// bag is the properties of one object and interface.
type bag map[string]dbus.Variant

// get returns the property of that name, or the zero value if it is missing or of another type.
func get[T any](b bag, property string) T {
	v, _ := b[property].Value().(T)
	return v
}

func (r *reader) snapshot() network.Snapshot {
	m := r.all(root, name)
	state := get[uint32](m, "State")
	metered := get[uint32](m, "Metered")
	s := network.Snapshot{
		Online:   state >= stateSite,
		Portal:   state >= stateSite && get[uint32](m, "Connectivity") == connectivityPortal,
		Metered:  metered == meteredYes || metered == meteredGuessYes,
		Settling: state == stateConnecting || state == stateDisconnecting,
	}
	primary := get[dbus.ObjectPath](m, "PrimaryConnection")
	if a := r.all(primary, active); a != nil {
		typ := get[string](m, "PrimaryConnectionType")
		if typ == "" { // NetworkManager before 1.0
			typ = get[string](a, "Type")
		}
		s.Link = link(typ, get[bool](a, "Vpn"))
		s.Name, s.UUID = get[string](a, "Id"), get[string](a, "Uuid")
		if s.Link == network.WiFi {
			ssid := get[[]byte](r.all(get[dbus.ObjectPath](a, "SpecificObject"), wireless), "Ssid")
			if len(ssid) > 0 {
				s.Name = strings.ToValidUTF8(string(ssid), "\uFFFD")
			}
		}
		if d := get[[]dbus.ObjectPath](a, "Devices"); len(d) > 0 {
			s.Device = get[string](r.all(d[0], device), "Interface")
		}
		v4 := r.all(get[dbus.ObjectPath](a, "Ip4Config"), ip4)
		v6 := r.all(get[dbus.ObjectPath](a, "Ip6Config"), ip6)
		s.Addrs = prefixes(get[[]map[string]dbus.Variant](v4, "AddressData"), get[[]map[string]dbus.Variant](v6, "AddressData"))
		s.Gateway = gateway(get[string](v4, "Gateway"), get[string](v6, "Gateway"))
	}
	for _, p := range get[[]dbus.ObjectPath](m, "ActiveConnections") {
		if p == primary {
			continue
		}
		if a := r.all(p, active); link(get[string](a, "Type"), get[bool](a, "Vpn")) == network.VPN && activated(a) && !enslaved(a) {
			s.VPNs = append(s.VPNs, get[string](a, "Id"))
		}
	}
	slices.Sort(s.VPNs)
	return s
}

// activated says whether an active connection is up (NMActiveConnectionState 2).
func activated(a bag) bool { return get[uint32](a, "State") == 2 }

// enslaved says whether it is part of a bridge or bond: the "tun" devices of virtual machines are no VPN.
func enslaved(a bag) bool {
	master := get[dbus.ObjectPath](a, "Master")
	return master != "" && master != "/"
}

// link turns a connection type of NetworkManager into ours.
func link(typ string, vpn bool) network.Link {
	switch {
	case vpn:
		return network.VPN
	case typ == "":
		return network.NoLink
	}
	switch typ {
	case "802-11-wireless":
		return network.WiFi
	case "802-3-ethernet", "pppoe":
		return network.Ethernet
	case "gsm", "cdma", "bluetooth":
		return network.Mobile
	case "vpn", "wireguard", "tun", "ip-tunnel":
		return network.VPN
	}
	return network.Other
}

// prefixes reads AddressData (aa{sv}) of both families. IPv6 addresses are kept as their /64: privacy extensions
// (RFC 8981) change the rest about once a day, and that is no other network. Link-local ones are the same everywhere.
func prefixes(families ...[]map[string]dbus.Variant) []netip.Prefix {
	var out []netip.Prefix
	for _, data := range families {
		for _, d := range data {
			addr, err := netip.ParseAddr(get[string](d, "address"))
			bits := get[uint32](d, "prefix")
			if err != nil || bits > uint32(addr.BitLen()) {
				continue
			}
			p := netip.PrefixFrom(addr, int(bits))
			if addr.Is6() {
				if addr.IsLinkLocalUnicast() {
					continue
				}
				p = netip.PrefixFrom(addr, 64).Masked()
			}
			out = append(out, p)
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// gateway is the IPv4 gateway if there is one, else the IPv6 one.
func gateway(v4, v6 string) netip.Addr {
	if a, err := netip.ParseAddr(v4); err == nil {
		return a
	}
	a, _ := netip.ParseAddr(v6) // the zero Addr: no gateway
	return a
}

// objectGone: the object was there when its path was read, and is not any more.
func objectGone(err error) bool {
	var e dbus.Error
	return errors.As(err, &e) && (e.Name == "org.freedesktop.DBus.Error.UnknownObject" ||
		e.Name == "org.freedesktop.DBus.Error.UnknownMethod" || e.Name == "org.freedesktop.DBus.Error.UnknownInterface")
}

// serviceGone: NetworkManager left the bus while it was read, or the bus itself went.
func serviceGone(err error) bool {
	var e dbus.Error
	return errors.Is(err, dbus.ErrClosed) || errors.As(err, &e) &&
		(e.Name == "org.freedesktop.DBus.Error.ServiceUnknown" || e.Name == "org.freedesktop.DBus.Error.NameHasNoOwner" ||
			e.Name == "org.freedesktop.DBus.Error.NoReply")
}
