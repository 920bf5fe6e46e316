package credential

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"holdfast/relay/token"
)

// Device is this person's device at one upload server: a key that never leaves the keyring, and what the server gave for it.
type Device struct {
	Seed   token.Secret // of the Ed25519 key
	API    string       // path of the server's endpoints, e.g. "/upload/.holdfast/v1/"
	Grants []Grant      // one for each identity
}

// Grant is an access token of the server, bound to the key.
type Grant struct {
	Who     string // the identity that it speaks for, as the server writes it
	Device  string // the server's name for the device
	Token   token.Secret
	Issued  time.Time
	Expires time.Time
	Revoked bool // the server said so; Token is empty then
}

// NewDevice makes a key.
func NewDevice() Device {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails
	return Device{Seed: seed}
}

// Key is the private key.
func (d Device) Key() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(d.Seed) }

// For finds the grant for a user, a bare JID, also a revoked one. The server may write the JID itself, or its hash.
func (d Device) For(user string) (Grant, bool) {
	if user == "" {
		return Grant{}, false
	}
	for _, g := range d.Grants {
		if g.Who == user || g.Who == token.Owner(user) {
			return g, true
		}
	}
	return Grant{}, false
}

// With is d with g in the place of an older grant for the same identity.
func (d Device) With(g Grant) Device {
	out := d.Without(g.Who)
	out.Grants = append(out.Grants, g)
	return out
}

// Without is d without the grant for an identity.
func (d Device) Without(who string) Device {
	out := Device{Seed: d.Seed, API: d.API}
	for _, g := range d.Grants {
		if g.Who != who {
			out.Grants = append(out.Grants, g)
		}
	}
	return out
}

// Device returns the device at host, which is named with its port when that is not 443. ErrNoKey: there is none; ErrLocked,
// ErrAbsent: the keyring cannot tell.
func (s *Store) Device(ctx context.Context, host string) (Device, error) {
	host = strings.ToLower(host)
	s.mu.Lock()
	d, ok := s.devices[host]
	s.mu.Unlock()
	if ok {
		return d, nil
	}
	err := s.call(ctx, func() error {
		value, err := s.ring.Get(service, deviceUser(host))
		if err != nil {
			return err
		}
		d, err := decodeDevice(value)
		if err != nil {
			return fmt.Errorf("read device for %s: %w", host, err)
		}
		s.rememberDevice(host, d)
		return nil
	})
	if err != nil {
		return Device{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok = s.devices[host]; !ok {
		return Device{}, ErrNoKey // deleted meanwhile
	}
	return d, nil
}

// KeepDevice keeps the device at host.
func (s *Store) KeepDevice(ctx context.Context, host string, d Device) error {
	host = strings.ToLower(host)
	value, err := encodeDevice(d)
	if err != nil {
		return err
	}
	return s.call(ctx, func() error {
		if err := s.ring.Set(service, deviceUser(host), value); err != nil {
			return err
		}
		s.rememberDevice(host, d)
		return nil
	})
}

// ForgetDevice removes the device at host, key and all. One that is not there is no error.
func (s *Store) ForgetDevice(ctx context.Context, host string) error {
	host = strings.ToLower(host)
	gone := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.devices, host)
	}
	err := s.call(ctx, func() error {
		if err := s.ring.Delete(service, deviceUser(host)); err != nil {
			return err
		}
		gone()
		return nil
	})
	if errors.Is(err, ErrNoKey) {
		gone()
		return nil
	}
	return err
}

func (s *Store) rememberDevice(host string, d Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.devices[host] = d
}

func deviceUser(host string) string { return host + "/device" }

// deviceItem is what the keyring holds for a device. Its names are on disk in people's keyrings.
type deviceItem struct {
	Seed   []byte      `json:"seed"`
	API    string      `json:"api"`
	Grants []grantItem `json:"grants"`
}

type grantItem struct {
	Who     string `json:"who"`
	Device  string `json:"device"`
	Token   string `json:"access_token"`
	Issued  int64  `json:"issued"`
	Expires int64  `json:"expires"`
	Revoked bool   `json:"revoked,omitempty"`
}

func encodeDevice(d Device) (string, error) {
	if len(d.Seed) != ed25519.SeedSize {
		return "", errors.New("device has no key")
	}
	it := deviceItem{Seed: d.Seed, API: d.API, Grants: []grantItem{}}
	for _, g := range d.Grants {
		it.Grants = append(it.Grants, grantItem{g.Who, g.Device, string(g.Token), g.Issued.Unix(), g.Expires.Unix(), g.Revoked})
	}
	b, err := json.Marshal(it)
	if err != nil {
		return "", fmt.Errorf("write device: %w", err)
	}
	return string(b), nil
}

func decodeDevice(value string) (Device, error) {
	var it deviceItem
	if err := json.Unmarshal([]byte(value), &it); err != nil || len(it.Seed) != ed25519.SeedSize {
		return Device{}, errors.New("keyring item is not a device of Holdfast") // the JSON error could quote it
	}
	d := Device{Seed: it.Seed, API: it.API}
	for _, g := range it.Grants {
		if g.Who == "" || g.Token == "" && !g.Revoked {
			continue
		}
		d.Grants = append(d.Grants, Grant{g.Who, g.Device, token.Secret(g.Token), time.Unix(g.Issued, 0).UTC(), time.Unix(g.Expires, 0).UTC(), g.Revoked})
	}
	return d, nil
}
