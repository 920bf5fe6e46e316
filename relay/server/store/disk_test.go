package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		uploadUntilKilled(dir)
	}
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, dir string, opt Options) *Disk {
	t.Helper()
	d, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return d
}

func put(t *testing.T, d *Disk, path, data string, meta Meta) {
	t.Helper()
	if err := putErr(t.Context(), d, path, []byte(data), meta); err != nil {
		t.Fatalf("put %s: %v", path, err)
	}
}

func putErr(ctx context.Context, d *Disk, path string, data []byte, meta Meta) (err error) {
	u, err := d.Create(ctx, path, int64(len(data)), meta)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Discard()) }()
	if _, err := u.ReadFrom(bytes.NewReader(data)); err != nil {
		return err
	}
	return u.Publish()
}

// tree lists everything below dir but the lock, folders with a slash at the end.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		name, err = filepath.Rel(dir, name)
		if e.IsDir() {
			name += "/"
		}
		if name != lockFile {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestOpenMakesMissingFoldersAndFilesAreNotForOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "var", "lib", "files")
	d := open(t, dir, Options{})
	put(t, d, "slot/file", "x", Meta{})
	if diff := cmp.Diff([]string{".holdfast/", ".holdfast/tmp/", "slot/", "slot/file"}, tree(t, dir)); diff != "" {
		t.Errorf("after one upload (-want +got):\n%s", diff)
	}
	for _, name := range append(tree(t, dir), lockFile) {
		fi, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm()&0o027 != 0 {
			t.Errorf("%s has mode %v, want nothing for others and no writing for the group", name, fi.Mode())
		}
	}
}

