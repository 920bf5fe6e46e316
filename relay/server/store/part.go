package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// partsDir holds the parts: for each a file of bytes, and beside it a state file whose name ends in stateSuffix.
const (
	partsDir    = privateDir + "/uploads"
	stateSuffix = ".state"
)

// ErrDamaged is a part of which less is on disk than was marked, or whose state cannot be read.
var ErrDamaged = errors.New("part is damaged")

// Mark is what is known to be on disk of a part.
type Mark struct {
	Offset int64 // this many bytes from the start
	Done   bool  // the part was published, or its bytes were found published; they are no longer here
}

// Part is a file in the making that outlives its connection and the process. It is opened by one at a time; only Sync may
// run beside Write. Close ends the use of it, not the part.
type Part interface {
	// Facts are what NewPart was given.
	Facts() []byte
	// Mark is the last one that Sync, Publish or Finish wrote.
	Mark() Mark
	// Size is how many bytes were written, on disk or not.
	Size() int64
	// Write appends.
	io.Writer
	io.ReaderAt
	// Truncate throws away what is behind size; it must not be less than the mark.
	Truncate(size int64) error
	// Sync puts the first size bytes on disk, then the mark that says so. After an error nothing behind the old mark is
	// to be trusted.
	Sync(size int64) error
	// Publish moves the part to path, exactly as Upload.Publish does, and marks it as done. fs.ErrExist: something is
	// there. After an error the part is as it was, cut to its mark if a sync failed; ErrDamaged: its bytes are lost.
	Publish(path string, meta Meta) error
	// SameAs reports whether the bytes equal the published file's.
	SameAs(published File) (bool, error)
	// Finish marks the part as done and removes its bytes.
	Finish() error
	Close() error
}

// NewPart begins a part. name is the caller's and must be new (fs.ErrExist); size is what will come, for ErrFull.
// facts are kept with the part. Neither is durable before the first Sync, but both survive the death of the process.
func (d *Disk) NewPart(name string, size int64, facts []byte) (Part, error) {
	if !validPart(name) || size < 0 {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrInvalid}
	}
	if err := d.room(size); err != nil {
		return nil, err
	}
	folder, err := d.openParts()
	if err != nil {
		return nil, err
	}
	p := &part{d: d, folder: folder, name: name, facts: facts}
	if err := p.create(); err != nil {
		return nil, errors.Join(explain("make part", err), p.Close())
	}
	return p, nil
}

// OpenPart opens a part for going on. What is behind its mark is cut off. fs.ErrNotExist: no such part; ErrDamaged:
// it is of no more use. A part that is done has no bytes.
func (d *Disk) OpenPart(name string) (Part, error) {
	if !validPart(name) {
		return nil, missing("open", name)
	}
	folder, err := d.openParts()
	if err != nil {
		return nil, err
	}
	p := &part{d: d, folder: folder, name: name}
	if err := p.open(); err != nil {
		return nil, errors.Join(explain("open part", err), p.Close())
	}
	return p, nil
}

// Parts lists the names of all parts, also of damaged ones.
func (d *Disk) Parts(ctx context.Context) (names []string, err error) {
	folder, err := d.openParts()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, folder.close()) }()
	seen := make(map[string]bool)
	for {
		list, readErr := folder.dir.Readdirnames(256)
		for _, name := range list {
			if name = strings.TrimSuffix(name, stateSuffix); !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
		if errors.Is(readErr, io.EOF) {
			return names, nil
		}
		if err := errors.Join(readErr, ctx.Err()); err != nil {
			return nil, explain("list parts", err)
		}
	}
}

// RemovePart removes a part, whatever it is; that it is gone already is fine.
func (d *Disk) RemovePart(name string) (err error) {
	folder, err := d.openParts()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.close()) }()
	// The state goes first: bytes without a state are a leftover, a state without bytes could be taken for a published part.
	if err := errors.Join(folder.remove(name+stateSuffix), folder.remove(name)); err != nil {
		return explain("remove part", err)
	}
	return nil
}

