package diagnose

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/app/words"
)

const (
	// clockWarn is a difference that a slow answer cannot explain; from clockFail on upload permissions are too old, or not
	// valid yet.
	clockWarn = time.Minute
	clockFail = 10 * time.Minute
	// endsSoon is when a certificate that is still good is worth a word: automatic renewal should have happened.
	endsSoon = 7 * 24 * time.Hour
)

// judge collects checks.
type judge struct {
	f      Facts
	w      *words.Words
	say    words.Diagnose
	checks []Check
}

// Judge says what the facts mean. Things of the machine come before those of each upload server.
func Judge(f Facts, w *words.Words) Document {
	j := &judge{f: f, w: w, say: w.Diagnose}
	j.network()
	j.interfaces()
	j.routes()
	j.nameservers()
	j.relay()
	j.keyring()
	j.clients()
	if len(f.Hosts) == 0 {
		j.add(Check{Name: "host", Verdict: Fail}, j.say.NoHosts)
	}
	portal := false
	for i, h := range f.Hosts {
		if h.Bad != "" {
			j.checks = append(j.checks, Check{Name: "host", Host: h.Text, Verdict: Fail, Text: h.Bad})
			continue
		}
		portal = j.host(h, f.Found[i], portal) || portal
		j.trust(h)
	}
	d := Document{Schema: 1, OK: true, Checks: j.checks}
	for i := range d.Checks {
		d.Checks[i].OK = d.Checks[i].Verdict != Fail
		d.OK = d.OK && d.Checks[i].OK
	}
	return d
}

// add words a check.
func (j *judge) add(c Check, said words.Said, args ...any) {
	c.Text, c.Remedy = said.Text, said.Remedy
	if len(args) > 0 {
		c.Text = fmt.Sprintf(said.Text, args...)
	}
	j.checks = append(j.checks, c)
}

func (j *judge) pass(c Check, text string, args ...any) {
	c.Verdict = Pass
	j.add(c, words.Said{Text: text}, args...)
}

func (j *judge) network() {
	c := Check{Name: "network"}
	switch n := j.f.Network; {
	case n == nil && len(j.f.Routes) == 0, n != nil && !n.Online:
		c.Verdict = Fail
		j.add(c, j.say.NetworkNone)
	case n == nil:
	case n.Portal:
		c.Verdict = Fail
		j.add(c, j.say.NetworkPortal, n.Name)
	default:
		j.pass(c, j.say.NetworkOK, n.Line)
	}
}

func (j *judge) interfaces() {
	c := Check{Name: "interfaces"}
	if len(j.f.Interfaces) == 0 {
		c.Verdict = Warn // the upload server may be on this machine
		j.add(c, j.say.InterfacesNone)
		return
	}
	var lines []string
	for _, i := range j.f.Interfaces {
		line := i.Name
		var notes []string
		for _, a := range i.Addrs {
			notes = append(notes, a.String())
		}
		if slices.ContainsFunc(j.f.Routes, func(r Route) bool { return r.Interface == i.Name }) {
			notes = append(notes, j.say.HasDefault)
		}
		lines = append(lines, line+" ("+strings.Join(notes, ", ")+")")
	}
	j.pass(c, j.say.Interfaces, strings.Join(lines, "; "))
}

func (j *judge) routes() {
	for _, family := range []struct {
		six  bool
		name string
		word string
	}{{false, "ipv4", "IPv4"}, {true, "ipv6", "IPv6"}} {
		var lines, devices []string
		for _, r := range j.f.Routes {
			if r.IPv6 != family.six {
				continue
			}
			line := r.Interface
			if r.Gateway.IsValid() {
				line = fmt.Sprintf(j.say.Via, r.Interface, r.Gateway, r.Metric)
			}
			lines = append(lines, line)
			if !slices.Contains(devices, r.Interface) {
				devices = append(devices, r.Interface)
			}
		}
		c := Check{Name: "default-route", Family: family.name}
		switch {
		case len(lines) == 0:
		case len(devices) > 1 || len(lines) > 1:
			c.Verdict, c.Interface = Warn, devices[0]
			j.add(c, j.say.RoutesMany, family.word, strings.Join(lines, "; "), devices[0])
		default:
			c.Interface = devices[0]
			j.pass(c, j.say.RouteOne, family.word, lines[0])
		}
	}
	if len(j.f.Routes) == 0 && len(j.f.Interfaces) > 0 {
		j.add(Check{Name: "default-route", Verdict: Warn}, j.say.RouteNone)
	}
}

