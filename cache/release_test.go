package cache

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// Every released version has left an undo folder in testdata/undo-VERSION.txtar: what it moved must come back. To record the
// one of a new release: HOLDFAST_RECORD=VERSION go test ./cache -run Released
const recordEnv = "HOLDFAST_RECORD"

// homeMark stands for the home of the person, which the manifest names.
const homeMark = "@HOME@"

// record resets a client of a fixture and keeps its undo folder.
func record(t *testing.T, version string) {
	t.Helper()
	r := home(t, "gajim")
	res, err := Reset(t.Context(), &fakeClient{}, plan(t, r, "gajim", "native"), false)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(r.State, "undo", res.UndoID)
	a := &txtar.Archive{Comment: []byte("The undo folder of version " + version + ", as it lay on disk.\n")}
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		rel, relErr := filepath.Rel(dir, name)
		if err != nil || relErr != nil {
			return fmt.Errorf("%w %w", err, relErr)
		}
		a.Files = append(a.Files, txtar.File{Name: filepath.Join(res.UndoID, rel), Data: []byte(strings.ReplaceAll(string(b), r.Home, homeMark))})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("testdata/undo-"+version+".txtar", txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTheUndoFolderOfEveryReleasedVersionComesBack(t *testing.T) {
	if version := os.Getenv(recordEnv); version != "" {
		record(t, version)
	}
	releases, err := filepath.Glob("testdata/undo-*.txtar")
	if err != nil || len(releases) == 0 {
		t.Fatalf("releases: %q, %v", releases, err)
	}
	for _, release := range releases {
		t.Run(filepath.Base(release), func(t *testing.T) {
			r := home(t, "gajim")
			before := tree(t, r.Home)
			p := plan(t, r, "gajim", "native")
			for _, s := range p.Steps { // as that version had moved them
				if err := os.RemoveAll(s.Path); err != nil {
					t.Fatal(err)
				}
			}
			id := unpackUndo(t, r, release)
			if got := undoFolders(t, r); len(got) != 1 {
				t.Fatalf("undo folders: %q", got)
			}
			e, err := Undo(t.Context(), r, id)
			if err != nil || e.State != Undone {
				t.Fatalf("%v, %+v", err, e)
			}
			equal(t, "the home", before, tree(t, r.Home))
		})
	}
}

// unpackUndo lays an undo folder out with the modes and times that its manifest tells.
func unpackUndo(t *testing.T, r Roots, release string) (id string) {
	t.Helper()
	a, err := txtar.ParseFile(release)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(r.State, "undo")
	var e Entry
	for _, f := range a.Files {
		text := strings.ReplaceAll(string(f.Data), homeMark, r.Home)
		write(t, filepath.Join(dir, f.Name), text)
		if filepath.Base(f.Name) == manifestName {
			if err := json.Unmarshal([]byte(text), &e); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, it := range e.Items {
		for i := len(it.Files) - 1; i >= 0; i-- { // folders last, or their times would change
			f := it.Files[i]
			name := filepath.Join(dir, e.ID, it.To, f.Path)
			if f.Mode.IsDir() {
				mkdir(t, name)
			}
			if err := os.Chmod(name, f.Mode.Perm()); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(name, f.Time, f.Time); err != nil {
				t.Fatal(err)
			}
		}
	}
	return e.ID
}
