package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"

	"golang.org/x/sys/unix"
)

// bufferSize is the piece in which bytes go to disk: large enough that its system calls do not matter, small enough that
// 64 uploads at once hold 4 MiB.
const bufferSize = 64 << 10

// writeBack is how much is written before the kernel is asked to put it on disk, so that the sync at the end of a large upload,
// for which the client waits, has little left to do.
const writeBack = 8 << 20

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

var errEnded = errors.New("upload has ended")

// upload is an Upload to a Disk.
type upload struct {
	d    *Disk
	tmp  *tmpFolder
	name string // in tmp; empty: nothing is there any more
	path string
	meta Meta
	size int64
	n    int64 // bytes written
	sent int64 // bytes that the kernel was asked to write back

	file   *handle   // nil: sealed or ended
	kept   bool      // the attributes are in the file system
	sum    hash.Hash // of what was written, if bytes are shared; else nil
	digest [32]byte  // of all of it, if bytes are shared
	failed error     // a write, sync or close went wrong: the file is not to be trusted
}

// Create begins an upload of size bytes to path. ErrFull: not enough room; fs.ErrExist: a folder is in the place of the file or
// a file in the place of a folder. A file that is there already is found by Publish.
func (d *Disk) Create(ctx context.Context, path string, size int64, meta Meta) (Upload, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !valid(path) || size < 0 {
		return nil, &fs.PathError{Op: "create", Path: path, Err: fs.ErrInvalid}
	}
	if err := d.room(size); err != nil {
		return nil, err
	}
	if err := d.place(path); err != nil {
		return nil, err
	}
	if len(meta.Type) > maxType {
		meta.Type = ""
	}
	u := &upload{d: d, path: path, size: size, meta: meta}
	if d.shares(size) {
		u.sum = sha256.New()
	}
	if err := u.start(); err != nil {
		return nil, explain("make temporary file", err)
	}
	return u, nil
}

func (u *upload) start() (err error) {
	u.tmp = u.d.currentTmp()
	u.file, u.name, err = u.tmp.create()
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if u.tmp, err = u.d.tmpAfter(u.tmp); err != nil {
		return err
	}
	u.file, u.name, err = u.tmp.create()
	return err
}

// Write implements Upload.
func (u *upload) Write(p []byte) (int, error) {
	tooLong := int64(len(p)) > u.size-u.n
	if tooLong {
		p = p[:u.size-u.n]
	}
	n, err := u.write(p)
	if err == nil && tooLong {
		err = ErrSize
	}
	return n, err
}

func (u *upload) write(p []byte) (int, error) {
	if u.failed != nil {
		return 0, u.failed
	}
	if u.file == nil {
		return 0, errEnded
	}
	n, err := u.file.Write(p)
	u.n += int64(n)
	if u.sum != nil {
		u.sum.Write(p[:n]) // never fails
	}
	if err != nil {
		u.failed = explain("write upload", err)
		return n, u.failed
	}
	if u.n-u.sent >= writeBack {
		startWriteBack(u.file, u.sent, u.n-u.sent)
		u.sent = u.n
	}
	return n, nil
}

// ReadFrom implements Upload.
func (u *upload) ReadFrom(r io.Reader) (int64, error) {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	start := u.n
	for {
		piece := buf[:]
		if left := u.size - u.n; left < bufferSize {
			piece = buf[:left+1] // one byte more tells whether there is more
		}
		n, readErr := fill(r, piece)
		_, err := u.Write(piece[:n])
		switch {
		case err != nil:
			return u.n - start, err
		case errors.Is(readErr, io.EOF):
			return u.n - start, nil
		case readErr != nil:
			return u.n - start, readErr
		}
	}
}

