package store

import (
	"errors"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Step is one operation that a Disk asks of the file system.
type Step struct {
	Op   string // open, create, mkdir, remove, rename, link, clone, write, truncate, attr, sync, syncfs, close, read, stat, statfs
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

// rootDir is an os.Root whose steps a Hook sees.
type rootDir struct {
	*os.Root
	hook Hook
	path string // below the store's folder
}

func (r *rootDir) do(op, name string, do func() error) error {
	if r.hook == nil {
		return do()
	}
	return r.hook.Do(Step{Op: op, Path: path.Join(r.path, name)}, do)
}

func (r *rootDir) Mkdir(name string, mode fs.FileMode) error {
	return r.do("mkdir", name, func() error { return r.Root.Mkdir(name, mode) })
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

func (r *rootDir) OpenRoot(name string) (*rootDir, error) {
	sub := &rootDir{hook: r.hook, path: path.Join(r.path, name)}
	err := r.do("open", name, func() (err error) { sub.Root, err = r.Root.OpenRoot(name); return err })
	if err != nil {
		return nil, refused(err, sub.Root != nil, func() error { return sub.Root.Close() })
	}
	return sub, nil
}

func (r *rootDir) Open(name string) (*handle, error) { return r.OpenFile(name, os.O_RDONLY, 0) }

func (r *rootDir) OpenFile(name string, flag int, mode fs.FileMode) (*handle, error) {
	f := &handle{hook: r.hook, path: path.Join(r.path, name)}
	op := "open"
	if flag&os.O_CREATE != 0 {
		op = "create"
	}
	err := r.do(op, name, func() (err error) { f.File, err = r.Root.OpenFile(name, flag, mode); return err })
	if err != nil {
		return nil, refused(err, f.File != nil, func() error { return f.File.Close() })
	}
	return f, nil
}

// refused closes what a Hook let happen and then called an error.
func refused(err error, opened bool, closeIt func() error) error {
	if opened {
		return errors.Join(err, closeIt())
	}
	return err
}

// handle is an os.File whose steps a Hook sees.
type handle struct {
	*os.File
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
		return h.File.Write(p)
	}
	off, err := h.Seek(0, 1)
	if err != nil {
		return 0, err
	}
	return h.write(p, off, h.File.Write)
}

func (h *handle) WriteAt(p []byte, off int64) (int, error) {
	if h.hook == nil {
		return h.File.WriteAt(p, off)
	}
	return h.write(p, off, func(p []byte) (int, error) { return h.File.WriteAt(p, off) })
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
	err = h.do(Step{Op: "read"}, func() (err error) { n, err = h.File.Read(p); return err })
	return n, err
}

func (h *handle) ReadAt(p []byte, off int64) (n int, err error) {
	err = h.do(Step{Op: "read", Off: off}, func() (err error) { n, err = h.File.ReadAt(p, off); return err })
	return n, err
}

func (h *handle) Readdirnames(most int) (names []string, err error) {
	err = h.do(Step{Op: "read"}, func() (err error) { names, err = h.File.Readdirnames(most); return err })
	return names, err
}

func (h *handle) Stat() (fi fs.FileInfo, err error) {
	err = h.do(Step{Op: "stat"}, func() (err error) { fi, err = h.File.Stat(); return err })
	return fi, err
}

func (h *handle) Truncate(size int64) error {
	return h.do(Step{Op: "truncate", Off: size}, func() error { return h.File.Truncate(size) })
}

func (h *handle) Sync() error { return h.do(Step{Op: "sync"}, h.File.Sync) }

// Datasync is Sync without what is not needed to read the bytes back, such as the time of the last change.
func (h *handle) Datasync() error {
	return h.do(Step{Op: "sync"}, func() error { return withFD(h, unix.Fdatasync) })
}

// Close closes the file in any case, as close(2) does.
func (h *handle) Close() error {
	if h.hook == nil {
		return h.File.Close()
	}
	closed := false
	err := h.do(Step{Op: "close"}, func() error { closed = true; return h.File.Close() })
	if !closed {
		err = errors.Join(err, h.File.Close())
	}
	return err
}
