package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// valid reports whether name can be a file of the store. The rules of the wire are stricter and are the caller's;
// these are what the store itself relies on.
func valid(name string) bool {
	return name != "." && name[:min(1, len(name))] != "." && fs.ValidPath(name) && !strings.Contains(name, "\x00")
}

// hashedName is how share.php names the file of a path.
func hashedName(path string) string {
	sum := sha256.Sum256([]byte(path))
	return "store-" + hex.EncodeToString(sum[:])
}

// prefixes yields a, a/b and a/b/c for a/b/c, and nothing for ".".
func prefixes(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if name == "." {
			return
		}
		for i := range len(name) {
			if name[i] == '/' && !yield(name[:i]) {
				return
			}
		}
		yield(name)
	}
}

// taken is the error for a path on which something else stands.
func taken(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrExist} }

func missing(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist} }

// place checks that a file can stand at name: folders or nothing above it, a plain file or nothing in its place.
func (d *Disk) place(name string) error {
	for p := range prefixes(name) {
		mode, err := d.root.mode(p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return explain("look at the place of the file", err)
		case p == name && !mode.IsRegular(), p != name && !mode.IsDir():
			return taken("create", name)
		}
	}
	return nil
}

// find returns the FileInfo of the plain file at name. Links on the way, folders and everything else count as missing.
func (d *Disk) find(op, name string) (fs.FileInfo, error) {
	var fi fs.FileInfo
	for p := range prefixes(name) {
		var err error
		fi, err = d.root.Lstat(p)
		if gone(err) || err == nil && p != name && !fi.IsDir() {
			return nil, missing(op, name)
		}
		if err != nil {
			return nil, explain(op+" file", err)
		}
	}
	if !fi.Mode().IsRegular() {
		return nil, missing(op, name)
	}
	return fi, nil
}

// gone tells whether err means that nothing can be at a path.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENAMETOOLONG) || errors.Is(err, unix.ELOOP)
}

// makeFolder makes the folder dir and those above it where they are missing, and opens it.
// fs.ErrExist: something else is in the place of one of them. fs.ErrNotExist: one was removed at the same time.
func (d *Disk) makeFolder(dir string) (*handle, error) {
	for p := range prefixes(dir) {
		err := d.makeOne(p)
		if err == nil {
			continue // made by us just now, so it is a folder
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		fi, err := d.root.Lstat(p)
		if err != nil {
			return nil, err
		}
		if !fi.IsDir() {
			return nil, taken("make folder", p)
		}
	}
	return d.openFolder(dir)
}

// entry is what is known of a folder whose entry may not be on disk yet. There is none for all others.
type entry struct {
	made   uint64 // which Mkdir made it; 0: none that has returned
	making int    // Mkdirs that have not returned
}

// makeOne makes one folder. Whoever finds it there finds the note too that its entry is not on disk yet: the note is made before,
// and nothing is locked meanwhile, because Mkdir may wait for the disk.
func (d *Disk) makeOne(dir string) error {
	d.mu.Lock()
	e := d.fresh[dir]
	e.making++
	d.fresh[dir] = e
	d.mu.Unlock()

	err := d.root.Mkdir(dir, dirMode)

	d.mu.Lock()
	defer d.mu.Unlock()
	e = d.fresh[dir]
	e.making--
	if err == nil {
		d.freshCount++
		e.made = d.freshCount
	}
	d.fresh[dir] = e
	d.settleLocked(dir, 0)
	return err
}

// settleLocked forgets the note of a folder if nothing happened to it since made was read.
func (d *Disk) settleLocked(dir string, made uint64) {
	if e := d.fresh[dir]; e.making == 0 && e.made == made {
		delete(d.fresh, dir)
	}
}

func (d *Disk) openFolder(dir string) (*handle, error) {
	return d.root.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
}

// syncFolders puts on disk the entry of a file in dir, open as f, and the entries of all folders down to it that
// somebody made and nobody has synced yet.
func (d *Disk) syncFolders(dir string, f *handle) error {
	if err := f.Sync(); err != nil {
		return err
	}
	for p := dir; p != "."; p = path.Dir(p) {
		d.mu.Lock()
		e, isFresh := d.fresh[p]
		d.mu.Unlock()
		if !isFresh {
			continue
		}
		if err := d.syncFolder(path.Dir(p)); err != nil {
			return fmt.Errorf("entry of %s: %w", p, err)
		}
		d.mu.Lock()
		d.settleLocked(p, e.made)
		d.mu.Unlock()
	}
	return nil
}

func (d *Disk) syncFolder(dir string) error {
	if dir == "." {
		return d.dot.Sync()
	}
	f, err := d.openFolder(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // nothing was written through it
	return f.Sync()
}

// prune removes dir and the folders above it as far as they are empty, and returns the first that stays.
func (d *Disk) prune(dir string) (stays string) {
	for dir != "." && d.pruneOne(dir) {
		dir = path.Dir(dir)
	}
	return dir
}

// pruneOne removes an empty folder. False: it is not empty, or not ours to remove.
func (d *Disk) pruneOne(dir string) bool {
	d.mu.Lock()
	e := d.fresh[dir]
	d.mu.Unlock()
	if err := d.root.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settleLocked(dir, e.made)
	return true
}
