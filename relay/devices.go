package relay

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/relay/credential"
	"holdfast/relay/enrol"
)

// Devices keeps this person's devices at upload servers that know devices (docs/devices.md). A host is named with its port
// when that is not 443. ErrNoKey: there is none at host. Each call may take as long as ctx allows. relay/credential implements it.
type Devices interface {
	Device(ctx context.Context, host string) (Device, error)
	KeepDevice(ctx context.Context, host string, d Device) error
}

// Device is a key of this person's, and what a server gave for it.
type Device = credential.Device

const (
	enrolLimit  = 30 * time.Second // for all questions of one enrolment
	enrolHold   = 1500 * time.Millisecond
	askAgain    = time.Hour       // a server that knew no devices
	troubleTime = 2 * time.Minute // after a keyring or a server had no answer
	renewEvery  = time.Hour
	renewLimit  = time.Minute
)

// devices is what the relay knows of servers and its own devices there, beside what is in the keyring.
type devices struct {
	mu     sync.Mutex // guards the following
	byHost map[string]*venue
	wg     sync.WaitGroup // enrolments in the background
}

// venue is one server.
type venue struct {
	server  enrol.Server // API empty: not known to have devices
	asked   time.Time    // when it was asked about devices
	trouble time.Time    // when the keyring or the server last had no answer
	busy    bool         // an enrolment or a renewal runs
	nonce   string       // of its last DPoP-Nonce
}

// with calls f with what is known of host, locked.
func (v *devices) with(host string, f func(*venue)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.byHost == nil {
		v.byHost = map[string]*venue{}
	}
	at := v.byHost[host]
	if at == nil {
		at = &venue{}
		v.byHost[host] = at
	}
	f(at)
}

func (v *devices) nonce(host string) (n string) {
	v.with(host, func(at *venue) { n = at.nonce })
	return n
}

// learn notes the nonce that an answer names.
func (v *devices) learn(host string, h http.Header) (news bool) {
	n := h.Get("DPoP-Nonce")
	if n == "" || len(n) > 1024 {
		return false
	}
	v.with(host, func(at *venue) { news, at.nonce = at.nonce != n, n })
	return news
}

// asker sends the questions of package enrol.
func (r *Relay) asker() enrol.Client {
	return enrol.Client{Do: r.up.roundTrip, Now: time.Now}
}

// Asker sends the questions of package enrol without a running relay, by the person's own proxies but never through the relay
// at listen. The caller calls done.
func Asker(roots *x509.CertPool, listen string) (ask enrol.Client, done func()) {
	self, _ := netip.ParseAddrPort(listen)
	up := newUpstream(Config{Roots: roots, Log: slog.New(slog.DiscardHandler)}, func(a netip.AddrPort) bool { return a == self })
	return enrol.Client{Do: up.roundTrip, Now: time.Now}, up.close
}

// enrol takes a fresh slot that passes through as proof of who this person is, if the server knows devices and has none of
// this person's yet. It returns at once; until the channel is closed the upload should not end, since a slot that was used
// proves nothing. nil: nothing is asked. ctx is that of Serve.
func (r *Relay) enrol(ctx context.Context, u *url.URL, h http.Header, size int64) <-chan struct{} {
	if r.c.Devices == nil || u.Scheme != "https" || h.Get("Dpop") != "" {
		return nil
	}
	p := readPermit(u, h)
	if p.user == "" || p.expires.IsZero() || !time.Now().Before(p.expires) {
		return nil
	}
	now, host := time.Now(), u.Host
	begin := false
	r.devices.with(host, func(at *venue) {
		begin = !at.busy && now.Sub(at.trouble) > troubleTime && (at.server.API != "" || now.Sub(at.asked) > askAgain)
		at.busy = at.busy || begin
	})
	if !begin {
		return nil
	}
	slot := enrol.Slot{URL: u.String(), Size: size, Type: h.Get("Content-Type"), Authorization: h.Get("Authorization")}
	done := make(chan struct{})
	r.devices.wg.Go(func() {
		defer close(done)
		defer r.devices.with(host, func(at *venue) { at.busy = false })
		ctx, cancel := context.WithTimeout(ctx, enrolLimit)
		defer cancel()
		if err := r.enrolBySlot(ctx, host, p.user, slot); err != nil && ctx.Err() == nil {
			r.c.Log.Debug("no device enrolled", "host", host, "error", err)
			refused, _ := errors.AsType[*enrol.Refused](err)
			if !errors.Is(err, enrol.ErrUnknown) && (refused == nil || refused.Code != "slot-not-proof") { // the next slot may do
				r.devices.with(host, func(at *venue) { at.trouble = time.Now() })
			}
		}
	})
	return done
}

func (r *Relay) enrolBySlot(ctx context.Context, host, user string, slot enrol.Slot) error {
	server, err := r.discover(ctx, host)
	if err != nil {
		return err
	}
	dev, err := r.device(ctx, host)
	switch {
	case errors.Is(err, ErrNoKey):
		// The key is kept before anybody hears of it: a device that nobody has the key of could only be revoked.
		dev = credential.NewDevice()
		dev.API = server.API
		if err := r.c.Devices.KeepDevice(ctx, host, dev); err != nil {
			return err
		}
		r.c.Log.Info("device key made", "host", host)
	case err != nil:
		return err
	default:
		if _, ok := dev.For(user); ok {
			return nil
		}
	}
	g, err := r.asker().BySlot(ctx, &server, dev.Key(), slot)
	if err != nil {
		return err
	}
	if err := r.keepGrant(ctx, host, dev, server, g); err != nil {
		return err
	}
	r.c.Log.Info("device enrolled", "host", host, "device", g.Device, "until", g.Expires.UTC().Format(time.RFC3339))
	return nil
}

