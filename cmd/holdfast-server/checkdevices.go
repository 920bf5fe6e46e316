package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"holdfast/relay/dpop"
	"holdfast/relay/server/device"
	"holdfast/relay/token"
)

// checkDevice is a device of the proof.
type checkDevice struct {
	p      *proof
	key    ed25519.PrivateKey
	access string
}

// devices: who shows a device is let in until ultra, and nobody else by it.
func (p *proof) devices(ctx context.Context) {
	enrol := device.Enrol(p.conf.Devices.Enrol.String())
	if enrol == device.Off {
		p.pass("devices", "off: nobody's device counts")
		return
	}
	start := p.in.now()
	defer p.in.clock.Store(start.Unix())
	ultra := time.Duration(p.conf.Grace.Ultra)
	if p.conf.Grace.Ultra <= p.conf.Grace.Desktop {
		p.pass("devices", "enrol = %q, but grace.ultra is no longer than grace.desktop: a device opens nothing more", enrol)
		return
	}
	err := p.deviceEdge(ctx, ultra)
	said := fmt.Sprintf("enrol = %q: with a device that a slot has enrolled, %s late: 201; without: 403; another person's device: 403", enrol, duration(ultra))
	if enrol == device.ByCode {
		said += " (enrolled by a slot for this proof only)"
	}
	if p.timed.added {
		said += "; no configured scheme has a time and an identity, so no slot of yours can use it"
	}
	p.verdict("devices", said, err)
}

func (p *proof) deviceEdge(ctx context.Context, late time.Duration) error {
	const user, other = "device@example.org", "other@example.org"
	slots := [3]token.Claims{}
	for i := range slots {
		slots[i] = p.in.claims(p.timed.scheme, user, p.in.now())
	}
	p.in.clock.Store(slots[0].Expires.Add(late).Unix())
	mine, err := p.enrol(ctx, user)
	if err != nil {
		return err
	}
	theirs, err := p.enrol(ctx, other)
	if err != nil {
		return err
	}
	for i, step := range []struct {
		who  string
		dev  *checkDevice
		want int
	}{{"without a device", nil, http.StatusForbidden}, {"with another person's device", theirs, http.StatusForbidden}, {"with the device", mine, http.StatusCreated}} {
		s, err := signed(p.conf, slots[i], p.timed.issuer)
		if err != nil {
			return err
		}
		header := from(desktopAgent, homeAddr)
		if step.dev != nil {
			if err := step.dev.show(&s, header); err != nil {
				return err
			}
		}
		a, err := p.in.put(ctx, s, checkBody, header)
		if err == nil && a.status != step.want {
			err = fmt.Errorf("%s late, %s, an upload was answered with %s instead of %d", duration(late), step.who, a, step.want)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// make makes a proof of the device.
func (d *checkDevice) make(method, url string) (string, error) {
	return dpop.Make(d.key, dpop.Claims{
		Method: method, URL: url, IssuedAt: d.p.in.now(), ID: rand.Text(), AccessToken: d.access,
	})
}

// show has the slot sent by the device.
func (d *checkDevice) show(s *slot, header map[string]string) error {
	proof, err := d.make(http.MethodPut, s.URL)
	header["DPoP"], header["Holdfast-Slot-Authorization"] = proof, s.Authorization
	s.Authorization = "DPoP " + d.access
	return err
}

// enrol makes a device of user with a fresh slot.
func (p *proof) enrol(ctx context.Context, user string) (*checkDevice, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	d := &checkDevice{p: p, key: key}
	s, err := signed(p.conf, p.in.claims(p.timed.scheme, user, p.in.now()), p.timed.issuer)
	if err != nil {
		return nil, err
	}
	api := prefix(p.conf.Server.PublicURL)
	if !strings.HasSuffix(api, "/") {
		api += "/"
	}
	api += ".holdfast/v1/token"
	origin, _ := strings.CutSuffix(s.URL, s.Target)
	proof, err := d.make(http.MethodPost, origin+api)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{"slot": map[string]any{
		"url": s.URL, "size": len(checkBody), "type": "text/plain", "authorization": s.Authorization,
	}})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.in.addr+api, strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("DPoP", proof)
	resp, err := p.in.client.Do(req)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	var got struct {
		AccessToken string `json:"access_token"`
	}
	if resp.StatusCode != http.StatusOK || json.Unmarshal(b, &got) != nil || got.AccessToken == "" {
		return nil, fmt.Errorf("a fresh slot enrolled no device: %s", answer{resp.StatusCode, resp.Header})
	}
	d.access = got.AccessToken
	return d, nil
}
