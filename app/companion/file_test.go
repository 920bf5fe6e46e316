package companion

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/app/words"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestChangeKeepsLinkModeAndEverythingElse(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "dotfiles", "holdfast.toml")
	write(t, target, "\ufeff# kept\nfuture = 1\n[autofix]\nenabled = true\n")
	if err := os.Chmod(target, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "config.toml")
	if err := os.Symlink(filepath.Join("dotfiles", "holdfast.toml"), link); err != nil {
		t.Fatal(err)
	}
	f := configFile{link, words.For("en")}
	if err := f.setAutoFix(false); err != nil {
		t.Fatal(err)
	}
	if got := read(t, target); got != "\ufeff# kept\nfuture = 1\n[autofix]\nenabled = false\n" {
		t.Errorf("target is %q", got)
	}
	if st, err := os.Lstat(link); err != nil || st.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is %v, %v", st.Mode(), err)
	}
	if st, err := os.Stat(target); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("the mode is %v, %v", st.Mode(), err)
	}
	left, err := os.ReadDir(filepath.Dir(target))
	if err != nil || len(left) != 1 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestChangeOfNothingWritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	f := configFile{path, words.For("en")}
	if err := f.setAutoFix(true); err != nil { // the default
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("a file was made: %v", err)
	}
	write(t, path, "[relay]\nhosts = [\"a.b\"]\n")
	before := stamp(path)
	if added, err := f.addHost("a.b"); added || err != nil {
		t.Errorf("added %v, %v", added, err)
	}
	if removed, err := f.removeHost("c.d"); removed || err != nil {
		t.Errorf("removed %v, %v", removed, err)
	}
	if stamp(path) != before {
		t.Error("the file was written")
	}
}

func TestAFileWithAMistakeIsNotChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	text := "[relay]\nhosts = [\n"
	write(t, path, text)
	f := configFile{path, words.For("en")}
	err := f.setAutoFix(false)
	if err == nil || !strings.Contains(err.Error(), "line ") || !strings.Contains(err.Error(), path) {
		t.Errorf("error is %v", err)
	}
	if read(t, path) != text {
		t.Error("the file was changed")
	}
}

func TestAFileThatLeavesNoPlaceIsNotChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	text := "[relay]\nhosts = [ # none yet\n]\n"
	write(t, path, text)
	f := configFile{path, words.For("en")}
	if _, err := f.addHost("a.b"); err == nil || !strings.Contains(err.Error(), "by hand") {
		t.Errorf("error is %v", err)
	}
	if read(t, path) != text {
		t.Error("the file was changed")
	}
}

func TestRemoveHostFindsOtherSpellings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	write(t, path, "[relay]\nhosts = [\"A.B:443\", \"c.d\"]\n")
	f := configFile{path, words.For("en")}
	if removed, err := f.removeHost("a.b"); !removed || err != nil {
		t.Fatalf("removed %v, %v", removed, err)
	}
	if got := read(t, path); got != "[relay]\nhosts = [\"c.d\"]\n" {
		t.Errorf("file is %q", got)
	}
}

func TestManyWritersLoseNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			f := configFile{path, words.For("en")}
			if added, err := f.addHost(fmt.Sprintf("h%d.example", i)); !added || err != nil {
				t.Errorf("added %v, %v", added, err)
			}
		})
	}
	wg.Wait()
	c, _, err := configFile{path, words.For("en")}.read()
	if err != nil || len(c.Hosts) != 20 {
		t.Errorf("%d hosts, %v", len(c.Hosts), err)
	}
}

func TestRootsOfAPrivateServer(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.toml")
	write(t, path, "[relay]\nupstream_ca = \"ca.pem\"\n")
	f := configFile{path, words.For("en")}
	for name, prepare := range map[string]func(){
		"missing": func() {},
		"empty":   func() { write(t, filepath.Join(dir, "ca.pem"), "nothing") },
	} {
		prepare()
		c, _, err := f.read()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.roots(c); err == nil || !strings.HasPrefix(err.Error(), "line 2: certificates in "+dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if pool, err := f.roots(Config{}); pool != nil || err != nil {
		t.Errorf("without: %v, %v", pool, err)
	}
}

func TestWatchFileSeesEveryKindOfEdit(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "etc", "config.toml")
	elsewhere := filepath.Join(dir, "dotfiles", "c.toml")
	write(t, path, "a")
	write(t, elsewhere, "far")
	ctx, cancel := context.WithCancel(t.Context())
	changed := make(chan struct{}, 100)
	done := make(chan error)
	go func() { done <- watchFile(ctx, path, func() { changed <- struct{}{} }) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for i, edit := range []struct {
		name string
		do   func() error
	}{
		{"written in place", func() error { return os.WriteFile(path, []byte("bb"), 0o600) }},
		{"replaced", func() error { return replace(path, []byte("ccc"), 0o600) }},
		{"removed", func() error { return os.Remove(path) }},
		{"made again", func() error { return os.WriteFile(path, []byte("dddd"), 0o600) }},
		{"turned into a link", func() error {
			if err := os.Symlink(elsewhere, path+".new"); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}},
		{"the target written", func() error { return os.WriteFile(elsewhere, []byte("far away"), 0o600) }},
		{"the target replaced", func() error { return replace(elsewhere, []byte("farther away"), 0o600) }},
	} {
		// Until the first watch is set up an edit can be missed; then it is repeated.
		deadline := time.Now().Add(10 * time.Second)
		for seen := false; !seen; {
			if err := edit.do(); err != nil && i != 2 && i != 4 {
				t.Fatalf("%s: %v", edit.name, err)
			}
			select {
			case <-changed:
				seen = true
			case <-time.After(2 * time.Second):
				if time.Now().After(deadline) {
					t.Fatalf("%s: not seen", edit.name)
				}
			}
		}
		for quiet := false; !quiet; { // one edit may be told more than once
			select {
			case <-changed:
			case <-time.After(3 * watchSettle):
				quiet = true
			}
		}
	}
}

func TestPollFileSeesAChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	ctx, cancel := context.WithCancel(t.Context())
	changed := make(chan struct{}, 1)
	done := make(chan error)
	go func() { done <- pollFile(ctx, path, func() { wake(changed) }) }()
	for i := 0; ; i++ {
		write(t, path, strings.Repeat("x", i+1))
		select {
		case <-changed:
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			return
		case <-time.After(watchPoll * 2):
			if i > 3 {
				t.Fatal("not seen")
			}
		}
	}
}
