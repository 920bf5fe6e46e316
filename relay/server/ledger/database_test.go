package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestASecondServerOnTheSameLedgerIsRefused(t *testing.T) {
	dir := t.TempDir()
	l := openAt(t, dir, Options{})
	defer closeIt(t, l)
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second Open: %v, want ErrInUse with the folder's name", err)
	}
}

func TestFilesAreForTheOwnerAloneWhateverTheFolderIsCalled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b?c#d%20e&_pragma=x")
	l := openAt(t, dir, Options{})
	l.Burn("a/b", time.Time{})
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range append(entries, nil) {
		name := dir
		if e != nil {
			names = append(names, e.Name())
			name = filepath.Join(dir, e.Name())
		}
		fi, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", name, fi.Mode())
		}
	}
	want := []string{"address.key", "ledger.db", "ledger.db-shm", "ledger.db-wal", "ledger.lock"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	closeIt(t, l)
}

func TestAfterAnUncleanStopTheServerLearnsWhatMayBeMissing(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	// stop ends a ledger as a power cut would, after what was noted was written or not.
	stop := func(l *Ledger) {
		t.Helper()
		l.stop()
		<-l.done
		if err := l.release(); err != nil {
			t.Fatal(err)
		}
	}
	check := func(name string, l *Ledger, wantSince time.Time, wantUnclean bool) {
		t.Helper()
		since, unclean := l.Unclean()
		if unclean != wantUnclean || unclean && !since.Equal(wantSince) {
			t.Errorf("%s: since %v, unclean %v; want %v, %v", name, since, unclean, wantSince, wantUnclean)
		}
	}
	l := openAt(t, dir, Options{Now: c.Now})
	check("a new ledger knows nothing of the files that are there", l, time.Time{}, true)
	l.Burn("a/b", time.Time{})
	closeIt(t, l)

	l = openAt(t, dir, Options{Now: c.Now})
	check("a clean stop without Recovered changes nothing", l, time.Time{}, true)
	l.Burn("a/c", time.Time{})
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	stop(l)

	l = openAt(t, dir, Options{Now: c.Now})
	check("neither does a crash", l, time.Time{}, true)
	l.Recovered()
	closeIt(t, l)

	c.add(time.Hour)
	l = openAt(t, dir, Options{Now: c.Now})
	check("after Recovered and a clean stop nothing is missing", l, time.Time{}, false)
	c.add(time.Hour)
	stop(l)

	l = openAt(t, dir, Options{Now: c.Now})
	check("a crash before the first batch", l, start.Add(time.Hour-uncleanSlack), true)
	l.Recovered()
	c.add(time.Hour)
	l.Burn("a/d", time.Time{})
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	batch := c.Now()
	c.add(time.Hour)
	l.Burn("a/e", time.Time{})
	stop(l)

	l = openAt(t, dir, Options{Now: c.Now})
	check("a crash after a batch", l, batch.Add(-uncleanSlack), true)
	if !burnt(t, l, "a/d") || burnt(t, l, "a/e") {
		t.Error("the crash of this test is not one")
	}
	closeIt(t, l)
}