// fill reads until p is full or r has no more, so that a TLS record of 16 KiB does not cost a system call of its own.
func fill(r io.Reader, p []byte) (n int, err error) {
	for empty := 0; n < len(p); {
		m, err := r.Read(p[n:])
		n += m
		if err != nil {
			return n, err
		}
		if m > 0 {
			empty = 0
		} else if empty++; empty == 100 {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}

// Publish implements Upload.
func (u *upload) Publish() error {
	if u.name == "" {
		return errEnded
	}
	if u.n != u.size {
		return fmt.Errorf("%w: %d of %d bytes came", ErrSize, u.n, u.size)
	}
	if u.sum != nil && u.file != nil && u.failed == nil {
		u.share([32]byte(u.sum.Sum(nil)))
	}
	if err := u.seal(); err != nil {
		return err
	}
	defer u.d.holdPath(u.path)()
	if err := u.d.settleDoomed(u.path); err != nil {
		return err
	}
	if err := u.publish(); err != nil {
		return err
	}
	if !u.kept && u.d.opt.Attrs != nil {
		u.d.opt.Attrs.SetAttributes(u.path, u.meta.Type, u.meta.Digest, u.meta.Retain)
	}
	if u.digest != [32]byte{} {
		u.d.opt.Contents.SetContent(u.digest, u.path)
	}
	return nil
}

// seal puts bytes and attributes on disk. After an error the file is lost: a second fsync would not report it again.
func (u *upload) seal() error {
	if u.failed != nil {
		return u.failed
	}
	if u.file == nil {
		return nil // by an earlier Publish that found the path taken
	}
	var err error
	if u.kept, err = setAttributes(u.file, u.meta); err == nil {
		err = u.file.Sync()
	}
	err = errors.Join(err, u.file.Close())
	u.file = nil
	if err != nil {
		u.failed = explain("sync upload", err)
	}
	return u.failed
}

// publish moves the sealed file to its path. The folder may be removed by somebody between the steps, hence the repeats.
func (u *upload) publish() error {
	dir, base := path.Split(u.path)
	dir = path.Clean(dir) // "" becomes "."
	for attempt := 0; ; attempt++ {
		err := u.move(dir, base)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, fs.ErrExist):
			return taken("publish", u.path)
		case errors.Is(err, fs.ErrNotExist) && attempt < 100 && u.name != "":
			if _, err := u.tmp.root.Lstat(u.name); err != nil {
				return explain("find the temporary file again", err)
			}
		default:
			u.d.prune(dir)
			return explain("publish upload", err)
		}
	}
}

// move makes the folder, moves the file into it and puts its entry on disk. Unless all of that succeeds, the file is where it was.
func (u *upload) move(dir, base string) error {
	folder, err := u.d.makeFolder(dir)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }() // nothing was written through it
	if err := moveExclusive(u.tmp.dir, u.name, folder, base); err != nil {
		return errors.Join(err, u.unmove(err, folder, base))
	}
	if err := u.d.syncFolders(dir, folder); err != nil {
		// Nobody has been told of the file, nobody could open it yet, and it may not survive.
		return errors.Join(fmt.Errorf("sync folder: %w", err), u.takeBack(folder, base))
	}
	u.name = ""
	return nil
}

// unmove undoes what a move did that says it has failed: a disk that is going bad cannot be believed in that either.
func (u *upload) unmove(err error, folder *handle, base string) error {
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EROFS) {
		return nil // said before anything is done
	}
	there, err := u.d.root.Lstat(u.path)
	if gone(err) {
		return nil
	}
	mine, mineErr := u.tmp.root.Lstat(u.name)
	if err == nil && mineErr == nil && !os.SameFile(there, mine) {
		return nil // somebody else's
	}
	return u.takeBack(folder, base)
}

// takeBack moves a file back from its path, or at least away from it.
func (u *upload) takeBack(folder *handle, base string) error {
	err := moveExclusive(folder, base, u.tmp.dir, u.name)
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrExist) { // else it has both names
		u.name = ""
	}
	return u.d.takeBack(u.path)
}

// SameAs implements Upload.
func (u *upload) SameAs(published File) (bool, error) {
	if u.name == "" {
		return false, errEnded
	}
	fi, err := published.Stat()
	if err != nil {
		return false, fmt.Errorf("compare upload: %w", err)
	}
	if fi.Size() != u.n {
		return false, nil
	}
	mine, err := u.tmp.root.OpenFile(u.name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, fmt.Errorf("compare upload: %w", err)
	}
	same, err := sameBytes(mine, io.NewSectionReader(published, 0, u.n))
	if err = errors.Join(err, mine.Close()); err != nil {
		return false, fmt.Errorf("compare upload: %w", err)
	}
	return same, nil
}

// sameBytes compares two readers of the same length.
func sameBytes(a, b io.Reader) (bool, error) {
	bufA, bufB := buffers.Get().(*[bufferSize]byte), buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(bufA)
	defer buffers.Put(bufB)
	for {
		n, errA := fill(a, bufA[:])
		m, errB := fill(b, bufB[:])
		if !bytes.Equal(bufA[:n], bufB[:m]) {
			return false, nil
		}
		endA, endB := errors.Is(errA, io.EOF), errors.Is(errB, io.EOF)
		switch {
		case errA != nil && !endA:
			return false, errA
		case errB != nil && !endB:
			return false, errB
		case endA || endB:
			return endA == endB, nil
		}
	}
}

// Discard implements Upload.
func (u *upload) Discard() error {
	if u.name == "" {
		return nil
	}
	var err error
	if u.file != nil {
		err = u.file.Close()
		u.file = nil
	}
	name := u.name
	u.name = ""
	if err := errors.Join(err, u.tmp.remove(name)); err != nil {
		return explain("discard upload", err)
	}
	return nil
}
