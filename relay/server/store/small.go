package store

import (
	"bytes"
	"errors"
	"io/fs"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// What is kept in memory of small files, so that one which many fetch costs a stat and not an open, three attributes and a read.
const (
	smallSize  = 16 << 10 // of one file
	smallBytes = 1 << 20  // of all
	smallAge   = time.Second
)

// small is a published file with its bytes.
type small struct {
	stat info
	meta Meta
	etag string
	data []byte
}

// same tells whether fi is the file that was read: other bytes would be another inode or another time.
func (s *small) same(fi *info) bool {
	a, b := &s.stat.st, &fi.st
	return a.Ino == b.Ino && a.Dev == b.Dev && a.Size == b.Size && a.Mode == b.Mode && a.Mtim == b.Mtim && a.Ctim == b.Ctim
}

// smallFiles remembers small files by path.
type smallFiles struct {
	mu    sync.RWMutex // guards all below
	files map[string]*small
	bytes int
}

func (c *smallFiles) get(path string) *small {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.files[path]
}

func (c *smallFiles) put(path string, s *small) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLocked(path)
	for other := range c.files {
		if c.bytes+cost(path, s) <= smallBytes {
			break
		}
		c.dropLocked(other) // any: what is asked for comes back
	}
	if c.files == nil {
		c.files = make(map[string]*small)
	}
	c.files[path] = s
	c.bytes += cost(path, s)
}

func (c *smallFiles) drop(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLocked(path)
}

func (c *smallFiles) dropLocked(path string) {
	if s := c.files[path]; s != nil {
		c.bytes -= cost(path, s)
		delete(c.files, path)
	}
}

// cost is what an entry takes, roughly.
func cost(path string, s *small) int { return len(s.data) + len(path) + 512 }

// OpenToSend is Open for a file that is handed out as it is: a small one may come from memory, if it is still the one on disk.
func (d *Disk) OpenToSend(path string) (File, error) {
	if d.root.dot == nil || !valid(path) {
		return d.Open(path)
	}
	s := d.smalls.get(path)
	if s == nil {
		return d.openAndKeep(path)
	}
	if err := d.awaitPublish(path); err != nil {
		return nil, err
	}
	// A link on the way could lead to this very file only, whose bytes were published under this path.
	fi, err := d.root.look(path)
	if err != nil || !s.same(fi) {
		d.smalls.drop(path)
		return d.openAndKeep(path)
	}
	return newSmallFile(s), nil
}

// openAndKeep opens the file and keeps it in memory if it is small and has not changed just now.
func (d *Disk) openAndKeep(path string) (File, error) {
	opened, err := d.Open(path)
	if err != nil {
		return nil, err
	}
	f, ok := opened.(*file)
	if !ok {
		return opened, nil
	}
	s, err := f.small()
	if err != nil {
		return nil, errors.Join(explain("read file", err), f.Close())
	}
	if s == nil {
		return f, nil
	}
	d.smalls.put(path, s)
	return newSmallFile(s), f.Close()
}

// small reads the whole file with all that rides with it; nil if it is not to be kept.
func (f *file) small() (*small, error) {
	s := &small{etag: f.etag}
	if err := withFD(f.File, func(fd int) error { return unix.Fstat(fd, &s.stat.st) }); err != nil {
		return nil, err
	}
	changed := time.Unix(s.stat.st.Ctim.Unix())
	if s.stat.st.Size > smallSize || time.Since(changed) < smallAge { // a clock ticks: within one tick a change does not show
		return nil, nil //nolint:nilnil // nil: none
	}
	s.data = make([]byte, s.stat.st.Size)
	if n, err := f.ReadAt(s.data, 0); n < len(s.data) {
		return nil, err
	}
	var err error
	s.meta, err = f.Meta()
	return s, err
}

// smallFile is a File in memory.
type smallFile struct {
	bytes.Reader
	s *small
}

func newSmallFile(s *small) *smallFile {
	f := &smallFile{s: s}
	f.Reset(s.data)
	return f
}

// Stat implements File.
func (f *smallFile) Stat() (fs.FileInfo, error) { return &f.s.stat, nil }

// Meta implements File.
func (f *smallFile) Meta() (Meta, error) { return f.s.meta, nil }

// ETag implements File.
func (f *smallFile) ETag() string { return f.s.etag }

// Close implements File.
func (f *smallFile) Close() error { return nil }
