// Package netlink reads the network from the kernel's routes, for machines without NetworkManager.
//
// It knows less than NetworkManager: the way to everywhere (default route), its interface, gateway and addresses,
// and which VPNs are up; no names of Wi-Fi networks, no captive portals, no price. It needs no privilege.
//
// # Invariants
//   - It only listens and reads; it sends no packet.
//   - Being online means having a default route over an interface with a carrier.
//   - The name of a connection is the name of its interface, so two Wi-Fi networks differ by addresses and gateway.
package netlink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"holdfast/detect/network"
)

// Source is the kernel's routing as a network.Source.
type Source struct {
	socket *nl.NetlinkSocket
	sys    string // /sys/class/net
}

var _ network.Source = (*Source)(nil)

// Open subscribes to changes of links, addresses and routes. Where AF_NETLINK is forbidden (RestrictAddressFamilies
// of a systemd unit) it fails. Run closes the Source; Close is for one that is never run.
func Open() (*Source, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("listen to the kernel's routes: %w", err)
	}
	return &Source{socket: s, sys: "/sys/class/net"}, nil
}

// Close ends a Source whose Run was never called.
func (s *Source) Close() { s.socket.Close() }

// Run listens until ctx ends.
func (s *Source) Run(ctx context.Context, notify func()) error {
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		s.socket.Close()
		close(stopped)
	})
	defer func() {
		if stop() {
			s.socket.Close()
			return
		}
		<-stopped
	}()
	notify()
	for {
		msgs, _, err := s.socket.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			notify() // more news than the kernel could keep; what they were does not matter
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("listen to the kernel's routes: %w", err)
		default:
			for _, m := range msgs {
				if relevant(m.Header.Type, m.Data) {
					notify()
					break
				}
			}
		}
	}
}

// relevant drops the news that a Wi-Fi driver sends about scans and roaming as if the link had changed.
func relevant(kind uint16, data []byte) bool {
	if kind != unix.RTM_NEWLINK || len(data) < unix.SizeofIfInfomsg {
		return true
	}
	// Attributes follow (rtnetlink(7)): length, type, value, padded to four bytes.
	for rest := data[unix.SizeofIfInfomsg:]; len(rest) >= unix.SizeofRtAttr; {
		n, typ := int(binary.NativeEndian.Uint16(rest)), binary.NativeEndian.Uint16(rest[2:])
		if typ == unix.IFLA_WIRELESS {
			return false
		}
		n = (n + 3) &^ 3
		if n < unix.SizeofRtAttr || n > len(rest) {
			return true
		}
		rest = rest[n:]
	}
	return true
}

// Snapshot reads the best default route and what belongs to it.
func (s *Source) Snapshot(context.Context) (network.Snapshot, error) {
	var snap network.Snapshot
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return network.Snapshot{}, fmt.Errorf("list network interfaces: %w", err)
	}
	byIndex := map[int]netlink.Link{}
	for _, l := range links {
		byIndex[l.Attrs().Index] = l
	}
	primary := -1
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return network.Snapshot{}, fmt.Errorf("list routes: %w", err)
		}
		r, ok := best(routes)
		l := byIndex[r.LinkIndex]
		if !ok || l == nil || l.Attrs().Flags&net.FlagUp == 0 {
			continue
		}
		if primary < 0 { // IPv4 decides where there are both
			primary = r.LinkIndex
			snap.Online, snap.Device, snap.Name = true, l.Attrs().Name, l.Attrs().Name
			snap.Link = s.kind(l)
			snap.Gateway, _ = netip.AddrFromSlice(r.Gw)
			snap.Gateway = snap.Gateway.Unmap()
		}
		addrs, err := netlink.AddrList(l, family)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return network.Snapshot{}, fmt.Errorf("list addresses: %w", err)
		}
		snap.Addrs = append(snap.Addrs, prefixes(addrs)...)
	}
	slices.SortFunc(snap.Addrs, netip.Prefix.Compare)
	snap.Addrs = slices.Compact(snap.Addrs)
	for i, l := range byIndex {
		if a := l.Attrs(); i != primary && a.Flags&net.FlagUp != 0 && a.MasterIndex == 0 && s.kind(l) == network.VPN && addressed(l) {
			snap.VPNs = append(snap.VPNs, a.Name)
		}
	}
	slices.Sort(snap.VPNs)
	return snap, nil
}

// best is the default route of the lowest metric that has a carrier.
func best(routes []netlink.Route) (netlink.Route, bool) {
	var out netlink.Route
	found := false
	for _, r := range routes {
		if !isDefault(r) || r.Flags&unix.RTNH_F_LINKDOWN != 0 || r.Flags&unix.RTNH_F_DEAD != 0 {
			continue
		}
		if r.Type != unix.RTN_UNICAST { // "unreachable default" is how some VPNs keep traffic in
			continue
		}
		if r.LinkIndex == 0 && len(r.MultiPath) > 0 {
			r.LinkIndex, r.Gw = r.MultiPath[0].LinkIndex, r.MultiPath[0].Gw
		}
		if !found || r.Priority < out.Priority {
			out, found = r, true
		}
	}
	return out, found
}

func isDefault(r netlink.Route) bool {
	if r.Dst == nil {
		return true
	}
	ones, _ := r.Dst.Mask.Size()
	return ones == 0 && r.Dst.IP.IsUnspecified()
}

// prefixes keeps IPv6 addresses as their /64 and leaves out link-local ones, as package nm does.
func prefixes(addrs []netlink.Addr) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range addrs {
		if a.IPNet == nil {
			continue
		}
		ip, ok := netip.AddrFromSlice(a.IP)
		ones, _ := a.Mask.Size()
		if !ok {
			continue
		}
		ip = ip.Unmap()
		switch {
		case ip.Is4():
			out = append(out, netip.PrefixFrom(ip, ones))
		case !ip.IsLinkLocalUnicast():
			out = append(out, netip.PrefixFrom(ip, 64).Masked())
		}
	}
	return out
}

// kind is what sort of link an interface is.
func (s *Source) kind(l netlink.Link) network.Link {
	name := l.Attrs().Name
	dir := filepath.Join(s.sys, name)
	if _, err := os.Stat(filepath.Join(dir, "phy80211")); err == nil {
		return network.WiFi
	}
	if b, err := os.ReadFile(filepath.Join(dir, "uevent")); err == nil && strings.Contains(string(b), "DEVTYPE=wwan") {
		return network.Mobile
	}
	switch l.Type() {
	case "tuntap", "tun", "wireguard", "ppp", "ipip", "sit", "gre", "xfrm", "vti":
		return network.VPN
	case "device", "veth":
		if l.Attrs().EncapType == "ether" {
			return network.Ethernet
		}
	}
	return network.Other
}

// addressed says whether an interface has an address that is not only link-local.
func addressed(l netlink.Link) bool {
	addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
	return err == nil && len(prefixes(addrs)) > 0
}
