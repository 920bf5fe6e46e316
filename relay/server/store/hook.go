package store

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Step is one operation that a Disk asks of the file system.
type Step struct {
	Op   string // open, openat2 (a try), create, mkdir, remove, rename, link, clone, write, truncate, attr, sync, syncfs, close, read, stat, statfs
	Path string // below the store's folder
	To   string // of rename, link and clone: the new path; of attr: its name
	Off  int64  // of write: where; of truncate: the new length
	Data []byte // of write and attr; not to be kept or changed
}

// Hook stands between a Disk and the file system, so that tests can watch every step, refuse it or leave it half done.
type Hook interface {
	// Do lets a step happen by calling do, at most once. What it returns is what the store is told.
	Do(s Step, do func() error) error
}

// Torn is what a Hook returns for a write of which only the first N bytes are to reach the file.
type Torn struct {
	N   int
	Err error
}

// Error is the text of Err.
func (t Torn) Error() string { return t.Err.Error() }

// Unwrap returns Err.
func (t Torn) Unwrap() error { return t.Err }

// rootDir is an os.Root whose steps a Hook sees. What it opens is opened by the kernel alone where that can do what os.Root does.
type rootDir struct {
	*os.Root
	hook Hook
	path string      // below the store's folder
	dot  *descriptor // the folder itself; nil: os.Root opens everything
}

// newRootDir takes a root over.
func newRootDir(root *os.Root, path string, hook Hook) (*rootDir, error) {
	r := &rootDir{Root: root, hook: hook, path: path}
	f, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	dot, err := describe(f)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	if err := r.do("openat2", ".", func() error { return tryOpenBeneath(dot.fd) }); err != nil {
		return r, dot.Close()
	}
	r.dot = dot
	return r, nil
}

// Close closes the root and nothing that was opened through it.
func (r *rootDir) Close() error {
	if r.dot == nil {
		return r.Root.Close()
	}
	return errors.Join(r.dot.Close(), r.Root.Close())
}

func (r *rootDir) do(op, name string, do func() error) error {
	if r.hook == nil {
		return do()
	}
	return r.hook.Do(Step{Op: op, Path: path.Join(r.path, name)}, do)
}

func (r *rootDir) Mkdir(name string, mode fs.FileMode) error {
	return r.do("mkdir", name, func() error {
		if r.dot == nil || strings.Contains(name, "/") {
			return r.Root.Mkdir(name, mode)
		}
		return r.dot.use("mkdir", func(fd int) error { return unix.Mkdirat(fd, name, uint32(mode.Perm())) })
	})
}

func (r *rootDir) Remove(name string) error {
	return r.do("remove", name, func() error { return r.Root.Remove(name) })
}

func (r *rootDir) RemoveAll(name string) error {
	return r.do("remove", name, func() error { return r.Root.RemoveAll(name) })
}

func (r *rootDir) Lstat(name string) (fi fs.FileInfo, err error) {
	err = r.do("stat", name, func() (err error) { fi, err = r.Root.Lstat(name); return err })
	return fi, err
}

// look is Lstat in one step of the kernel, which follows links on the way.
func (r *rootDir) look(name string) (fi *info, err error) {
	err = r.do("stat", name, func() (err error) { fi, err = r.dot.lstat(name); return err })
	return fi, err
}

// mode is the type of what Lstat finds.
func (r *rootDir) mode(name string) (m fs.FileMode, err error) {
	err = r.do("stat", name, func() error {
		var fi fs.FileInfo
		var err error
		if r.dot == nil || strings.Contains(name, "/") {
			fi, err = r.Root.Lstat(name)
		} else {
			fi, err = r.dot.lstat(name)
		}
		if err == nil {
			m = fi.Mode().Type()
		}
		return err
	})
	return m, err
}

func (r *rootDir) OpenRoot(name string) (*rootDir, error) {
	var root *os.Root
	err := r.do("open", name, func() (err error) { root, err = r.Root.OpenRoot(name); return err })
	if err != nil {
		return nil, refused(err, root != nil, func() error { return root.Close() })
	}
	return newRootDir(root, path.Join(r.path, name), r.hook) // outside of the step: it takes one of its own
}

