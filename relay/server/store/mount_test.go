package store

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const namespaceEnv = "HOLDFAST_STORE_TEST_NAMESPACE"

// inOwnMounts runs the calling test once more in a process with its own mounts, where it returns true.
// Where that is not allowed, the test is skipped, and fails in CI.
func inOwnMounts(t *testing.T) bool {
	t.Helper()
	if os.Getenv(namespaceEnv) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), namespaceEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
		}
	}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, fs.ErrPermission):
		notAllowed(t, err)
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("%s", out)
	}
	return false
}

func notAllowed(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("mounts of its own are not allowed here: %v: run the tests as root", err)
	}
	t.Skipf("mounts of its own are not allowed here: %v", err)
}

// mount mounts a file system below the test's folder, for this process only.
func mount(t *testing.T, kind, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, kind, 0, options); err != nil {
		notAllowed(t, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestAFullDiskIsSaidAndTheStoreRecovers(t *testing.T) {
	if !inOwnMounts(t) {
		return
	}
	dir := mount(t, "tmpfs", "size=4m")
	d := open(t, dir, Options{})
	put(t, d, "slot/first", strings.Repeat("x", 1<<20), Meta{})
	before := tree(t, dir)

	// What is declared and does not fit is refused before a byte came.
	if _, err := d.Create(t.Context(), "slot/huge", 5<<20, Meta{}); !errors.Is(err, ErrFull) {
		t.Errorf("Create of 5 MiB: %v, want ErrFull", err)
	}
	// Two that would fit alone: the second one finds out while it writes.
	one, err := d.Create(t.Context(), "slot/one", 2<<20, Meta{})
	if err != nil {
		t.Fatal(err)
	}
	two, err := d.Create(t.Context(), "slot/two", 2<<20, Meta{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.ReadFrom(bytes.NewReader(make([]byte, 2<<20))); err != nil {
		t.Fatal(err)
	}
	n, err := two.ReadFrom(bytes.NewReader(make([]byte, 2<<20)))
	if !errors.Is(err, ErrFull) || n >= 2<<20 {
		t.Errorf("ReadFrom on a full disk: %d, %v, want ErrFull", n, err)
	}
	if err := two.Publish(); err == nil {
		t.Error("Publish after a failed write succeeds")
	}
	for _, u := range []Upload{one, two} {
		if err := u.Discard(); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
		t.Errorf("after the full disk (-before +after):\n%s", diff)
	}
	put(t, d, "slot/two", strings.Repeat("y", 2<<20), Meta{})
	if _, err := d.Create(t.Context(), "slot/huge", 2<<20, Meta{}); !errors.Is(err, ErrFull) {
		t.Errorf("Create of 2 MiB: %v, want ErrFull", err)
	}
	if err := d.Remove("slot/first"); err != nil {
		t.Fatal(err)
	}
	put(t, d, "slot/again", strings.Repeat("z", 1<<20), Meta{})
	d.SetMinFree(3 << 20)
	if _, err := d.Create(t.Context(), "slot/min", 0, Meta{}); !errors.Is(err, ErrFull) {
		t.Errorf("Create below the minimum: %v, want ErrFull", err)
	}
	d.SetMinFree(1 << 63)
	if _, err := d.Create(t.Context(), "slot/min", 1<<63-1, Meta{}); !errors.Is(err, ErrFull) {
		t.Errorf("Create below an absurd minimum: %v, want ErrFull", err)
	}
}

func TestNoInodesLeftIsAFullStoreToo(t *testing.T) {
	if !inOwnMounts(t) {
		return
	}
	dir := mount(t, "tmpfs", "size=4m,nr_inodes=8")
	d := open(t, dir, Options{})
	var err error
	for i := 0; i < 10 && err == nil; i++ {
		err = putErr(t.Context(), d, strings.Repeat("x", i+1)+"/file", []byte("x"), Meta{})
	}
	if !errors.Is(err, ErrFull) {
		t.Errorf("put: %v, want ErrFull", err)
	}
	for _, name := range tree(t, dir) {
		if name, isFolder := strings.CutSuffix(name, "/"); isFolder && !strings.HasPrefix(name, privateDir) {
			if entries, err := os.ReadDir(filepath.Join(dir, name)); err != nil || len(entries) == 0 {
				t.Errorf("an empty folder is left: %s, %v", name, err)
			}
		}
	}
	if left := tree(t, filepath.Join(dir, tmpDir)); left != nil {
		t.Errorf("temporary files are left: %v", left)
	}
}

func TestAReadOnlyStoreIsSaidAndRecovers(t *testing.T) {
	if !inOwnMounts(t) {
		return
	}
	dir := mount(t, "tmpfs", "size=4m")
	d := open(t, dir, Options{})
	put(t, d, "slot/file", "x", Meta{})
	remount := func(flags uintptr) {
		t.Helper()
		if err := unix.Mount("none", dir, "", unix.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(unix.MS_RDONLY)
	if _, err := d.Create(t.Context(), "slot/other", 1, Meta{}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("Create: %v, want ErrReadOnly", err)
	}
	if err := d.Remove("slot/file"); !errors.Is(err, ErrReadOnly) {
		t.Errorf("Remove: %v, want ErrReadOnly", err)
	}
	f, err := d.Open("slot/file")
	if err != nil {
		t.Fatalf("downloads must go on: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Open(filepath.Join(dir, "new"), Options{}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("Open: %v, want ErrReadOnly", err)
	}
	remount(0)
	put(t, d, "slot/other", "x", Meta{})
}

func TestWithoutExtendedAttributesTheKeeperRemembers(t *testing.T) {
	if !inOwnMounts(t) {
		return
	}
	dir := mount(t, "ramfs", "")
	kept := keeper{}
	d := open(t, dir, Options{Attrs: kept})
	if d.xattrs {
		t.Skip("ramfs keeps extended attributes here")
	}
	want := Meta{Type: "image/png", Digest: make([]byte, 32), Retain: time.Unix(2e9, 0).UTC()}
	put(t, d, "slot/file", "x", want)
	if err := putErr(t.Context(), d, "slot/file", []byte("y"), Meta{Type: "the/loser"}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second put: %v, want fs.ErrExist", err)
	}
	f, err := d.Open("slot/file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := f.Meta()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Meta (-want +got):\n%s", diff)
	}
	if err := d.Remove("slot/file"); err != nil {
		t.Fatal(err)
	}
	if len(kept) != 0 {
		t.Errorf("attributes of a removed file are kept: %v", kept)
	}
}
