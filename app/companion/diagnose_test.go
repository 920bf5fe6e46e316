package companion

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"holdfast/app/diagnose"
	"holdfast/cmd/lab"
)

func TestDiagnoseFindsALockedKeyring(t *testing.T) {
	address := lab.Bus(t)
	lab.Keyring(t, address)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	call := conn.Object("org.freedesktop.secrets", "/org/freedesktop/secrets").
		Call("org.freedesktop.Secret.Service.Lock", 0, []dbus.ObjectPath{"/org/freedesktop/secrets/collection/login"})
	if call.Err != nil {
		t.Fatal(call.Err)
	}
	r := start(t, anyListen, map[string]string{"DBUS_SESSION_BUS_ADDRESS": address})
	doc, err := r.client.Diagnose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var d diagnose.Document
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(d.Checks, func(c diagnose.Check) bool { return c.Name == "keyring" })
	if c := d.Checks[i]; c.Verdict != diagnose.Warn || !strings.Contains(c.Text, "locked") || c.Remedy == "" {
		t.Errorf("keyring: %+v", c)
	}
}
