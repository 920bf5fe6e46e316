// Package route is how clients find the relay. Every way is planned first: each file and setting, what happens to it
// and why. Applying a plan keeps what was there before, and removing a route brings it back: paths, modes, contents,
// and the folders that were made.
//
// # Invariants
//   - Nothing changes without a plan, and a plan that no longer fits what is on the disk is refused (ErrStale).
//   - A file that somebody else changed since is never overwritten and never deleted.
//   - A person's own proxy is never replaced: the way is refused (ErrOwnProxy).
//   - http_proxy is never set, and nothing is set for the whole session.
//   - A client starts in any case: what the menu starts is a script that goes on without Holdfast when it was removed,
//     and the script stays as long as something of a person's mentions it.
//
// # On disk
// `route/` in the state folder: one MODE.json for each way that is installed (0600), with what was made and the name of
// each file that was there before, which lies beside it. Both are gone when the way was removed.
//
// # Concurrency
// One process changes routes at a time; a lock in `route.lock` beside the folder sees to it.
package route

import (
	"errors"
	"io/fs"
	"slices"
)

// Mode is a way to the relay.
type Mode string

// The ways, in the order in which they are shown.
const (
	Launcher Mode = "launcher" // the menu starts clients with Holdfast
	Gnome    Mode = "gnome"    // the desktop's proxy setting
	Gajim    Mode = "gajim"    // Gajim's own proxy
	Flatpak  Mode = "flatpak"  // variables for sandboxed clients
)

// Modes are all ways.
func Modes() []Mode { return []Mode{Launcher, Gnome, Gajim, Flatpak} }

// Errors a caller branches on.
var (
	// ErrStale: what is on the disk is not what was planned for.
	ErrStale = errors.New("things have changed since the plan was made; look at a new one")
	// ErrUnknownMode: there is no such way.
	ErrUnknownMode = errors.New("unknown way")
	// ErrOwnProxy: the person has set a proxy of their own there.
	ErrOwnProxy = errors.New("a proxy is set already")
	// ErrNothingThere: there is nothing that this way could change, no such client or desktop.
	ErrNothingThere = errors.New("there is nothing to change")
	// ErrRunning: the client must be quit first.
	ErrRunning = errors.New("the client is running")
	// ErrUnclean: the client has left its settings in the middle of a change.
	ErrUnclean = errors.New("the settings are in the middle of a change")
)

// Action is what happens to one file or setting.
type Action string

// The actions.
const (
	MakeFolder   Action = "make-folder"
	Write        Action = "write"   // a new file
	Update       Action = "update"  // a file of ours
	Replace      Action = "replace" // somebody's file, which is kept
	Restore      Action = "restore" // what was kept comes back
	Delete       Action = "remove"  // a file of ours
	Edit         Action = "edit"    // only our part is taken out
	Keep         Action = "keep"    // stays as it is
	RemoveFolder Action = "remove-folder"
	Set          Action = "set"   // a setting
	Reset        Action = "reset" // a setting, to not being set
)

// Reason says why; it is a code that the caller words.
type Reason string

// The reasons.
const (
	ForFolder   Reason = "folder"
	ForEntry    Reason = "entry"    // the menu starts the script
	ForService  Reason = "service"  // so does the session bus
	ForScript   Reason = "script"   // starts the client, with Holdfast or without it
	ForSetting  Reason = "setting"  // the desktop asks Holdfast
	ForGajim    Reason = "gajim"    // Gajim's proxy
	ForSandbox  Reason = "sandbox"  // variables in the sandbox
	AsBefore    Reason = "before"   // as it was before
	WasMade     Reason = "made"     // Holdfast made it
	WasChanged  Reason = "changed"  // somebody changed it since
	StillNeeded Reason = "needed"   // something that was changed since mentions it
	NotReadable Reason = "unusual"  // its command is not understood
	NoOriginal  Reason = "original" // the client's own entry is gone
)

// Step is one file or setting of a plan.
type Step struct {
	Action Action `json:"action"`
	Path   string `json:"path"` // of a setting: its dconf path
	Reason Reason `json:"reason"`
	Mode   string `json:"mode,omitempty"`  // permissions, "0644"
	Value  string `json:"value,omitempty"` // of a setting

	content []byte      // what is written
	perm    fs.FileMode // with these permissions
	before  string      // hash of what is there now; "": nothing
	file    *file       // the ledger's line
	key     *key        // the same for a setting
	command []string    // how the client is started without Holdfast
	kind    string      // of which client
	undo    string      // how only our part is taken out; "": not possible
}

// Plan is what applying would do.
type Plan struct {
	ID     string // names the mode, the direction and everything that the plan depends on
	Mode   Mode
	Remove bool
	Steps  []Step
}

// Settings are the desktop's. Paths are dconf's, values GVariant text.
type Settings interface {
	// Read returns the value in force and whether the person has set it.
	Read(path string) (value string, set bool, err error)
	Write(path, value string) error
	Reset(path string) error
}

// Machine is where routes are installed.
type Machine struct {
	Data     string   // XDG_DATA_HOME
	Config   string   // XDG_CONFIG_HOME
	State    string   // folder of Holdfast's own state
	DataDirs []string // where the entries of clients are looked for, in this order, after Data
	Listen   string   // where the relay answers
	PAC      bool     // a proxy script can be run
	Bundle   string   // certificates for single clients; "": none
	Clients  []Client // those that may be routed
	Settings Settings // nil: the desktop has none
	// Running says whether a client runs; nil: it cannot be told, and then it is taken to run.
	Running func(kind string) bool
}

// Live says whether a route of one of the modes reaches a running client that was not started with the relay: the
// desktop's setting is read while it runs, Gajim's own proxy was set before it started.
func Live(modes []Mode, c Client, env func(string) (string, bool)) bool {
	if c.Kind == "gajim" && slices.Contains(modes, Gajim) && !c.OwnHTTP {
		return true
	}
	return slices.Contains(modes, Gnome) && !c.OwnHTTP && onGNOME(env)
}
