package companion

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/app/control"
)

// desk is a home folder with a Gajim that is not running.
func desk(t *testing.T) (Paths, func(string) string) {
	t.Helper()
	home := t.TempDir()
	bin := filepath.Join(home, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "gajim"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(home, ".cache/gajim/avatars/a.png"), "picture")
	write(t, filepath.Join(home, ".cache/gajim/cache.db"), "database")
	write(t, filepath.Join(home, ".local/share/gajim/logs.db"), "messages")
	write(t, filepath.Join(home, ".config/gajim/settings.sqlite"), "settings")
	run := filepath.Join(home, "run")
	if err := os.Mkdir(run, 0o700); err != nil {
		t.Fatal(err)
	}
	getenv := env(map[string]string{"HOME": home, "PATH": bin, "XDG_RUNTIME_DIR": run})
	p, err := DefaultPaths(getenv, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	return p, getenv
}

func resetOf(t *testing.T, doc string, err error) ResetDocument {
	t.Helper()
	var d ResetDocument
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		t.Fatalf("%v: %s", err, doc)
	}
	return d
}

func TestResetAndUndoWithoutACompanion(t *testing.T) {
	p, getenv := desk(t)
	f := NewOffline(p, Options{Getenv: getenv})
	avatar := filepath.Join(p.Home, ".cache/gajim/avatars/a.png")

	doc, err := f.Reset(t.Context(), nil, true)
	d := resetOf(t, doc, err)
	if len(d.Clients) != 1 || d.Clients[0].Client != "gajim" || len(d.Clients[0].Steps) == 0 || !d.DryRun {
		t.Fatalf("dry run: %s", doc)
	}
	if read(t, avatar) != "picture" {
		t.Error("a dry run changed something")
	}

	doc, err = f.Reset(t.Context(), []string{"gajim", "gajim"}, false)
	d = resetOf(t, doc, err)
	if len(d.Clients) != 1 || d.Clients[0].UndoID == "" || d.Clients[0].Restarted {
		t.Fatalf("reset: %s", doc)
	}
	if _, err := os.Stat(avatar); !os.IsNotExist(err) {
		t.Errorf("the cache is still there: %v", err)
	}
	if read(t, filepath.Join(p.Home, ".local/share/gajim/logs.db")) != "messages" {
		t.Error("data was touched")
	}

	doc, err = f.Undo(t.Context(), d.Clients[0].UndoID)
	resetOf(t, doc, err)
	if read(t, avatar) != "picture" {
		t.Error("undo did not restore")
	}
	if _, err := f.Undo(t.Context(), "no-such-id"); control.KindOf(err) != control.Invalid {
		t.Errorf("unknown id: %v", err)
	}
}

func TestResetRefusesWhatItDoesNotKnow(t *testing.T) {
	p, getenv := desk(t)
	f := NewOffline(p, Options{Getenv: getenv})
	for _, c := range []struct {
		name    string
		clients []string
		kind    control.Kind
		text    string
	}{
		{"another client", []string{"pidgin"}, control.UnknownClient, "pidgin"},
		{"a path", []string{"../gajim"}, control.UnknownClient, "../gajim"},
		{"one that is not installed", []string{"dino"}, control.Failed, "Dino"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := f.Reset(t.Context(), c.clients, false)
			if control.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestResetTellsWhyAFolderIsRefused(t *testing.T) {
	p, getenv := desk(t)
	cache := filepath.Join(p.Home, ".cache/gajim")
	if err := os.Rename(cache, cache+"-elsewhere"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(cache+"-elsewhere", cache); err != nil {
		t.Fatal(err)
	}
	_, err := NewOffline(p, Options{Getenv: getenv}).Reset(t.Context(), nil, false)
	if control.KindOf(err) != control.Denied || !strings.Contains(err.Error(), cache) {
		t.Errorf("%v", err)
	}
}

func TestOfflineSaysWhatNeedsACompanion(t *testing.T) {
	p, getenv := desk(t)
	f := NewOffline(p, Options{Getenv: getenv})
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"GetState":     func() error { _, err := f.GetState(ctx); return err },
		"Pause":        func() error { return f.Pause(ctx, 0) },
		"Resume":       func() error { return f.Resume(ctx) },
		"Cancel":       func() error { return f.Cancel(ctx, "a") },
		"TryNow":       func() error { return f.TryNow(ctx, "a") },
		"ReportClient": func() error { return f.ReportClient(ctx, "dino", 1, "stuck", "") },
		"Stop":         func() error { return f.Stop(ctx) },
	} {
		if err := call(); control.KindOf(err) != control.NotRunning {
			t.Errorf("%s: %v", name, err)
		}
	}
	if doc, err := f.Uploads(ctx, 0); err != nil || doc != `{"schema":1,"uploads":[]}` {
		t.Errorf("Uploads: %s, %v", doc, err)
	}
}

func TestResetFindsTheCacheOfAClientWhoseProgramIsNotFound(t *testing.T) {
	p, getenv := desk(t)
	if err := os.Remove(filepath.Join(p.Home, "bin", "gajim")); err != nil {
		t.Fatal(err)
	}
	f := NewOffline(p, Options{Getenv: getenv})
	for _, kinds := range [][]string{nil, {"gajim"}} {
		doc, err := f.Reset(t.Context(), kinds, true)
		d := resetOf(t, doc, err)
		if len(d.Clients) != 1 || d.Clients[0].Client != "gajim" || d.Clients[0].Install != "native" || len(d.Clients[0].Steps) == 0 {
			t.Errorf("dry run of %v: %s", kinds, doc)
		}
	}
	if _, err := f.Reset(t.Context(), []string{"dino"}, true); err == nil {
		t.Error("a Dino that is not there was reset")
	}
}
