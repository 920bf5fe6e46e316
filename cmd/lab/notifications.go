package lab

import (
	"sync"

	"github.com/godbus/dbus/v5"
)

// Notifications is a fake org.freedesktop.Notifications on a private bus.
type Notifications struct {
	Shown  chan Shown  // each call of Notify, in order
	Closed chan uint32 // each call of CloseNotification
	conn   *dbus.Conn

	mu   sync.Mutex // guards last
	last uint32
}

// Shown is one call of Notify.
type Shown struct {
	App, Icon, Summary, Body string
	Replaces, ID             uint32
	Actions                  []string // id, label, id, label
	Hints                    map[string]dbus.Variant
	Timeout                  int32
}

const (
	notificationsName = "org.freedesktop.Notifications"
	notificationsPath = dbus.ObjectPath("/org/freedesktop/Notifications")
)

// FakeNotifications owns the name on the bus given, with the capabilities given.
func FakeNotifications(tb TB, busAddress string, capabilities ...string) *Notifications {
	tb.Helper()
	conn, err := dbus.Connect(busAddress)
	if err != nil {
		tb.Fatalf("connect to the bus: %v", err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	n := &Notifications{conn: conn, Shown: make(chan Shown, 64), Closed: make(chan uint32, 64)}
	err = conn.ExportMethodTable(map[string]any{
		"GetCapabilities":      func() ([]string, *dbus.Error) { return capabilities, nil },
		"GetServerInformation": func() (a, b, c, d string, e *dbus.Error) { return "lab", "lab", "1", "1.2", nil },
		"Notify":               n.notify,
		"CloseNotification": func(id uint32) *dbus.Error {
			n.Closed <- id
			return nil
		},
	}, notificationsPath, notificationsName)
	if err != nil {
		tb.Fatalf("export the fake notifications: %v", err)
	}
	if _, err := conn.RequestName(notificationsName, dbus.NameFlagDoNotQueue); err != nil {
		tb.Fatalf("own %s: %v", notificationsName, err)
	}
	return n
}

func (n *Notifications) notify(app string, replaces uint32, icon, summary, body string, actions []string, hints map[string]dbus.Variant, timeout int32) (uint32, *dbus.Error) {
	n.mu.Lock()
	id := replaces
	if id == 0 {
		n.last++
		id = n.last
	}
	n.mu.Unlock()
	n.Shown <- Shown{App: app, Icon: icon, Summary: summary, Body: body, Replaces: replaces, ID: id, Actions: actions, Hints: hints, Timeout: timeout}
	return id, nil
}

// Click clicks a button.
func (n *Notifications) Click(id uint32, action string) error {
	return n.conn.Emit(notificationsPath, notificationsName+".ActionInvoked", id, action)
}

// Dismiss closes one as a person does.
func (n *Notifications) Dismiss(id uint32) error {
	return n.conn.Emit(notificationsPath, notificationsName+".NotificationClosed", id, uint32(2))
}