// validPart reports whether name can name a part.
func validPart(name string) bool {
	return name != "" && len(name) <= 128 && !strings.ContainsAny(name, "./\x00") && fs.ValidPath(name)
}

// openParts opens the folder of parts, and makes it where somebody's find -delete has taken it.
func (d *Disk) openParts() (*tmpFolder, error) {
	root, err := d.root.OpenRoot(partsDir)
	if errors.Is(err, fs.ErrNotExist) {
		for _, name := range []string{privateDir, partsDir} {
			if err := d.needFolder(name); err != nil {
				return nil, err
			}
		}
		d.mu.Lock()
		d.partsKept = false
		d.mu.Unlock()
		root, err = d.root.OpenRoot(partsDir)
	}
	if err != nil {
		return nil, explain("open "+partsDir, err)
	}
	if err := d.keepParts(); err != nil {
		return nil, errors.Join(explain("sync "+privateDir, err), root.Close())
	}
	dir, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(explain("open "+partsDir, err), root.Close())
	}
	return &tmpFolder{root: root, dir: dir}, nil
}

// keepParts puts the entry of the folder of parts on disk, once.
func (d *Disk) keepParts() error {
	d.mu.Lock()
	kept := d.partsKept
	d.mu.Unlock()
	if kept {
		return nil
	}
	if err := errors.Join(d.syncFolder(privateDir), d.dot.Sync()); err != nil {
		return err
	}
	d.mu.Lock()
	d.partsKept = true
	d.mu.Unlock()
	return nil
}

// part is a Part of a Disk.
type part struct {
	d      *Disk
	folder *tmpFolder
	name   string
	facts  []byte

	file    *handle // nil: the part is done, or lost
	size    int64
	state   *stateFile
	entries bool // in the folder, of both files, are on disk
	acked   bool // somebody may have been told of a mark: from now on every mark is put on disk
}

func (p *part) create() error {
	var err error
	if p.state, err = createState(p.folder, p.name+stateSuffix, p.facts); err != nil {
		return err
	}
	p.file, err = p.folder.root.OpenFile(p.name, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NONBLOCK, fileMode)
	if err != nil {
		return errors.Join(err, p.folder.remove(p.name+stateSuffix))
	}
	return nil
}

func (p *part) open() error {
	var err error
	if p.state, err = openState(p.folder, p.name+stateSuffix); err != nil {
		return err
	}
	p.facts = p.state.facts
	offset := p.state.offset
	p.acked, p.entries = offset > 0, offset > 0 && p.state.phase == growing // Sync puts the entries on disk before such a mark
	p.size = offset
	if p.state.phase == done {
		return nil
	}
	p.file, err = p.folder.root.OpenFile(p.name, os.O_RDWR|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) && p.state.phase == moving {
		p.state.phase = done
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: its bytes are gone", ErrDamaged)
	}
	if err != nil {
		return err
	}
	fi, err := p.file.Stat()
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() || fi.Size() < offset {
		return fmt.Errorf("%w: %d bytes on disk, %d marked", ErrDamaged, fi.Size(), offset)
	}
	if fi.Size() > offset {
		if err := p.file.Truncate(offset); err != nil {
			return err
		}
	}
	return nil
}

// Facts implements Part.
func (p *part) Facts() []byte { return p.facts }

// Mark implements Part.
func (p *part) Mark() Mark { return Mark{Offset: p.state.offset, Done: p.state.phase == done} }

// Size implements Part.
func (p *part) Size() int64 { return p.size }

// Write implements Part.
func (p *part) Write(b []byte) (int, error) {
	if p.file == nil {
		return 0, errEnded
	}
	n, err := p.file.WriteAt(b, p.size)
	p.size += int64(n)
	if err != nil {
		return n, explain("write part", err)
	}
	return n, nil
}

// ReadAt implements Part.
func (p *part) ReadAt(b []byte, off int64) (int, error) {
	if p.file == nil {
		return 0, errEnded
	}
	return p.file.ReadAt(b, off)
}

