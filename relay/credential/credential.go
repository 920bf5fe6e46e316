// Package credential keeps what re-signing needs in the keyring, and never waits for it without a limit.
//
// For a server that knows devices it is a key of this computer's own, and the access tokens that the server gave for it
// (docs/devices.md). A person who runs an upload server themselves may put its shared secret here; the relay then signs a token anew
// that became too old on the way. Without a keyring, or with a locked one, uploads flow unsigned.
//
// # Invariants
//   - A secret is written to the keyring and nowhere else, and never logged.
//   - Every call returns when its context ends, after 5 s when the context has no deadline, and after 60 s always.
//   - At most one call to the keyring runs at a time; one that does not come back (a prompt nobody answers) blocks
//     the later ones, not their callers.
//   - Without an address for a session bus none is looked for or started.
//
// # Concurrency
// A Store may be used by several goroutines. A keyring call that was given up by its caller goes on until the
// keyring answers; what it found is then remembered.
package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/zalando/go-keyring"

	"holdfast/relay/token"
)

// Errors a caller branches on.
var (
	ErrNoKey  = errors.New("no key for this host in the keyring")
	ErrLocked = errors.New("keyring is locked: unlock it")
	ErrAbsent = errors.New("no keyring is running")
)

// Key is a shared secret that the person holds for a server that they run.
type Key struct {
	Scheme token.Scheme // V2 or JWT
	Secret token.Secret
	Prefix string // path of the server's base URL, e.g. "/upload/"
}

// State says how the keyring answered last.
type State string

// The states of a keyring.
const (
	OK     State = "ok"
	Locked State = "locked"
	Absent State = "absent"
)

const (
	service    = "holdfast"
	background = 5 * time.Second
	asked      = 60 * time.Second // the longest a person's click may wait
)

// Keyring is the secret store below. Its calls may block for as long as they like. Get and Delete return
// keyring.ErrNotFound for an item that is not there.
type Keyring interface {
	Get(service, user string) (string, error)
	Set(service, user, password string) error
	Delete(service, user string) error
}

// Store keeps keys in a keyring and what was read in memory.
type Store struct {
	ring Keyring
	bus  func() bool   // whether there is a bus to reach the keyring on
	turn chan struct{} // holds one token: the right to call ring

	mu      sync.Mutex // guards the following
	keys    map[string]Key
	devices map[string]Device
	state   State
}

// New returns a Store on the desktop's keyring (the Secret Service of the session bus). It does not touch it yet.
func New() *Store { return newStore(desktop{}, HasBus) }

func newStore(ring Keyring, bus func() bool) *Store {
	s := &Store{ring: ring, bus: bus, turn: make(chan struct{}, 1), keys: map[string]Key{}, devices: map[string]Device{}, state: Absent}
	s.turn <- struct{}{}
	return s
}

// desktop is go-keyring as a value.
type desktop struct{}

func (desktop) Get(service, user string) (string, error) { return keyring.Get(service, user) }
func (desktop) Set(service, user, password string) error { return keyring.Set(service, user, password) }
func (desktop) Delete(service, user string) error        { return keyring.Delete(service, user) }

// HasBus says whether this process has an address for a session bus. Without one the D-Bus library would start a
// bus of its own (dbus-launch), which nobody else is on.
func HasBus() bool {
	if addr := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); addr != "" && addr != "autolaunch:" {
		return true
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		return false
	}
	fi, err := os.Stat(filepath.Join(dir, "bus"))
	return err == nil && fi.Mode()&os.ModeSocket != 0
}

// State says how the keyring answered last; Absent before the first call. It never waits.
func (s *Store) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Probe asks the keyring whether it is there, and returns the State. It may make a locked keyring ask the person.
func (s *Store) Probe(ctx context.Context) State {
	_ = s.call(ctx, func() error {
		_, err := s.ring.Get(service, "probe")
		return err
	})
	return s.State()
}

// Key returns the key for host. ErrNoKey: there is none; ErrLocked, ErrAbsent: the keyring cannot tell.
func (s *Store) Key(ctx context.Context, host string) (Key, error) {
	host = strings.ToLower(host)
	s.mu.Lock()
	key, ok := s.keys[host]
	s.mu.Unlock()
	if ok {
		return key, nil
	}
	err := s.call(ctx, func() error {
		value, err := s.ring.Get(service, user(host))
		if err != nil {
			return err
		}
		key, err := decode(value)
		if err != nil {
			return fmt.Errorf("read key for %s: %w", host, err)
		}
		s.remember(host, key)
		return nil
	})
	if err != nil {
		return Key{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key, ok = s.keys[host]
	if !ok {
		return Key{}, ErrNoKey // deleted meanwhile
	}
	return key, nil
}

// Set keeps key for host.
func (s *Store) Set(ctx context.Context, host string, key Key) error {
	host = strings.ToLower(host)
	value, err := encode(key)
	if err != nil {
		return err
	}
	return s.call(ctx, func() error {
		if err := s.ring.Set(service, user(host), value); err != nil {
			return err
		}
		s.remember(host, key)
		return nil
	})
}

// Delete removes the key for host. Deleting what is not there is no error.
func (s *Store) Delete(ctx context.Context, host string) error {
	host = strings.ToLower(host)
	err := s.call(ctx, func() error {
		if err := s.ring.Delete(service, user(host)); err != nil {
			return err
		}
		s.forget(host)
		return nil
	})
	if errors.Is(err, ErrNoKey) {
		s.forget(host)
		return nil
	}
	return err
}

// Forget drops what is remembered in memory, so that the next Key or Device reads the keyring.
func (s *Store) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.keys)
	clear(s.devices)
}

func (s *Store) remember(host string, key Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[host] = key
}

func (s *Store) forget(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, host)
}

func user(host string) string { return host + "/secret" }

// item is what the keyring holds for a host. Its names are on disk in people's keyrings.
type item struct {
	Scheme token.Scheme `json:"scheme"`
	Secret string       `json:"secret"`
	Prefix string       `json:"prefix"`
}

func encode(k Key) (string, error) {
	k, err := check(k)
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(item{k.Scheme, string(k.Secret), k.Prefix})
	if err != nil {
		return "", fmt.Errorf("write key: %w", err)
	}
	return string(b), nil
}

func decode(value string) (Key, error) {
	var it item
	if err := json.Unmarshal([]byte(value), &it); err != nil {
		return Key{}, errors.New("keyring item is not a key of Holdfast") // the JSON error could quote the secret
	}
	return check(Key{it.Scheme, token.Secret(it.Secret), it.Prefix})
}

func check(k Key) (Key, error) {
	if k.Scheme != token.V2 && k.Scheme != token.JWT {
		return Key{}, fmt.Errorf("scheme %q cannot be signed anew: use %s or %s", k.Scheme, token.JWT, token.V2)
	}
	if len(k.Secret) == 0 {
		return Key{}, errors.New("secret is empty")
	}
	if !utf8.Valid(k.Secret) {
		return Key{}, errors.New("secret is not text: upload servers take theirs from a text file")
	}
	if !strings.HasPrefix(k.Prefix, "/") {
		k.Prefix = "/" + k.Prefix
	}
	if !strings.HasSuffix(k.Prefix, "/") {
		k.Prefix += "/"
	}
	return k, nil
}
