package store

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// descriptor is an open file or folder without the poller, the finalizer and the walks of package os, which cost a small
// upload more than its bytes. Its methods may be called by many goroutines at once; Close waits for those that run.
type descriptor struct {
	name string // for errors

	mu  sync.RWMutex // guards fd against Close
	fd  int          // -1: closed
	pos int64        // of Read and Write, which one goroutine calls
}

// use runs fn with the file descriptor, and again when a signal came in between.
func (d *descriptor) use(op string, fn func(fd int) error) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.fd < 0 {
		return &fs.PathError{Op: op, Path: d.name, Err: fs.ErrClosed}
	}
	for {
		err := fn(d.fd)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EINTR):
			return &fs.PathError{Op: op, Path: d.name, Err: err}
		}
	}
}

// Write writes at the position and moves it.
func (d *descriptor) Write(p []byte) (int, error) {
	n, err := d.WriteAt(p, d.pos)
	d.pos += int64(n)
	return n, err
}

// WriteAt is io.WriterAt.
func (d *descriptor) WriteAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && err == nil {
		err = d.use("write", func(fd int) error {
			m, err := unix.Pwrite(fd, p[n:], off+int64(n))
			if err != nil {
				return err
			}
			if m == 0 {
				return io.ErrUnexpectedEOF
			}
			n += m
			return nil
		})
	}
	return n, err
}

// Read reads at the position and moves it.
func (d *descriptor) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	err = d.use("read", func(fd int) (err error) { n, err = unix.Pread(fd, p, d.pos); return err })
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, io.EOF
	}
	d.pos += int64(n)
	return n, nil
}

// ReadAt is io.ReaderAt.
func (d *descriptor) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		m := 0
		err = d.use("read", func(fd int) (err error) { m, err = unix.Pread(fd, p[n:], off+int64(n)); return err })
		if err != nil {
			return n, err
		}
		if m == 0 {
			return n, io.EOF
		}
		n += m
	}
	return n, nil
}

// Readdirnames returns some more names of a folder; io.EOF: there are no more.
func (d *descriptor) Readdirnames(int) ([]string, error) {
	buf := make([]byte, 8<<10)
	n := 0
	if err := d.use("readdir", func(fd int) (err error) { n, err = unix.ReadDirent(fd, buf); return err }); err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, io.EOF
	}
	_, _, names := unix.ParseDirent(buf[:n], -1, nil)
	return names, nil
}

// Stat returns what the file is.
func (d *descriptor) Stat() (fs.FileInfo, error) {
	fi := &info{name: path.Base(d.name)}
	if err := d.use("stat", func(fd int) error { return unix.Fstat(fd, &fi.st) }); err != nil {
		return nil, err
	}
	return fi, nil
}

// Truncate changes the length.
func (d *descriptor) Truncate(size int64) error {
	return d.use("truncate", func(fd int) error { return unix.Ftruncate(fd, size) })
}

// Sync puts the file on disk.
func (d *descriptor) Sync() error { return d.use("sync", unix.Fsync) }

// Close closes the file. A second Close is an error.
func (d *descriptor) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd < 0 {
		return &fs.PathError{Op: "close", Path: d.name, Err: fs.ErrClosed}
	}
	err := unix.Close(d.fd) // not again after EINTR: the descriptor is gone, and may be somebody else's by then
	d.fd = -1
	if err != nil && !errors.Is(err, unix.EINTR) {
		return &fs.PathError{Op: "close", Path: d.name, Err: err}
	}
	return nil
}

// SyscallConn is syscall.Conn, for Control alone.
func (d *descriptor) SyscallConn() (syscall.RawConn, error) { return rawConn{d}, nil }

type rawConn struct{ d *descriptor }

func (c rawConn) Control(fn func(fd uintptr)) error {
	return c.d.use("control", func(fd int) error { fn(uintptr(fd)); return nil })
}
func (rawConn) Read(func(uintptr) bool) error  { return errors.ErrUnsupported }
func (rawConn) Write(func(uintptr) bool) error { return errors.ErrUnsupported }

// osFile hands the open file to package os. d is closed then.
func (d *descriptor) osFile() *os.File {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := os.NewFile(uintptr(d.fd), d.name)
	d.fd = -1
	return f
}

// lstat tells what a name in a folder is, without following it.
func (d *descriptor) lstat(name string) (*info, error) {
	fi := &info{name: name}
	if err := d.use("lstat", func(fd int) error { return unix.Fstatat(fd, name, &fi.st, unix.AT_SYMLINK_NOFOLLOW) }); err != nil {
		return nil, err
	}
	return fi, nil
}

// info is what stat(2) tells.
type info struct {
	name string
	st   unix.Stat_t
}

func (i *info) Name() string       { return i.name }
func (i *info) Size() int64        { return i.st.Size }
func (i *info) ModTime() time.Time { return time.Unix(i.st.Mtim.Unix()) }
func (i *info) IsDir() bool        { return i.Mode().IsDir() }

// Sys returns what package os would.
func (i *info) Sys() any {
	return &syscall.Stat_t{
		Dev: i.st.Dev, Ino: i.st.Ino, Mode: i.st.Mode, Nlink: i.st.Nlink, Uid: i.st.Uid, Gid: i.st.Gid, Size: i.st.Size,
		Mtim: syscall.Timespec(i.st.Mtim), Ctim: syscall.Timespec(i.st.Ctim),
	}
}

// sameFile is os.SameFile for what this package stats itself.
func sameFile(a, b fs.FileInfo) bool {
	x, ok := a.Sys().(*syscall.Stat_t)
	y, ok2 := b.Sys().(*syscall.Stat_t)
	return ok && ok2 && x.Dev == y.Dev && x.Ino == y.Ino
}

func (i *info) Mode() fs.FileMode {
	m := fs.FileMode(i.st.Mode & 0o777)
	switch i.st.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
	case syscall.S_IFDIR:
		m |= fs.ModeDir
	case syscall.S_IFLNK:
		m |= fs.ModeSymlink
	default:
		m |= fs.ModeIrregular
	}
	return m
}

// openBeneath opens a name below the folder root in one step: the kernel refuses to leave it and to follow any link
// (openat2(2), RESOLVE_BENEATH).
func openBeneath(root int, name string, flag int, mode fs.FileMode) (*descriptor, error) {
	how := &unix.OpenHow{
		Flags:   uint64(flag | unix.O_CLOEXEC | unix.O_LARGEFILE), //nolint:gosec // flags are small
		Mode:    uint64(mode.Perm()),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	if flag&os.O_CREATE == 0 {
		how.Mode = 0
	}
	for {
		fd, err := unix.Openat2(root, name, how)
		switch {
		case err == nil:
			return &descriptor{fd: fd, name: name}, nil
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN): // something was renamed meanwhile
			runtime.Gosched()
		default:
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
}

// tryOpenBeneath tells whether the kernel has openat2 and nothing forbids it.
func tryOpenBeneath(root int) error {
	d, err := openBeneath(root, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	return d.Close()
}
