package route

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Apply does what the plan with this id says, if it still fits. It returns the plan as it was done.
//
// The record is written before the first change and after the last one: what is cut off in between is finished, or
// undone, by the next plan, since every line of it names what was to be written.
func (m Machine) Apply(id string) (Plan, error) {
	mode, remove, err := Parse(id)
	if err != nil {
		return Plan{}, err
	}
	above := absent(m.State)
	if err := os.MkdirAll(m.State, 0o700); err != nil {
		return Plan{}, fmt.Errorf("make the state folder: %w", err)
	}
	release, err := lock(filepath.Join(m.State, "route.lock"))
	if err != nil {
		return Plan{}, err
	}
	p, l, err := m.applyLocked(id, mode, remove, above)
	release()
	if len(m.Installed()) == 0 {
		for _, dir := range slices.Backward(append(above, l.Above...)) {
			if os.Remove(dir) != nil {
				break // something else is in it
			}
		}
	}
	return p, err
}

func (m Machine) applyLocked(id string, mode Mode, remove bool, above []string) (Plan, ledger, error) {
	p, err := m.Make(mode, remove)
	if err != nil {
		return p, ledger{}, err
	}
	if p.ID != id {
		return p, ledger{}, ErrStale
	}
	l, err := m.load(mode)
	if err != nil {
		return p, l, err
	}
	if remove {
		return p, l, m.undo(l, p.Steps)
	}
	l.Above = append(l.Above, above...)
	return p, ledger{}, m.do(l, p.Steps)
}

// absent lists the folders of a path that are not there, outermost first.
func absent(dir string) []string {
	var out []string
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); err == nil || dir == filepath.Dir(dir) {
			slices.Reverse(out)
			return out
		}
		out = append(out, dir)
	}
}

// lock keeps two processes apart. The file is gone afterwards: nothing of a removed route stays behind.
func lock(path string) (release func(), err error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock the routes: %w", err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			return nil, errors.Join(fmt.Errorf("lock the routes: %w", err), f.Close())
		}
		// Whoever held it may have removed this very file meanwhile.
		mine, err := f.Stat()
		now, serr := os.Stat(path)
		if err == nil && serr == nil && os.SameFile(mine, now) {
			return func() {
				_ = os.Remove(path) // the next one makes it again
				_ = f.Close()       // nothing was written
			}, nil
		}
		_ = f.Close() // as above
	}
}

func (m Machine) do(l ledger, steps []Step) error {
	if len(steps) == 0 {
		return nil
	}
	if err := os.MkdirAll(m.folder(), 0o700); err != nil {
		return fmt.Errorf("make the folder of routes: %w", err)
	}
	// First what was there, and the record.
	for _, s := range steps {
		switch {
		case s.Action == MakeFolder:
			l.Folders = append(l.Folders, s.Path)
		case s.Action == Replace:
			if err := keep(s.Path, filepath.Join(m.folder(), s.file.Kept)); err != nil {
				return err
			}
			l.put(*s.file)
		case s.Action == Write || s.Action == Update:
			l.put(*s.file)
		case s.Action == Set:
			l.set(*s.key)
		}
	}
	l.Listen = m.Listen
	if err := m.save(l); err != nil {
		return err
	}
	for _, s := range steps {
		if err := m.perform(s); err != nil {
			return err
		}
		if s.file != nil && slices.Contains([]Action{Delete, Restore, Edit}, s.Action) {
			l.drop(s.Path)
		}
	}
	return m.save(l)
}

func (m Machine) undo(l ledger, steps []Step) error {
	for _, s := range steps {
		if err := m.perform(s); err != nil {
			return err
		}
		switch {
		case s.Action == RemoveFolder:
			l.Folders = slices.DeleteFunc(l.Folders, func(d string) bool { return d == s.Path })
		case s.key != nil:
			l.Keys = slices.DeleteFunc(l.Keys, func(k key) bool { return k.Path == s.Path })
		case s.file != nil:
			// What stays is no longer ours; what was kept of it is of no use to anybody, unless it is the only copy.
			if s.file.Kept != "" && s.Action != Restore {
				if err := os.Remove(filepath.Join(m.folder(), s.file.Kept)); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("remove what was kept: %w", err)
				}
			}
			l.drop(s.Path)
		}
		if err := m.save(l); err != nil {
			return err
		}
	}
	l.Folders = nil // what is still in them is somebody's
	return m.save(l)
}

func (l *ledger) put(f file) {
	l.drop(f.Path)
	l.Files = append(l.Files, f)
}

func (l *ledger) drop(path string) {
	l.Files = slices.DeleteFunc(slices.Clone(l.Files), func(f file) bool { return f.Path == path })
}

func (l *ledger) set(k key) {
	l.Keys = slices.DeleteFunc(slices.Clone(l.Keys), func(old key) bool { return old.Path == k.Path })
	l.Keys = append(l.Keys, k)
}

// save writes the record; an empty one is removed, and with the last one the folder.
func (m Machine) save(l ledger) error {
	path := m.ledgerPath(l.Mode)
	if !l.empty() {
		data, err := json.MarshalIndent(l, "", "  ")
		if err != nil {
			return fmt.Errorf("write what was changed: %w", err)
		}
		return write(path, append(data, '\n'), 0o600)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the record: %w", err)
	}
	if err := os.Remove(m.folder()); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return fmt.Errorf("remove the folder of routes: %w", err)
	}
	return nil
}

// perform does one step.
func (m Machine) perform(s Step) error {
	switch s.Action {
	case MakeFolder:
		if err := os.Mkdir(s.Path, s.perm); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make a folder: %w", err)
		}
		return os.Chmod(s.Path, s.perm)
	case Write, Update, Replace, Edit:
		return write(s.Path, s.content, s.perm)
	case Restore:
		return restore(filepath.Join(m.folder(), s.file.Kept), s.Path)
	case Delete:
		if err := os.Remove(s.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a file: %w", err)
		}
	case RemoveFolder:
		err := os.Remove(s.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
			return fmt.Errorf("remove a folder: %w", err)
		}
	case Set:
		return m.Settings.Write(s.Path, s.Value)
	case Reset:
		return m.Settings.Reset(s.Path)
	case Keep:
	}
	return nil
}

// keep puts a second name on a file, so that nothing of it is lost: permissions, times, or that it is a link. On
// another file system it is copied.
func keep(path, to string) error {
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keep %s: %w", path, err)
	}
	err := os.Link(path, to)
	if err != nil {
		err = copyFile(path, to)
	}
	if err != nil {
		return fmt.Errorf("keep %s: %w", path, err)
	}
	return nil
}

// restore brings back what keep has kept.
func restore(kept, path string) error {
	err := os.Rename(kept, path)
	if errors.Is(err, syscall.EXDEV) {
		temp := filepath.Join(filepath.Dir(path), ".holdfast-"+filepath.Base(path))
		if err = copyFile(kept, temp); err == nil {
			if err = os.Rename(temp, path); err == nil {
				err = os.Remove(kept)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("bring %s back: %w", path, err)
	}
	return nil
}

// copyFile copies a file or a link with its permissions and times.
func copyFile(from, to string) error {
	st, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if st.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := write(to, data, st.Mode().Perm()); err != nil {
		return err
	}
	return os.Chtimes(to, st.ModTime(), st.ModTime())
}

// write puts a file in place, whole or not at all.
func write(path string, data []byte, perm fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".holdfast-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(perm)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
