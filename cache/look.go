package cache

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// plainFolder makes sure that dir is a folder of this user: no link, no mount point.
func plainFolder(dir string) (unix.Statx_t, error) {
	st, err := plain(dir)
	if err != nil {
		return st, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return st, fmt.Errorf("%w: %s is not a folder", ErrRefused, dir)
	}
	return st, nil
}

// plain makes sure that path is an ordinary file, folder or (inside a cache) link of this user, and no mount point.
func plain(path string) (unix.Statx_t, error) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_BASIC_STATS, &st)
	if err != nil {
		return st, fmt.Errorf("%w: look at %s: %w", ErrRefused, path, err)
	}
	if int(st.Uid) != os.Geteuid() {
		return st, fmt.Errorf("%w: %s belongs to another user (uid %d)", ErrRefused, path, st.Uid)
	}
	if st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return st, fmt.Errorf("%w: %s is a mount point", ErrRefused, path)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR:
		return st, nil
	case unix.S_IFLNK:
		return st, fmt.Errorf("%w: %s is a link", ErrRefused, path)
	}
	return st, fmt.Errorf("%w: %s is neither a file nor a folder", ErrRefused, path)
}

// measure walks one entry of a cache and returns the size and number of its files. Links are refused at every
// level: a cache has none, so somebody else had a reason for them.
func measure(path string) (size int64, files int, err error) {
	top, err := plain(path)
	if err != nil {
		return 0, 0, err
	}
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		st, err := plain(p)
		if err != nil {
			return err
		}
		if !utf8.ValidString(d.Name()) {
			return fmt.Errorf("%w: the name %q is not UTF-8", ErrRefused, p)
		}
		if st.Dev_major != top.Dev_major || st.Dev_minor != top.Dev_minor {
			return fmt.Errorf("%w: %s is a mount point", ErrRefused, p)
		}
		if st.Mode&unix.S_IFMT == unix.S_IFREG {
			size += int64(st.Size)
			files++
		}
		return nil
	})
	return size, files, err
}

// opener returns a process of this user that has something at or below one of the paths open, or 0. Processes of
// others cannot be seen, and their files would have been refused before.
func opener(proc string, paths []string) (pid int, path string) {
	self := strconv.Itoa(os.Getpid())
	dirs, err := os.ReadDir(proc)
	if err != nil {
		return 0, "" // no /proc: the client was waited for; that has to do
	}
	for _, d := range dirs {
		n, err := strconv.Atoi(d.Name())
		if err != nil || d.Name() == self {
			continue
		}
		fds := filepath.Join(proc, d.Name(), "fd")
		list, err := os.ReadDir(fds)
		if err != nil {
			continue // ended, or somebody else's
		}
		for _, fd := range list {
			target, err := os.Readlink(filepath.Join(fds, fd.Name()))
			if err != nil || !strings.HasPrefix(target, "/") {
				continue
			}
			for _, p := range paths {
				if within(target, p) {
					return n, target
				}
			}
		}
	}
	return 0, ""
}
