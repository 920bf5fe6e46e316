// Package desktop finds which Dino and Gajim are installed and running, and quits and starts them cleanly.
//
// Find looks at files only. A Session speaks to running clients over the session bus: both are GApplications, own
// a well-known name, and take the action "quit" (org.freedesktop.Application).
//
// # Invariants
//   - Looking never starts a client: every call carries NO_AUTO_START (Dino is activatable over D-Bus).
//   - A client is asked to quit and waited for; it is never killed. It counts as gone only when its bus name has
//     no owner and its process has ended.
//   - Only processes of this user are touched.
//   - The environment of a client may hold secrets: it is kept to start the client again, and never logged or
//     put into a JSON document.
//   - Nothing below a client's data or config folder is opened.
package desktop

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// Kind is a client that Holdfast knows how to quit and start.
type Kind string

// The clients.
const (
	Dino  Kind = "dino"
	Gajim Kind = "gajim"
)

// Kinds are all clients in the order in which they are shown.
func Kinds() []Kind { return []Kind{Dino, Gajim} }

// String is the name a person knows: "Dino", "Gajim".
func (k Kind) String() string {
	switch k {
	case Dino:
		return "Dino"
	case Gajim:
		return "Gajim"
	}
	return string(k)
}

// ErrUnknownClient is wrapped by ParseKind.
var ErrUnknownClient = errors.New("unknown client")

// ParseKind reads "dino" or "gajim".
func ParseKind(s string) (Kind, error) {
	if k := Kind(s); slices.Contains(Kinds(), k) {
		return k, nil
	}
	return "", fmt.Errorf("%w %q: use dino or gajim", ErrUnknownClient, s)
}

// Install is how a client came onto this machine.
type Install string

// The ways of installing.
const (
	Native  Install = "native"
	Flatpak Install = "flatpak"
	Snap    Install = "snap"
)

// BusName is the name the client owns on the session bus, its application id, whatever the install.
func (k Kind) BusName() string {
	if k == Dino {
		return "im.dino.Dino"
	}
	return "org.gajim.Gajim"
}

// objectPath is where the client answers org.freedesktop.Application.
func (k Kind) objectPath() string {
	if k == Dino {
		return "/im/dino/Dino"
	}
	return "/org/gajim/Gajim"
}

// Program is the name of the native executable.
func (k Kind) Program() string {
	if k == Dino {
		return "dino-im"
	}
	return "gajim"
}

// Client is one installed client.
type Client struct {
	Kind    Kind    `json:"kind"`
	Install Install `json:"install"`
	Version string  `json:"version"` // as packaged, e.g. "1.7.3"; empty: not known
	// Program is the native executable, or the deployed folder of a Flatpak or snap.
	Program string `json:"program"`
}

// Dirs says where to look. All values come from the caller; nothing is read from the environment.
type Dirs struct {
	Home string   // the person's home folder
	Data string   // XDG_DATA_HOME
	Path []string // the folders of PATH; empty: /usr/local/bin, /usr/bin, /usr/games, /bin
	Root string   // below which /usr and /var lie; empty: "/". Tests set it.
}

func (d Dirs) root(parts ...string) string {
	r := d.Root
	if r == "" {
		r = "/"
	}
	return filepath.Join(append([]string{r}, parts...)...)
}

// Find lists the installed clients: natives first, then Flatpaks, then snaps, in the order of Kinds. A kind may be there more
// than once.
func Find(d Dirs) []Client {
	var out []Client
	for _, k := range Kinds() {
		if p := native(d, k); p != "" {
			out = append(out, Client{Kind: k, Install: Native, Version: nativeVersion(d, k), Program: p})
		}
	}
	for _, k := range Kinds() {
		if p := flatpak(d, k); p != "" {
			out = append(out, Client{Kind: k, Install: Flatpak, Version: metainfoVersion(filepath.Join(p, "files/share"), k), Program: p})
		}
	}
	for _, k := range Kinds() {
		if p := snap(d, k); p != "" {
			out = append(out, Client{Kind: k, Install: Snap, Version: snapVersion(p), Program: p})
		}
	}
	return out
}
