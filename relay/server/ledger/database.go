package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	databaseName = "ledger.db"
	lockName     = "ledger.lock"
)

// uncleanSlack is how much older than the last batch a file can be whose slot the batch does not have: the time between its
// publication and its Burn, and some for the clock.
const uncleanSlack = 5 * time.Minute

// migrations lead from one user_version to the next. One that was released is never changed.
var migrations = [...]string{
	`CREATE TABLE slots (path BLOB PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
	 CREATE INDEX slots_until ON slots (until) WHERE until > 0;
	 CREATE TABLE tokens (mac BLOB PRIMARY KEY, path BLOB NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
	 CREATE INDEX tokens_until ON tokens (until) WHERE until > 0;
	 CREATE TABLE sessions (owner TEXT PRIMARY KEY, id TEXT NOT NULL, last_fresh INTEGER NOT NULL,
	   fresh_addr TEXT NOT NULL, name TEXT NOT NULL) WITHOUT ROWID;
	 CREATE INDEX sessions_last_fresh ON sessions (last_fresh);
	 CREATE TABLE ends (path TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
	 CREATE INDEX ends_until ON ends (until);
	 CREATE TABLE attributes (path BLOB PRIMARY KEY, type TEXT NOT NULL, digest BLOB, retain INTEGER NOT NULL) WITHOUT ROWID;
	 CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;`,
	`CREATE TABLE charges (path TEXT PRIMARY KEY, owner TEXT NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID;
	 CREATE TABLE used (owner TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
	 CREATE TABLE contents (digest BLOB PRIMARY KEY, path TEXT NOT NULL) WITHOUT ROWID;`,
	`CREATE TABLE blocked (digest BLOB PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;`,
	`CREATE TABLE devices (id TEXT PRIMARY KEY, who TEXT NOT NULL, key TEXT NOT NULL, made INTEGER NOT NULL,
	   used INTEGER NOT NULL, revoked INTEGER NOT NULL, UNIQUE (who, key)) WITHOUT ROWID;
	 CREATE TABLE codes (code BLOB PRIMARY KEY, who TEXT NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
	 CREATE TABLE spent (mark BLOB PRIMARY KEY, device TEXT NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
	 CREATE INDEX spent_device ON spent (device);
	 CREATE INDEX spent_until ON spent (until);`,
}

// Marks: clean is 1 after a clean stop; known is the moment before which nothing can be missing; batch is the number of the last
// batch.
const (
	markClean = "clean"
	markKnown = "known"
	markBatch = "batch"
)

// statements are the ones that an upload waits for.
type statements struct{ slot, token, session, attributes, used, content *sql.Stmt }

func (s *statements) prepare(ctx context.Context, db *sql.DB) error {
	for _, p := range []struct {
		stmt  **sql.Stmt
		query string
	}{
		{&s.slot, `SELECT until FROM slots WHERE path = ?`},
		{&s.token, `SELECT path, until FROM tokens WHERE mac = ?`},
		{&s.session, `SELECT id, last_fresh, fresh_addr, name FROM sessions WHERE owner = ?`},
		{&s.attributes, `SELECT type, digest, retain FROM attributes WHERE path = ?`},
		{&s.used, `SELECT coalesce((SELECT bytes FROM used WHERE owner = ?), 0), coalesce((SELECT value FROM marks WHERE name = 'batch'), 0)`},
		{&s.content, `SELECT path FROM contents WHERE digest = ?`},
	} {
		var err error
		if *p.stmt, err = db.PrepareContext(ctx, p.query); err != nil {
			return err
		}
	}
	return nil
}

func (s *statements) close() error {
	var errs []error
	for _, stmt := range []*sql.Stmt{s.slot, s.token, s.session, s.attributes, s.used, s.content} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	return errors.Join(errs...)
}

func takeLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the ledger's lock: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("%w: stop the other server that uses %s, or choose another folder", ErrInUse, dir)
	} else if err != nil {
		err = fmt.Errorf("lock the ledger: %w", err)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// openDatabase opens ledger.db, and once more after moving a damaged one aside if that is allowed.
func (l *Ledger) openDatabase(dir string) error {
	name := filepath.Join(dir, databaseName)
	err := l.tryDatabase(name)
	if !errors.Is(err, ErrCorrupt) || !l.opt.Recover {
		return err
	}
	aside, moveErr := moveAside(name, l.opt.Now())
	if moveErr != nil {
		return errors.Join(err, moveErr)
	}
	l.opt.Log.Warn("damaged ledger moved aside, a new one was made", "aside", aside, "error", err)
	return l.tryDatabase(name)
}

func (l *Ledger) tryDatabase(name string) error {
	ctx := context.Background()
	err := l.connect(ctx, name)
	if err == nil {
		return nil
	}
	if l.db != nil {
		err = errors.Join(err, l.stmts.close(), l.db.Close())
		l.db, l.stmts = nil, statements{}
	}
	return describe(err, name)
}

func (l *Ledger) connect(ctx context.Context, name string) error {
	// SQLite gives its other files the mode of this one.
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return err
	}
	source := url.URL{Scheme: "file", Path: abs, RawQuery: url.Values{
		"_pragma": {"busy_timeout(2000)", "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-1024)"},
		"_txlock": {"immediate"},
	}.Encode()}
	if l.db, err = sql.Open("sqlite", source.String()); err != nil {
		return err
	}
	l.db.SetMaxOpenConns(3) // one writes, two read
	if err := l.migrate(ctx); err != nil {
		return err
	}
	if err := l.readMarks(ctx); err != nil {
		return err
	}
	if err := l.stmts.prepare(ctx, l.db); err != nil {
		return err
	}
	if err := l.prune(ctx); err != nil {
		return err
	}
	if err := l.readBlocks(ctx); err != nil {
		return err
	}
	return l.rebuildFilter(ctx)
}

func (l *Ledger) migrate(ctx context.Context) error {
	var version int
	if err := l.db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return err
	}
	if version > len(migrations) {
		return fmt.Errorf("made by a newer version of holdfast-server (%d, this one knows %d): update it", version, len(migrations))
	}
	for ; version < len(migrations); version++ {
		err := l.inTx(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, migrations[version]); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, version+1))
			return err
		})
		if err != nil {
			return fmt.Errorf("bring to version %d: %w", version+1, err)
		}
	}
	return nil
}

// readMarks learns how the last stop was and marks the ledger as open.
func (l *Ledger) readMarks(ctx context.Context) error {
	clean, err := l.mark(ctx, markClean)
	if err != nil {
		return err
	}
	known, err := l.mark(ctx, markKnown)
	if err != nil {
		return err
	}
	l.unclean, l.since = clean == 0, moment(known).time()
	l.recovered = !l.unclean
	last, err := l.mark(ctx, markBatch)
	if err != nil {
		return err
	}
	l.next = newBatch(last + 1)
	if l.unclean {
		return l.check(ctx)
	}
	return l.inTx(ctx, func(tx *sql.Tx) error {
		if err := setMark(ctx, tx, markKnown, int64(toMoment(l.opt.Now().Add(-uncleanSlack)))); err != nil {
			return err
		}
		return setMark(ctx, tx, markClean, 0)
	})
}

func (l *Ledger) mark(ctx context.Context, name string) (value int64, err error) {
	err = l.db.QueryRowContext(ctx, `SELECT value FROM marks WHERE name = ?`, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return value, err
}

func setMark(ctx context.Context, tx *sql.Tx, name string, value int64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO marks (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`, name, value)
	return err
}

func (l *Ledger) markClean() error {
	ctx := context.Background()
	return l.inTx(ctx, func(tx *sql.Tx) error { return setMark(ctx, tx, markClean, 1) })
}

// check reads the whole database once after an unclean stop.
func (l *Ledger) check(ctx context.Context) error {
	var result string
	if err := l.db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&result); err != nil {
		return err
	}
	if result != "ok" {
		return fmt.Errorf("%w: %s", ErrCorrupt, result)
	}
	return nil
}

func (l *Ledger) inTx(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// describe says what is wrong with the database and what to do about it.
func describe(err error, name string) error {
	var e *sqlite.Error
	code := 0
	if errors.As(err, &e) {
		code = e.Code() & 0xff // the rest says more precisely what the first byte says
	}
	switch {
	case code == sqlite3.SQLITE_CORRUPT, code == sqlite3.SQLITE_NOTADB, errors.Is(err, ErrCorrupt):
		return fmt.Errorf("%w: %s: start with -recover-ledger, or move it and %s-wal away; burnt slots come back from the store, sessions are lost: %w",
			ErrCorrupt, name, filepath.Base(name), err)
	case code == sqlite3.SQLITE_BUSY, code == sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: %s is locked: close the program that has it open, such as sqlite3: %w", ErrInUse, name, err)
	case code == sqlite3.SQLITE_READONLY:
		return fmt.Errorf("open %s: not writable: make it and its folder writable for the server: %w", name, err)
	default:
		return fmt.Errorf("open %s: %w", name, err)
	}
}

// moveAside renames a damaged database and its log, which belong together, and returns the new name.
func moveAside(name string, now time.Time) (string, error) {
	aside := name + ".damaged-" + now.UTC().Format("20060102T150405.000")
	if err := os.Rename(name, aside); err != nil {
		return "", err
	}
	if err := os.Rename(name+"-wal", aside+"-wal"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err := os.Remove(name + "-shm"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	return aside, nil
}
