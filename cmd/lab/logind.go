package lab

import "github.com/godbus/dbus/v5"

// Logind is a fake org.freedesktop.login1 on a private bus, in as much as it tells of sleep.
type Logind struct{ conn *dbus.Conn }

// FakeLogind owns logind's name on the bus given.
func FakeLogind(tb TB, busAddress string) *Logind {
	tb.Helper()
	conn, err := dbus.Connect(busAddress)
	if err != nil {
		tb.Fatalf("connect to the bus: %v", err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.RequestName("org.freedesktop.login1", dbus.NameFlagDoNotQueue); err != nil {
		tb.Fatalf("own logind's name: %v", err)
	}
	return &Logind{conn}
}

// Sleep says that the machine will sleep now.
func (l *Logind) Sleep() error { return l.say(true) }

// Wake says that it woke.
func (l *Logind) Wake() error { return l.say(false) }

func (l *Logind) say(asleep bool) error {
	return l.conn.Emit("/org/freedesktop/login1", "org.freedesktop.login1.Manager.PrepareForSleep", asleep)
}
