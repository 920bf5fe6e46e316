package history

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/app/agent"
)

func open(t *testing.T, path string) *Store {
	t.Helper()
	s, damaged, err := Open(path)
	if err != nil || damaged != 0 {
		t.Fatalf("Open: %d damaged, %v", damaged, err)
	}
	return s
}

func ids(uploads []agent.Upload) (out []string) {
	for _, u := range uploads {
		out = append(out, u.ID)
	}
	return out
}

func TestKeptUploadsAreThereAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "uploads.jsonl")
	s := open(t, path)
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	u := agent.Upload{ID: "a", Host: "upload.example.org", File: "ü \"x\"\n.png", URL: "https://upload.example.org/up/x/y.png",
		Client: "Gajim", Size: 5, Sent: 5, State: "done", Started: at, Ended: at, Repeats: 2, Resigned: 1}
	for _, id := range []string{"a", "b", "c"} {
		u.ID = id
		if err := s.Keep(u); err != nil {
			t.Fatal(err)
		}
	}
	again := open(t, path)
	if d := cmp.Diff([]string{"c", "b", "a"}, ids(again.List(0))); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(u, *again.Last()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"c"}, ids(again.List(1))); d != "" {
		t.Error(d)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

func TestOnlyTheNewestAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "uploads.jsonl")
	s := open(t, path)
	for i := range Limit + 5 {
		if err := s.Keep(agent.Upload{ID: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	got := open(t, path).List(0)
	if len(got) != Limit || got[0].ID != fmt.Sprint(Limit+4) || got[Limit-1].ID != "5" {
		t.Errorf("%d kept, from %s to %s", len(got), got[0].ID, got[len(got)-1].ID)
	}
}

func TestAnUploadKeptTwiceIsThereOnce(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "uploads.jsonl"))
	for _, state := range []string{"failed", "done"} {
		if err := s.Keep(agent.Upload{ID: "a", State: state}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.List(0); len(got) != 1 || got[0].State != "done" {
		t.Errorf("%+v", got)
	}
}

func TestNoPermissionIsEverWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "uploads.jsonl")
	s := open(t, path)
	err := s.Keep(agent.Upload{ID: "a", URL: "https://me:secret@h.example/p/f?v2=secret#secret",
		Error: `Put "https://me:secret@h.example/p/f?v2=secret": connection reset; see https://h.example/x?token=secret.`})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(raw), "secret") {
		t.Errorf("%s, %v", raw, err)
	}
	if !strings.Contains(string(raw), "connection reset") {
		t.Errorf("the sentence is lost: %s", raw)
	}
}

func TestADamagedLineCostsOnlyItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "uploads.jsonl")
	if err := os.WriteFile(path, []byte("{\"id\":\"a\"}\nnot json\n\x00\x00\n{\"no\":\"id\"}\n\n{\"id\":\"b\"}"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, damaged, err := Open(path)
	if err != nil || damaged != 3 {
		t.Errorf("%d damaged, %v", damaged, err)
	}
	if d := cmp.Diff([]string{"b", "a"}, ids(s.List(0))); d != "" {
		t.Error(d)
	}
}

func TestAListThatCannotBeWrittenIsStillShown(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Store{path: filepath.Join(dir, "file", "uploads.jsonl")}
	if err := s.Keep(agent.Upload{ID: "a"}); err == nil {
		t.Error("no error")
	}
	if len(s.List(0)) != 1 {
		t.Error("the upload is not shown")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestPublic(t *testing.T) {
	for in, want := range map[string]string{
		"https://h.example/a/b%20c.png?x=1":    "https://h.example/a/b%20c.png",
		"https://h.example:8443/a#f?x":         "https://h.example:8443/a",
		"https://u:p@h.example/a":              "https://h.example/a",
		"https://u:p@h.example/%zz?x":          "",
		"":                                     "",
		"no address":                           "no address",
		"https://h.example/%2e%2e/\u202egpj.x": "https://h.example/%2e%2e/\u202egpj.x",
	} {
		if got := Public(in); got != want {
			t.Errorf("Public(%q) is %q, want %q", in, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("{\"id\":\"a\",\"url\":\"https://h/?q\"}\n"))
	f.Add([]byte("{\n\n\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		uploads, _ := parse(raw)
		if len(uploads) > Limit {
			t.Errorf("%d uploads", len(uploads))
		}
		for _, u := range uploads {
			if strings.ContainsAny(u.URL, "?#") {
				t.Errorf("kept %q", u.URL)
			}
			if _, err := json.Marshal(u); err != nil {
				t.Error(err)
			}
		}
	})
}
