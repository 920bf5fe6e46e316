package clients

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Both clients run when a reset is asked for: they quit, come back, and lose nothing of the person's.
func TestAResetQuitsAndRestartsBothAndKeepsWhatIsThePersons(t *testing.T) {
	d := newDesktop(t)
	d.startCompanion()
	both := []*client{d.newGajim(), d.newDino()}
	d.ctl("trust", "install")
	for _, c := range both {
		c.launch()
		f := d.newFile(c, "token-upload", 100_000) // names that careless recipes delete
		c.send(f.path)
		d.arrived(f, time.Minute)
	}
	pids := map[string]int{}
	for _, c := range both {
		pids[c.kind] = d.owner(c.name)
	}
	asked := d.asked()
	before := d.belongings()
	cache := filepath.Join(d.user.Home, ".cache", "gajim", "cache.db")
	if _, err := os.Stat(cache); err != nil {
		t.Fatalf("Gajim has no cache to move: %v", err)
	}

	var doc struct {
		Clients []struct {
			Client, Error string
			Restarted     bool
			UndoID        string `json:"undo_id"`
			Steps         []struct{ Path string }
		}
	}
	out := d.ctl("reset", "--json")
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	undo := ""
	for _, c := range doc.Clients {
		if c.Error != "" || !c.Restarted {
			t.Errorf("%+v", c)
		}
		if c.Client == "gajim" {
			undo = c.UndoID
			if !slices.ContainsFunc(c.Steps, func(s struct{ Path string }) bool { return s.Path == cache }) {
				t.Errorf("cache.db is not among what was moved: %+v", c.Steps)
			}
		}
	}
	for _, c := range both {
		d.until(time.Minute, c.kind+" to run again", func() bool { now := d.owner(c.name); return now != 0 && now != pids[c.kind] })
	}
	d.until(time.Minute, "both to know their upload service", func() bool { return d.asked() >= asked+2 })
	after := d.belongings()
	for _, path := range slices.Sorted(maps.Keys(before)) {
		switch now, there := after[path]; {
		case writesItself(path):
		case !there:
			t.Errorf("%s is gone", path)
		case now != before[path]:
			t.Errorf("%s is another file now", path)
		}
	}
	for _, path := range []string{".local/share/dino/dino.db", ".local/share/dino/omemo.db", ".config/gajim/settings.sqlite", ".local/share/gajim/logs.db"} {
		if _, there := after[path]; !there {
			t.Errorf("%s is gone", path)
		}
	}
	d.picture("after-a-reset")

	// Gajim is ended first, so that nobody writes to what is restored.
	both[0].quit()
	folder := filepath.Join(d.user.Home, ".local", "state", "holdfast", "undo", undo)
	kept := map[string]bool{}
	err := filepath.WalkDir(filepath.Join(folder, "files"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			kept[d.sum(path)] = true
		}
		return err
	})
	if err != nil || len(kept) == 0 {
		t.Fatalf("the undo folder %s: %v, %d files", folder, err, len(kept))
	}
	if kept[d.sum(cache)] {
		t.Error("the cache was not made anew")
	}
	t.Logf("undo says: %s", d.ctl("reset", "--undo", undo))
	if !kept[d.sum(cache)] {
		t.Error("after the undo cache.db is not what it was")
	}
}

// writesItself says whether a client writes to a file whenever it starts or ends.
func writesItself(path string) bool {
	for _, part := range []string{".db", ".db-wal", ".db-shm", ".db-journal", ".sqlite", ".sqlite-wal", ".sqlite-shm", ".sqlite-journal", ".log"} {
		if strings.HasSuffix(path, part) {
			return true
		}
	}
	return false
}

// belongings are all files below the clients' data and config folders, with their hashes.
func (d *desktop) belongings() map[string]string {
	d.t.Helper()
	all := map[string]string{}
	for _, folder := range []string{".local/share/dino", ".local/share/gajim", ".config/gajim"} {
		err := filepath.WalkDir(filepath.Join(d.user.Home, folder), func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				rel, _ := filepath.Rel(d.user.Home, path)
				all[rel] = d.sum(path)
			}
			return err
		})
		if err != nil {
			d.t.Fatal(err)
		}
	}
	return all
}

func (d *desktop) sum(path string) string {
	d.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		d.t.Fatal(err)
	}
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
