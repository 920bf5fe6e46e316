package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// file is a File of a Disk.
type file struct {
	*os.File
	d    *Disk
	path string
	etag string
}

// Open opens the published file at path. fs.ErrNotExist: nothing there, or not a plain file.
func (d *Disk) Open(path string) (File, error) {
	if !valid(path) {
		return nil, missing("open", path)
	}
	if err := d.awaitPublish(path); err != nil {
		return nil, err
	}
	f, err := d.openPlain(path)
	if d.opt.Hashed && errors.Is(err, fs.ErrNotExist) {
		f, err = d.openPlain(hashedName(path))
	}
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, errors.Join(explain("open file", err), f.Close())
	}
	if !fi.Mode().IsRegular() {
		return nil, errors.Join(missing("open", path), f.Close())
	}
	return &file{File: f.osFile(), d: d, path: path, etag: etag(fi)}, nil
}

// openPlain opens what is at path, without waiting: it may be a FIFO, which would wait for its writer.
func (d *Disk) openPlain(path string) (*handle, error) {
	var was fs.FileInfo
	if d.root.dot == nil { // os.Root follows links that stay inside
		var err error
		if was, err = d.find("open", path); err != nil {
			return nil, err
		}
	}
	f, err := d.root.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if gone(err) || errors.Is(err, unix.ENXIO) { // ENXIO: a socket
		return nil, missing("open", path)
	}
	if err != nil {
		return nil, explain("open file", err)
	}
	if was == nil {
		return f, nil
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, errors.Join(explain("open file", err), f.Close())
	}
	if !sameFile(was, fi) {
		return nil, errors.Join(missing("open", path), f.Close())
	}
	return f, nil
}

// OSFile implements Plain.
func (f *file) OSFile() *os.File { return f.File }

// ETag implements File.
func (f *file) ETag() string { return f.etag }

// etag is strong because a published file never changes: other bytes are another inode or another time.
func etag(fi fs.FileInfo) string {
	var ino uint64
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		ino = st.Ino
	}
	b := make([]byte, 0, 48)
	b = append(b, '"')
	b = strconv.AppendUint(b, ino, 36)
	b = append(b, '-')
	b = strconv.AppendInt(b, fi.ModTime().UnixNano(), 36)
	b = append(b, '-')
	b = strconv.AppendInt(b, fi.Size(), 36)
	return string(append(b, '"'))
}

// Meta implements File.
func (f *file) Meta() (Meta, error) {
	m, err := attributes(f.File)
	if err != nil {
		return Meta{}, fmt.Errorf("attributes of file: %w", err)
	}
	if f.d.opt.Attrs == nil || f.d.xattrs || m.Type != "" || m.Digest != nil || !m.Retain.IsZero() {
		return m, nil
	}
	if m.Type, m.Digest, m.Retain, err = f.d.opt.Attrs.Attributes(f.path); err != nil {
		return Meta{}, fmt.Errorf("attributes of file: %w", err)
	}
	return m, nil
}

// Remove removes the published file at path, and folders above it that are empty then. fs.ErrNotExist: nothing there.
func (d *Disk) Remove(name string) error {
	if !valid(name) {
		return missing("remove", name)
	}
	defer d.holdPath(name)()
	_, err := d.find("remove", name)
	if d.opt.Hashed && errors.Is(err, fs.ErrNotExist) {
		if _, herr := d.find("remove", hashedName(name)); herr == nil {
			name, err = hashedName(name), nil
		}
	}
	if err != nil {
		return err
	}
	if err := d.root.Remove(name); err != nil {
		return explain("remove file", err)
	}
	// A folder that went with the file needs no sync of its own: its entry is gone from the one that stays.
	for {
		err := d.syncFolder(d.prune(path.Dir(name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue // somebody else's Remove took that folder too
		}
		if err != nil {
			return explain("sync folder after removing", err)
		}
		break
	}
	if d.opt.Attrs != nil {
		d.opt.Attrs.ForgetAttributes(name)
	}
	return nil
}

// holdPath keeps others from opening, publishing and removing path until done is called. It waits for its turn.
func (d *Disk) holdPath(path string) (done func()) {
	for {
		d.mu.Lock()
		other, busy := d.publishing[path]
		if !busy {
			mine := make(chan struct{})
			d.publishing[path] = mine
			d.mu.Unlock()
			return func() {
				d.mu.Lock()
				delete(d.publishing, path)
				d.mu.Unlock()
				close(mine)
			}
		}
		d.mu.Unlock()
		<-other
	}
}

// awaitPublish waits for a publish of path that is under way: until it ends, the file may not survive a power cut.
func (d *Disk) awaitPublish(path string) error {
	d.mu.Lock()
	other, busy := d.publishing[path]
	doomed := d.doomed[path]
	d.mu.Unlock()
	if busy {
		<-other
		return d.awaitPublish(path)
	}
	if doomed {
		defer d.holdPath(path)()
		return d.settleDoomed(path)
	}
	return nil
}

// takeBack removes a file that was published and may not survive a power cut. If that fails, it is doomed: nobody gets to see it,
// and the next who asks for it tries again. The caller holds the path.
func (d *Disk) takeBack(path string) error {
	err := d.root.Remove(path)
	if err != nil && !gone(err) {
		d.mu.Lock()
		d.doomed[path] = true
		d.mu.Unlock()
		return explain("take back a file", err)
	}
	return nil
}

// settleDoomed removes a doomed file. The caller holds the path.
func (d *Disk) settleDoomed(path string) error {
	d.mu.Lock()
	doomed := d.doomed[path]
	d.mu.Unlock()
	if !doomed {
		return nil
	}
	if err := d.takeBack(path); err != nil {
		return err
	}
	d.mu.Lock()
	delete(d.doomed, path)
	d.mu.Unlock()
	return nil
}

// Walk calls fn for every file that was published at since or later, in no order; an error of fn ends it. It goes by the later
// of modification and status change, since a large upload gets its last byte long before it is published. mod is the former, but of
// a file that shares its bytes with others the later of the two. fn may remove files.
func (d *Disk) Walk(ctx context.Context, since time.Time, fn func(path string, size int64, mod time.Time) error) error {
	return d.walk(ctx, ".", since, fn)
}

func (d *Disk) walk(ctx context.Context, dir string, since time.Time, fn func(string, int64, time.Time) error) (err error) {
	folder, err := d.openFolder(dir)
	if gone(err) {
		return nil // removed in between
	}
	if err != nil {
		return explain("walk store", err)
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	for {
		names, readErr := folder.Readdirnames(256)
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			name = path.Join(dir, name)
			if !valid(name) {
				continue // ours, or a name that no URL has
			}
			fi, err := d.root.Lstat(name)
			switch {
			case gone(err):
				continue
			case err != nil:
				return explain("walk store", err)
			case fi.IsDir():
				err = d.walk(ctx, name, since, fn)
			case fi.Mode().IsRegular() && !published(fi).Before(since):
				mod := fi.ModTime()
				if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 {
					mod = published(fi) // its bytes are older than this name
				}
				err = fn(name, fi.Size(), mod)
			}
			if err != nil {
				return err
			}
		}
		if errors.Is(readErr, io.EOF) || gone(readErr) { // gone: fn removed its last file
			return nil
		}
		if readErr != nil {
			return explain("walk store", readErr)
		}
	}
}

// published is the latest time at which the file can have got its name.
func published(fi fs.FileInfo) time.Time {
	t := fi.ModTime()
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		if c := time.Unix(st.Ctim.Unix()); c.After(t) {
			return c
		}
	}
	return t
}
