// Package nm reads the network from NetworkManager over the system bus.
//
// # Invariants
//   - It only listens and reads: no method that changes anything is ever called, and nothing is ever started.
//   - Signals that repeat without meaning (signal strength, scans, statistics) are dropped before they are passed
//     on; everything else only says "read again".
//   - NetworkManager being stopped is a state (Snapshot.Unknown), not an error.
//
// # Concurrency
//
// The connection is private to the Source, so closing it disturbs nobody, and its signals arrive in order.
package nm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"holdfast/detect/network"
)

// Errors of Open.
var (
	// ErrNoBus: there is no system bus on this machine.
	ErrNoBus = errors.New("there is no system bus")
	// ErrNotRunning: there is a system bus, but NetworkManager is not on it.
	ErrNotRunning = errors.New("NetworkManager is not running")
)

const (
	name     = "org.freedesktop.NetworkManager"
	root     = dbus.ObjectPath("/org/freedesktop/NetworkManager")
	busName  = "org.freedesktop.DBus"
	props    = "org.freedesktop.DBus.Properties"
	active   = name + ".Connection.Active"
	device   = name + ".Device"
	ip4      = name + ".IP4Config"
	ip6      = name + ".IP6Config"
	wireless = name + ".AccessPoint"
)

const (
	retryFirst = time.Second
	retryMax   = 30 * time.Second

	connectLimit = 5 * time.Second
)

// Options of Open; the zero value is right for a desktop.
type Options struct {
	// Address of the bus; empty: DBUS_SYSTEM_BUS_ADDRESS, else the well-known system bus.
	Address string
	// Log gets lost and regained connections; nil: nothing is logged.
	Log *slog.Logger
}

// Source is NetworkManager as a network.Source.
type Source struct {
	opts Options
	log  *slog.Logger

	mu   sync.Mutex // guards conn
	conn *dbus.Conn // nil: no connection at present
}

var _ network.Source = (*Source)(nil)

// Open connects to the system bus. It fails with ErrNoBus or ErrNotRunning where NetworkManager cannot be had;
// a caller then goes on without it. Close the Source, or let Run end, to free the connection.
func Open(ctx context.Context, opts Options) (*Source, error) {
	s := &Source{opts: opts, log: opts.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoBus, err)
	}
	up, err := owned(ctx, conn)
	if err == nil && !up {
		err = ErrNotRunning
	}
	if err != nil {
		_ = conn.Close() // the first error is the one to tell
		return nil, fmt.Errorf("ask for NetworkManager: %w", err)
	}
	s.conn = conn
	return s, nil
}

// Close ends the connection of a Source whose Run was never called. Run closes it by itself.
func (s *Source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil
	}
	conn := s.conn
	s.conn = nil
	return conn.Close()
}

// connect gives up after connectLimit or with ctx: godbus itself would wait for a bus that does not answer for ever.
func (s *Source) connect(ctx context.Context) (*dbus.Conn, error) {
	life, end := context.WithCancel(context.Background()) // of the connection, which outlives ctx
	limit, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	keep := context.AfterFunc(limit, end)
	opts := []dbus.ConnOption{
		dbus.WithContext(life),
		// The default handler gives each signal a goroutine once a channel is full, and loses their order.
		dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()),
	}
	var conn *dbus.Conn
	var err error
	if s.opts.Address != "" {
		conn, err = dbus.Connect(s.opts.Address, opts...)
	} else {
		conn, err = dbus.ConnectSystemBus(opts...)
	}
	if !keep() && err == nil {
		_ = conn.Close() // the limit came just now
		err = context.Cause(limit)
	}
	if err != nil {
		end()
		if limit.Err() != nil {
			err = fmt.Errorf("the bus does not answer: %w", context.Cause(limit))
		}
		return nil, err
	}
	return conn, nil
}

func (s *Source) current() *dbus.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn
}

func (s *Source) set(conn *dbus.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = conn
}

