package server

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"holdfast/relay/server/device"
	"holdfast/relay/server/ledger"
)

// This file is what `holdfast-server devices` speaks with a running server, on the socket of adminapi.go.

// AdminDevice is a device as an admin sees it.
type AdminDevice struct {
	Who     string     `json:"user"`
	ID      string     `json:"device"`
	Made    time.Time  `json:"made"`
	Used    time.Time  `json:"used"`
	Revoked *time.Time `json:"revoked,omitempty"`
}

// AdminDeviceOrder is the body of POST /devices/add and /devices/revoke.
type AdminDeviceOrder struct {
	Who string        `json:"user,omitempty"`
	ID  string        `json:"device,omitempty"`
	For time.Duration `json:"for,omitempty"` // add: how long the code is good
}

// AdminDeviceResult is the answer.
type AdminDeviceResult struct {
	Code    string        `json:"code,omitempty"` // add: shown here and never again
	Until   time.Time     `json:"until,omitzero"`
	Revoked []AdminDevice `json:"revoked,omitempty"`
	Missing bool          `json:"missing,omitempty"`
	Error   string        `json:"error,omitempty"`
}

func adminDevice(d ledger.Device) AdminDevice {
	a := AdminDevice{Who: d.Who, ID: d.ID, Made: d.Made, Used: d.Used}
	if !d.Revoked.IsZero() {
		a.Revoked = &d.Revoked
	}
	return a
}

func adminDevices(list []ledger.Device) []AdminDevice {
	out := make([]AdminDevice, len(list))
	for i, d := range list {
		out[i] = adminDevice(d)
	}
	return out
}

// adminListDevices lists the devices of ?user=, or of everybody.
func (s *Server) adminListDevices(w http.ResponseWriter, r *http.Request) {
	list, err := s.ledger.Devices().List(r.Context(), r.URL.Query().Get("user"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = reply(w, r, http.StatusOK, adminDevices(list)) // a client that is gone hears nothing
}

// adminAddDevice makes a one-time code.
func (s *Server) adminAddDevice(r *http.Request, o AdminDeviceOrder) (AdminDeviceResult, error) {
	if s.enrolment(s.set.Load()) == device.Off {
		return AdminDeviceResult{}, errors.New(`devices.enrol is "off": a code would be of no use`)
	}
	if o.Who == "" || o.For <= 0 {
		return AdminDeviceResult{}, errors.New("a user and a time are wanted")
	}
	code, hash := device.NewCode()
	until := s.now().Add(o.For)
	if err := s.ledger.Devices().AddCode(r.Context(), hash, o.Who, until); err != nil {
		return AdminDeviceResult{}, err
	}
	return AdminDeviceResult{Code: code, Until: until}, nil
}

// adminRevokeDevice ends one device, or all of a person.
func (s *Server) adminRevokeDevice(r *http.Request, o AdminDeviceOrder) (AdminDeviceResult, error) {
	var list []ledger.Device
	var err error
	if o.ID != "" {
		var d ledger.Device
		if d, err = s.ledger.Devices().Revoke(r.Context(), o.ID); err == nil {
			list = append(list, d)
		}
	} else if o.Who != "" {
		list, err = s.ledger.Devices().RevokeAll(r.Context(), o.Who)
	} else {
		err = errors.New("a device or a user is wanted")
	}
	if errors.Is(err, ledger.ErrNoDevice) || err == nil && len(list) == 0 {
		return AdminDeviceResult{Missing: true}, nil
	}
	for _, d := range list {
		s.metrics.devices.WithLabelValues("revoked").Inc()
		s.log.Info("device revoked", deviceAttrs(d)...)
	}
	if err != nil {
		err = fmt.Errorf("revoke: %w", err)
	}
	return AdminDeviceResult{Revoked: adminDevices(list)}, err
}