// nameservers says which of them do not answer. It is a failure only when a host then has no address.
func (j *judge) nameservers() {
	var dead []string
	for _, s := range j.f.Servers {
		if s.Err != nil && !errors.Is(s.Err, errUnknown) {
			dead = append(dead, fmt.Sprintf("%s (%s)", s.Addr, s.Err))
		}
	}
	bad := slices.ContainsFunc(j.f.Found, func(f Found) bool { return f.NameErr != nil })
	verdict := Warn
	if bad {
		verdict = Fail
	}
	var unknown []string
	for _, s := range j.f.Servers {
		if errors.Is(s.Err, errUnknown) {
			unknown = append(unknown, s.Addr.String())
		}
	}
	c := Check{Name: "dns", Verdict: verdict}
	switch {
	case len(names(j.f.Hosts)) == 0:
	case len(j.f.Servers) == 0:
		j.add(c, j.say.DNSNone)
	case len(dead) > 0:
		j.add(c, j.say.DNSDead, strings.Join(dead, ", "))
	case bad && len(unknown) > 0:
		j.add(c, j.say.DNSUnknown, strings.Join(unknown, ", "))
	case bad:
	default:
		var all []string
		for _, s := range j.f.Servers {
			all = append(all, s.Addr.String())
		}
		j.pass(Check{Name: "dns"}, j.say.DNSOK, strings.Join(all, ", "))
	}
}

func (j *judge) relay() {
	c := Check{Name: "relay"}
	switch {
	case !j.f.Running:
		c.Verdict = Fail
		j.add(c, j.say.RelayOff)
	case j.f.Relay != nil:
		c.Verdict = Fail
		j.add(c, j.say.RelayBad, j.f.Listen, j.f.Relay)
	default:
		j.pass(c, j.say.RelayOK, j.f.Listen)
	}
	if j.f.Running && j.f.Wanted != "" && j.f.Wanted != j.f.Listen {
		j.add(Check{Name: "relay-port", Verdict: Warn}, j.say.PortOther, j.f.Wanted, j.f.Listen)
	}
}

func (j *judge) keyring() {
	if j.f.Keyring == nil {
		return
	}
	c := Check{Name: "keyring", Verdict: Warn} // uploads work without it
	switch j.f.KeyringIs {
	case "ok":
		j.pass(c, j.say.KeyringOK)
	case "locked":
		j.add(c, j.say.KeyringLocked)
	default:
		j.add(c, j.say.KeyringBad)
	}
}

func (j *judge) clients() {
	for _, cl := range j.f.Clients {
		name := words.ClientName(cl.Kind)
		if cl.Version != "" {
			name += " " + cl.Version
		}
		c := Check{Name: "client", Client: cl.Kind}
		var said words.Said
		switch {
		case !cl.Running:
			j.pass(c, j.say.ClientIdle, name, cl.Install)
			continue
		case cl.State == "ready", cl.State == "protected":
			j.pass(c, j.say.ClientOK, name, cl.Install)
			continue
		case cl.State == "not-trusted":
			c.Name, said = "trust", j.say.ClientTrust
		case cl.State == "needs-restart", cl.State == "bypassed":
			said = j.say.ClientRestart
		default:
			c.Name, said = "route", j.say.ClientRoute
		}
		c.Verdict = Fail
		j.add(c, said, name, cl.Install)
	}
}

func (j *judge) trust(h Host) {
	for _, t := range j.f.Trust {
		if t.Host != h.Text {
			continue
		}
		c := Check{Name: "trust", Host: h.Text}
		if t.Installed {
			j.pass(c, j.say.TrustOK, h.Text)
			return
		}
		c.Verdict = Warn
		if slices.ContainsFunc(j.f.Clients, func(c Client) bool { return c.Running && c.State != "protected" && c.State != "ready" }) {
			c.Verdict = Fail // and its uploads do not come through
		}
		j.add(c, j.say.TrustBad, h.Text)
	}
}

