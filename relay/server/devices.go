package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"holdfast/relay/dpop"
	"holdfast/relay/server/device"
	"holdfast/relay/server/ledger"
	"holdfast/relay/token"
)

// This file is what a device can show with an upload (docs/devices.md). The slot stays as it is and is checked as ever; the
// proof is evidence for the grace table, of the same identity only. It is looked at where an upload is judged by time.

// slotAuthorization is where a request that shows a device has the Authorization of its slot.
const slotAuthorization = "Holdfast-Slot-Authorization"

// devices is what a server needs for the devices of people.
type devices struct {
	keys   *device.Keys
	nonces *device.Nonces
	origin string // scheme and host of the public URL
}

func newDevices(keys *device.Keys, publicURL string) (*devices, error) {
	if keys == nil {
		return nil, nil //nolint:nilnil // nil: none
	}
	u, err := url.Parse(publicURL)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return nil, fmt.Errorf("public URL %q is not one for devices", publicURL)
	}
	return &devices{keys: keys, nonces: device.NewNonces(), origin: u.Scheme + "://" + u.Host}, nil
}

// enrolment is how devices enrol now.
func (s *Server) enrolment(set *active) device.Enrol {
	if s.devices == nil || set.Enrol == "" {
		return device.Off
	}
	return set.Enrol
}

// resigns lists the ways in which a late slot can be signed anew here.
func (s *Server) resigns() []string {
	if s.enrolment(s.set.Load()) == device.Off {
		return []string{}
	}
	return []string{"dpop"}
}

// accessToken is the one in an Authorization header.
func accessToken(authorization string) (string, bool) {
	name, value, ok := strings.Cut(authorization, " ")
	return value, ok && strings.EqualFold(name, "DPoP")
}

// proven reports whether a device of the slot's identity shows that it sends this request. A slot without an identity has no
// device, and the proof does not count.
func (s *Server) proven(w http.ResponseWriter, r *http.Request, set *active, u *upload) (bool, error) {
	at, ok := accessToken(r.Header.Get("Authorization"))
	if !ok || u.claims.Owner == "" || s.enrolment(set) == device.Off {
		return false, nil
	}
	now := s.now()
	t, err := s.devices.keys.Verify(at, now)
	if err != nil {
		challenge(w, "invalid_token")
		return false, s.unproven(fmt.Errorf("%w: %w", ErrProof, err))
	}
	p, err := s.proof(w, r, set, at)
	if err != nil {
		return false, s.unproven(err)
	}
	if p.Thumbprint != t.Key {
		challenge(w, "invalid_token")
		return false, s.unproven(fmt.Errorf("%w: the token is bound to another key", ErrProof))
	}
	if token.Owner(t.Who) != u.claims.Owner {
		return false, s.unproven(ErrOtherUser)
	}
	if _, err := s.use(r.Context(), w, t, p); err != nil {
		return false, s.unproven(err)
	}
	s.metrics.proofs.WithLabelValues("good").Inc()
	return true, nil
}

// unproven counts a proof that was refused.
func (s *Server) unproven(err error) error {
	s.metrics.proofs.WithLabelValues(refusalOf(err).Code).Inc()
	return err
}

// proof verifies the proof of a request, all but whether it was shown before.
func (s *Server) proof(w http.ResponseWriter, r *http.Request, set *active, at string) (dpop.Proof, error) {
	header := r.Header.Values("DPoP")
	if len(header) != 1 {
		challenge(w, "invalid_dpop_proof")
		return dpop.Proof{}, fmt.Errorf("%w: %d proofs instead of one", ErrProof, len(header))
	}
	now := s.now()
	e := dpop.Expect{Method: r.Method, URL: s.devices.origin + r.URL.EscapedPath(), Now: now, AccessToken: at}
	p, err := dpop.Verify(header[0], e)
	if err == nil && (set.DeviceNonce || p.Nonce != "") {
		e.Nonces = s.devices.nonces.At(now)
		w.Header().Set("DPoP-Nonce", e.Nonces[0])
		p, err = dpop.Verify(header[0], e)
	}
	switch {
	case errors.Is(err, dpop.ErrNonce):
		challenge(w, "use_dpop_nonce")
		return dpop.Proof{}, fmt.Errorf("%w: %w", ErrNonce, err)
	case err != nil:
		challenge(w, "invalid_dpop_proof")
		return dpop.Proof{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	return p, nil
}

// mark names a proof for the ledger.
func mark(p dpop.Proof) [32]byte { return device.Mark("proof", p.Thumbprint, p.ID) }

// use spends the proof of a device that is known.
func (s *Server) use(ctx context.Context, w http.ResponseWriter, t device.Token, p dpop.Proof) (ledger.Device, error) {
	dev, err := s.ledger.Devices().Use(ctx, t.Device, mark(p), p.IssuedAt.Add(2*dpop.Window))
	switch {
	case errors.Is(err, ledger.ErrNoDevice), errors.Is(err, ledger.ErrRevoked):
		challenge(w, "invalid_token")
		return dev, fmt.Errorf("%w: %w", ErrRevoked, err)
	case errors.Is(err, ledger.ErrSpent):
		challenge(w, "invalid_dpop_proof")
		return dev, fmt.Errorf("%w: %w", ErrProof, err)
	case errors.Is(err, ledger.ErrTooMany):
		return dev, fmt.Errorf("%w: %w", ErrBusy, err)
	case err != nil:
		return dev, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case dev.Who != t.Who || dev.Key != p.Thumbprint:
		return dev, fmt.Errorf("%w: the device has another key", ErrProof)
	}
	return dev, nil
}

// challenge says in the words of RFC 9449 section 7.1 what is wrong.
func challenge(w http.ResponseWriter, code string) {
	w.Header().Set("WWW-Authenticate", `DPoP error="`+code+`", algs="EdDSA"`)
}
