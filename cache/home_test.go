package cache

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// home unpacks a fixture into a fresh home.
func home(t *testing.T, fixture string) Roots {
	t.Helper()
	dir := t.TempDir()
	a, err := txtar.ParseFile(filepath.Join("testdata", fixture+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range a.Files {
		p := filepath.Join(dir, f.Name)
		mkdir(t, filepath.Dir(p))
		if err := os.WriteFile(p, f.Data, 0o640); err != nil {
			t.Fatal(err)
		}
		at := noon.Add(-time.Duration(len(f.Data)) * time.Hour)
		if err := os.Chtimes(p, at, at); err != nil {
			t.Fatal(err)
		}
	}
	return Roots{
		Home:   dir,
		Config: filepath.Join(dir, ".config"),
		Data:   filepath.Join(dir, ".local/share"),
		Cache:  filepath.Join(dir, ".cache"),
		State:  filepath.Join(dir, ".local/state/holdfast"),
	}
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	mkdir(t, filepath.Dir(path))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tree lists everything below dir with mode, time of files and digest, without the undo folder.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		if rel == ".local/state" {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case info.Mode().IsRegular():
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			out[rel] = fmt.Sprintf("%v %v %x", info.Mode(), info.ModTime().UTC(), sha256.Sum256(b))
		case info.Mode()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(p)
			out[rel] = "-> " + to
		default:
			out[rel] = info.Mode().String()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// only keeps what lies below one of the prefixes.
func only(tree map[string]string, prefixes ...string) map[string]string {
	out := map[string]string{}
	for k, v := range tree {
		for _, p := range prefixes {
			if strings.HasPrefix(k, p) {
				out[k] = v
			}
		}
	}
	return out
}

// precious is what must be the same after anything whatever.
func precious(t *testing.T, r Roots) map[string]string {
	t.Helper()
	all := tree(t, r.Home)
	out := only(all, ".config", ".local/share")
	for k, v := range only(all, ".var/app") {
		if strings.Contains(k, "/config") || strings.Contains(k, "/data") {
			out[k] = v
		}
	}
	return out
}

func equal(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func plan(t *testing.T, r Roots, client, install string) Plan {
	t.Helper()
	p, err := PlanFor(r, client, install)
	if err != nil {
		t.Fatalf("PlanFor: %v", err)
	}
	return p
}

// paths are the steps of a plan, below home.
func paths(r Roots, p Plan) []string {
	out := []string{}
	for _, s := range p.Steps {
		rel, _ := filepath.Rel(r.Home, s.Path)
		out = append(out, rel)
	}
	return out
}

// undoFolders are the names in the undo folder, without the lock.
func undoFolders(t *testing.T, r Roots) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.State, "undo"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	out := []string{}
	for _, e := range entries {
		if e.Name() != ".lock" {
			out = append(out, e.Name())
		}
	}
	return out
}
