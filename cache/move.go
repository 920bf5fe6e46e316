package cache

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// disk is how things are moved. Tests make its parts fail.
type disk struct {
	rename func(from, to string) error
	copy   func(w io.Writer, r io.Reader) (int64, error)
	before func(what string) // called before each change on disk
}

func realDisk() disk {
	return disk{rename: os.Rename, copy: io.Copy, before: func(string) {}}
}

// move moves a file or folder whose contents are listed. Within one file system it is a rename. Otherwise the copy
// is complete, synced and compared before the original goes; until then nothing lies at `to`.
// After a crash either `from` or `to` is complete.
func (d disk) move(from, to string, files []File) error {
	d.before("rename " + to)
	err := d.rename(from, to)
	if errors.Is(err, unix.EXDEV) {
		return d.carry(from, to, files)
	}
	if err != nil {
		return err
	}
	return errors.Join(syncDir(filepath.Dir(to)), syncDir(filepath.Dir(from)))
}

// partial is where a copy grows; it lies beside its final name, so that the last step is a rename.
func partial(to string) string {
	return filepath.Join(filepath.Dir(to), ".holdfast-"+filepath.Base(to)+".partial")
}

func (d disk) carry(from, to string, files []File) error {
	tmp := partial(to)
	if err := os.RemoveAll(tmp); err != nil { // of an earlier attempt
		return err
	}
	err := d.copyTree(from, tmp, files)
	if err == nil {
		var ok bool
		if ok, err = same(tmp, files); err == nil && !ok {
			err = fmt.Errorf("%w: %s changed while it was copied", ErrInUse, from)
		}
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	d.before("rename " + to)
	if err := d.rename(tmp, to); err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	if err := syncDir(filepath.Dir(to)); err != nil {
		return err
	}
	d.before("remove " + from)
	if err := os.RemoveAll(from); err != nil {
		return err
	}
	return syncDir(filepath.Dir(from))
}

func (d disk) copyTree(from, to string, files []File) error {
	for _, f := range files {
		src, dst := filepath.Join(from, f.Path), filepath.Join(to, f.Path)
		if f.Mode.IsDir() {
			d.before("make " + dst)
			if err := os.Mkdir(dst, 0o700); err != nil {
				return err
			}
			continue
		}
		d.before("copy " + dst)
		if err := d.copyFile(src, dst, f); err != nil {
			return err
		}
	}
	// Folders last and from the inside out: a read-only one could not be filled.
	for _, f := range slices.Backward(files) {
		dst := filepath.Join(to, f.Path)
		if f.Mode.IsDir() {
			if err := errors.Join(syncDir(dst), os.Chmod(dst, f.Mode)); err != nil {
				return err
			}
		}
		if err := os.Chtimes(dst, f.Time, f.Time); err != nil {
			return err
		}
	}
	return syncDir(filepath.Dir(to))
}

func (d disk) copyFile(src, dst string, f File) error {
	in, err := os.OpenFile(src, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // read only
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = d.copy(out, in)
	return errors.Join(err, out.Chmod(f.Mode), out.Sync(), out.Close())
}

// space refuses when moving n bytes from one file system to another would fill it.
func space(from, to string, n int64) error {
	var a, b unix.Stat_t
	if err := errors.Join(unix.Lstat(from, &a), unix.Stat(to, &b)); err != nil {
		return err
	}
	if a.Dev == b.Dev {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(to, &st); err != nil {
		return err
	}
	if free := int64(st.Bavail) * st.Bsize; free < n+n/16 {
		return fmt.Errorf("%w: %s has %d bytes free, %d are needed", ErrNoSpace, to, free, n+n/16)
	}
	return nil
}

// plainError says a full disk in our words.
func plainError(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

// lock takes the lock of the undo folder, which it makes if it is missing.
func lock(state string) (undo string, unlock func(), err error) {
	if !filepath.IsAbs(state) {
		return "", nil, fmt.Errorf("%w: the state folder %q is not an absolute path", ErrRefused, state)
	}
	undo = filepath.Join(state, "undo")
	if err := os.MkdirAll(undo, 0o700); err != nil {
		return "", nil, plainError(fmt.Errorf("make the undo folder: %w", err))
	}
	if _, err := plainFolder(undo); err != nil {
		return "", nil, err
	}
	f, err := os.OpenFile(filepath.Join(undo, ".lock"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_CLOEXEC, fs.FileMode(0o600))
	if err != nil {
		return "", nil, plainError(fmt.Errorf("lock the undo folder: %w", err))
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, unix.EWOULDBLOCK) {
			return "", nil, ErrBusy
		}
		return "", nil, fmt.Errorf("lock the undo folder: %w", err)
	}
	return undo, func() { _ = f.Close() }, nil // closing ends the lock; nothing was written
}
