package companion

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"holdfast/app/words"
)

// SuggestDocument is the document of Hosts with the verb "suggest": upload servers that files were sent to before, read
// from the clients' own histories. Nothing is added by it.
type SuggestDocument struct {
	Schema      int          `json:"schema"`
	Suggestions []Suggestion `json:"suggestions"` // the most used first
}

// Suggestion is one upload server.
type Suggestion struct {
	Host    string   `json:"host"`    // canonical, as hosts add takes it
	Clients []string `json:"clients"` // whose history has it
	Files   int      `json:"files"`   // that were sent to it, as far as the history goes
	Listed  bool     `json:"listed"`  // Holdfast takes care of it already
}

// histories are the clients' databases of messages, with what finds the addresses of files that the person sent. Only the
// address of a file leaves the database.
var histories = []struct {
	client, file, query string
}{
	// A file that Dino sent over HTTP has the number of the message with its address as info (libdino, FileTransfer).
	{"dino", "dino/dino.db", `SELECT m.body FROM file_transfer f JOIN message m ON m.id = CAST(f.info AS INTEGER)
		WHERE f.direction = 1 AND f.provider = 0 AND m.direction = 1 AND f.info GLOB '[0-9]*'`},
	// Gajim 1.4 to 1.x: kinds 6 and 2 are messages sent, and those of groups; the address of a file is noted as oob_url.
	{"gajim", "gajim/logs.db", `SELECT message FROM logs WHERE kind IN (2, 6)
		AND (message LIKE 'https://%' OR message LIKE 'aesgcm://%') AND instr(message, ' ') = 0
		AND (kind = 6 OR real_jid IS NULL) AND additional_data LIKE '%oob_url%'`},
	{"gajim", "gajim/logs.db", `SELECT message FROM logs WHERE kind = 6 AND message LIKE 'aesgcm://%' AND instr(message, ' ') = 0
		AND COALESCE(additional_data, '') NOT LIKE '%oob_url%'`},
}

// historyLimit is the largest history that is looked at, and rowsLimit how much of it.
const (
	historyLimit = 1 << 30
	rowsLimit    = 10_000
)

// suggest looks into copies of the histories. A database in the middle of a change, twice, suggests nothing.
func suggest(p Paths, listed []string, w *words.Words) (string, error) {
	found := map[string]*Suggestion{}
	roots := []string{p.XDG.Data, filepath.Join(p.Home, ".var/app/im.dino.Dino/data"), filepath.Join(p.Home, ".var/app/org.gajim.Gajim/data")}
	for _, root := range roots {
		for _, h := range histories {
			for _, address := range lookInto(p.Runtime, filepath.Join(root, h.file), h.query) {
				host, ok := uploadHost(address, w)
				if !ok {
					continue
				}
				s := found[host]
				if s == nil {
					s = &Suggestion{Host: host, Listed: slices.Contains(listed, host)}
					found[host] = s
				}
				s.Files++
				if !slices.Contains(s.Clients, h.client) {
					s.Clients = append(s.Clients, h.client)
				}
			}
		}
	}
	doc := SuggestDocument{Schema: 1, Suggestions: []Suggestion{}}
	for _, s := range found {
		doc.Suggestions = append(doc.Suggestions, *s)
	}
	slices.SortFunc(doc.Suggestions, func(a, b Suggestion) int {
		return cmp.Or(cmp.Compare(b.Files, a.Files), cmp.Compare(a.Host, b.Host))
	})
	return render(doc)
}

// uploadHost is the host of a file's address. A fragment is the key of an encrypted file, and is not looked at.
func uploadHost(address string, w *words.Words) (string, bool) {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || u.User != nil || u.Scheme != "https" && u.Scheme != "aesgcm" || strings.Trim(u.Path, "/") == "" {
		return "", false
	}
	host, err := ParseHost(u.Host, w)
	return host, err == nil
}

// lookInto asks a copy of a database, which is gone afterwards. The newest messages are in the -wal; the -shm belongs to
// the running client.
func lookInto(runtime, path, query string) []string {
	if st, err := os.Stat(path); err != nil || st.Size() > historyLimit {
		return nil
	}
	for range 2 {
		if out, err := lookOnce(runtime, path, query); err == nil {
			return out
		}
	}
	return nil
}

func lookOnce(runtime, path, query string) (out []string, err error) {
	if err := private(runtime, os.Getuid()); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(runtime, "history-") // 0700
	if err != nil {
		return nil, fmt.Errorf("copy a history: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	to := filepath.Join(dir, "history.db")
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + suffix)
		if suffix != "" && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(to+suffix, data, 0o600)
		}
		if err != nil {
			return nil, fmt.Errorf("copy a history: %w", err)
		}
	}
	db, err := sql.Open("sqlite", to)
	if err != nil {
		return nil, fmt.Errorf("read a history: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	var fine string
	if err := db.QueryRow("PRAGMA quick_check(1)").Scan(&fine); err != nil || fine != "ok" {
		return nil, fmt.Errorf("read a history: it is in the middle of a change (%q): %w", fine, err)
	}
	rows, err := db.Query(query+" LIMIT ?", rowsLimit)
	if err != nil {
		return nil, fmt.Errorf("read a history: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var body sql.NullString
		if err := rows.Scan(&body); err != nil {
			return nil, fmt.Errorf("read a history: %w", err)
		}
		if len(body.String) <= 4096 {
			out = append(out, body.String)
		}
	}
	return out, rows.Err()
}
