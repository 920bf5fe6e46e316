package cache

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/cmd/lab"
)

const inside = "HOLDFAST_TEST_MOUNTS"

// TestMounts runs TestMountsInside in a mount namespace of its own, so that nothing is mounted on this machine.
func TestMounts(t *testing.T) {
	lab.NeedRoot(t)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestMountsInside$", "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !strings.Contains(string(out), "--- PASS: TestMountsInside") {
		t.Errorf("inside: %v", err)
	}
}

func TestMountsInside(t *testing.T) {
	if os.Getenv(inside) == "" {
		t.Skip("TestMounts runs this one")
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	mount := func(t *testing.T, source, target, kind, options string, flags uintptr) {
		t.Helper()
		mkdir(t, target)
		if err := unix.Mount(source, target, kind, flags, options); err != nil {
			t.Fatalf("mount %s: %v", target, err)
		}
		t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
	}
	for _, tt := range []struct {
		name   string
		target string
		bind   bool
	}{
		{"the cache folder is a mount point", ".cache/gajim", false},
		{"a part of the cache is a mount point", ".cache/gajim/avatars", false},
		{"a folder deep in the cache is a mount point", ".cache/gajim/avatars/deep", false},
		{"the data folder is bound into the cache", ".cache/gajim/avatars", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := home(t, "gajim")
			good := plan(t, r, "gajim", "native")
			target := filepath.Join(r.Home, tt.target)
			if tt.bind {
				mount(t, filepath.Join(r.Data, "gajim"), target, "", "", unix.MS_BIND)
			} else {
				mount(t, "tmpfs", target, "tmpfs", "size=1m", 0)
				write(t, filepath.Join(target, "cache.db"), "x")
			}
			before := tree(t, r.Home)
			if _, err := PlanFor(r, "gajim", "native"); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "mount point") {
				t.Errorf("PlanFor: %v", err)
			}
			if _, err := Apply(t.Context(), good, noon); !errors.Is(err, ErrRefused) {
				t.Errorf("Apply: %v", err)
			}
			equal(t, "home", before, tree(t, r.Home))
		})
	}
	t.Run("all caches on another file system are moved and restored", func(t *testing.T) {
		r := home(t, "gajim")
		mount(t, "tmpfs", r.State, "tmpfs", "size=8m", 0)
		before := tree(t, r.Home)
		e, err := Apply(t.Context(), plan(t, r, "gajim", "native"), noon)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Undo(t.Context(), r, e.ID); err != nil {
			t.Fatal(err)
		}
		equal(t, "home", before, tree(t, r.Home))
	})
	for name, size := range map[string]string{"refused before it starts": "256k", "noticed at the first write": "4k"} {
		t.Run("an undo folder that is too small is "+name, func(t *testing.T) {
			r := home(t, "gajim")
			write(t, filepath.Join(r.Cache, "gajim/avatars/big"), strings.Repeat("picture ", 128<<10))
			mount(t, "tmpfs", r.State, "tmpfs", "size="+size, 0)
			before := tree(t, r.Home)
			if _, err := Apply(t.Context(), plan(t, r, "gajim", "native"), noon); !errors.Is(err, ErrNoSpace) {
				t.Errorf("error %v", err)
			}
			equal(t, "home", before, tree(t, r.Home))
			equal(t, "undo entries", []string{}, undoFolders(t, r))
		})
	}
	t.Run("a read-only undo folder", func(t *testing.T) {
		r := home(t, "gajim")
		mount(t, "tmpfs", r.State, "tmpfs", "size=1m,ro", 0)
		before := tree(t, r.Home)
		if _, err := Apply(t.Context(), plan(t, r, "gajim", "native"), noon); !errors.Is(err, unix.EROFS) {
			t.Errorf("error %v", err)
		}
		equal(t, "home", before, tree(t, r.Home))
	})
}