// discover says where the endpoints of host are. ErrUnknown: it knows no devices.
func (r *Relay) discover(ctx context.Context, host string) (enrol.Server, error) {
	var known enrol.Server
	r.devices.with(host, func(at *venue) {
		known = at.server
		known.Nonce = at.nonce
	})
	if known.API != "" {
		return known, nil
	}
	s, err := r.asker().Discover(ctx, "https://"+host, r.known.of(host).api)
	if err == nil || errors.Is(err, enrol.ErrUnknown) {
		r.devices.with(host, func(at *venue) { at.server, at.asked = s, time.Now() })
	}
	return s, err
}

// device is the keyring's answer. What it does not want to be asked is not asked again for a while.
func (r *Relay) device(ctx context.Context, host string) (Device, error) {
	ctx, cancel := context.WithTimeout(ctx, keyLimit)
	defer cancel()
	return r.c.Devices.Device(ctx, host)
}

func (r *Relay) keepGrant(ctx context.Context, host string, dev Device, server enrol.Server, g enrol.Grant) error {
	dev.API = server.API
	dev = dev.With(credential.Grant{Who: g.Who, Device: g.Device, Token: []byte(g.Token), Issued: g.Issued, Expires: g.Expires})
	if err := r.c.Devices.KeepDevice(ctx, host, dev); err != nil {
		return err
	}
	r.devices.with(host, func(at *venue) { at.server, at.nonce = server, server.Nonce })
	r.notice(Notice{Kind: DeviceMade, Host: host})
	return nil
}

// renewDevices renews the tokens that have less than half of their life left: from time to time, and whenever the network
// changed or the machine woke up, since it may not be there for long.
func (r *Relay) renewDevices(ctx context.Context) {
	if r.c.Devices == nil {
		return
	}
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		changed := r.nextRefresh()
		for _, host := range r.hosts.Load().secureHosts() {
			if ctx.Err() == nil && r.isOnline() {
				r.renewAt(ctx, host)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-changed:
		}
	}
}

// renewAt renews what is due at one host.
func (r *Relay) renewAt(ctx context.Context, host string) {
	skip := false
	r.devices.with(host, func(at *venue) {
		skip = at.busy || time.Since(at.trouble) < troubleTime
		at.busy = at.busy || !skip
	})
	if skip {
		return
	}
	defer r.devices.with(host, func(at *venue) { at.busy = false })
	ctx, cancel := context.WithTimeout(ctx, renewLimit)
	defer cancel()
	dev, err := r.device(ctx, host)
	if err != nil {
		if !errors.Is(err, ErrNoKey) {
			r.devices.with(host, func(at *venue) { at.trouble = time.Now() })
		}
		return
	}
	for _, g := range slices.Clone(dev.Grants) {
		if !g.Revoked && due(g, time.Now()) {
			if dev, err = r.renewGrant(ctx, host, dev, g); err != nil {
				r.c.Log.Debug("device not renewed", "host", host, "device", g.Device, "error", err)
			}
		}
	}
}

// due says whether less than half of a token's life is left.
func due(g credential.Grant, now time.Time) bool {
	return g.Expires.Sub(now) < g.Expires.Sub(g.Issued)/2
}

// renewGrant gets a new token for g. One that the server has revoked is dropped.
func (r *Relay) renewGrant(ctx context.Context, host string, dev Device, g credential.Grant) (Device, error) {
	server := enrol.Server{Origin: "https://" + host, API: dev.API, Nonce: r.devices.nonce(host)}
	fresh, err := r.asker().Refresh(ctx, &server, dev.Key(), string(g.Token))
	switch {
	case errors.Is(err, enrol.ErrRevoked):
		r.dropGrant(ctx, host, dev, g)
		return dev.Without(g.Who), err
	case err != nil:
		return dev, err
	}
	if err := r.keepGrant(ctx, host, dev.Without(g.Who), server, fresh); err != nil {
		return dev, err
	}
	r.c.Log.Info("device renewed", "host", host, "device", fresh.Device, "until", fresh.Expires.UTC().Format(time.RFC3339))
	return r.c.Devices.Device(ctx, host)
}

// dropGrant forgets a token that the server takes no longer, and says so.
func (r *Relay) dropGrant(ctx context.Context, host string, dev Device, g credential.Grant) {
	r.c.Log.Warn("device was revoked by the server", "host", host, "device", g.Device)
	// The next slot must not enrol again by itself what an admin has just thrown out: there a person has to act.
	g.Token, g.Revoked = nil, true
	if err := r.c.Devices.KeepDevice(ctx, host, dev.With(g)); err != nil {
		r.c.Log.Debug("keyring does not take the change", "host", host, "error", err)
	}
	r.notice(Notice{Kind: DeviceRevoked, Host: host})
}

// secureHosts are the listed hosts as an https address names them.
func (l *hostList) secureHosts() []string {
	var out []string
	for hostport := range l.secure {
		out = append(out, strings.TrimSuffix(hostport, ":443"))
	}
	slices.Sort(out)
	return out
}
