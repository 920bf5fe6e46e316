package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/detect/client"
	"holdfast/relay/server/realip"
	"holdfast/relay/token"
)

// proof is the part of a check that uploads to a private instance.
type proof struct {
	*report
	conf    *config
	issuers []token.Issuer
	timed   timed
	in      *instance
}

// The clients and addresses of the proof (the addresses are for documentation, RFC 5737).
const (
	desktopAgent = "gajim 1.7.3"
	mobileAgent  = "Conversations/2.12.1"
	otherAgent   = "robot client"
	homeAddr     = "192.0.2.10"
	awayAddr     = "198.51.100.20"
)

func from(agent, addr string) map[string]string {
	return map[string]string{"User-Agent": agent, "X-Forwarded-For": addr}
}

// expect uploads and says what was seen if it is not the status wanted.
func (p *proof) expect(ctx context.Context, want int, c token.Claims, is token.Issuer, header map[string]string) (answer, error) {
	a, err := p.in.upload(ctx, c, is, header)
	if err == nil && a.status != want {
		err = fmt.Errorf("an upload was answered with %s instead of %d", a, want)
	}
	return a, err
}

// schemes: every enabled scheme is accepted with every secret, its forgery refused.
func (p *proof) schemes(ctx context.Context) {
	for _, is := range p.issuers {
		if p.timed.added && len(is.Secrets) == 1 && string(is.Secrets[0]) == string(p.timed.issuer.Secrets[0]) {
			continue // ours, for the proof
		}
		for _, s := range is.Schemes {
			r, err := p.scheme(ctx, s, is)
			p.verdict("scheme "+string(s), r, err)
		}
	}
}

func (p *proof) scheme(ctx context.Context, s token.Scheme, is token.Issuer) (string, error) {
	var refused answer
	for i, sec := range is.Secrets {
		with := token.Issuer{Schemes: is.Schemes, Secrets: []token.Secret{sec}}
		c := p.in.claims(s, "check@example.org", p.in.now())
		sl, err := signed(p.conf, c, with)
		if err != nil {
			return "", err
		}
		if refused, err = p.in.put(ctx, forge(sl, s), checkBody, nil); err != nil {
			return "", err
		}
		if refused.status != http.StatusForbidden {
			return "", fmt.Errorf("a forged token was answered with %s instead of 403", refused)
		}
		a, err := p.in.put(ctx, sl, checkBody, nil)
		if err != nil {
			return "", err
		}
		if a.status != http.StatusCreated {
			return "", fmt.Errorf("a token of secret %d was answered with %s instead of 201", i+1, a)
		}
	}
	return fmt.Sprintf("a token of each secret (%d) is 201, with one letter changed it is %s", len(is.Secrets), refused), nil
}

// once: a slot takes one file, and the same again.
func (p *proof) once(ctx context.Context) {
	err := func() error {
		s, err := signed(p.conf, p.in.claims(p.timed.scheme, "once@example.org", p.in.now()), p.timed.issuer)
		if err != nil {
			return err
		}
		for _, step := range []struct {
			body string
			want int
		}{{checkBody, 201}, {checkBody, 201}, {strings.ToUpper(checkBody), 409}} {
			a, err := p.in.put(ctx, s, step.body, nil)
			if err != nil {
				return err
			}
			if a.status != step.want {
				return fmt.Errorf("%q was answered with %s instead of %d", step.body, a, step.want)
			}
		}
		return nil
	}()
	p.verdict("one file a slot", "first 201, the same bytes again 201, other bytes 409", err)
}

// clients: User-Agents fall into the right class.
func (p *proof) clients() {
	want := []struct {
		agent string
		kind  client.Kind
	}{
		{desktopAgent, client.Desktop},
		{"Dino/0.4.2 libsoup/3.2.3", client.Desktop},
		{mobileAgent, client.Mobile},
		{"Monal/6.4", client.Mobile},
		{otherAgent, client.Unknown},
	}
	var seen []string
	for _, w := range want {
		got := client.Parse(w.agent).Kind
		if got != w.kind {
			p.fail("clients", "%q is taken for %s instead of %s", w.agent, got, w.kind)
			return
		}
		seen = append(seen, fmt.Sprintf("%q %s", w.agent, got))
	}
	p.pass("clients", "%s", strings.Join(seen, ", "))
}

