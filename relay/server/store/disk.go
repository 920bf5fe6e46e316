package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Names below the store's folder, and the most a umask can leave of each mode.
const (
	privateDir = ".holdfast"
	tmpDir     = privateDir + "/tmp"
	lockFile   = privateDir + "/lock"

	fileMode = 0o640
	dirMode  = 0o750
)

// cleanMark is what the lock file says when no process uses the store and the last one stopped in order.
const cleanMark = "clean\n"

// Attributes remembers what rides with a file where the file system has no user extended attributes.
// It may write behind. The ledger implements it.
type Attributes interface {
	SetAttributes(path, mediaType string, digest []byte, retain time.Time)
	Attributes(path string) (mediaType string, digest []byte, retain time.Time, err error)
	ForgetAttributes(path string)
}

// Options of a Disk. The zero value is good.
type Options struct {
	MinFree  uint64       // Create answers ErrFull when less would stay free
	Attrs    Attributes   // nil: without extended attributes type, digest and end are not kept
	Dedup    Dedup        // how files with the same bytes share them
	Contents Contents     // what Dedup needs; nil: nothing is shared
	Hashed   bool         // a missing path may be a file of share.php: store- and the SHA-256 of the path
	Log      *slog.Logger // nil: no log
	Hook     Hook         // for tests; nil: none
}

// Disk is a store in a folder.
type Disk struct {
	opt     Options
	root    *rootDir
	dot     *handle // the store's folder, for syncing and statfs
	lock    *handle
	xattrs  bool // the file system keeps user extended attributes
	minFree atomic.Uint64
	smalls  smallFiles
	noClone atomic.Bool // the file system has shown that it cannot share blocks

	mu         sync.Mutex // guards all below
	tmp        *tmpFolder
	oldTmp     []*tmpFolder     // replaced while uploads may still use them; closed by Close
	fresh      map[string]entry // folders whose entry may not be on disk yet
	freshCount uint64
	publishing map[string]chan struct{} // closed when the publish of that path ends
	doomed     map[string]bool          // files that may not survive a power cut and could not be taken back yet
	partsKept  bool                     // the entry of the folder of parts is on disk
}

// Open opens the store in dir, makes missing folders and removes what a dead process left. ErrInUse: another process has it.
func Open(dir string, opt Options) (*Disk, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, explain("open store", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, explain("open store", err)
	}
	hooked, err := newRootDir(root, "", opt.Hook)
	if err != nil {
		return nil, explain("open store", err)
	}
	d := &Disk{
		opt:        opt,
		root:       hooked,
		fresh:      make(map[string]entry),
		publishing: make(map[string]chan struct{}),
		doomed:     make(map[string]bool),
	}
	d.minFree.Store(opt.MinFree)
	if err := d.start(dir); err != nil {
		return nil, errors.Join(err, d.release())
	}
	return d, nil
}

// start takes the lock, makes an unclean stop durable, empties tmp and looks at what the file system can do.
func (d *Disk) start(dir string) error {
	var err error
	if d.dot, err = d.root.Open("."); err != nil {
		return explain("open store", err)
	}
	if err := d.needFolder(privateDir); err != nil {
		return err
	}
	clean, err := d.takeLock(dir)
	if err != nil {
		return err
	}
	if !clean {
		// A process that was killed may have shown files whose folders it had not synced yet.
		if err := syncFS(d.dot); err != nil {
			d.opt.Log.Warn("store not synced after an unclean stop", "store", dir, "error", err)
		}
	}
	if _, err := d.tmpAfter(nil); err != nil {
		return err
	}
	left, err := d.tmp.empty()
	if err != nil {
		return explain("remove leftovers", err)
	}
	if left > 0 {
		d.opt.Log.Info("leftovers removed", "store", dir, "files", left)
	}
	if d.xattrs, err = keepsAttributes(d.dot); err != nil {
		return explain("try extended attributes", err)
	}
	if !d.xattrs && d.opt.Attrs == nil {
		d.opt.Log.Warn("file system keeps no attributes, media types will be guessed by extension", "store", dir)
	}
	return nil
}

// needFolder makes a private folder, or checks that it is one.
func (d *Disk) needFolder(name string) error {
	err := d.root.Mkdir(name, dirMode)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return explain("make "+name, err)
	}
	fi, err := d.root.Lstat(name)
	if err != nil {
		return explain("look at "+name, err)
	}
	if !fi.IsDir() {
		return fmt.Errorf("%s in the store is not a folder: move it away", name)
	}
	return nil
}

// takeLock locks the store for this process and reports whether the last one stopped in order.
func (d *Disk) takeLock(dir string) (clean bool, err error) {
	// Read-only: a file system on which something is open for writing cannot be remounted read-only.
	d.lock, err = d.root.OpenFile(lockFile, os.O_RDONLY|os.O_CREATE|unix.O_NONBLOCK, fileMode)
	if err != nil {
		return false, explain("open the store's lock", err)
	}
	err = flock(d.lock)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, fmt.Errorf("%w: stop the other server that uses %s, or choose another folder", ErrInUse, dir)
	}
	if err != nil {
		return false, explain("lock the store", err)
	}
	mark, err := io.ReadAll(io.LimitReader(d.lock, 64))
	if err != nil {
		return false, explain("read the store's lock", err)
	}
	if string(mark) == cleanMark {
		clean = true
	}
	// On a full disk this still works: the file gets shorter.
	if err := d.mark(""); err != nil {
		return false, explain("mark the store as in use", err)
	}
	return clean, nil
}

// mark writes what the lock file says.
func (d *Disk) mark(text string) (err error) {
	f, err := d.root.OpenFile(lockFile, os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Truncate(0); err != nil || text == "" {
		return err
	}
	_, err = f.WriteAt([]byte(text), 0)
	return err
}

// SetMinFree changes Options.MinFree.
func (d *Disk) SetMinFree(bytes uint64) { d.minFree.Store(bytes) }

// Close ends the use of the store. Every Upload must have ended before; Files stay readable.
func (d *Disk) Close() error {
	d.mu.Lock()
	clean := len(d.doomed) == 0
	d.mu.Unlock()
	if !clean {
		d.opt.Log.Warn("store not marked as clean", "error", "a file could not be taken back")
	} else if err := d.mark(cleanMark); err != nil {
		// The next start syncs the file system instead, so nothing is lost.
		d.opt.Log.Warn("store not marked as clean", "error", err)
	}
	return d.release()
}

func (d *Disk) release() error {
	var errs []error
	for _, t := range append(d.oldTmp, d.tmp) {
		if t != nil {
			errs = append(errs, t.close())
		}
	}
	for _, f := range []*handle{d.dot, d.lock} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	errs = append(errs, d.root.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Free returns how many bytes the store can still take.
func (d *Disk) Free() (uint64, error) {
	free, err := freeBytes(d.dot)
	if err != nil {
		return 0, explain("look for free space", err)
	}
	return free, nil
}

// room tells whether size more bytes leave the minimum free.
func (d *Disk) room(size int64) error {
	need := d.minFree.Load()
	if need > math.MaxUint64-uint64(size) {
		need = math.MaxUint64
	} else {
		need += uint64(size)
	}
	free, err := d.Free()
	if err != nil {
		return err
	}
	if free < need {
		return fmt.Errorf("%w: %d bytes free, %d needed", ErrFull, free, need)
	}
	return nil
}

// explain wraps an error of the file system with what was being done, and with the sentinel that a caller branches on.
func explain(doing string, err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%s: %w: %w", doing, ErrFull, err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%s: %w: %w", doing, ErrReadOnly, err)
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}
