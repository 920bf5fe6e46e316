package cache

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// profile is a home with what a Gajim and a Dino keep, where the newest data is in the write-ahead logs.
func profile(t *testing.T) Roots {
	t.Helper()
	r := home(t, "gajim")
	for path, text := range map[string]string{
		".local/share/gajim/logs.db":                 "old history",
		".local/share/gajim/logs.db-wal":             "the newest messages, which are not in the database",
		".local/share/gajim/logs.db-shm":             "memory",
		".local/share/gajim/omemo_me@upload.test.db": "keys",
		".local/share/gajim/downloads/not-mine.db":   "a file that somebody sent",
		".local/share/gajim/photo.jpg":               "picture",
		".local/share/gajim.work/logs.db":            "history of a second profile",
		".config/gajim/settings.sqlite":              "accounts",
		".local/share/dino/dino.db":                  "dino",
		".local/share/dino/dino.db-wal":              "newest dino",
	} {
		p := filepath.Join(r.Home, path)
		write(t, p, text)
	}
	later := noon.Add(time.Hour) // the log is newer than its database
	if err := os.Chtimes(filepath.Join(r.Data, "gajim/logs.db-wal"), later, later); err != nil {
		t.Fatal(err)
	}
	return r
}

func backups(t *testing.T, r Roots) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.State, "backup"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	out := []string{}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestABackupCopiesDatabasesWithTheirLogsWhileTheClientIsAway(t *testing.T) {
	r := profile(t)
	before := precious(t, r)
	p := plan(t, r, "gajim", "native")
	c := &fakeClient{running: true, onQuit: func() { write(t, filepath.Join(r.Data, "gajim/logs.db-wal"), "written while it quit") }}
	res, err := ResetWithBackup(t.Context(), c, p, false)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "calls", []string{"quit", "start"}, c.calls)
	if res.Backup == nil || res.UndoID == "" {
		t.Fatalf("result %+v", res)
	}
	got := map[string]string{}
	for _, f := range res.Backup.Files {
		b, err := os.ReadFile(filepath.Join(res.Backup.Dir, f.To))
		if err != nil {
			t.Fatal(err)
		}
		got[f.To] = string(b)
		st, err := os.Stat(filepath.Join(res.Backup.Dir, f.To))
		if err != nil || st.Mode().Perm() != 0o600 || !st.ModTime().Equal(f.Time) {
			t.Errorf("%s: %v %v %v", f.To, st.Mode(), st.ModTime(), err)
		}
	}
	for to, text := range map[string]string{
		"config/gajim/settings.sqlite":       "accounts",
		"data/gajim/logs.db":                 "old history",
		"data/gajim/logs.db-wal":             "written while it quit",
		"data/gajim/omemo_me@upload.test.db": "keys",
		"data/gajim.work/logs.db":            "history of a second profile",
	} {
		if got[to] != text {
			t.Errorf("%s is %q, want %q", to, got[to], text)
		}
	}
	for to := range got {
		if strings.Contains(to, "-shm") || strings.Contains(to, "downloads") || strings.Contains(to, "dino") || strings.HasSuffix(to, ".jpg") {
			t.Errorf("%s was copied", to)
		}
	}
	if st, err := os.Stat(res.Backup.Dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v %v", st, err)
	}
	var list Backup
	b, err := os.ReadFile(filepath.Join(res.Backup.Dir, manifestName))
	if err != nil || json.Unmarshal(b, &list) != nil || len(list.Files) != len(res.Backup.Files) || list.Files[0].SHA256 == "" {
		t.Errorf("the list: %+v %v", list, err)
	}
	before[".local/share/gajim/logs.db-wal"] = precious(t, r)[".local/share/gajim/logs.db-wal"] // the client wrote it
	equal(t, "data and config", before, precious(t, r))
	if _, err := UndoReset(t.Context(), c, r, res.UndoID); err != nil {
		t.Fatal(err)
	}
	equal(t, "backups after the undo", 1, len(backups(t, r)))
}

func TestADryRunOfABackupOnlyLists(t *testing.T) {
	r := profile(t)
	before := tree(t, r.Home)
	res, err := ResetWithBackup(t.Context(), nil, plan(t, r, "dino", "native"), true)
	if err != nil {
		t.Fatal(err)
	}
	if res.Backup == nil || res.Backup.Dir != "" || len(res.Backup.Files) != 2 || res.Backup.Bytes != int64(len("dino")+len("newest dino")) {
		t.Errorf("backup %+v", res.Backup)
	}
	equal(t, "home", before, tree(t, r.Home))
	equal(t, "backups", []string{}, backups(t, r))
}

