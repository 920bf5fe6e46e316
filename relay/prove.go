package relay

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"
	"time"

	"holdfast/relay/credential"
	"holdfast/relay/enrol"
)

// deviceSigner signs the requests of one upload with this person's device.
type deviceSigner struct {
	host  string
	dev   Device
	grant credential.Grant
	key   ed25519.PrivateKey
	tries int // answers in a row that want another proof
}

// maxProofTries is how often a proof may be refused in a row: once for a nonce, once for a clock, once for a token.
const maxProofTries = 3

// signByDevice lets this person's device sign all further requests of the upload, if the server has given it a token for the
// slot's user. A token that has ended is renewed first.
func (d *delivery) signByDevice(ctx context.Context) bool {
	if d.r.c.Devices == nil || d.url.Scheme != "https" || d.signing.device != nil || d.header.Get("Dpop") != "" {
		return false
	}
	user := readPermit(d.url, d.header).user
	if user == "" {
		return false
	}
	host := d.url.Host
	ctx, cancel := context.WithTimeout(ctx, 2*keyLimit)
	defer cancel()
	log := d.r.c.Log.With("upload", d.u.snap.ID, "host", host)
	dev, err := d.r.device(ctx, host)
	if err != nil {
		if !errors.Is(err, ErrNoKey) {
			d.signing.noKey = time.Now()
		}
		log.Debug("no device signs", "error", err)
		return false
	}
	g, ok := dev.For(user)
	if !ok || g.Revoked {
		log.Debug("no device signs", "error", "the server has none of this user's")
		return false
	}
	if !time.Now().Before(g.Expires) {
		if dev, err = d.r.renewGrant(ctx, host, dev, g); err != nil {
			log.Warn("device cannot be renewed", "device", g.Device, "error", err)
			return false
		}
		g, _ = dev.For(user)
	}
	d.signing.device = &deviceSigner{host: host, dev: dev, grant: g, key: dev.Key()}
	d.signing.at, d.signing.atSkew = time.Now(), d.signing.skew
	d.u.change(func(s *Upload) { s.Resigned++ })
	log.Info("requests are signed by this person's device", "device", g.Device)
	return true
}

// prove puts the device's token and a fresh proof on a request; the slot's own credential moves aside (WIRE: the slot stays
// as it is, and is checked as ever).
func (d *delivery) prove(req *http.Request) {
	s := d.signing.device
	if s == nil {
		return
	}
	proof, err := enrol.Proof(s.key, req.Method, req.URL, time.Now().Add(d.signing.skew), string(s.grant.Token), d.r.devices.nonce(s.host))
	if err != nil {
		d.r.c.Log.Warn("no proof made", "upload", d.u.snap.ID, "error", err)
		return
	}
	if slot := req.Header["Authorization"]; len(slot) > 0 {
		req.Header["Holdfast-Slot-Authorization"] = slot[:1]
	}
	req.Header.Set("Authorization", "DPoP "+string(s.grant.Token))
	req.Header.Set("DPoP", proof)
}

// proofRefused deals with an answer that is about the device's proof and not about the upload. True: the request is to be sent
// again at once, with another proof or without one.
func (d *delivery) proofRefused(ctx context.Context, a answer) bool {
	s := d.signing.device
	if s == nil || a.err != nil {
		return false
	}
	if a.status != http.StatusUnauthorized || !d.past.repeatable && a.begun {
		s.tries = 0
		return false
	}
	code := a.header.Get("Holdfast-Error")
	log := d.r.c.Log.With("upload", d.u.snap.ID, "host", s.host, "device", s.grant.Device)
	if s.tries++; s.tries > maxProofTries {
		return false
	}
	switch code {
	case "use-dpop-nonce": // the nonce has been learnt
		log.Debug("server wants its nonce in the proof")
		return a.header.Get("DPoP-Nonce") != ""
	case "invalid-dpop-proof":
		if (d.signing.skew - d.signing.atSkew).Abs() > time.Minute { // the clock has been learnt
			d.signing.atSkew = d.signing.skew
			log.Info("proof is made anew by the server's clock", "ahead", -d.signing.skew)
			return true
		}
		if s.tries > 1 {
			return false
		}
		// A token that the server no longer reads, for one.
		ctx, cancel := context.WithTimeout(ctx, 2*keyLimit)
		defer cancel()
		dev, err := d.r.renewGrant(ctx, s.host, s.dev, s.grant)
		if g, ok := dev.For(readPermit(d.url, d.header).user); err == nil && ok {
			s.dev, s.grant = dev, g
			return true
		}
		log.Warn("device cannot be renewed", "error", err)
	case "device-revoked":
		d.r.dropGrant(ctx, s.host, s.dev, s.grant)
		d.signing.device = nil
		// The secret of the server may still be at hand; without it the answer to the slot itself is what counts.
		d.signBySecret(ctx)
		return true
	}
	return false
}
