package server

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"holdfast/relay/dpop"
	"holdfast/relay/jose"
	"holdfast/relay/server/admit"
	"holdfast/relay/server/device"
	"holdfast/relay/server/ledger"
	"holdfast/relay/token"
)

// This file is the endpoint where a device gets its access token: for a slot of its person, for a one-time code, or for an
// access token of before.

const tokenBody = 16 << 10 // bytes of a request at most

// issued is the answer.
type issued struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
	Device      string `json:"device"`
}

// refusedDevice carries what is known of a device along with the error that refused it.
type refusedDevice struct{ error }

func (e refusedDevice) Unwrap() error { return e.error }

// deviceToken answers an access token.
func (s *Server) deviceToken(w http.ResponseWriter, r *http.Request) error {
	set := s.set.Load()
	if s.enrolment(set) == device.Off {
		return ErrNotFound
	}
	dev, err := s.deviceFor(w, r, set)
	if err != nil {
		return refusedDevice{err}
	}
	at, err := s.devices.keys.Issue(device.Token{Device: dev.ID, Who: dev.Who, Key: dev.Key}, s.now())
	if err != nil {
		return refusedDevice{fmt.Errorf("%w: %w", ErrUnavailable, err)}
	}
	return reply(w, r, http.StatusOK, issued{at, "DPoP", int64(device.Life / time.Second), dev.ID})
}

// deviceFor finds or makes the device that asks.
func (s *Server) deviceFor(w http.ResponseWriter, r *http.Request, set *active) (ledger.Device, error) {
	var none ledger.Device
	if err := s.ledger.Health(); err != nil {
		return none, fmt.Errorf("%w: ledger: %w", ErrUnavailable, err)
	}
	p, err := s.proof(w, r, set, "")
	if err != nil {
		return none, err
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, tokenBody))
	if err != nil {
		return none, fmt.Errorf("%w: read the request: %w", ErrBadRequest, err)
	}
	o, err := jose.ParseObject(b)
	if err != nil {
		return none, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	n := 0
	for _, way := range []string{"slot", "code", "refresh"} {
		if o.Has(way) {
			n++
		}
	}
	if n != 1 {
		return none, fmt.Errorf("%w: one of slot, code and refresh is wanted", ErrBadRequest)
	}
	switch {
	case o.Has("refresh"):
		return s.renew(w, r, o, p)
	case o.Has("code"):
		return s.enrolByCode(r, o, p)
	}
	return s.enrolBySlot(r, set, o, p)
}

