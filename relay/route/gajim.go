package route

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// proxyName is what our proxy is called in Gajim's preferences.
const proxyName = "Holdfast"

// gajimSettings is Gajim's database of settings (1.4 and later): a table of names and JSON documents.
func (m Machine) gajimSettings() string { return filepath.Join(m.Config, "gajim", "settings.sqlite") }

// readGajim reads the database whole. Changes that were not yet carried into it must not be lost.
func readGajim(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is not there", ErrNothingThere, path)
	}
	if err != nil {
		return nil, fmt.Errorf("read Gajim's settings: %w", err)
	}
	for _, suffix := range []string{"-wal", "-journal"} {
		if st, err := os.Stat(path + suffix); err == nil && st.Size() > 0 {
			return nil, fmt.Errorf("%w: start Gajim and quit it (%s)", ErrUnclean, path+suffix)
		}
	}
	return data, nil
}

// gajimProxy has all accounts use the relay, if no proxy is set anywhere.
func gajimProxy(data []byte, listen string) ([]byte, error) {
	a, err := netip.ParseAddrPort(listen)
	if err != nil {
		return nil, fmt.Errorf("address of the relay: %w", err)
	}
	return editGajim(data, func(tx *sql.Tx) error {
		var global string
		if err := tx.QueryRow(`SELECT COALESCE(json_extract(settings, '$.global_proxy'), '') FROM settings WHERE name = 'app'`).Scan(&global); err != nil {
			return fmt.Errorf("%w: Gajim's settings have another form: %w", ErrNothingThere, err)
		}
		if global != "" && global != proxyName {
			return fmt.Errorf("%w in Gajim: %q", ErrOwnProxy, global)
		}
		var own int
		if err := tx.QueryRow(`SELECT count(*) FROM account_settings WHERE COALESCE(json_extract(settings, '$.account.proxy'), '') NOT IN ('', ?)`, proxyName).Scan(&own); err != nil {
			return fmt.Errorf("%w: Gajim's settings have another form: %w", ErrNothingThere, err)
		}
		if own > 0 {
			return fmt.Errorf("%w for an account of Gajim", ErrOwnProxy)
		}
		if _, err := tx.Exec(`INSERT OR IGNORE INTO settings (name, settings) VALUES ('proxies', '{}')`); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE settings SET settings = json_set(settings, '$.`+proxyName+`',
			json_object('type', 'http', 'host', ?, 'port', ?, 'useauth', json('false'), 'user', '', 'pass', '')) WHERE name = 'proxies'`,
			a.Addr().String(), a.Port()); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE settings SET settings = json_set(settings, '$.global_proxy', ?) WHERE name = 'app'`, proxyName)
		return err
	})
}

// withoutGajimProxy takes our proxy out again, and nothing else.
func withoutGajimProxy(data []byte) ([]byte, error) {
	return editGajim(data, func(tx *sql.Tx) error {
		if _, err := tx.Exec(`UPDATE settings SET settings = json_remove(settings, '$.global_proxy')
			WHERE name = 'app' AND json_extract(settings, '$.global_proxy') = ?`, proxyName); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE settings SET settings = json_remove(settings, '$.` + proxyName + `') WHERE name = 'proxies'`)
		return err
	})
}

// editGajim changes a copy of the database and returns its bytes.
func editGajim(data []byte, edit func(*sql.Tx) error) (out []byte, err error) {
	dir, err := os.MkdirTemp("", "holdfast-")
	if err != nil {
		return nil, fmt.Errorf("copy Gajim's settings: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "settings.sqlite")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return nil, fmt.Errorf("copy Gajim's settings: %w", err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return nil, fmt.Errorf("open Gajim's settings: %w", err)
	}
	db.SetMaxOpenConns(1)
	tx, err := db.Begin()
	if err == nil {
		if err = edit(tx); err == nil {
			err = tx.Commit()
		} else {
			err = errors.Join(err, tx.Rollback())
		}
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, fmt.Errorf("change Gajim's settings: %w", err)
	}
	if st, err := os.Stat(path + "-wal"); err == nil && st.Size() > 0 {
		return nil, fmt.Errorf("change Gajim's settings: %w", ErrUnclean)
	}
	return os.ReadFile(path)
}
