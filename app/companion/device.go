package companion

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/app/agent"
	"holdfast/app/control"
	"holdfast/app/words"
	"holdfast/relay"
	"holdfast/relay/credential"
	"holdfast/relay/enrol"
)

// DeviceDocument is what `holdfastctl device status --json` prints. It holds no token and no key.
type DeviceDocument struct {
	Schema  int          `json:"schema"`
	Devices []DeviceLine `json:"devices"`
}

// DeviceLine is one upload server, once for each account that has a device there.
type DeviceLine struct {
	Host   string    `json:"host"`
	State  string    `json:"state"` // none, ready, ended, revoked
	Who    string    `json:"who,omitempty"`
	Device string    `json:"device,omitempty"`
	Until  time.Time `json:"until,omitzero"` // renewed by itself before that
	Text   string    `json:"text"`
}

// DeviceStatus says which upload servers know this computer as a device.
func DeviceStatus(ctx context.Context, p Paths, w *words.Words) (string, error) {
	config, _, _ := configFile{p.Config, w}.read() // what can be read counts
	store := credential.New()
	doc := DeviceDocument{Schema: 1, Devices: []DeviceLine{}}
	for _, host := range config.Hosts {
		d, err := store.Device(ctx, host)
		if err != nil && !errors.Is(err, credential.ErrNoKey) {
			return "", &control.Error{Kind: control.Failed, Text: err.Error()}
		}
		if len(d.Grants) == 0 {
			doc.Devices = append(doc.Devices, DeviceLine{Host: host, State: "none", Text: fmt.Sprintf(w.Ctl.DeviceNone, host)})
		}
		for _, g := range d.Grants {
			doc.Devices = append(doc.Devices, deviceLine(host, g, time.Now(), w))
		}
	}
	return render(doc)
}

func deviceLine(host string, g credential.Grant, now time.Time, w *words.Words) DeviceLine {
	l := DeviceLine{Host: host, State: "ready", Who: g.Who, Device: g.Device, Until: g.Expires}
	switch {
	case g.Revoked:
		l.State, l.Text = "revoked", fmt.Sprintf(w.Ctl.DeviceGone, host, g.Device, host)
	case !now.Before(g.Expires):
		l.State, l.Text = "ended", fmt.Sprintf(w.Ctl.DeviceEnded, host, g.Device)
	default:
		l.Text = fmt.Sprintf(w.Ctl.DeviceReady, host, g.Device, g.Who, w.Clock(g.Expires, now))
	}
	return l
}

// AddDevice makes this computer a device of the person at host, with a code of the server's admin.
func AddDevice(ctx context.Context, p Paths, host, code string, w *words.Words) (string, error) {
	failed := func(err error) (string, error) {
		if errors.Is(err, enrol.ErrUnknown) {
			return "", &control.Error{Kind: control.Failed, Text: fmt.Sprintf(w.Ctl.DeviceUnknown, host)}
		}
		return "", &control.Error{Kind: control.Failed, Text: err.Error()}
	}
	name, err := ParseHost(host, w)
	if err != nil {
		return "", &control.Error{Kind: control.Invalid, Text: err.Error()}
	}
	if code == "" {
		return "", &control.Error{Kind: control.Invalid, Text: w.Ctl.CodeEmpty}
	}
	file := configFile{p.Config, w}
	config, _, _ := file.read() // what can be read counts
	roots, err := file.roots(config)
	if err != nil {
		return failed(err)
	}
	store := credential.New()
	d, err := store.Device(ctx, name)
	if errors.Is(err, credential.ErrNoKey) {
		d, err = credential.NewDevice(), nil
	}
	if err != nil {
		return failed(err)
	}
	ask, done := relay.Asker(roots, config.Listen)
	defer done()
	server, err := ask.Discover(ctx, "https://"+name, "")
	if err != nil {
		return failed(err)
	}
	d.API = server.API
	if err := store.KeepDevice(ctx, name, d); err != nil { // before the code is used up
		return failed(err)
	}
	g, err := ask.ByCode(ctx, &server, d.Key(), code)
	if err != nil {
		return failed(err)
	}
	grant := credential.Grant{Who: g.Who, Device: g.Device, Token: []byte(g.Token), Issued: g.Issued, Expires: g.Expires}
	if err := store.KeepDevice(ctx, name, d.With(grant)); err != nil {
		return failed(err)
	}
	return deviceLine(name, grant, time.Now(), w).Text, p.touchSecrets()
}

// RemoveDevice forgets key and tokens of host. One that is not there is no error.
func RemoveDevice(ctx context.Context, p Paths, host string, w *words.Words) error {
	name, err := ParseHost(host, w)
	if err != nil {
		return &control.Error{Kind: control.Invalid, Text: err.Error()}
	}
	if err := credential.New().ForgetDevice(ctx, name); err != nil {
		return &control.Error{Kind: control.Failed, Text: err.Error()}
	}
	return p.touchSecrets()
}

// Device is Key for the device at a host.
func (k *keys) Device(ctx context.Context, host string) (relay.Device, error) {
	k.notice()
	d, err := k.store.Device(ctx, host)
	k.tell(agent.Keyring(k.store.State()))
	return d, err
}

// KeepDevice puts a device into the keyring.
func (k *keys) KeepDevice(ctx context.Context, host string, d relay.Device) error {
	err := k.store.KeepDevice(ctx, host, d)
	k.tell(agent.Keyring(k.store.State()))
	return err
}

// notice reads the keyring again after another program has changed it.
func (k *keys) notice() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := stamp(k.stamp); now != k.seen {
		k.seen = now
		k.store.Forget()
	}
}