func TestASecondServerOnTheSameStoreIsRefused(t *testing.T) {
	dir := t.TempDir()
	first, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	u, err := first.Create(t.Context(), "slot/file", 3, Meta{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second Open: %v, want ErrInUse with the folder's name", err)
	}
	// The attempt must not have taken the first one's temporary files for leftovers.
	if _, err := u.Write([]byte("abc")); err != nil {
		t.Error(err)
	}
	if err := u.Publish(); err != nil {
		t.Error(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir, Options{})
}

func TestOpenRemovesWhatADeadProcessLeft(t *testing.T) {
	dir := t.TempDir()
	d := open(t, filepath.Join(dir, "first"), Options{})
	put(t, d, "slot/file", "kept", Meta{})
	left := filepath.Join(dir, "second")
	for name, data := range map[string]string{
		"slot/file": "kept", tmpDir + "/HALF": "half", tmpDir + "/folder/x": "x", lockFile: "",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(left, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(left, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	open(t, left, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if diff := cmp.Diff([]string{".holdfast/", ".holdfast/tmp/", "slot/", "slot/file"}, tree(t, left)); diff != "" {
		t.Errorf("after Open (-want +got):\n%s", diff)
	}
	if !strings.Contains(log.String(), "leftovers removed") || !strings.Contains(log.String(), "files=2") {
		t.Errorf("log: %s", log.String())
	}
}

func TestOpenRefusesAPrivateFolderThatIsALink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, privateDir)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("Open: %v, want an error that says what to do", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, Options{}); err == nil {
		t.Error("Open of a plain file succeeds")
	}
}

func TestLinksAndSpecialFilesAreNeitherServedNorWrittenThrough(t *testing.T) {
	t.Run("with openat2", func(t *testing.T) { testLinks(t, Options{}) })
	t.Run("without", func(t *testing.T) { testLinks(t, Options{Hook: noOpenat2{}}) })
}

// noOpenat2 is an old kernel, or a filter of system calls.
type noOpenat2 struct{}

func (noOpenat2) Do(s Step, do func() error) error {
	if s.Op == "openat2" {
		return unix.EPERM
	}
	return do()
}

func testLinks(t *testing.T, opt Options) {
	dir, outside := t.TempDir(), t.TempDir()
	d := open(t, dir, opt)
	put(t, d, "slot/file", "inside", Meta{})
	if err := os.WriteFile(filepath.Join(outside, "file"), []byte("outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Symlink(outside, filepath.Join(dir, "out")))
	must(os.Symlink("slot", filepath.Join(dir, "in")))
	must(os.Symlink("file", filepath.Join(dir, "slot", "link")))
	must(os.Symlink("nowhere", filepath.Join(dir, "slot", "dangling")))
	must(os.Symlink(filepath.Join(outside, "file"), filepath.Join(dir, "slot", "absolute")))
	must(os.Symlink("loop", filepath.Join(dir, "loop")))
	must(unix.Mkfifo(filepath.Join(dir, "slot", "fifo"), 0o600))
	socket, err := net.Listen("unix", filepath.Join(dir, "slot", "socket"))
	must(err)
	defer socket.Close()
	before := tree(t, dir)
	for _, name := range []string{
		"out/file", "in/file", "slot/link", "slot/dangling", "slot/absolute", "loop", "loop/file", "slot/fifo", "slot/socket", "out/new", "in/new/file",
	} {
		f, err := d.Open(name)
		if err == nil {
			_ = f.Close()
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Open(%q): %v, want fs.ErrNotExist", name, err)
		}
		if err := d.Remove(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Remove(%q): %v, want fs.ErrNotExist", name, err)
		}
		if err := putErr(t.Context(), d, name, []byte("evil"), Meta{}); !errors.Is(err, fs.ErrExist) {
			t.Errorf("put %q: %v, want fs.ErrExist", name, err)
		}
	}
	if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
		t.Errorf("the store changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"file"}, tree(t, outside)); diff != "" {
		t.Errorf("the other folder changed (-before +after):\n%s", diff)
	}
}

func TestALinkMadeBetweenCreateAndPublishIsNotFollowed(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	d := open(t, dir, Options{})
	for i, target := range []string{outside, "real"} {
		slot := fmt.Sprintf("slot-%d", i)
		u, err := d.Create(t.Context(), slot+"/file", 1, Meta{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, "real"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(dir, slot)); err != nil {
			t.Fatal(err)
		}
		if err := u.Publish(); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Publish: %v, want fs.ErrExist", err)
		}
		if err := u.Discard(); err != nil {
			t.Error(err)
		}
	}
	if got := slices.Concat(tree(t, outside), tree(t, filepath.Join(dir, "real"))); got != nil {
		t.Errorf("written through the link: %v", got)
	}
}

func TestADeletedTemporaryFolderIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, Options{})
	for _, name := range []string{tmpDir, privateDir} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		put(t, d, "slot/after-"+filepath.Base(name), "x", Meta{})
	}
}

func TestATemporaryFileThatIsGoneIsAnErrorAndNotAFile(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, Options{})
	u, err := d.Create(t.Context(), "slot/file", 1, Meta{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, tmpDir)); err != nil {
		t.Fatal(err)
	}
	if err := u.Publish(); err == nil || errors.Is(err, fs.ErrExist) {
		t.Errorf("Publish: %v, want a plain error", err)
	}
	if err := u.Discard(); err != nil {
		t.Errorf("Discard: %v", err)
	}
	if _, err := d.Open("slot/file"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open: %v, want fs.ErrNotExist", err)
	}
}

func TestFilesOfAnotherServerAreServedWithoutAttributes(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "ab12"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ab12", "old.png"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := open(t, dir, Options{})
	f, err := d.Open("ab12/old.png")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	meta, err := f.Meta()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Meta{}, meta); diff != "" {
		t.Errorf("Meta (-want +got):\n%s", diff)
	}
}

func TestForeignAttributesAreNotTrusted(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, Options{})
	put(t, d, "slot/file", "x", Meta{Type: "text/plain"})
	for name, value := range map[string]string{
		attrDigest: "zz", attrRetain: "yesterday", attrType: strings.Repeat("x", 2000),
	} {
		if err := unix.Setxattr(filepath.Join(dir, "slot/file"), name, []byte(value), 0); err != nil {
			t.Skipf("no extended attributes here: %v", err)
		}
	}
	f, err := d.Open("slot/file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if meta, err := f.Meta(); err != nil || !cmp.Equal(meta, Meta{}) {
		t.Errorf("Meta: %+v, %v, want nothing", meta, err)
	}
}

