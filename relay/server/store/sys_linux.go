package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Names of the extended attributes.
const (
	attrType   = "user.holdfast.type"
	attrDigest = "user.holdfast.sha256"
	attrRetain = "user.holdfast.retain"
)

// maxType is how long a media type can be to be kept: RFC 6838 section 4.2 allows 127 bytes on each side of the slash,
// and ext4 has room for about 3 KiB of all attributes together.
const maxType = 512

// withFD runs fn with the descriptor of f, and again when a signal came in between.
func withFD(f syscall.Conn, fn func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	err = c.Control(func(fd uintptr) {
		for {
			if result = fn(int(fd)); !errors.Is(result, unix.EINTR) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return result
}

func flock(f *handle) error {
	return f.use("lock", func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
}

func syncFS(f *handle) error {
	return f.do(Step{Op: "syncfs"}, func() error { return f.use("syncfs", unix.Syncfs) })
}

// startWriteBack asks for a part of f to be put on disk without waiting for it. It is a hint: the sync tells what went wrong.
func startWriteBack(f *handle, from, n int64) {
	_ = f.use("write back", func(fd int) error { return unix.SyncFileRange(fd, from, n, unix.SYNC_FILE_RANGE_WRITE) })
}

// freeBytes returns what a process without privileges can still write. A file system that does not count (ramfs, some FUSE ones)
// has always room.
func freeBytes(f *handle) (uint64, error) {
	var st unix.Statfs_t
	err := f.do(Step{Op: "statfs"}, func() error {
		return f.use("statfs", func(fd int) error { return unix.Fstatfs(fd, &st) })
	})
	if err != nil {
		return 0, err
	}
	if st.Blocks == 0 {
		return math.MaxUint64, nil
	}
	return st.Bavail * uint64(st.Bsize), nil //nolint:gosec // a block size is positive
}

// moveExclusive moves a file between two folders unless the target exists. Where the file system cannot do that in one step,
// the file gets its second name, which is exclusive too, and loses its first.
func moveExclusive(from *handle, oldName string, to *handle, newName string) error {
	err := from.names("rename", oldName, to, newName, func(fromFD, toFD int) error {
		return unix.Renameat2(fromFD, oldName, toFD, newName, unix.RENAME_NOREPLACE)
	})
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	if err := linkExclusive(from, oldName, to, newName); err != nil {
		return err
	}
	// The file is where it belongs. If its first name stays, that is a leftover, and the next start removes it.
	_ = from.names("remove", oldName, from, "", func(fd, _ int) error { return unix.Unlinkat(fd, oldName, 0) })
	return nil
}

// linkExclusive gives a file a second name unless the target exists.
func linkExclusive(from *handle, oldName string, to *handle, newName string) error {
	return from.names("link", oldName, to, newName, func(fromFD, toFD int) error {
		return unix.Linkat(fromFD, oldName, toFD, newName, 0)
	})
}

// names runs a step on two names in two folders.
func (h *handle) names(op, oldName string, to *handle, newName string, fn func(fromFD, toFD int) error) error {
	do := func() error {
		if h.descriptor == to.descriptor {
			return h.use(op, func(fd int) error { return fn(fd, fd) })
		}
		return h.use(op, func(fromFD int) error {
			return to.use(op, func(toFD int) error { return fn(fromFD, toFD) })
		})
	}
	if h.hook == nil {
		return do()
	}
	return h.hook.Do(Step{Op: op, Path: path.Join(h.path, oldName), To: path.Join(to.path, newName)}, do)
}

func noAttributes(err error) bool {
	return errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM)
}

// keepsAttributes asks for an attribute that nobody has: "no such attribute" means that there could be one.
func keepsAttributes(f *handle) (bool, error) {
	err := f.use("attributes", func(fd int) error {
		_, err := unix.Fgetxattr(fd, attrType, nil)
		return err
	})
	switch {
	case err == nil, errors.Is(err, unix.ENODATA):
		return true, nil
	case noAttributes(err):
		return false, nil
	default:
		return false, err
	}
}

func setAttribute(f *handle, name, value string) error {
	b := []byte(value)
	return f.do(Step{Op: "attr", To: name, Data: b}, func() error {
		return f.use("set attribute", func(fd int) error { return unix.Fsetxattr(fd, name, b, 0) })
	})
}

// setAttributes writes m to f. kept is false where the file system has no user extended attributes.
func setAttributes(f *handle, m Meta) (kept bool, err error) {
	for _, a := range [...]struct{ name, value string }{
		{attrType, m.Type},
		{attrDigest, hex.EncodeToString(m.Digest)},
		{attrRetain, formatRetain(m.Retain)},
	} {
		if a.value == "" {
			continue
		}
		err := setAttribute(f, a.name, a.value)
		if noAttributes(err) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("set %s: %w", a.name, err)
		}
	}
	return true, nil
}

// attribute reads one attribute; empty if there is none or there can be none.
func attribute(fd int, name string, buf []byte) (string, error) {
	n, err := unix.Fgetxattr(fd, name, buf)
	switch {
	case err == nil:
		return string(buf[:n]), nil
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.ERANGE), noAttributes(err):
		return "", nil // ERANGE: longer than any that this package writes
	default:
		return "", fmt.Errorf("read %s: %w", name, err)
	}
}

// attributes reads what rides with f. What somebody else made unreadable counts as not there.
func attributes(f *os.File) (m Meta, err error) {
	err = withFD(f, func(fd int) (err error) {
		buf := make([]byte, maxType)
		if m.Type, err = attribute(fd, attrType, buf); err != nil {
			return err
		}
		digest, err := attribute(fd, attrDigest, buf)
		if err != nil {
			return err
		}
		retain, err := attribute(fd, attrRetain, buf)
		if err != nil {
			return err
		}
		m.Digest, m.Retain = parseDigest(digest), parseRetain(retain)
		return nil
	})
	return m, err
}

func parseDigest(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 32 {
		return nil
	}
	return b
}

func formatRetain(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// parseRetain reads RFC 3339; anything else is "keep", because a file must not go by mistake.
func parseRetain(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
