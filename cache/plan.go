package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// part is one rebuildable entry of a cache folder.
type part struct {
	name   string // the whole name, or its beginning if it ends in "_"
	reason Reason
}

func (p part) matches(name string) bool {
	return name == p.name || strings.HasSuffix(p.name, "_") && strings.HasPrefix(name, p.name)
}

// reasonOf says what an entry of a client's cache folder is; false: not ours to touch.
func reasonOf(client, name string) (Reason, bool) {
	for _, k := range known[client] {
		if k.matches(name) {
			return k.reason, true
		}
	}
	return "", false
}

// known are the entries of a cache folder that the client makes again. Anything else there stays: a name that is
// not in this table is not ours to judge.
var known = map[string][]part{ // read only
	"dino": {
		{"avatars", Avatars}, // Dino 0.5 and later; before, avatars lie below data and are not touched
	},
	"gajim": {
		// A write-ahead log must never be left beside a database that it does not belong to, so the log goes first.
		{"cache.db-wal", Contacts},
		{"cache.db-shm", Contacts},
		{"cache.db-journal", Contacts},
		{"cache.db", Contacts},
		{"avatars", Avatars},
		{"bob", Emoticons},
		{"downloads.thumb", Thumbnails},
		{"plugins_", Plugins},
	},
}

// PlanFor lists what a reset of this client would move. It changes nothing. A missing folder is an empty plan;
// a folder that is not what it should be is ErrRefused.
func PlanFor(r Roots, client, install string) (Plan, error) {
	l, err := layoutOf(r, client, install)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Client: client, Install: install, Steps: []Step{}, roots: r}
	folders, err := profiles(l, client)
	if err != nil {
		return Plan{}, err
	}
	for _, dir := range folders {
		if err := p.look(l, dir); err != nil {
			return Plan{}, err
		}
	}
	for i := range p.Steps {
		p.Steps[i].To = filepath.Join("files", strconv.Itoa(i))
		p.Bytes += p.Steps[i].Size
	}
	return p, nil
}

// profiles lists the cache folders of a client: "gajim", and "gajim.work" of `gajim -p work`.
func profiles(l layout, client string) ([]string, error) {
	entries, err := os.ReadDir(l.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: look for caches: %w", ErrRefused, err)
	}
	var out []string
	for _, e := range entries {
		if e.Name() == client || client == "gajim" && strings.HasPrefix(e.Name(), "gajim.") {
			out = append(out, filepath.Join(l.root, e.Name()))
		}
	}
	return out, nil
}

// look adds the steps for one cache folder.
func (p *Plan) look(l layout, dir string) error {
	if err := separate(l, dir, p.roots.State); err != nil {
		return err
	}
	if _, err := plainFolder(dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("%w: read the cache: %w", ErrRefused, err)
	}
	for _, k := range known[p.Client] {
		for _, e := range entries {
			name := e.Name()
			if !k.matches(name) {
				continue
			}
			path := filepath.Join(dir, name)
			size, files, err := measure(path)
			if err != nil {
				return err
			}
			p.Steps = append(p.Steps, Step{Path: path, Size: size, Files: files, Reason: k.reason})
		}
	}
	return nil
}

// separate refuses a cache folder that is, holds or lies in a folder which must not be touched, after following
// links: XDG_CACHE_HOME may point to XDG_DATA_HOME, and ~/.cache to anywhere.
func separate(l layout, dir, state string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	keep := slices.Clone(l.keep)
	for _, k := range l.keep { // the same profile: data of "gajim -p work" is gajim.work too
		if suffix, ok := strings.CutPrefix(filepath.Base(dir), filepath.Base(l.cache)); ok && suffix != "" {
			keep = append(keep, k+suffix)
		}
	}
	for _, k := range append(keep, state) {
		kept, err := resolve(k)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		if within(real, kept) || within(kept, real) {
			return fmt.Errorf("%w: the cache %s and %s are one place; it holds more than a cache", ErrRefused, dir, k)
		}
	}
	return nil
}

// resolve follows links in a path whose end may not exist yet.
func resolve(path string) (string, error) {
	path = filepath.Clean(path)
	real, err := filepath.EvalSymlinks(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	if path == "/" {
		return path, nil
	}
	parent, err := resolve(filepath.Dir(path))
	return filepath.Join(parent, filepath.Base(path)), err
}

// within says whether path is dir or lies below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