// Run listens until ctx ends. When the bus goes away it connects again, at first after a second, then ever more
// rarely up to every 30 s.
func (s *Source) Run(ctx context.Context, notify func()) error {
	pause := retryFirst
	for ctx.Err() == nil {
		conn := s.current()
		var err error
		if conn == nil {
			if conn, err = s.connect(ctx); err == nil {
				s.set(conn)
			}
		}
		if err == nil {
			started := time.Now()
			err = s.listen(ctx, conn, notify)
			s.set(nil)
			_ = conn.Close() // it is lost or no longer wanted; there is nothing to flush
			if ctx.Err() != nil {
				break
			}
			if time.Since(started) > retryMax {
				pause = retryFirst
			}
			notify() // the snapshot is unknown now
		}
		s.log.Warn("no connection to the system bus", "error", err, "retry_in", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, retryMax)
	}
	return nil
}

// errBusGone: the bus closed the connection.
var errBusGone = errors.New("the system bus closed the connection")

// listen passes signals on until ctx or the connection ends.
func (s *Source) listen(ctx context.Context, conn *dbus.Conn, notify func()) error {
	signals := make(chan *dbus.Signal, 256)
	conn.Signal(signals)
	defer conn.RemoveSignal(signals)
	for _, rule := range [][]dbus.MatchOption{
		{dbus.WithMatchSender(name), dbus.WithMatchInterface(props), dbus.WithMatchMember("PropertiesChanged"), dbus.WithMatchPathNamespace(root)},
		{dbus.WithMatchSender(name), dbus.WithMatchInterface(name), dbus.WithMatchMember("StateChanged"), dbus.WithMatchObjectPath(root)},
		{dbus.WithMatchSender(busName), dbus.WithMatchInterface(busName), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, name)},
	} {
		if err := conn.AddMatchSignalContext(ctx, rule...); err != nil {
			return fmt.Errorf("listen to NetworkManager: %w", err)
		}
	}
	notify()
	for {
		select {
		case <-ctx.Done():
			return nil
		case sig, ok := <-signals:
			if !ok {
				return errBusGone
			}
			if relevant(sig) {
				notify()
			}
		}
	}
}

// watched are the properties a Snapshot is made of. Everything else that NetworkManager tells - bytes received,
// signal strength, scan times, bit rate, leases - changes all the time and would keep a settling watch from settling.
var watched = map[string]map[string]bool{ // read only
	name:   {"State": true, "Connectivity": true, "Metered": true, "PrimaryConnection": true, "PrimaryConnectionType": true, "ActiveConnections": true},
	active: {"Id": true, "Uuid": true, "Type": true, "State": true, "Devices": true, "Ip4Config": true, "Ip6Config": true, "SpecificObject": true, "Vpn": true},
	device: {"State": true, "Interface": true, "IpInterface": true, "ActiveConnection": true},
	ip4:    {"AddressData": true, "Gateway": true},
	ip6:    {"AddressData": true, "Gateway": true},
}

// relevant says whether a signal can have changed the Snapshot.
func relevant(sig *dbus.Signal) bool {
	if sig.Name != props+".PropertiesChanged" {
		return true
	}
	if len(sig.Body) < 2 {
		return false
	}
	iface, _ := sig.Body[0].(string)
	changed, _ := sig.Body[1].(map[string]dbus.Variant)
	want := watched[iface]
	for p := range changed {
		if want[p] {
			return true
		}
	}
	if len(sig.Body) > 2 {
		gone, _ := sig.Body[2].([]string) // invalidated: changed, value not sent along
		for _, p := range gone {
			if want[p] {
				return true
			}
		}
	}
	return false
}

// owned says whether NetworkManager is on the bus.
func owned(ctx context.Context, conn *dbus.Conn) (bool, error) {
	var up bool
	err := conn.BusObject().CallWithContext(ctx, busName+".NameHasOwner", dbus.FlagNoAutoStart, name).Store(&up)
	return up, err
}
