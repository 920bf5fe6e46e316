package companion

import (
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/app/words"
)

// fill makes a database as the client has it while it runs: opened, and with its newest rows only in the -wal.
func fill(t *testing.T, path string, statements ...string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	for _, s := range append([]string{"PRAGMA journal_mode=WAL", "PRAGMA wal_autocheckpoint=0"}, statements...) {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if st, err := os.Stat(path + "-wal"); err != nil || st.Size() == 0 {
		t.Fatalf("nothing is in the -wal: %v", err)
	}
}

// The tables of Dino 0.4.2 and Gajim 1.7.3.
const (
	dinoMessage  = `CREATE TABLE message (id INTEGER PRIMARY KEY AUTOINCREMENT, stanza_id TEXT, server_id TEXT, account_id INTEGER NOT NULL, counterpart_id INTEGER NOT NULL, our_resource TEXT, counterpart_resource TEXT, direction INTEGER NOT NULL, type INTEGER, time INTEGER, local_time INTEGER, body TEXT, encryption INTEGER, marked INTEGER)`
	dinoTransfer = `CREATE TABLE file_transfer (id INTEGER PRIMARY KEY AUTOINCREMENT, account_id INTEGER NOT NULL, counterpart_id INTEGER NOT NULL, counterpart_resource TEXT, our_resource TEXT, direction INTEGER NOT NULL, time INTEGER, local_time INTEGER, encryption INTEGER, file_name TEXT, path TEXT, mime_type TEXT, size INTEGER, state INTEGER, provider INTEGER, info TEXT)`
	gajimLogs    = `CREATE TABLE logs (log_line_id INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE, account_id INTEGER, jid_id INTEGER, contact_name TEXT, occupant_id TEXT, real_jid TEXT, time INTEGER, kind INTEGER, show INTEGER, message TEXT, error TEXT, subject TEXT, additional_data TEXT, stanza_id TEXT, message_id TEXT, encryption TEXT, encryption_state TEXT, marker INTEGER)`
)

func suggestions(t *testing.T, p Paths) []Suggestion {
	t.Helper()
	doc, err := suggest(p, []string{"upload.example.org"}, words.For("en"))
	var d SuggestDocument
	if err != nil || json.Unmarshal([]byte(doc), &d) != nil || d.Schema != 1 {
		t.Fatalf("%s, %v", doc, err)
	}
	if left, err := filepath.Glob(filepath.Join(p.Runtime, "history-*")); err != nil || len(left) > 0 {
		t.Errorf("copies are left: %v, %v", left, err)
	}
	return d.Suggestions
}

func TestUploadServersAreSuggestedFromTheClientsHistories(t *testing.T) {
	p, _ := desk(t)
	if got := suggestions(t, p); len(got) != 0 {
		t.Errorf("without a history: %v", got)
	}
	fill(t, filepath.Join(p.XDG.Data, "dino/dino.db"), dinoMessage, dinoTransfer,
		`INSERT INTO message (id, account_id, counterpart_id, direction, body) VALUES
			(1, 1, 1, 1, 'https://Upload.Example.org:443/a/photo.jpg'),
			(2, 1, 1, 1, 'aesgcm://files.example.net:8443/b/x.png#0011'),
			(3, 1, 1, 1, 'https://news.example/story'),
			(4, 1, 1, 0, 'https://theirs.example/c/d.jpg'),
			(5, 1, 1, 1, 'https://user:pass@evil.example/d/e.jpg')`,
		`INSERT INTO file_transfer (account_id, counterpart_id, direction, provider, info) VALUES
			(1, 1, 1, 0, '1'), (1, 1, 1, 0, '2'), (1, 1, 0, 0, '4'), (1, 1, 1, 0, '5'), (1, 1, 1, 1, '3'), (1, 1, 1, 0, 'x')`)
	fill(t, filepath.Join(p.Home, ".var/app/org.gajim.Gajim/data/gajim/logs.db"), gajimLogs,
		`INSERT INTO logs (kind, message, additional_data) VALUES
			(6, 'https://upload.example.org/f/g.txt', '{"gajim": {"oob_url": "x"}}'),
			(6, 'https://news.example/story', NULL),
			(4, 'https://theirs.example/c/d.jpg', '{"gajim": {"oob_url": "x"}}'),
			(6, 'see https://other.example/x', '{"gajim": {"oob_url": "x"}}')`)
	want := []Suggestion{
		{Host: "upload.example.org", Clients: []string{"dino", "gajim"}, Files: 2, Listed: true},
		{Host: "files.example.net:8443", Clients: []string{"dino"}, Files: 1},
	}
	if d := cmp.Diff(want, suggestions(t, p)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if exists(p.Config) {
		t.Error("something was added")
	}
}

func TestADatabaseInTheMiddleOfAChangeSuggestsNothing(t *testing.T) {
	p, _ := desk(t)
	path := filepath.Join(p.XDG.Data, "gajim/logs.db")
	if err := os.Remove(path); err != nil { // what the other tests have there
		t.Fatal(err)
	}
	fill(t, path, gajimLogs, `INSERT INTO logs (kind, message, additional_data) VALUES (6, 'https://upload.example.org/f/g.txt', 'oob_url')`, "PRAGMA wal_checkpoint(TRUNCATE)",
		`INSERT INTO logs (kind, message, additional_data) SELECT 6, 'https://upload.example.org/f/' || hex(randomblob(900)), 'oob_url' FROM (SELECT 1 UNION SELECT 2 UNION SELECT 3)`)
	if got := suggestions(t, p); len(got) != 1 || got[0].Files != 4 {
		t.Fatalf("before: %v", got)
	}
	torn := read(t, path)
	half := []byte(torn)
	for i := 4096; i < len(half); i += 64 { // pages that were written while they were copied
		half[i] ^= 0x5a
	}
	if err := os.WriteFile(path, half, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path + "-wal"); err != nil {
		t.Fatal(err)
	}
	if got := suggestions(t, p); len(got) != 0 {
		t.Errorf("from a torn copy: %v", got)
	}
}