// enrolled translates what the ledger says of an enrolment, and tells the log.
func (s *Server) enrolled(by string, dev ledger.Device, left []ledger.Device, err error) (ledger.Device, error) {
	switch {
	case errors.Is(err, ledger.ErrSpent):
		return dev, fmt.Errorf("%w: %w", ErrProof, err)
	case errors.Is(err, ledger.ErrRevoked):
		return dev, fmt.Errorf("%w: %w", ErrRevoked, err)
	case errors.Is(err, ledger.ErrSlotSpent):
		return dev, fmt.Errorf("%w: %w", ErrNotProof, err)
	case errors.Is(err, ledger.ErrNoCode):
		return dev, fmt.Errorf("%w: %w", ErrCode, err)
	case err != nil:
		return dev, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	s.metrics.devices.WithLabelValues("enrolled").Inc()
	s.log.Info("device enrolled", append(deviceAttrs(dev), "by", by)...)
	for _, old := range left {
		s.metrics.devices.WithLabelValues("left").Inc()
		s.log.Info("device left for a newer one", deviceAttrs(old)...)
	}
	return dev, nil
}

// deviceAttrs are the facts of a device in a log line. The person is the head of a hash, as everywhere.
func deviceAttrs(d ledger.Device) []any {
	return []any{"device", d.ID, "owner", token.Owner(d.Who)[:8]}
}

func enrolmentOf(p dpop.Proof, until time.Time) ledger.Enrolment {
	return ledger.Enrolment{Key: p.Thumbprint, Proof: mark(p), Until: until}
}

// enrolByCode is for a code that an admin gave to a person.
func (s *Server) enrolByCode(r *http.Request, o jose.Object, p dpop.Proof) (ledger.Device, error) {
	text, ok := o.Text("code")
	if !ok {
		return ledger.Device{}, fmt.Errorf("%w: the code is no text", ErrBadRequest)
	}
	hash, ok := device.CodeHash(text)
	if !ok {
		return ledger.Device{}, fmt.Errorf("%w: it has another form", ErrCode)
	}
	dev, left, err := s.ledger.Devices().EnrolByCode(r.Context(), enrolmentOf(p, p.IssuedAt.Add(2*dpop.Window)), hash)
	return s.enrolled("code", dev, left, err)
}

// renew is for an access token of before.
func (s *Server) renew(w http.ResponseWriter, r *http.Request, o jose.Object, p dpop.Proof) (ledger.Device, error) {
	at, ok := o.Text("refresh")
	if !ok {
		return ledger.Device{}, fmt.Errorf("%w: the token is no text", ErrBadRequest)
	}
	t, err := s.devices.keys.VerifyRenewal(at, s.now())
	if err == nil && t.Key != p.Thumbprint {
		err = errors.New("the token is bound to another key")
	}
	if err != nil {
		challenge(w, "invalid_token")
		return ledger.Device{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	dev, err := s.use(r.Context(), w, t, p)
	if err != nil {
		return dev, err
	}
	s.metrics.devices.WithLabelValues("renewed").Inc()
	s.log.Debug("device renewed", deviceAttrs(dev)...)
	return dev, nil
}

// enrolBySlot is for a slot of the person: who has one can upload as that person, and could so from any device.
func (s *Server) enrolBySlot(r *http.Request, set *active, o jose.Object, p dpop.Proof) (ledger.Device, error) {
	if s.enrolment(set) != device.BySlot {
		return ledger.Device{}, fmt.Errorf("%w: a code is wanted", ErrNotProof)
	}
	sl, err := s.slotIn(o)
	if err != nil {
		return ledger.Device{}, err
	}
	u, err := s.verify(set, sl)
	if err != nil {
		return ledger.Device{}, fmt.Errorf("%w: %s", ErrNotProof, err.Error()) // the code is one for all
	}
	if err := s.proves(r, set, u); err != nil {
		return ledger.Device{}, err
	}
	c := u.claims
	until := c.Expires.Add(2 * dpop.Window)
	dev, left, err := s.ledger.Devices().Enrol(r.Context(), enrolmentOf(p, until), c.User,
		device.Mark("slot path", c.Path), device.Mark("slot mac", string(c.MAC[:])))
	return s.enrolled("slot", dev, left, err)
}

// proves checks that a slot whose credential is right says who asks, now, and was not used.
func (s *Server) proves(r *http.Request, set *active, u *upload) error {
	c := u.claims
	if (c.Scheme != token.JWT && c.Scheme != token.Bearer) || c.User == "" || c.Expires.IsZero() {
		return fmt.Errorf("%w: it has no time or no identity", ErrNotProof)
	}
	v := admit.Decide(c, admit.Peer{}, admit.History{}, set.Windows, u.began)
	if !v.OK || v.Window != admit.Fresh {
		return fmt.Errorf("%w: its time is over, or not yet", ErrNotProof)
	}
	if c.Scheme == token.Bearer {
		elsewhere, err := s.ledger.TokenUsedElsewhere(r.Context(), sha256.Sum256(c.MAC[:]), c.Path)
		if err != nil {
			return fmt.Errorf("%w: look up the token: %w", ErrUnavailable, err)
		}
		if elsewhere {
			return fmt.Errorf("%w: its token was used for another file", ErrNotProof)
		}
	}
	f, err := s.published(r, u)
	switch {
	case f != nil:
		return errors.Join(fmt.Errorf("%w: it was used", ErrNotProof), f.Close())
	case err != nil && refusalOf(err) != ErrUnavailable:
		return fmt.Errorf("%w: %s", ErrNotProof, err.Error())
	}
	return err
}

// slotIn is the slot that a request to the endpoint describes.
func (s *Server) slotIn(o jose.Object) (slot, error) {
	bad := fmt.Errorf("%w: a slot has url, size, type and authorization", ErrBadRequest)
	d, err := jose.ParseObject(o["slot"])
	if err != nil {
		return slot{}, bad
	}
	raw, ok1 := d.Text("url")
	size, ok2 := d.Integer("size")
	if !ok1 || !ok2 || size < 0 {
		return slot{}, bad
	}
	var text [2]string
	for i, name := range []string{"type", "authorization"} {
		var ok bool
		if text[i], ok = d.Text(name); !ok && d.Has(name) && string(d[name]) != "null" {
			return slot{}, bad
		}
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.User != nil || u.Fragment != "" || u.Path == "" {
		return slot{}, bad // the error would repeat the token
	}
	u.Scheme, u.Host = "", ""
	sl, err := s.slotNamed(u.RequestURI(), size, text[0])
	if err != nil {
		return slot{}, fmt.Errorf("%w: %s", ErrNotProof, err.Error())
	}
	sl.authorization = text[1]
	return sl, nil
}