// lockOut keeps everybody else from writing to the database until it is called.
func lockOut(t *testing.T, dir string) (unlock func()) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, databaseName))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), `BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		_, err := conn.ExecContext(context.Background(), `ROLLBACK`)
		if err := errors.Join(err, conn.Close(), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhileTheDatabaseIsLockedNothingIsLost(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	var log syncBuffer
	l := openAt(t, dir, Options{Now: c.Now, MaxPending: 3, Log: slog.New(slog.NewTextHandler(&log, nil))})
	l.Recovered()
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	unlock := lockOut(t, dir)
	l.Burn("a/b", time.Time{})
	if err := l.flush(); err == nil {
		t.Fatal("a locked database was written")
	}
	l.Burn("a/c", time.Time{})
	if !burnt(t, l, "a/b") || !burnt(t, l, "a/c") {
		t.Error("entries in memory are not seen")
	}
	if err := l.Health(); err != nil {
		t.Errorf("Health at once: %v, want nil: memory has room", err)
	}
	c.add(failLimit)
	if err := l.Health(); err == nil {
		t.Error("Health after a long time is nil")
	}
	l.Burn("a/d", time.Time{})
	l.Burn("a/e", time.Time{})
	if burnt(t, l, "a/e") {
		t.Error("more is kept than MaxPending")
	}
	if err := l.BurnToken(t.Context(), [32]byte{1}, "a/b", time.Time{}); err == nil {
		t.Error("a token that cannot be noted is admitted")
	}
	unlock()
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	if err := l.Health(); err != nil {
		t.Errorf("Health after it was written: %v", err)
	}
	closeIt(t, l)
	for _, line := range []string{"ledger not written", "ledger entries dropped", "ledger written again"} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the log lacks %q:\n%s", line, log.String())
		}
	}

	l = openAt(t, dir, Options{Now: c.Now})
	defer closeIt(t, l)
	// On a busy machine the writer may have been on its way with a batch when entries were dropped; its mark is from before that.
	if since, unclean := l.Unclean(); !unclean || since.After(start.Add(failLimit-uncleanSlack)) {
		t.Errorf("Unclean after dropped entries: %v, %v; want since the last batch before", since, unclean)
	}
	for _, path := range []string{"a/b", "a/c", "a/d"} {
		if !burnt(t, l, path) {
			t.Errorf("%s is forgotten", path)
		}
	}
}

// syncBuffer is a log that two goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestAFullBatchIsWrittenByTheOneWhoFillsIt(t *testing.T) {
	l := openAt(t, t.TempDir(), Options{MaxPending: 100})
	defer closeIt(t, l)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 1000 {
				l.Burn(fmt.Sprintf("%d/%d", g, i), time.Time{})
			}
		})
	}
	wg.Wait()
	for g := range 4 {
		for i := range 1000 {
			if !burnt(t, l, fmt.Sprintf("%d/%d", g, i)) {
				t.Fatalf("%d/%d is forgotten", g, i)
			}
		}
	}
}

func TestABadDatabaseIsSaidWithItsNameAndWhatToDo(t *testing.T) {
	fill := func(t *testing.T, dir string) {
		t.Helper()
		l := openAt(t, dir, Options{})
		for i := range 2000 {
			l.Burn(fmt.Sprint("a/", i), time.Time{})
		}
		closeIt(t, l) // without Recovered, so the next start looks closely
	}
	for _, test := range []struct {
		name   string
		damage func(t *testing.T, dir, db string)
		want   error
		say    string
	}{
		{"a database that is something else", func(t *testing.T, _, db string) {
			write(t, db, bytes.Repeat([]byte("not a database "), 1000))
		}, ErrCorrupt, "-recover-ledger"},
		{"a database with overwritten pages", func(t *testing.T, dir, db string) {
			fill(t, dir)
			data, err := os.ReadFile(db)
			if err != nil {
				t.Fatal(err)
			}
			for i := 4096; i < len(data); i++ {
				data[i] ^= 0x55
			}
			write(t, db, data)
		}, ErrCorrupt, "-recover-ledger"},
		{"a database of a newer version", func(t *testing.T, dir, db string) {
			fill(t, dir)
			other, err := sql.Open("sqlite", db)
			if err != nil {
				t.Fatal(err)
			}
			_, err = other.ExecContext(t.Context(), `PRAGMA user_version = 99`)
			if err := errors.Join(err, other.Close()); err != nil {
				t.Fatal(err)
			}
		}, nil, "update it"},
		{"a key of the wrong length", func(t *testing.T, dir, _ string) {
			write(t, filepath.Join(dir, addressKeyName), []byte("short"))
		}, nil, "remove it"},
		{"a database that somebody else has locked", func(t *testing.T, dir, _ string) {
			fill(t, dir)
			t.Cleanup(lockOut(t, dir))
		}, ErrInUse, "close the program"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			db := filepath.Join(dir, databaseName)
			test.damage(t, dir, db)
			_, err := Open(dir, Options{})
			if err == nil {
				t.Fatal("Open succeeds")
			}
			if test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), test.say) {
				t.Errorf("Open: %v\nwant %v, the name, and %q", err, test.want, test.say)
			}
			if !errors.Is(test.want, ErrCorrupt) {
				return
			}
			var log syncBuffer
			l := openAt(t, dir, Options{Recover: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
			if _, unclean := l.Unclean(); !unclean {
				t.Error("a fresh ledger after a damaged one is called clean")
			}
			l.Burn("a/b", time.Time{})
			closeIt(t, l)
			if aside, err := filepath.Glob(db + ".damaged-*"); err != nil || len(aside) == 0 {
				t.Errorf("the damaged database is not there any more: %v, %v", aside, err)
			}
			if !strings.Contains(log.String(), "moved aside") {
				t.Errorf("log: %s", log.String())
			}
		})
	}
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
