package cache

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Backup is a copy of a client's databases: accounts, history and keys. It holds passwords, so it is only its owner's, and
// nobody but a person removes it.
type Backup struct {
	Dir   string `json:"dir"` // empty: a dry run
	Files []Copy `json:"files"`
	Bytes int64  `json:"bytes"`
}

// Copy is one file of a Backup.
type Copy struct {
	Path   string    `json:"path"` // where it was read
	To     string    `json:"to"`   // below Dir
	Size   int64     `json:"size"`
	Time   time.Time `json:"time"`
	SHA256 string    `json:"sha256,omitempty"`
}

// backedUp are the endings of databases and of what belongs to them. The write-ahead log holds the newest data, often more
// than the database itself; the shared memory (-shm) is made again from it and must not be copied.
var backedUp = []string{".db", ".sqlite", ".sqlite3"} // read only

func isDatabase(name string) bool {
	for _, rest := range []string{"", "-wal", "-journal"} {
		if base, ok := strings.CutSuffix(name, rest); ok && slices.Contains(backedUp, filepath.Ext(base)) {
			return true
		}
	}
	return false
}

// BackupFor lists what a backup of this client would copy: the databases that lie directly in its folders below data and
// config, of all profiles. It changes nothing.
func BackupFor(r Roots, client, install string) (Backup, error) {
	l, err := layoutOf(r, client, install)
	if err != nil {
		return Backup{}, err
	}
	b := Backup{Files: []Copy{}}
	for i, keep := range l.keep {
		parent := filepath.Dir(keep)
		entries, err := os.ReadDir(parent)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Backup{}, fmt.Errorf("%w: look for databases: %w", ErrRefused, err)
		}
		for _, e := range entries {
			if e.Name() != client && !(client == "gajim" && strings.HasPrefix(e.Name(), "gajim.")) {
				continue
			}
			if err := b.look(filepath.Join(parent, e.Name()), []string{"config", "data"}[i]+"/"+e.Name()); err != nil {
				return Backup{}, err
			}
		}
	}
	return b, nil
}

// look adds the databases of one folder. The folder may be a link: people keep profiles on other disks. A database that is a
// link or somebody else's is refused.
func (b *Backup) look(dir, to string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: look for databases: %w", ErrRefused, err)
	}
	for _, e := range entries {
		if !isDatabase(e.Name()) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		st, err := plain(path)
		if err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFREG {
			return fmt.Errorf("%w: %s is not a file", ErrRefused, path)
		}
		b.Files = append(b.Files, Copy{Path: path, To: filepath.Join(to, e.Name()), Size: int64(st.Size), Time: time.Unix(st.Mtime.Sec, int64(st.Mtime.Nsec)).UTC()})
		b.Bytes += int64(st.Size)
	}
	return nil
}

// backup copies the databases of a client that does not run to `<State>/backup/<id>`. They are listed again: what the client
// wrote while it quit belongs to them. Each copy is compared with what was read. On an error nothing is left.
func (g engine) backup(ctx context.Context, r Roots, client, install string, now time.Time) (b Backup, err error) {
	b, err = BackupFor(r, client, install)
	if err != nil || len(b.Files) == 0 {
		return b, err
	}
	var paths []string
	for _, f := range b.Files {
		real, err := filepath.EvalSymlinks(f.Path)
		if err != nil {
			return Backup{}, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		paths = append(paths, real)
	}
	if pid, path := opener(g.proc, paths); pid != 0 {
		return Backup{}, fmt.Errorf("%w: process %d has %s open; close that program and try again", ErrInUse, pid, path)
	}
	var random [4]byte
	if _, err := rand.Read(random[:]); err != nil {
		return Backup{}, err
	}
	all := filepath.Join(r.State, "backup")
	b.Dir = filepath.Join(all, now.UTC().Format("20060102T150405Z")+"-"+client+"-"+hex.EncodeToString(random[:]))
	if err := os.MkdirAll(b.Dir, 0o700); err != nil {
		return Backup{}, plainError(fmt.Errorf("make the backup: %w", err))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(b.Dir)) // it holds copies only
			b = Backup{Files: []Copy{}}
		}
	}()
	if err := room(b.Dir, b.Bytes); err != nil {
		return b, err
	}
	for i := range b.Files {
		if err := ctx.Err(); err != nil {
			return b, context.Cause(ctx)
		}
		if err := g.copyOut(&b.Files[i], b.Dir); err != nil {
			return b, plainError(fmt.Errorf("back up %s: %w", b.Files[i].Path, err))
		}
	}
	list, err := json.MarshalIndent(b, "", "\t")
	if err != nil {
		return b, err
	}
	if err := writeSynced(filepath.Join(b.Dir, manifestName), list); err != nil {
		return b, plainError(fmt.Errorf("back up: %w", err))
	}
	return b, errors.Join(syncDir(b.Dir), syncDir(all))
}

// copyOut copies one file and makes sure that the copy is what was read.
func (g engine) copyOut(c *Copy, dir string) error {
	in, err := os.OpenFile(c.Path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // read only
	to := filepath.Join(dir, c.To)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = g.disk.copy(out, io.TeeReader(in, h))
	err = errors.Join(err, out.Sync(), out.Close())
	if err != nil {
		return err
	}
	c.SHA256 = hex.EncodeToString(h.Sum(nil))
	if err := os.Chtimes(to, c.Time, c.Time); err != nil {
		return err
	}
	got, err := hash(to)
	if err != nil {
		return err
	}
	if got != c.SHA256 {
		return errors.New("the copy differs from what was read")
	}
	return syncDir(filepath.Dir(to))
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}

// room refuses when n more bytes would fill the disk.
func room(dir string, n int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	if free := int64(st.Bavail) * st.Bsize; free < n+n/16 {
		return fmt.Errorf("%w: %s has %d bytes free, %d are needed", ErrNoSpace, dir, free, n+n/16)
	}
	return nil
}
