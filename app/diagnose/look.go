package diagnose

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// checkTime is how long one look may take.
const checkTime = 8 * time.Second

// resolvConf is where the nameservers are listed (resolv.conf(5)).
const resolvConf = "/etc/resolv.conf"

// Look gathers the facts. It takes about as long as its slowest part, at most some 20 s.
func Look(ctx context.Context, q Question) Facts {
	f := Facts{Question: q, Found: make([]Found, len(q.Hosts))}
	f.Interfaces, f.Routes = kernel()
	var wg sync.WaitGroup
	wg.Go(func() { f.Relay = askRelay(ctx, q.Listen) })
	wg.Go(func() {
		if q.Keyring != nil {
			f.KeyringIs = q.Keyring(ctx)
		}
	})
	wg.Go(func() { f.Servers = askServers(ctx, names(q.Hosts)) })
	for i, h := range q.Hosts {
		if h.Bad != "" {
			continue
		}
		wg.Go(func() { f.Found[i] = find(ctx, h, q, f.Routes) })
	}
	wg.Wait()
	return f
}

// names are the hosts that have to be resolved.
func names(hosts []Host) (out []string) {
	for _, h := range hosts {
		_, err := netip.ParseAddr(h.Name)
		local := h.Name == "localhost" || strings.HasSuffix(h.Name, ".localhost") // RFC 6761: nobody is to be asked for it
		if h.Bad == "" && err != nil && !local {
			out = append(out, h.Name)
		}
	}
	return out
}

// kernel lists the interfaces that are up and have an address, and the default routes, best first.
func kernel() (interfaces []Interface, routes []Route) {
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, nil
	}
	name := map[int]string{}
	for _, l := range links {
		a := l.Attrs()
		name[a.Index] = a.Name
		if a.Flags&net.FlagUp == 0 || a.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			continue
		}
		one := Interface{Name: a.Name}
		for _, addr := range addrs {
			ip, ok := netip.AddrFromSlice(addr.IP)
			if ip = ip.Unmap(); !ok || ip.IsLinkLocalUnicast() {
				continue
			}
			ones, _ := addr.Mask.Size()
			one.Addrs = append(one.Addrs, netip.PrefixFrom(ip, ones))
		}
		if len(one.Addrs) > 0 {
			interfaces = append(interfaces, one)
		}
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			continue
		}
		var found []Route
		for _, r := range list {
			if r.Type != unix.RTN_UNICAST || r.Flags&(unix.RTNH_F_LINKDOWN|unix.RTNH_F_DEAD) != 0 || !isDefault(r) {
				continue
			}
			if r.LinkIndex == 0 && len(r.MultiPath) > 0 {
				r.LinkIndex, r.Gw = r.MultiPath[0].LinkIndex, r.MultiPath[0].Gw
			}
			gw, _ := netip.AddrFromSlice(r.Gw) // none: a point-to-point link
			found = append(found, Route{Interface: name[r.LinkIndex], Gateway: gw.Unmap(), Metric: r.Priority, IPv6: family == netlink.FAMILY_V6})
		}
		slices.SortStableFunc(found, func(a, b Route) int { return a.Metric - b.Metric })
		routes = append(routes, found...)
	}
	return interfaces, routes
}

func isDefault(r netlink.Route) bool {
	if r.Dst == nil {
		return true
	}
	ones, _ := r.Dst.Mask.Size()
	return ones == 0 && r.Dst.IP.IsUnspecified()
}

// askRelay asks the relay itself, without a proxy, whether it lives.
func askRelay(ctx context.Context, listen string) error {
	if listen == "" {
		return errors.New("it has no port")
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listen+"/healthz", nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return plainError(err)
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// servers reads the nameservers of this machine.
func servers(path string) (out []netip.Addr) {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // read only
	for sc := bufio.NewScanner(f); sc.Scan(); {
		fields := strings.Fields(sc.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(fields[1]); err == nil && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// askServers asks each nameserver for the hosts. One that answers for any of them answers.
func askServers(ctx context.Context, hosts []string) []Nameserver {
	list := servers(resolvConf)
	out := make([]Nameserver, len(list))
	var wg sync.WaitGroup
	for i, addr := range list {
		out[i].Addr = addr
		if len(hosts) == 0 {
			continue
		}
		wg.Go(func() {
			for _, host := range hosts {
				if out[i].Err = askServer(ctx, addr, host); out[i].Err == nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return out
}

func askServer(ctx context.Context, server netip.Addr, host string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime/2)
	defer cancel()
	r := &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, netip.AddrPortFrom(server, 53).String())
	}}
	// A name of the hosts file would be answered without asking; the dot at the end leaves the search list out.
	_, err := r.LookupNS(ctx, strings.TrimSuffix(host, ".")+".")
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		if _, err = r.LookupNetIP(ctx, "ip", strings.TrimSuffix(host, ".")+"."); err == nil {
			return nil
		}
	}
	return plainError(err)
}

// find looks at one upload server.
func find(ctx context.Context, h Host, q Question, routes []Route) Found {
	var out Found
	port := h.Port
	if port == "" {
		port = "443"
	}
	if q.Token != nil {
		out.HasKey = q.Token(ctx, h)
	}
	rctx, cancel := context.WithTimeout(ctx, checkTime)
	out.Addrs, out.NameErr = net.DefaultResolver.LookupNetIP(rctx, "ip", h.Name)
	cancel()
	if out.NameErr != nil {
		return out
	}
	for i := range out.Addrs {
		out.Addrs[i] = out.Addrs[i].Unmap()
	}
	p := prober{host: h.Name, port: port, roots: q.Roots}
	var wg sync.WaitGroup
	wg.Go(func() { out.Main = p.probe(ctx, "", out.Addrs) })
	wg.Go(func() { out.PlainTo = p.plain(ctx) })
	type way struct {
		device string
		six    bool
	}
	var ways []way
	for _, six := range []bool{false, true} {
		if !slices.ContainsFunc(out.Addrs, func(a netip.Addr) bool { return a.Is6() == six && !a.IsLoopback() }) {
			continue
		}
		for _, r := range routes {
			if w := (way{r.Interface, six}); r.IPv6 == six && !slices.Contains(ways, w) {
				ways = append(ways, w)
			}
		}
	}
	out.Ways = make([]Way, len(ways))
	for i, w := range ways {
		wg.Go(func() {
			var addrs []netip.Addr
			for _, a := range out.Addrs {
				if a.Is6() == w.six {
					addrs = append(addrs, a)
				}
			}
			out.Ways[i] = p.probe(ctx, w.device, addrs)
			out.Ways[i].IPv6 = w.six
		})
	}
	wg.Wait()
	return out
}

// plainError takes off what a person does not need: the operation, and addresses of this machine.
func plainError(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.DeadlineExceeded) || os.IsTimeout(err) {
		return errTime
	}
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return errno
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return errUnknown
		}
		return errors.New(strings.TrimSpace(dns.Err[strings.LastIndex(dns.Err, ": ")+1:]))
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Errorf("%w", op.Err)
	}
	return err
}

var (
	errTime    = errors.New("no answer in time")
	errUnknown = errors.New("the name is not known")
)
