package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestASmallFileFromMemoryIsTheOneOnDisk(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, Options{})
	if err := uploadOrCompare(d, newWord(), "a/file", []byte("one"), Meta{Type: "text/plain"}); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "a/file")
	read := func() string {
		t.Helper()
		f, err := d.OpenToSend("a/file")
		if errors.Is(err, fs.ErrNotExist) {
			return "gone"
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		b, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		m, err := f.Meta()
		if err != nil {
			t.Fatal(err)
		}
		return string(b) + " " + m.Type
	}
	kept := func() bool { return d.smalls.get("a/file") != nil }

	if got := read(); got != "one text/plain" || kept() {
		t.Errorf("right after the upload: %q, kept %t", got, kept())
	}
	time.Sleep(smallAge + 20*time.Millisecond) // the file system's clock cannot be turned
	for range 2 {
		if got := read(); got != "one text/plain" || !kept() {
			t.Errorf("later: %q, kept %t", got, kept())
		}
	}
	if err := os.Rename(name, name+".old"); err != nil {
		t.Fatal(err)
	}
	if got := read(); got != "gone" || kept() {
		t.Errorf("moved away: %q, kept %t", got, kept())
	}
	if err := os.WriteFile(name, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := read(); got != "two " {
		t.Errorf("replaced: %q", got)
	}
}

func TestSmallFilesStayWithinTheirMemory(t *testing.T) {
	var c smallFiles
	for i := range 1000 {
		c.put(fmt.Sprint(i%300), &small{data: make([]byte, smallSize)})
		if c.bytes > smallBytes {
			t.Fatalf("%d bytes after %d files", c.bytes, i)
		}
	}
	for path := range c.files {
		c.drop(path)
	}
	if c.bytes != 0 || len(c.files) != 0 {
		t.Errorf("%d bytes and %d files are left", c.bytes, len(c.files))
	}
}