// Truncate implements Part.
func (p *part) Truncate(size int64) error {
	if p.file == nil {
		return errEnded
	}
	if size < p.state.offset || size > p.size {
		return fmt.Errorf("truncate part: %w", fs.ErrInvalid)
	}
	if err := p.file.Truncate(size); err != nil {
		return explain("truncate part", err)
	}
	p.size = size
	return nil
}

// Sync implements Part.
func (p *part) Sync(size int64) error {
	if p.file == nil {
		return errEnded
	}
	if err := p.file.Sync(); err != nil {
		return explain("sync part", err)
	}
	if !p.entries {
		if err := errors.Join(p.state.file.Sync(), p.folder.dir.Sync()); err != nil {
			return explain("sync part", err)
		}
	}
	if err := p.state.save(size, growing, true); err != nil {
		return explain("mark part", err)
	}
	p.entries, p.acked = true, true
	return nil
}

// Publish implements Part.
func (p *part) Publish(path string, meta Meta) error {
	if p.file == nil {
		return errEnded
	}
	if !valid(path) {
		return &fs.PathError{Op: "publish", Path: path, Err: fs.ErrInvalid}
	}
	if err := p.d.place(path); err != nil {
		return err
	}
	if len(meta.Type) > maxType {
		meta.Type = ""
	}
	u := &upload{d: p.d, tmp: p.folder, name: p.name, path: path, meta: meta, size: p.size, n: p.size, file: p.file}
	if shared, err := p.share(u); shared || err != nil {
		return err
	}
	err := u.seal() // closes the file
	p.file = nil
	if err == nil {
		// From here on a part without bytes is one that was published. Where nothing was acknowledged yet the mark need
		// not be durable: after a power cut the client starts again and finds its file.
		err = p.state.save(p.size, moving, p.acked)
	}
	if err == nil {
		err = u.Publish()
	}
	if err != nil {
		return errors.Join(err, p.stay(u))
	}
	if err := p.state.save(p.size, done, false); err != nil {
		p.d.opt.Log.Warn("part not marked as published", "error", err) // its bytes are gone, which says the same
	}
	return nil
}

// stay takes a part back that could not be published. What is missing later must not look as if it had been.
func (p *part) stay(u *upload) error {
	if u.name == "" { // moved, and taken back because its folder could not be synced
		p.size = 0
		return errors.Join(ErrDamaged, p.state.save(0, growing, p.acked))
	}
	f, err := p.folder.root.OpenFile(p.name, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return explain("open part again", err)
	}
	p.file = f
	if u.failed != nil { // a sync went wrong: only what was marked before is on disk
		return p.Truncate(p.state.offset)
	}
	return p.Sync(p.size)
}

// SameAs implements Part.
func (p *part) SameAs(published File) (bool, error) {
	if p.file == nil {
		return false, errEnded
	}
	fi, err := published.Stat()
	if err != nil {
		return false, fmt.Errorf("compare part: %w", err)
	}
	if fi.Size() != p.size {
		return false, nil
	}
	same, err := sameBytes(io.NewSectionReader(p.file, 0, p.size), io.NewSectionReader(published, 0, p.size))
	if err != nil {
		return false, fmt.Errorf("compare part: %w", err)
	}
	return same, nil
}

// Finish implements Part.
func (p *part) Finish() error {
	if p.file == nil {
		return errEnded
	}
	err := p.file.Close()
	p.file = nil
	err = errors.Join(err, p.state.save(p.size, done, p.acked))
	if err == nil {
		err = p.folder.remove(p.name)
	}
	if err != nil {
		return explain("finish part", err)
	}
	return nil
}

// Close implements Part.
func (p *part) Close() error {
	var errs []error
	if p.file != nil {
		errs = append(errs, p.file.Close())
		p.file = nil
	}
	if p.state != nil {
		errs = append(errs, p.state.file.Close())
	}
	errs = append(errs, p.folder.close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close part: %w", err)
	}
	return nil
}