func FuzzAttributesAreReadAsTheyWereWrittenOrNotAtAll(f *testing.F) {
	f.Add("2030-01-02T03:04:05Z", strings.Repeat("0a", 32))
	f.Add("2030-01-02T03:04:05+02:00", "0A")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, retain, digest string) {
		if at := parseRetain(retain); !at.IsZero() && !parseRetain(formatRetain(at)).Equal(at.Truncate(time.Second)) {
			t.Errorf("%q: %v does not come back", retain, at)
		}
		if b := parseDigest(digest); b != nil && len(b) != 32 {
			t.Errorf("%q: %d bytes", digest, len(b))
		}
	})
}

func FuzzAValidNameStaysInsideAndIsNotReserved(f *testing.F) {
	for _, s := range []string{"a/b", "..", ".holdfast/lock", "a/../b", "a//b", "", "/", "a/.b", "a\x00", "\xff/a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if !valid(name) {
			return
		}
		if !filepath.IsLocal(name) || filepath.Clean(name) != name || strings.HasPrefix(name, ".") || strings.Contains(name, "\x00") {
			t.Errorf("%q is called valid", name)
		}
		last := ""
		for p := range prefixes(name) {
			if p == last || !strings.HasPrefix(name, p) {
				t.Errorf("prefixes(%q) gives %q after %q", name, p, last)
			}
			last = p
		}
		if last != name {
			t.Errorf("prefixes(%q) ends with %q", name, last)
		}
	})
}

// keeper is an Attributes in memory.
type keeper map[string]Meta

func (k keeper) SetAttributes(path, mediaType string, digest []byte, retain time.Time) {
	k[path] = Meta{mediaType, digest, retain}
}

func (k keeper) Attributes(path string) (string, []byte, time.Time, error) {
	m := k[path]
	return m.Type, m.Digest, m.Retain, nil
}

func (k keeper) ForgetAttributes(path string) { delete(k, path) }

func TestWalkFindsWhatWasPublishedSince(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, Options{})
	want := []string{"a/b/c/d", "a/x", "one/file", "top"}
	for _, name := range want {
		put(t, d, name, name, Meta{})
	}
	if err := os.Symlink("a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	walk := func(since time.Time) (got []string) {
		t.Helper()
		err := d.Walk(t.Context(), since, func(path string, size int64, mod time.Time) error {
			if size != int64(len(path)) || time.Since(mod) > time.Hour {
				t.Errorf("%s: %d bytes, %v", path, size, mod)
			}
			got = append(got, path)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		return got
	}
	if diff := cmp.Diff(want, walk(time.Time{})); diff != "" {
		t.Errorf("everything (-want +got):\n%s", diff)
	}
	if got := walk(time.Now().Add(time.Minute)); got != nil {
		t.Errorf("younger than in a minute: %v", got)
	}
	stop := errors.New("stop")
	if err := d.Walk(t.Context(), time.Time{}, func(string, int64, time.Time) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Walk whose function stops it: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Walk(ctx, time.Time{}, func(string, int64, time.Time) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Walk after the end of its context: %v", err)
	}
}

func TestOpenWaitsForAPublishOfTheSamePath(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	put(t, d, "slot/file", "x", Meta{})
	synctest.Test(t, func(t *testing.T) {
		// The channels of d are made inside the bubble here, as hold would in Publish.
		done := d.holdPath("slot/file")
		opened := make(chan error, 1)
		go func() {
			f, err := d.Open("slot/file")
			if err == nil {
				err = f.Close()
			}
			opened <- err
		}()
		synctest.Wait()
		select {
		case err := <-opened:
			t.Errorf("Open did not wait: %v", err)
		default:
		}
		done()
		if err := <-opened; err != nil {
			t.Error(err)
		}
	})
}

func TestDownloadsLeaveThroughSendfile(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	put(t, d, "slot/file", "x", Meta{})
	f, err := d.Open("slot/file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, ok := f.(Plain)
	if !ok || plain.OSFile() == nil {
		t.Fatal("the file cannot be handed to net/http")
	}
	// What net asks for before it calls sendfile.
	if _, ok := f.(syscall.Conn); !ok {
		t.Error("the File itself has no descriptor to offer")
	}
	if _, ok := f.(io.Seeker); !ok {
		t.Error("the File cannot seek")
	}
}
