package cache

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestPlanListsOnlyWhatTheClientMakesAgain(t *testing.T) {
	tests := []struct {
		name, fixture, client, install string
		want                           []string
		bytes                          int64
	}{
		{
			name: "Gajim with two profiles", fixture: "gajim", client: "gajim", install: "native",
			want: []string{
				".cache/gajim/cache.db-wal", ".cache/gajim/cache.db-shm", ".cache/gajim/cache.db",
				".cache/gajim/avatars", ".cache/gajim/bob", ".cache/gajim/downloads.thumb", ".cache/gajim/plugins_manifest.json",
				".cache/gajim.work/cache.db",
			},
			bytes: 19 + 6 + 13 + 8 + 18 + 6 + 8 + 3 + 32,
		},
		{name: "Dino 0.4.2 has no cache", fixture: "dino-0.4", client: "dino", install: "native", want: []string{}},
		{name: "Dino 0.5 has avatars", fixture: "dino-0.5", client: "dino", install: "native", want: []string{".cache/dino/avatars"}, bytes: 8},
		{name: "the native Gajim beside a Flatpak", fixture: "flatpak-gajim", client: "gajim", install: "native", want: []string{".cache/gajim/cache.db"}, bytes: 20},
		{
			name: "the Flatpak beside a native Gajim", fixture: "flatpak-gajim", client: "gajim", install: "flatpak",
			want:  []string{".var/app/org.gajim.Gajim/cache/gajim/cache.db", ".var/app/org.gajim.Gajim/cache/gajim/avatars"},
			bytes: 13 + 8,
		},
		{name: "a Flatpak that was never started", fixture: "gajim", client: "gajim", install: "flatpak", want: []string{}},
		{name: "a client that was never started", fixture: "gajim", client: "dino", install: "native", want: []string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := home(t, tt.fixture)
			before := tree(t, r.Home)
			p := plan(t, r, tt.client, tt.install)
			equal(t, "steps", tt.want, paths(r, p))
			equal(t, "bytes", tt.bytes, p.Bytes)
			equal(t, "a plan changes nothing", before, tree(t, r.Home))
			equal(t, "a plan leaves no undo", []string{}, undoFolders(t, r))
			for _, s := range p.Steps {
				if s.Reason.Text() == string(s.Reason) {
					t.Errorf("reason %q has no text", s.Reason)
				}
			}
		})
	}
}

// strange is a home in which something is not as it should be.
type strange struct {
	name    string
	root    bool // needs root to set up
	prepare func(t *testing.T, r *Roots)
	want    error
	says    string // part of the sentence
}