// host judges one upload server. It says whether a captive portal was found, which is told once.
func (j *judge) host(h Host, f Found, portalTold bool) (portal bool) {
	c := Check{Name: "host", Host: h.Text}
	if f.NameErr != nil {
		c.Verdict = Fail
		j.add(c, j.say.HostName, h.Text)
		return false
	}
	m := f.Main
	// Somebody else's certificate, or none at all, and plain http leads away: the network answers instead of the server.
	portal = f.PlainTo != "" && (m.Err != nil || m.Cert != nil)
	if portal && !portalTold {
		j.add(Check{Name: "portal", Host: h.Text, Verdict: Fail}, j.say.PortalFound, f.PlainTo)
	}
	switch {
	case m.Err != nil:
		c.Verdict = Fail
		j.add(c, j.say.HostConnect, h.Text, m.Err)
	case m.Cert != nil:
		c.Verdict = Fail
		j.add(c, j.say.HostIdentity, h.Text, j.certificate(m))
	default:
		j.pass(c, j.say.HostOK, h.Text, strconv.FormatInt(m.Took.Milliseconds(), 10))
	}
	j.ways(h, f)
	if m.Err != nil {
		return portal
	}
	j.certificateOf(h, m)
	if !portal {
		j.answers(h, m)
	}
	if f.HasKey {
		j.pass(Check{Name: "token", Host: h.Text}, j.say.TokenKey, h.Text)
	} else if j.f.Token != nil {
		j.pass(Check{Name: "token", Host: h.Text}, j.say.TokenNone, h.Text)
	}
	return portal
}

// ways says which interfaces lead to the host, if the machine has several, or one that does not.
func (j *judge) ways(h Host, f Found) {
	for _, w := range f.Ways {
		family, word := "ipv4", "IPv4"
		if w.IPv6 {
			family, word = "ipv6", "IPv6"
		}
		c := Check{Name: "way", Host: h.Text, Interface: w.Interface, Family: family}
		if w.Err == nil {
			j.pass(c, j.say.WayOK, h.Text, w.Interface, word, strconv.FormatInt(w.Took.Milliseconds(), 10))
			continue
		}
		c.Verdict = Warn // the one that programs take was judged above
		j.add(c, j.say.WayBad, h.Text, w.Interface, word, w.Err)
	}
}

// certificate says in a few words why a certificate is not good.
func (j *judge) certificate(w Way) string {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](w.Cert); ok && invalid.Reason == x509.Expired {
		if w.NotAfter.Before(time.Now()) {
			return fmt.Sprintf(j.say.CertExpired, w.NotAfter.UTC().Format(time.DateOnly))
		}
		return j.say.CertEarly
	}
	if _, ok := errors.AsType[x509.HostnameError](w.Cert); ok {
		return j.say.CertName
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](w.Cert); ok {
		return fmt.Sprintf(j.say.CertUnknown, words.Plain(w.Issuer, 60))
	}
	return words.Plain(w.Cert.Error(), 200)
}

func (j *judge) certificateOf(h Host, w Way) {
	c := Check{Name: "certificate", Host: h.Text}
	left := time.Until(w.NotAfter)
	switch {
	case w.Cert != nil:
		c.Verdict = Fail
		said := j.say.CertBad
		if w.Dated && w.Ahead.Abs() >= clockFail {
			said = j.say.CertClock
		}
		j.add(c, said, h.Text, j.certificate(w))
	case left < endsSoon:
		c.Verdict = Warn
		j.add(c, j.say.CertSoon, h.Text, w.NotAfter.UTC().Format(time.DateOnly))
	default:
		j.pass(c, j.say.CertOK, h.Text, w.NotAfter.UTC().Format(time.DateOnly))
	}
}

// answers judges /health and the clock.
func (j *judge) answers(h Host, w Way) {
	c := Check{Name: "health", Host: h.Text}
	switch {
	case w.Holdfast:
		j.pass(c, j.say.HealthOK, h.Text)
	case w.Status == 0:
		c.Verdict = Warn
		j.add(c, j.say.HealthNone, h.Text)
	case w.Status >= 500:
		c.Verdict = Fail
		j.add(c, j.say.HealthBad, h.Text, strconv.Itoa(w.Status))
	default:
		j.pass(c, j.say.HealthOther, h.Text, strconv.Itoa(w.Status))
	}
	if !w.Dated {
		return
	}
	c = Check{Name: "clock", Host: h.Text}
	off := w.Ahead.Abs()
	said := j.say.ClockAhead
	if w.Ahead < 0 {
		said = j.say.ClockBehind
	}
	switch {
	case off >= clockFail:
		c.Verdict = Fail
	case off >= clockWarn:
		c.Verdict = Warn
	default:
		j.pass(c, j.say.ClockOK, h.Text)
		return
	}
	j.add(c, said, j.w.Span(off), h.Text)
}
