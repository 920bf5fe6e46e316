// Package cache plans, applies and undoes the reset of a client's rebuildable cache.
//
// PlanFor looks at what lies on disk and lists what may go and why; Apply moves it to an undo folder; Undo puts it
// back; Reset does the whole of it around a running client: quit, wait, move, start again.
//
// Neither Dino nor Gajim keeps upload slots or tokens on disk, so no file is a cure by itself; the restart is.
// Names like "*upload*" or "*token*" below the data folder are people's files and keys. See docs/reset.md.
//
// # Invariants
//   - Nothing below a client's data or config folder is ever changed, whatever links, mounts or settings say. A backup
//     that a person asks for reads the databases there, while the client does not run.
//   - Nothing is deleted: Apply moves aside, Undo restores byte for byte. Only Prune deletes, after 14 days.
//   - PlanFor is a function of what lies on disk; it changes nothing.
//   - What is not understood is refused as a whole, before anything is changed.
//   - A crash at any point leaves a state from which Undo restores everything.
//   - Folders come in as values; the environment is never read.
//
// # On disk
//
// `<State>/undo/<id>/manifest.json` lists every file with mode, size, time and SHA-256, written and synced before the first
// move; `<id>/files/<n>` are the things moved; `<id>/aside/<n>` is what lay in the way of an undo.
//
// # Concurrency
//
// Apply, Undo and Prune hold an exclusive lock on `<State>/undo/.lock`; a second one gets ErrBusy at once.
package cache

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// Roots are the folders of one person.
type Roots struct {
	Home   string // home folder
	Config string // XDG_CONFIG_HOME
	Data   string // XDG_DATA_HOME
	Cache  string // XDG_CACHE_HOME
	State  string // XDG_STATE_HOME with "holdfast" added
}

// Errors a caller branches on. Each comes with a sentence that names the path.
var (
	// ErrUnknownClient: there is no recipe for this client or install.
	ErrUnknownClient = errors.New("unknown client")
	// ErrRefused: something about the folder is not as expected (a link, a mount, another owner). Nothing was changed.
	ErrRefused = errors.New("refused, nothing was changed")
	// ErrBusy: another reset or undo is at work.
	ErrBusy = errors.New("another reset is running; try again when it is done")
	// ErrInUse: a program has the cache open.
	ErrInUse = errors.New("the cache is in use")
	// ErrNoSpace: the undo folder has no room.
	ErrNoSpace = errors.New("there is not enough space to keep the undo")
	// ErrNoEntry: there is no undo entry of this id.
	ErrNoEntry = errors.New("there is nothing to undo under this id")
	// ErrDamaged: what was kept is not what was moved. Nothing was changed.
	ErrDamaged = errors.New("the kept files were changed or are missing")
)

// Keep is how long an undo entry is kept.
const Keep = 14 * 24 * time.Hour

// Plan is what a reset would move. An empty one is no error: Dino 0.4.2 has no cache, and is only restarted.
type Plan struct {
	Client  string `json:"client"`  // dino, gajim
	Install string `json:"install"` // native, flatpak, snap
	Steps   []Step `json:"steps"`
	Bytes   int64  `json:"bytes"`

	roots Roots
}

// Step is one file or folder that would be moved.
type Step struct {
	Path   string `json:"path"`   // absolute
	To     string `json:"to"`     // below the undo folder of this reset
	Size   int64  `json:"size"`   // of all files in it
	Files  int    `json:"files"`  // how many
	Reason Reason `json:"reason"` // what it is
}

// Reason is what a part of a cache is, as a constant word.
type Reason string

// The parts of caches that a client makes again by itself.
const (
	Contacts   Reason = "contacts"   // Gajim's cache.db: capabilities, roster, unread counters
	Avatars    Reason = "avatars"    // fetched again from the contacts
	Thumbnails Reason = "thumbnails" // made again from the pictures
	Emoticons  Reason = "emoticons"  // Gajim's bob: bits of binary (XEP-0231)
	Plugins    Reason = "plugins"    // the list of plugins that can be downloaded
)

// Text is the reason as a plain English sentence.
func (r Reason) Text() string {
	switch r {
	case Contacts:
		return "what other clients can do, and the contact list; fetched again, unread counters are lost"
	case Avatars:
		return "pictures of contacts; fetched again"
	case Thumbnails:
		return "small previews of pictures; made again"
	case Emoticons:
		return "small images from messages; fetched again"
	case Plugins:
		return "the list of available plugins; fetched again"
	}
	return string(r)
}

// layout is where one client keeps its things.
type layout struct {
	cache string   // the folder that may be emptied in part
	keep  []string // folders that must never be touched
	root  string   // the XDG folder (or its Flatpak twin) that cache lies in
}

// layoutOf returns the folders of a client. Flatpak keeps XDG folders of its own per application,
// https://docs.flatpak.org/en/latest/conventions.html#xdg-base-directories.
func layoutOf(r Roots, client, install string) (layout, error) {
	ids := map[string]string{"dino": "im.dino.Dino", "gajim": "org.gajim.Gajim"}
	id, ok := ids[client]
	if !ok {
		return layout{}, fmt.Errorf("%w %q: use dino or gajim", ErrUnknownClient, client)
	}
	for _, p := range []struct{ name, path string }{{"home", r.Home}, {"config", r.Config}, {"data", r.Data}, {"cache", r.Cache}, {"state", r.State}} {
		if !filepath.IsAbs(p.path) || filepath.Clean(p.path) == "/" {
			return layout{}, fmt.Errorf("%w: the %s folder %q is not an absolute path below /", ErrRefused, p.name, p.path)
		}
	}
	config, data, cache := r.Config, r.Data, r.Cache
	switch install {
	case "native":
	case "flatpak":
		app := filepath.Join(r.Home, ".var/app", id)
		config, data, cache = filepath.Join(app, "config"), filepath.Join(app, "data"), filepath.Join(app, "cache")
	case "snap":
		// https://snapcraft.io/docs/data-locations: a folder for each revision, which the link "current" names, and one for
		// all. The launchers of desktop snaps put caches into the latter.
		app := filepath.Join(r.Home, "snap", client)
		config, data = filepath.Join(app, "current/.config"), filepath.Join(app, "current/.local/share")
		cache = filepath.Join(app, "common/.cache")
	default:
		return layout{}, fmt.Errorf("%w: %s as %q has no known folders", ErrUnknownClient, client, install)
	}
	return layout{
		root:  filepath.Clean(cache),
		cache: filepath.Join(cache, client),
		keep:  []string{filepath.Join(config, client), filepath.Join(data, client)},
	}, nil
}
