package app

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/godbus/dbus/v5"
)

// ErrNoBus means that there is no session bus, and with it no place for a tray icon.
var ErrNoBus = errors.New("no session bus")

// Watcher of the notification area; panels own it.
const (
	watcherName = "org.kde.StatusNotifierWatcher"
	watcherPath = "/StatusNotifierWatcher"
)

// Session is a connection of our own to the session bus.
type Session struct{ conn *dbus.Conn }

// OpenSession connects to the session bus; without one the error is ErrNoBus. It lasts until Close, not until
// some context ends: a tray that is told to stop must not take that for a bus that has gone.
//
// The library's shared connection is not used: every subscription there gets the signals of all others, and closing
// it would break them.
//
// The address is looked up first, since the library starts a stray bus where there is none but dbus-launch is
// installed (seen with godbus 5.2).
func OpenSession(getenv func(string) string) (*Session, error) {
	addr := getenv("DBUS_SESSION_BUS_ADDRESS")
	if addr == "" || addr == "autolaunch:" {
		path := filepath.Join(getenv("XDG_RUNTIME_DIR"), "bus")
		if st, err := os.Stat(path); getenv("XDG_RUNTIME_DIR") == "" || err != nil || st.Mode()&os.ModeSocket == 0 {
			return nil, ErrNoBus
		}
		addr = "unix:path=" + path
	}
	conn, err := dbus.Connect(addr, dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		return nil, errors.Join(ErrNoBus, err)
	}
	return &Session{conn}, nil
}

// Close leaves the bus.
func (s *Session) Close() error { return s.conn.Close() }

// Gone is closed when the bus, or the connection to it, has gone.
func (s *Session) Gone() <-chan struct{} { return s.conn.Context().Done() }

// HasTray says whether something shows tray icons: a watcher alone does not, it needs a host.
func (s *Session) HasTray() bool {
	v, err := s.conn.Object(watcherName, watcherPath).GetProperty(watcherName + ".IsStatusNotifierHostRegistered")
	if err != nil {
		return false
	}
	yes, _ := v.Value().(bool)
	return yes
}