func stranges() []strange {
	const gajim, avatars = ".cache/gajim", ".cache/gajim/avatars"
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	return []strange{
		{name: "the cache folder is a link into the data folder", want: ErrRefused, says: "one place", prepare: func(t *testing.T, r *Roots) {
			must(t, os.RemoveAll(filepath.Join(r.Home, gajim)))
			must(t, os.Symlink(filepath.Join(r.Data, "gajim"), filepath.Join(r.Home, gajim)))
		}},
		{name: "the cache folder is a link to another place", want: ErrRefused, says: "is a link", prepare: func(t *testing.T, r *Roots) {
			must(t, os.Rename(filepath.Join(r.Home, gajim), filepath.Join(r.Home, "elsewhere")))
			must(t, os.Symlink(filepath.Join(r.Home, "elsewhere"), filepath.Join(r.Home, gajim)))
		}},
		{name: "the folder of all caches is a link to the folder of all data", want: ErrRefused, says: "one place", prepare: func(t *testing.T, r *Roots) {
			must(t, os.RemoveAll(r.Cache))
			must(t, os.Symlink(r.Data, r.Cache))
		}},
		{name: "caches and data are set to one folder", want: ErrRefused, says: "one place", prepare: func(t *testing.T, r *Roots) {
			r.Cache = r.Data
		}},
		{name: "caches and configuration are set to one folder", want: ErrRefused, says: "one place", prepare: func(t *testing.T, r *Roots) {
			r.Config = r.Cache
		}},
		{name: "the data folder lies in the cache folder", want: ErrRefused, says: "one place", prepare: func(t *testing.T, r *Roots) {
			r.Data = filepath.Join(r.Cache, "gajim")
		}},
		{name: "the data of a second profile are a link into its cache", want: ErrRefused, says: "one place", prepare: func(t *testing.T, r *Roots) {
			must(t, os.RemoveAll(filepath.Join(r.Data, "gajim.work")))
			must(t, os.Symlink(filepath.Join(r.Cache, "gajim.work"), filepath.Join(r.Data, "gajim.work")))
		}},
		{name: "the undo folder lies in the cache folder", want: ErrRefused, says: "one place", prepare: func(t *testing.T, r *Roots) {
			r.State = filepath.Join(r.Cache, "gajim/holdfast")
		}},
		{name: "a part of the cache is a link", want: ErrRefused, says: "is a link", prepare: func(t *testing.T, r *Roots) {
			must(t, os.RemoveAll(filepath.Join(r.Home, avatars)))
			must(t, os.Symlink(filepath.Join(r.Data, "gajim/downloads"), filepath.Join(r.Home, avatars)))
		}},
		{name: "a link lies deep in the cache", want: ErrRefused, says: "is a link", prepare: func(t *testing.T, r *Roots) {
			must(t, os.Symlink("/etc/passwd", filepath.Join(r.Home, avatars, "deep/link")))
		}},
		{name: "a named pipe lies in the cache", want: ErrRefused, says: "neither a file nor a folder", prepare: func(t *testing.T, r *Roots) {
			must(t, syscall.Mkfifo(filepath.Join(r.Home, avatars, "pipe"), 0o600))
		}},
		{name: "a name is not UTF-8", want: ErrRefused, says: "not UTF-8", prepare: func(t *testing.T, r *Roots) {
			write(t, filepath.Join(r.Home, avatars, "\xff\xfe"), "x")
		}},
		{name: "the cache folder is a file", want: ErrRefused, says: "not a folder", prepare: func(t *testing.T, r *Roots) {
			must(t, os.RemoveAll(filepath.Join(r.Home, gajim)))
			write(t, filepath.Join(r.Home, gajim), "x")
		}},
		{name: "a part of the cache belongs to root", root: true, want: ErrRefused, says: "another user", prepare: func(t *testing.T, r *Roots) {
			must(t, os.Chown(filepath.Join(r.Home, avatars, "3f786850"), 12345, 12345))
		}},
		{name: "the cache folder belongs to another user", root: true, want: ErrRefused, says: "another user", prepare: func(t *testing.T, r *Roots) {
			must(t, os.Chown(filepath.Join(r.Home, gajim), 12345, 12345))
		}},
		{name: "a folder is not absolute", want: ErrRefused, says: "not an absolute path", prepare: func(t *testing.T, r *Roots) {
			r.Cache = ".cache"
		}},
		{name: "a folder is the root", want: ErrRefused, says: "not an absolute path below /", prepare: func(t *testing.T, r *Roots) {
			r.Data = "/"
		}},
		{name: "a folder is not set", want: ErrRefused, says: "state", prepare: func(t *testing.T, r *Roots) {
			r.State = ""
		}},
	}
}

func TestAStrangeHomeIsRefusedAndNothingChanges(t *testing.T) {
	for _, tt := range stranges() {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root && os.Geteuid() != 0 {
				t.Skip("needs root to give a file away")
			}
			r := home(t, "gajim")
			good := plan(t, r, "gajim", "native")
			tt.prepare(t, &r)
			before := tree(t, r.Home)
			_, err := PlanFor(r, "gajim", "native")
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("PlanFor: %v, want %v with %q", err, tt.want, tt.says)
			}
			// The same when it becomes strange after it was planned, with the client quit in between.
			good.roots = r
			if _, err := Apply(t.Context(), good, noon); !errors.Is(err, tt.want) {
				t.Errorf("Apply: %v, want %v", err, tt.want)
			}
			equal(t, "home", before, tree(t, r.Home))
			if filepath.IsAbs(r.State) && !within(r.State, r.Cache) {
				equal(t, "undo entries", []string{}, undoFolders(t, r))
			}
		})
	}
}

func TestUnknownClientsAndInstallsAreRefused(t *testing.T) {
	r := home(t, "gajim")
	for _, c := range [][2]string{{"pidgin", "native"}, {"", "native"}, {"../gajim", "native"}, {"gajim", "appimage"}, {"gajim", ""}} {
		if _, err := PlanFor(r, c[0], c[1]); !errors.Is(err, ErrUnknownClient) {
			t.Errorf("PlanFor(%q, %q): %v", c[0], c[1], err)
		}
	}
}

func TestACacheOpenInAnotherProgramIsRefused(t *testing.T) {
	r := home(t, "gajim")
	p := plan(t, r, "gajim", "native")
	before := tree(t, r.Home)
	cmd := exec.Command("sh", "-c", `exec 3<"$0"; echo open; cat >/dev/null`, filepath.Join(r.Cache, "gajim/cache.db"))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	_, err = Apply(t.Context(), p, noon)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "cache.db") {
		t.Errorf("Apply: %v", err)
	}
	equal(t, "home", before, tree(t, r.Home))
	equal(t, "undo entries", []string{}, undoFolders(t, r))
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(t.Context(), p, noon); err != nil {
		t.Errorf("after it closed: %v", err)
	}
}