// windows: every grace window ends where it is configured to end.
func (p *proof) windows(ctx context.Context) {
	g := p.conf.Grace
	if !slices.IsSorted([]duration{g.Base, g.Mobile, g.Desktop, g.Restore, g.Ultra}) {
		return // said by grace
	}
	with := string(p.timed.scheme)
	if p.timed.added {
		with += ", added for this proof since no configured scheme has a time and an identity"
	}
	for _, w := range []struct {
		name, agent string
		length      duration
		prepare     func(ctx context.Context, user string, expires time.Time) error
	}{
		{"base", otherAgent, g.Base, nil},
		{"mobile", mobileAgent, g.Mobile, nil},
		{"desktop", desktopAgent, g.Desktop, nil},
		{"restore", desktopAgent, g.Restore, p.seenAfter},
		{"ultra", desktopAgent, g.Ultra, p.seenBefore},
	} {
		err := p.edge(ctx, w.name, w.agent, time.Duration(w.length), w.prepare)
		p.verdict("grace "+w.name, fmt.Sprintf("%q, %s late: 201; one second more: 403 (%s)", w.agent, w.length, with), err)
	}
}

// seenAfter makes user known by an upload after the other token's expiry, from the same address: not away, not moved.
func (p *proof) seenAfter(ctx context.Context, user string, expires time.Time) error {
	p.in.clock.Store(expires.Unix() + 1)
	_, err := p.expect(ctx, http.StatusCreated, p.in.claims(p.timed.scheme, user, p.in.now()), p.timed.issuer, from(desktopAgent, homeAddr))
	return err
}

// seenBefore makes user known by an upload before the other token's expiry: away since.
func (p *proof) seenBefore(ctx context.Context, user string, expires time.Time) error {
	p.in.clock.Store(expires.Unix() - 60)
	_, err := p.expect(ctx, http.StatusCreated, p.in.claims(p.timed.scheme, user, p.in.now()), p.timed.issuer, from(desktopAgent, homeAddr))
	return err
}

// edge uploads at the last second of a window and one second later. A scheme with a shortest window longer than the
// one proven cannot be told apart and is not.
func (p *proof) edge(ctx context.Context, name, agent string, length time.Duration, prepare func(context.Context, string, time.Time) error) error {
	start := p.in.now()
	defer p.in.clock.Store(start.Unix())
	for i, step := range []struct {
		late time.Duration
		want int
	}{{length, http.StatusCreated}, {length + time.Second, http.StatusForbidden}} {
		user := fmt.Sprintf("%s-%d@example.org", name, i)
		c := p.in.claims(p.timed.scheme, user, start)
		if prepare != nil {
			if err := prepare(ctx, user, c.Expires); err != nil {
				return err
			}
		}
		p.in.clock.Store(c.Expires.Add(step.late).Unix())
		if _, err := p.expect(ctx, step.want, c, p.timed.issuer, from(agent, homeAddr)); err != nil {
			return fmt.Errorf("%s late: %w", step.late, err)
		}
	}
	return nil
}

// address: who was here before may go on from elsewhere, who was not may not.
func (p *proof) address(ctx context.Context) {
	start := p.in.now()
	defer p.in.clock.Store(start.Unix())
	err := func() error {
		if err := p.seenAfter(ctx, "moved@example.org", start); err != nil {
			return err
		}
		a, err := p.expect(ctx, http.StatusCreated, p.in.claims(p.timed.scheme, "moved@example.org", p.in.now()), p.timed.issuer, from(desktopAgent, awayAddr))
		if err != nil {
			return err
		}
		if a.header.Get("X-Network-Switch-Detected") != "true" {
			return fmt.Errorf("the change from %s to %s was not seen", homeAddr, awayAddr)
		}
		return nil
	}()
	p.verdict("address change", fmt.Sprintf("an upload from %s goes on as %s: 201, X-Network-Switch-Detected: true", homeAddr, awayAddr), err)
	nets := realip.New(prefixes(p.conf.Server.TrustedProxies))
	for _, n := range p.conf.Server.TrustedProxies {
		h := http.Header{"X-Forwarded-For": {awayAddr}}
		if got := nets.Client(n.Addr(), h); got.String() != awayAddr {
			p.fail("trusted proxy", "X-Forwarded-For: %s from %s is taken for %s", awayAddr, n.Addr(), got)
			return
		}
	}
	said := fmt.Sprintf("X-Forwarded-For of a trusted proxy is used (%d configured)", len(p.conf.Server.TrustedProxies))
	if len(p.conf.Server.TrustedProxies) == 0 {
		said = "X-Forwarded-For of a trusted proxy is used; none is configured, so behind a reverse proxy no changed address would be seen"
	}
	p.verdict("trusted proxy", said, err)
}