func (r *rootDir) Open(name string) (*handle, error) { return r.OpenFile(name, os.O_RDONLY, 0) }

func (r *rootDir) OpenFile(name string, flag int, mode fs.FileMode) (*handle, error) {
	f := &handle{hook: r.hook, path: path.Join(r.path, name)}
	op := "open"
	if flag&os.O_CREATE != 0 {
		op = "create"
	}
	err := r.do(op, name, func() (err error) { f.descriptor, err = r.open(name, flag, mode); return err })
	if err != nil {
		return nil, refused(err, f.descriptor != nil, func() error { return f.descriptor.Close() })
	}
	return f, nil
}

func (r *rootDir) open(name string, flag int, mode fs.FileMode) (*descriptor, error) {
	if r.dot != nil {
		return openBeneath(r.dot.fd, name, flag, mode)
	}
	f, err := r.Root.OpenFile(name, flag, mode)
	if err != nil {
		return nil, err
	}
	return describe(f)
}

// describe takes an open file over from package os.
func describe(f *os.File) (*descriptor, error) {
	d := &descriptor{name: f.Name(), fd: -1}
	err := withFD(f, func(fd int) (err error) {
		d.fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	return d, errors.Join(err, f.Close())
}

// refused closes what a Hook let happen and then called an error.
func refused(err error, opened bool, closeIt func() error) error {
	if opened {
		return errors.Join(err, closeIt())
	}
	return err
}

// handle is an open file whose steps a Hook sees.
type handle struct {
	*descriptor
	hook Hook
	path string // below the store's folder
}

func (h *handle) do(s Step, do func() error) error {
	if h.hook == nil {
		return do()
	}
	s.Path = h.path
	return h.hook.Do(s, do)
}

func (h *handle) Write(p []byte) (int, error) {
	if h.hook == nil {
		return h.descriptor.Write(p)
	}
	return h.write(p, h.pos, h.descriptor.Write)
}

func (h *handle) WriteAt(p []byte, off int64) (int, error) {
	if h.hook == nil {
		return h.descriptor.WriteAt(p, off)
	}
	return h.write(p, off, func(p []byte) (int, error) { return h.descriptor.WriteAt(p, off) })
}

func (h *handle) write(p []byte, off int64, write func([]byte) (int, error)) (n int, err error) {
	err = h.do(Step{Op: "write", Off: off, Data: p}, func() (err error) { n, err = write(p); return err })
	var torn Torn
	if errors.As(err, &torn) {
		n, _ = write(p[:min(torn.N, len(p))])
	}
	return n, err
}

func (h *handle) Read(p []byte) (n int, err error) {
	err = h.do(Step{Op: "read"}, func() (err error) { n, err = h.descriptor.Read(p); return err })
	return n, err
}

func (h *handle) ReadAt(p []byte, off int64) (n int, err error) {
	err = h.do(Step{Op: "read", Off: off}, func() (err error) { n, err = h.descriptor.ReadAt(p, off); return err })
	return n, err
}

func (h *handle) Readdirnames(most int) (names []string, err error) {
	err = h.do(Step{Op: "read"}, func() (err error) { names, err = h.descriptor.Readdirnames(most); return err })
	return names, err
}

func (h *handle) Stat() (fi fs.FileInfo, err error) {
	err = h.do(Step{Op: "stat"}, func() (err error) { fi, err = h.descriptor.Stat(); return err })
	return fi, err
}

func (h *handle) Truncate(size int64) error {
	return h.do(Step{Op: "truncate", Off: size}, func() error { return h.descriptor.Truncate(size) })
}

func (h *handle) Sync() error { return h.do(Step{Op: "sync"}, h.descriptor.Sync) }

// Datasync is Sync without what is not needed to read the bytes back, such as the time of the last change.
func (h *handle) Datasync() error {
	return h.do(Step{Op: "sync"}, func() error { return h.use("datasync", unix.Fdatasync) })
}

// Close closes the file in any case, as close(2) does.
func (h *handle) Close() error {
	if h.hook == nil {
		return h.descriptor.Close()
	}
	closed := false
	err := h.do(Step{Op: "close"}, func() error { closed = true; return h.descriptor.Close() })
	if !closed {
		err = errors.Join(err, h.descriptor.Close())
	}
	return err
}
