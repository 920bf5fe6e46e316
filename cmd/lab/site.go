package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// Site is a second network namespace, where servers live. Two links join it to this one. Unlike a Cutter it takes
// whole networks away: the address this side had is gone, and what the other side still sends there gets no answer.
type Site struct {
	holder *Process // the namespace lives as long as it does
	links  [2]link
}

// link is one network between here and the site, a /24 of its own.
type link struct {
	here, there     string // interface names
	hereIP, thereIP string
	joined          bool
}

// Link names one of the two networks of a Site.
type Link int

// The two networks. Both are virtual cables; the names are those of a notebook's interfaces.
const (
	WLAN Link = iota
	Ethernet
)

// nowhere is a hardware address that nobody has: frames for it are lost without a word.
const nowhere = "02:00:00:00:fe:fe"

// NewSite makes the namespace with the addresses given, which are reached over whichever link is joined.
// None is joined at first. It works only inside of Isolate, so that no interface of the machine is touched.
func NewSite(addresses ...string) (*Site, error) {
	if !Isolated() {
		return nil, errors.New("a site is made inside the namespaces of Isolate only")
	}
	cmd := exec.Command("sleep", "infinity")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	holder, err := Start(cmd)
	if err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	s := &Site{holder: holder, links: [2]link{
		WLAN:     {here: "wlan0", there: "site0", hereIP: "10.77.1.2", thereIP: "10.77.1.1"},
		Ethernet: {here: "eth0", there: "site1", hereIP: "10.77.2.2", thereIP: "10.77.2.1"},
	}}
	if err := s.build(addresses); err != nil {
		_ = holder.Close()
		return nil, err
	}
	return s, nil
}

func (s *Site) build(addresses []string) error {
	if err := s.there("link", "set", "lo", "up"); err != nil {
		return err
	}
	for _, a := range addresses {
		if err := s.there("address", "add", a+"/32", "dev", "lo"); err != nil {
			return err
		}
	}
	for i := range s.links {
		l := &s.links[i]
		if err := here("link", "add", l.here, "type", "veth", "peer", "name", l.there, "netns", strconv.Itoa(s.holder.PID())); err != nil {
			return err
		}
		if err := s.there("address", "add", l.thereIP+"/24", "dev", l.there); err != nil {
			return err
		}
		if err := s.there("link", "set", l.there, "up"); err != nil {
			return err
		}
		if err := here("link", "set", l.here, "up"); err != nil {
			return err
		}
	}
	return nil
}

// Join gives this side its address on a network and a default route over it.
func (s *Site) Join(on Link) error {
	l := &s.links[on]
	_ = s.there("neighbour", "del", l.hereIP, "dev", l.there) // not there the first time
	if err := here("address", "add", l.hereIP+"/24", "dev", l.here); err != nil {
		return err
	}
	l.joined = true
	return here("route", "add", "default", "via", l.thereIP, "dev", l.here)
}

// Joined says whether this side is on a network.
func (s *Site) Joined(on Link) bool { return s.links[on].joined }

// Leave takes a network away as roaming does: what is on the way there or back is lost silently, then the address
// is gone, and the default route with it. Nobody on either side is told by the network.
func (s *Site) Leave(on Link) error {
	l := &s.links[on]
	l.joined = false
	if err := s.there("neighbour", "replace", l.hereIP, "lladdr", nowhere, "nud", "permanent", "dev", l.there); err != nil {
		return err
	}
	if err := here("neighbour", "replace", l.thereIP, "lladdr", nowhere, "nud", "permanent", "dev", l.here); err != nil {
		return err
	}
	if err := here("address", "del", l.hereIP+"/24", "dev", l.here); err != nil {
		return err
	}
	return here("neighbour", "flush", "dev", l.here, "nud", "permanent")
}

// Limit sets the bytes per second towards the site over one link; 0 means no limit.
func (s *Site) Limit(on Link, bytesPerSecond int) error {
	dev := s.links[on].here
	if bytesPerSecond == 0 {
		return run("tc", "qdisc", "del", "dev", dev, "root")
	}
	return run("tc", "qdisc", "replace", "dev", dev, "root", "tbf", "rate", strconv.Itoa(bytesPerSecond*8)+"bit", "burst", "32kb", "latency", "100ms")
}

// Sent is how many bytes this side has sent over a link so far.
func (s *Site) Sent(on Link) (int64, error) {
	out, err := exec.Command("ip", "-json", "-statistics", "link", "show", "dev", s.links[on].here).Output()
	if err != nil {
		return 0, fmt.Errorf("read the counters of %s: %w", s.links[on].here, err)
	}
	var doc []struct {
		Stats64 struct {
			TX struct{ Bytes int64 }
		}
	}
	if err := json.Unmarshal(out, &doc); err != nil || len(doc) != 1 {
		return 0, fmt.Errorf("read the counters of %s: %w\n%s", s.links[on].here, err, out)
	}
	return doc[0].Stats64.TX.Bytes, nil
}

// Command is a program that will run at the site.
func (s *Site) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{fmt.Sprintf("--net=/proc/%d/ns/net", s.holder.PID()), "--", name}, args...)...)
}

// Close ends the namespace, once nothing runs there any more, and with it both links.
func (s *Site) Close() error {
	for _, l := range s.links {
		_ = here("link", "del", l.here) // its other end goes with it; the namespace may take a while
	}
	return s.holder.Close()
}

func (s *Site) there(args ...string) error { return output(s.Command("ip", args...)) }

func here(args ...string) error { return run("ip", args...) }

func run(name string, args ...string) error { return output(exec.Command(name, args...)) }

func output(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s (Debian package iproute2): %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}