// restart: sessions and files survive a stop.
func (p *proof) restart(ctx context.Context) {
	start := p.in.now()
	defer p.in.clock.Store(start.Unix())
	err := func() error {
		late := p.in.claims(p.timed.scheme, "kept@example.org", start)
		first := p.in.claims(p.timed.scheme, "kept@example.org", start)
		if _, err := p.expect(ctx, http.StatusCreated, first, p.timed.issuer, from(desktopAgent, homeAddr)); err != nil {
			return err
		}
		if err := p.in.shutdown(); err != nil {
			return err
		}
		if err := p.in.start(); err != nil {
			return err
		}
		p.in.clock.Store(late.Expires.Add(time.Duration(p.conf.Grace.Ultra)).Unix())
		if _, err := p.expect(ctx, http.StatusCreated, late, p.timed.issuer, from(desktopAgent, homeAddr)); err != nil {
			return fmt.Errorf("after a restart: %w", err)
		}
		p.in.clock.Store(start.Unix())
		_, err := p.expect(ctx, http.StatusCreated, first, p.timed.issuer, from(desktopAgent, homeAddr))
		return err
	}()
	p.verdict("restart", "a session and a file from before a restart are known after it", err)
}

// untrusted: what a client says of its own address counts for nothing.
func (p *proof) untrusted(ctx context.Context) {
	err := func() error {
		for _, addr := range []string{homeAddr, awayAddr} {
			a, err := p.expect(ctx, http.StatusCreated, p.in.claims(p.timed.scheme, "liar@example.org", p.in.now()), p.timed.issuer, from(desktopAgent, addr))
			if err != nil {
				return err
			}
			if a.header.Get("X-Network-Switch-Detected") != "" {
				return fmt.Errorf("X-Forwarded-For: %s was believed", addr)
			}
		}
		return nil
	}()
	for _, n := range p.conf.Server.TrustedProxies {
		if n.Bits() == 0 {
			err = fmt.Errorf("trusted_proxies holds %s: every client would be believed", n)
		}
	}
	outside := netip.MustParseAddr("203.0.113.77")
	if got := realip.New(prefixes(p.conf.Server.TrustedProxies)).Client(outside, http.Header{"X-Forwarded-For": {awayAddr}}); err == nil && got != outside {
		err = fmt.Errorf("X-Forwarded-For from %s is believed", outside)
	}
	p.verdict("untrusted proxy", "X-Forwarded-For from anywhere else changes nothing", err)
}

// resume: an upload of which a part has come goes on after a restart, by the slot's own URL.
func (p *proof) resume(ctx context.Context) {
	err := func() error {
		s, err := signed(p.conf, p.in.claims(p.timed.scheme, "cut@example.org", p.in.now()), p.timed.issuer)
		if err != nil {
			return err
		}
		first, rest := checkBody[:3], checkBody[3:]
		header := map[string]string{
			"Holdfast-Upload": rand.Text()[:22], "Upload-Length": strconv.Itoa(len(checkBody)), "Holdfast-Slot-Type": "text/plain",
			"Content-Type": "application/partial-upload", "Upload-Offset": "0", "Upload-Complete": "?0", "User-Agent": desktopAgent,
		}
		a, err := p.in.send(ctx, http.MethodPatch, s, first, header)
		if err != nil {
			return err
		}
		if a.status != http.StatusNoContent {
			return fmt.Errorf("the first part was answered with %s", a)
		}
		if err := p.in.shutdown(); err != nil {
			return err
		}
		if err := p.in.start(); err != nil {
			return err
		}
		if a, err = p.in.send(ctx, http.MethodHead, s, "", header); err != nil {
			return err
		}
		if got := a.header.Get("Upload-Offset"); got != strconv.Itoa(len(first)) {
			return fmt.Errorf("after a restart %q of %d bytes are known (%s)", got, len(first), a)
		}
		header["Upload-Offset"], header["Upload-Complete"] = strconv.Itoa(len(first)), "?1"
		if a, err = p.in.send(ctx, http.MethodPatch, s, rest, header); err != nil {
			return err
		}
		if a.status != http.StatusCreated {
			return fmt.Errorf("the last part was answered with %s", a)
		}
		return nil
	}()
	p.verdict("resume", fmt.Sprintf("an upload cut after %d of %d bytes goes on after a restart: 204, then 201", 3, len(checkBody)), err)
}
