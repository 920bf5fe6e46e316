package store

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// tmpFolder is .holdfast/tmp, open for as long as the store is, so that an upload costs no walk to it.
type tmpFolder struct {
	root *rootDir
	dir  *handle // the same folder, for moving files out of it
}

// tmpAfter returns the folder for temporary files. If it is still bad, in which nothing can be made any more, it is made anew:
// somebody's find -delete may have taken the empty folder.
func (d *Disk) tmpAfter(bad *tmpFolder) (*tmpFolder, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tmp != bad {
		return d.tmp, nil
	}
	for _, name := range []string{privateDir, tmpDir} {
		if err := d.needFolder(name); err != nil {
			return nil, err
		}
	}
	root, err := d.root.OpenRoot(tmpDir)
	if err != nil {
		return nil, explain("open "+tmpDir, err)
	}
	dir, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(explain("open "+tmpDir, err), root.Close())
	}
	if bad != nil {
		d.oldTmp = append(d.oldTmp, bad)
	}
	d.tmp = &tmpFolder{root: root, dir: dir}
	return d.tmp, nil
}

func (d *Disk) currentTmp() *tmpFolder {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tmp
}

// create makes a temporary file under a name that nobody has used before.
func (t *tmpFolder) create() (*handle, string, error) {
	name := rand.Text()
	// Non-blocking means nothing to a plain file; it spares the calls with which os would find that out.
	f, err := t.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NONBLOCK, fileMode)
	return f, name, err
}

// empty removes everything in the folder and returns how much that was.
func (t *tmpFolder) empty() (n int, err error) {
	for {
		names, err := t.dir.Readdirnames(256)
		for _, name := range names {
			if err := t.root.RemoveAll(name); err != nil {
				return n, err
			}
			n++
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

func (t *tmpFolder) remove(name string) error {
	if err := t.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (t *tmpFolder) close() error { return errors.Join(t.dir.Close(), t.root.Close()) }
