package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

const (
	manifestName = "manifest.json"
	schema       = 1
)

// State is how far an undo entry has come.
type State string

// The states. An entry that stays Started was interrupted; Undo puts back what was moved so far.
const (
	Started State = "started"
	Done    State = "done"
	Undone  State = "undone"
)

// Entry is one reset that can be undone.
type Entry struct {
	Schema  int       `json:"schema"`
	ID      string    `json:"id"`
	Client  string    `json:"client"`
	Install string    `json:"install"`
	Created time.Time `json:"created"`
	State   State     `json:"state"`
	Bytes   int64     `json:"bytes"`
	Items   []Item    `json:"items"`
	// Aside are things that lay in the way of the undo and are kept beside it.
	Aside []Aside `json:"aside,omitempty"`
}

// Item is one thing moved.
type Item struct {
	Path   string `json:"path"` // where it was
	To     string `json:"to"`   // where it is, below the folder of the entry
	Reason Reason `json:"reason"`
	Files  []File `json:"files"`
}

// File is one file or folder of an Item.
type File struct {
	Path   string      `json:"path"` // below the item; "." is the item itself
	Mode   fs.FileMode `json:"mode"`
	Size   int64       `json:"size,omitempty"`
	Time   time.Time   `json:"time"`
	SHA256 string      `json:"sha256,omitempty"` // files only
}

// Aside is one thing put out of the way.
type Aside struct {
	Path string `json:"path"`
	To   string `json:"to"`
}

var idForm = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z-(dino|gajim)-[0-9a-f]{8}$`)

// parse reads a manifest strictly: a path that leaves its folder is an error, whoever wrote it.
func parse(b []byte) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(b, &e); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if e.Schema != schema {
		return Entry{}, fmt.Errorf("%w: it was written by another version (schema %d)", ErrDamaged, e.Schema)
	}
	if !idForm.MatchString(e.ID) || !slices.Contains([]State{Started, Done, Undone}, e.State) || len(e.Items) == 0 {
		return Entry{}, fmt.Errorf("%w: the manifest is not complete", ErrDamaged)
	}
	for _, it := range e.Items {
		ok := filepath.IsAbs(it.Path) && filepath.Clean(it.Path) == it.Path && filepath.IsLocal(it.To) && len(it.Files) > 0 && it.Files[0].Path == "."
		for _, f := range it.Files {
			ok = ok && filepath.IsLocal(f.Path) && (f.Mode.IsRegular() || f.Mode.IsDir())
		}
		if !ok {
			return Entry{}, fmt.Errorf("%w: the manifest names %q", ErrDamaged, it.Path)
		}
	}
	return e, nil
}

// load reads the manifest of one entry.
func load(undo, id string) (Entry, error) {
	if !idForm.MatchString(id) {
		return Entry{}, fmt.Errorf("%w: %q", ErrNoEntry, id)
	}
	b, err := os.ReadFile(filepath.Join(undo, id, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return Entry{}, fmt.Errorf("%w: %s", ErrNoEntry, id)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("read the undo entry: %w", err)
	}
	e, err := parse(b)
	if err == nil && e.ID != id {
		err = fmt.Errorf("%w: the manifest is of %s", ErrDamaged, e.ID)
	}
	return e, err
}

// save writes the manifest so that a crash leaves the old or the new one.
func save(undo string, e Entry) (err error) {
	b, err := json.MarshalIndent(e, "", "\t")
	if err != nil {
		return fmt.Errorf("write the undo entry: %w", err)
	}
	dir := filepath.Join(undo, e.ID)
	tmp := filepath.Join(dir, manifestName+".new")
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write the undo entry: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(tmp, filepath.Join(dir, manifestName))
	}
	if err == nil {
		err = errors.Join(syncDir(dir), syncDir(undo))
	}
	if err != nil {
		return fmt.Errorf("write the undo entry: %w", err)
	}
	return nil
}

// scan lists a file or folder with everything in it, hashed, parents before children.
func scan(path string) ([]File, error) {
	var out []File
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if _, err := plain(p); err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(path, p)
		if err != nil {
			return err
		}
		f := File{Path: rel, Mode: info.Mode(), Time: info.ModTime().UTC()}
		if info.Mode().IsRegular() {
			f.Size = info.Size()
			if f.SHA256, err = hash(p); err != nil {
				return err
			}
		}
		out = append(out, f)
		return nil
	})
	return out, err
}

func hash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	_ = f.Close() // read only
	return hex.EncodeToString(h.Sum(nil)), err
}

// same says whether what lies at path is what was listed: names, kinds, modes and contents.
func same(path string, want []File) (bool, error) {
	got, err := scan(path)
	if err != nil {
		return false, err
	}
	return slices.EqualFunc(got, want, func(a, b File) bool {
		return a.Path == b.Path && a.Mode == b.Mode && a.Size == b.Size && a.SHA256 == b.SHA256
	}), nil
}

// exists says whether anything lies at path; a link is something.
func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// syncDir makes renames in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