func TestWithoutItsBackupNothingIsMovedAndTheClientComesBack(t *testing.T) {
	full := func(io.Writer, io.Reader) (int64, error) { return 0, unix.ENOSPC }
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, r Roots, g *engine)
		want    error
		calls   []string
	}{
		{"the disk is full", func(_ *testing.T, _ Roots, g *engine) { g.disk.copy = full }, ErrNoSpace, []string{"quit", "start"}},
		{"a copy that is not what was read", func(_ *testing.T, _ Roots, g *engine) {
			g.disk.copy = func(w io.Writer, r io.Reader) (int64, error) {
				n, err := io.Copy(io.Discard, r)
				if err == nil {
					_, err = w.Write([]byte("other"))
				}
				return n, err
			}
		}, nil, []string{"quit", "start"}},
		{"another program has a database open", func(t *testing.T, r Roots, g *engine) {
			proc := t.TempDir()
			mkdir(t, filepath.Join(proc, "4711/fd"))
			if err := os.Symlink(filepath.Join(r.Data, "gajim/logs.db"), filepath.Join(proc, "4711/fd/9")); err != nil {
				t.Fatal(err)
			}
			g.proc = proc
		}, ErrInUse, []string{"quit", "start"}},
		{"a database is a link", func(t *testing.T, r Roots, _ *engine) {
			if err := os.Symlink("/etc/passwd", filepath.Join(r.Data, "gajim/linked.db")); err != nil {
				t.Fatal(err)
			}
		}, ErrRefused, nil},
		{"a database is a folder", func(t *testing.T, r Roots, _ *engine) { mkdir(t, filepath.Join(r.Data, "gajim/folder.db")) }, ErrRefused, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := profile(t)
			p := plan(t, r, "gajim", "native")
			g := newEngine()
			c.prepare(t, r, &g)
			before := tree(t, r.Home)
			client := &fakeClient{running: true}
			_, err := g.reset(t.Context(), client, p, false, true, noon)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			equal(t, "calls", c.calls, client.calls)
			equal(t, "home", before, tree(t, r.Home))
			equal(t, "backups", []string{}, backups(t, r))
			equal(t, "undo entries", []string{}, undoFolders(t, r))
		})
	}
}

func TestABackupThatIsCancelledLeavesNothing(t *testing.T) {
	r := profile(t)
	ctx, cancel := context.WithCancel(t.Context())
	client := &fakeClient{running: true, onQuit: cancel}
	if _, err := ResetWithBackup(ctx, client, plan(t, r, "gajim", "native"), false); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	equal(t, "backups", []string{}, backups(t, r))
}

func TestAProfileOnAnotherDiskIsBackedUpThroughItsLink(t *testing.T) {
	r := profile(t)
	elsewhere := filepath.Join(t.TempDir(), "gajim")
	if err := os.Rename(filepath.Join(r.Data, "gajim"), elsewhere); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(r.Data, "gajim")); err != nil {
		t.Fatal(err)
	}
	res, err := ResetWithBackup(t.Context(), &fakeClient{}, plan(t, r, "gajim", "native"), false)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(res.Backup.Dir, "data/gajim/logs.db-wal")); err != nil || !strings.HasPrefix(string(b), "the newest") {
		t.Errorf("%q %v", b, err)
	}
}

func TestASnapHasFoldersOfItsOwn(t *testing.T) {
	r := home(t, "gajim")
	avatar := filepath.Join(r.Home, "snap/gajim/common/.cache/gajim/avatars/a.png")
	write(t, avatar, "picture")
	write(t, filepath.Join(r.Home, "snap/gajim/3/.local/share/gajim/logs.db"), "history")
	if err := os.Symlink("3", filepath.Join(r.Home, "snap/gajim/current")); err != nil {
		t.Fatal(err)
	}
	before := tree(t, r.Home)
	p := plan(t, r, "gajim", "snap")
	equal(t, "steps", []string{"snap/gajim/common/.cache/gajim/avatars"}, paths(r, p))
	res, err := ResetWithBackup(t.Context(), &fakeClient{}, p, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Backup.Files) != 1 || res.Backup.Files[0].To != "data/gajim/logs.db" {
		t.Errorf("backup %+v", res.Backup)
	}
	if _, err := UndoReset(t.Context(), &fakeClient{}, r, res.UndoID); err != nil {
		t.Fatal(err)
	}
	equal(t, "home", before, tree(t, r.Home))
}
