package store

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"
)

// Dedup is how files with the same bytes share them on disk.
//
// The bytes are always received, and compared with those that are there: the SHA-256 only finds the candidate. A hard link is
// one file with two names, so it also shares media type and end; where these differ, Link does what Reflink does. A reflink
// (btrfs, XFS, bcachefs) is a file of its own on shared blocks. Where neither can be made, the received bytes are kept.
// Either way the removal of one file leaves the other.
type Dedup string

// The ways to share.
const (
	NoDedup Dedup = ""
	Link    Dedup = "link"
	Reflink Dedup = "reflink"
)

// Contents remembers which file holds which bytes. It may write behind, forget and be wrong. The ledger implements it.
type Contents interface {
	SetContent(digest [32]byte, path string)
	Content(digest [32]byte) (path string, err error) // empty: none known
	ForgetContent(digest [32]byte)
}

// shares reports whether files of that size are looked for.
func (d *Disk) shares(size int64) bool {
	return d.opt.Dedup != NoDedup && d.opt.Contents != nil && size > 0
}

// share lets u share the bytes of a published file, if there is one with the same.
func (u *upload) share(digest [32]byte) {
	twin := u.twin(digest)
	if twin == nil {
		return
	}
	if err := u.Discard(); err != nil {
		u.d.opt.Log.Warn("temporary file not removed", "path", u.path, "error", err)
	}
	u.tmp, u.name, u.kept = twin.tmp, twin.name, twin.kept
}

// twin returns a sealed upload with the bytes of u that shares those of a published file; nil: there is none, or they cannot be
// shared. u stays as it is, but knows its digest.
func (u *upload) twin(digest [32]byte) *upload {
	u.digest, u.meta.Digest = digest, digest[:]
	twin, err := u.findTwin()
	if err != nil {
		u.d.opt.Log.Warn("bytes not shared", "path", u.path, "error", err)
		return nil
	}
	return twin
}

func (u *upload) findTwin() (*upload, error) {
	name, err := u.d.opt.Contents.Content(u.digest)
	if err != nil || name == "" || name == u.path {
		return nil, err
	}
	f, err := u.d.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		u.d.opt.Contents.ForgetContent(u.digest)
		return nil, nil //nolint:nilnil // nil: none
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	if same, err := u.SameAs(f); err != nil || !same {
		return nil, err
	}
	twin := &upload{d: u.d, tmp: u.d.currentTmp(), path: u.path, meta: u.meta, size: u.size, n: u.n, digest: u.digest}
	done := false
	if u.d.opt.Dedup == Link {
		done, err = twin.link(f.(*file))
	}
	if !done && err == nil {
		done, err = twin.clone(f.(*file))
	}
	if !done || err != nil {
		return nil, errors.Join(err, twin.Discard())
	}
	return twin, nil
}

// link makes u another name of f. False: that is not possible.
func (u *upload) link(f *file) (bool, error) {
	if u.d.xattrs { // they are the file's, not the name's
		m, err := f.Meta()
		if err != nil {
			return false, err
		}
		if m.Type != u.meta.Type || !m.Retain.Equal(u.meta.Retain) || m.Digest != nil && !bytes.Equal(m.Digest, u.meta.Digest) {
			return false, nil
		}
	}
	folder, err := u.d.openFolder(path.Dir(f.path))
	if err != nil {
		return false, err
	}
	defer func() { _ = folder.Close() }() // nothing is written through it
	name := rand.Text()
	err = linkExclusive(folder, path.Base(f.path), u.tmp.dir, name)
	if cannotLink(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	u.name = name
	mine, err := u.tmp.root.Lstat(name)
	if err != nil {
		return false, err
	}
	if theirs, err := f.File.Stat(); err != nil || !sameFile(mine, theirs) { // replaced since it was compared
		return false, errors.Join(err, u.Discard())
	}
	u.kept = u.d.xattrs
	return true, nil
}

// cannotLink tells whether err means that this file can have no further name: too many, not ours, or nothing to link.
func cannotLink(err error) bool {
	return errors.Is(err, unix.EMLINK) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EXDEV) || errors.Is(err, fs.ErrNotExist) ||
		errors.Is(err, unix.EOPNOTSUPP)
}

// clone makes u a file on the blocks of f. False: that is not possible.
func (u *upload) clone(f *file) (bool, error) {
	if u.d.noClone.Load() {
		return false, nil
	}
	var err error
	if u.file, u.name, err = u.tmp.create(); err != nil {
		return false, err
	}
	err = u.file.clone(f)
	if cannotClone(err) {
		u.d.noClone.Store(true) // the store is one file system, so it will not do so for the next one either
		return false, u.Discard()
	}
	if err != nil {
		return false, err
	}
	return true, u.seal()
}

func cannotClone(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EXDEV) ||
		errors.Is(err, unix.ENOSYS)
}

// clone makes h hold the bytes of f, on the same blocks.
func (h *handle) clone(f *file) error {
	do := func() error {
		return h.use("clone", func(to int) error {
			return withFD(f.File, func(from int) error { return unix.IoctlFileClone(to, from) })
		})
	}
	if h.hook == nil {
		return do()
	}
	return h.hook.Do(Step{Op: "clone", Path: f.path, To: h.path}, do)
}

// share publishes what shares the bytes of another file, if there is one, instead of the part; else the part is as it was.
func (p *part) share(u *upload) (shared bool, err error) {
	if !p.d.shares(p.size) {
		return false, nil
	}
	digest, err := digestOf(p.file, p.size)
	if err != nil {
		return false, explain("read part", err)
	}
	twin := u.twin(digest)
	if twin == nil {
		return false, nil
	}
	if err := twin.Publish(); err != nil {
		return false, errors.Join(err, twin.Discard())
	}
	if err := p.Finish(); err != nil {
		p.d.opt.Log.Warn("part not marked as published", "error", err) // whoever goes on with it finds the file
	}
	return true, nil
}

// digestOf hashes the first size bytes of r.
func digestOf(r io.ReaderAt, size int64) (sum [32]byte, err error) {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	h := sha256.New()
	if _, err := io.CopyBuffer(h, struct{ io.Reader }{io.NewSectionReader(r, 0, size)}, buf[:]); err != nil {
		return sum, fmt.Errorf("hash: %w", err)
	}
	return [32]byte(h.Sum(nil)), nil
}
