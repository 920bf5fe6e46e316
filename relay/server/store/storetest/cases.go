package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/relay/server/store"
)

func roundTrip(t *testing.T, s Store) {
	retain := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	for i, size := range []int{0, 1, 4096, 128<<10 - 1, 128 << 10, 128<<10 + 1, 3 << 20} {
		data := Bytes(uint64(i), size)
		sum := sha256.Sum256(data)
		for j, meta := range []store.Meta{
			{},
			{Type: "image/jpeg"},
			{Type: "Text/Plain; charset=\"utf-8\"", Digest: sum[:], Retain: retain},
		} {
			path := fmt.Sprintf("slot-%d-%d/file", i, j)
			if err := Put(t.Context(), s, path, data, meta); err != nil {
				t.Fatalf("put %d bytes: %v", size, err)
			}
			mustHold(t, s, path, data)
			f, err := s.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := f.Meta()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(meta, got); diff != "" {
				t.Errorf("Meta of %s (-want +got):\n%s", path, diff)
			}
			fi, err := f.Stat()
			if err != nil || fi.Size() != int64(size) || !fi.Mode().IsRegular() {
				t.Errorf("Stat: %v, %v, want %d bytes", fi, err, size)
			}
			tail := make([]byte, min(size, 10))
			if _, err := f.ReadAt(tail, int64(size-len(tail))); err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(tail, data[size-len(tail):]) {
				t.Errorf("ReadAt: %v, other bytes", err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if err := Put(t.Context(), s, "long/type", nil, store.Meta{Type: "text/" + strings.Repeat("x", 9000)}); err != nil {
		t.Errorf("a media type that is too long to keep must not stop an upload: %v", err)
	}
}

func names(t *testing.T, s Store) {
	for i, name := range []string{
		"a/b", "a/.hidden", "a/..data", "a/b.", "a/ ", "a/\"quoted\"", "a/%2e%2e", "a/%2F", "a/#?+&", "a/\u202egpj.exe", "a/😀.png",
		"a/back\\slash", "a/" + strings.Repeat("x", 255), "b/c/d/e/f/g/h/i", "-/-rf", "a/con", "UPPER/lower", "upper/lower",
	} {
		data := Bytes(uint64(i), 100+i)
		put(t, s, name, data)
		mustHold(t, s, name, data)
	}
}

func badNames(t *testing.T, s Store) {
	for _, name := range []string{
		"", ".", "..", "/", "/a/b", "a/", "a//b", "a/./b", "a/../b", "../a/b", "a/..", ".holdfast/lock", ".holdfast/tmp/x", ".x/y", "a/\x00", "a/\xff",
	} {
		u, err := s.Create(t.Context(), name, 1, store.Meta{})
		if err == nil {
			discard(t, u)
		}
		if !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("Create(%q): %v, want fs.ErrInvalid", name, err)
		}
		mustLack(t, s, name)
		if err := s.Remove(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Remove(%q): %v, want fs.ErrNotExist", name, err)
		}
	}
	if _, err := s.Create(t.Context(), "a/b", -1, store.Meta{}); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("Create with a negative size: %v, want fs.ErrInvalid", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Create(ended, "a/b", 1, store.Meta{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Create for a request that has ended: %v", err)
	}
}

func unfinished(t *testing.T, s Store) {
	u := create(t, s, "slot/file", 10)
	write(t, u, []byte("01234"))
	mustLack(t, s, "slot/file")
	mustLack(t, s, "slot")
	discard(t, u)
	mustLack(t, s, "slot/file")
	if _, err := u.Write([]byte("5")); err == nil {
		t.Error("Write after Discard succeeds")
	}
	if err := u.Publish(); err == nil {
		t.Error("Publish after Discard succeeds")
	}
	put(t, s, "slot/file", []byte("later"))
	u = create(t, s, "slot/file", 5)
	write(t, u, []byte("l"))
	discard(t, u)
	mustHold(t, s, "slot/file", []byte("later"))
}

func wrongLength(t *testing.T, s Store) {
	u := create(t, s, "short/file", 10)
	write(t, u, []byte("012345678"))
	if err := u.Publish(); !errors.Is(err, store.ErrSize) {
		t.Errorf("Publish of 9 of 10 bytes: %v, want ErrSize", err)
	}
	discard(t, u)
	mustLack(t, s, "short/file")

	for _, size := range []int{0, 10, 128 << 10, 300 << 10} {
		want := Bytes(7, size)
		u = create(t, s, fmt.Sprintf("long-%d/file", size), int64(size))
		endless := io.MultiReader(bytes.NewReader(want), strings.NewReader(strings.Repeat("x", 1<<20)))
		n, err := u.ReadFrom(endless)
		if n != int64(size) || !errors.Is(err, store.ErrSize) {
			t.Errorf("ReadFrom more than %d bytes: %d, %v, want ErrSize after all of them", size, n, err)
		}
		discard(t, u)

		u = create(t, s, fmt.Sprintf("long-%d/file", size), int64(size))
		if n, err := u.Write(append(want[:size:size], 'x')); n != size || !errors.Is(err, store.ErrSize) {
			t.Errorf("Write of %d+1 bytes: %d, %v, want ErrSize", size, n, err)
		}
		discard(t, u)
		mustLack(t, s, fmt.Sprintf("long-%d/file", size))
	}
}

func bodyError(t *testing.T, s Store) {
	cut := errors.New("connection cut")
	u := create(t, s, "slot/file", 100)
	n, err := u.ReadFrom(io.MultiReader(strings.NewReader("0123456789"), iotest.ErrReader(cut)))
	if n != 10 || !errors.Is(err, cut) {
		t.Errorf("ReadFrom: %d, %v, want 10 and the body's error", n, err)
	}
	discard(t, u)
	mustLack(t, s, "slot/file")
}

func exclusive(t *testing.T, s Store) {
	first, same, other, longer := []byte("first"), []byte("first"), []byte("other"), []byte("firstly")
	put(t, s, "slot/file", first)
	for _, test := range []struct {
		data []byte
		want bool
	}{{same, true}, {other, false}, {longer, false}, {nil, false}} {
		u := create(t, s, "slot/file", int64(len(test.data)))
		write(t, u, test.data)
		for range 2 {
			if err := u.Publish(); !errors.Is(err, fs.ErrExist) {
				t.Fatalf("Publish over a file: %v, want fs.ErrExist", err)
			}
		}
		f, err := s.Open("slot/file")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := u.SameAs(f); err != nil || got != test.want {
			t.Errorf("SameAs for %q: %v, %v, want %v", test.data, got, err, test.want)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		discard(t, u)
		mustHold(t, s, "slot/file", first)
	}
}

func fiftyAtOnce(t *testing.T, s Store) {
	const n, size = 50, 200 << 10
	var (
		mu   sync.Mutex
		won  []int
		same int
		wg   sync.WaitGroup
	)
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			data := Bytes(uint64(i/2), size) // always two with the same bytes
			u, err := s.Create(t.Context(), "slot/file", size, store.Meta{})
			if err != nil {
				t.Errorf("Create: %v", err)
				return
			}
			defer discard(t, u)
			if _, err := u.ReadFrom(bytes.NewReader(data)); err != nil {
				t.Errorf("ReadFrom: %v", err)
				return
			}
			<-start
			err = u.Publish()
			if err == nil {
				mu.Lock()
				won = append(won, i)
				mu.Unlock()
				return
			}
			if !errors.Is(err, fs.ErrExist) {
				t.Errorf("Publish: %v, want fs.ErrExist", err)
			}
			f, err := s.Open("slot/file")
			if err != nil {
				t.Errorf("Open after losing: %v", err)
				return
			}
			defer f.Close()
			ok, err := u.SameAs(f)
			if err != nil {
				t.Errorf("SameAs: %v", err)
			}
			if ok {
				mu.Lock()
				same++
				mu.Unlock()
			}
		})
	}
	close(start)
	wg.Wait()
	if len(won) != 1 || same != 1 {
		t.Fatalf("%d were published and %d found their own bytes, want one each", len(won), same)
	}
	mustHold(t, s, "slot/file", Bytes(uint64(won[0]/2), size))
}

func publishWhileRemoving(t *testing.T, s Store) {
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 100 {
				path, data := fmt.Sprintf("user/slot/file-%d", i), Bytes(uint64(j), 10)
				if err := Put(t.Context(), s, path, data, store.Meta{}); err != nil {
					t.Errorf("put: %v", err)
					return
				}
				if got, err := Get(s, path); err != nil || !bytes.Equal(got, data) {
					t.Errorf("get: %v, %d bytes", err, len(got))
					return
				}
				if err := s.Remove(path); err != nil {
					t.Errorf("remove: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	mustLack(t, s, "user/slot/file-0")
	put(t, s, "user", []byte("the empty folders are gone"))
}

func removed(t *testing.T, s Store) {
	put(t, s, "a/b/c", []byte("one"))
	put(t, s, "a/d", []byte("two"))
	f, err := s.Open("a/b/c")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Remove("a/b/c"); err != nil {
		t.Fatal(err)
	}
	mustLack(t, s, "a/b/c")
	mustHold(t, s, "a/d", []byte("two"))
	if got, err := io.ReadAll(f); err != nil || string(got) != "one" {
		t.Errorf("reading the removed file: %q, %v", got, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Remove("a/b/c"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Remove again: %v, want fs.ErrNotExist", err)
	}
	put(t, s, "a/b", []byte("the empty folder is gone"))
	put(t, s, "a/b2/c", []byte("a new one can be made"))
}

func foldersAndFiles(t *testing.T, s Store) {
	put(t, s, "a/b/c", []byte("deep"))
	for _, path := range []string{"a/b", "a", "a/b/c/d", "a/b/c/d/e"} {
		if u, err := s.Create(t.Context(), path, 1, store.Meta{}); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Create(%q): %v, want fs.ErrExist", path, err)
			if err == nil {
				discard(t, u)
			}
		}
		mustLack(t, s, path)
		if err := s.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Remove(%q): %v, want fs.ErrNotExist", path, err)
		}
	}
	// Both began before either was there.
	file, folder := create(t, s, "x/y", 1), create(t, s, "x/y/z", 1)
	write(t, file, []byte("1"))
	write(t, folder, []byte("2"))
	if err := folder.Publish(); err != nil {
		t.Fatal(err)
	}
	if err := file.Publish(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Publish over a folder: %v, want fs.ErrExist", err)
	}
	discard(t, file)
	file, folder = create(t, s, "v/w", 1), create(t, s, "v/w/z", 1)
	write(t, file, []byte("1"))
	write(t, folder, []byte("2"))
	if err := file.Publish(); err != nil {
		t.Fatal(err)
	}
	if err := folder.Publish(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Publish below a file: %v, want fs.ErrExist", err)
	}
	discard(t, folder)
	mustHold(t, s, "x/y/z", []byte("2"))
	mustHold(t, s, "v/w", []byte("1"))
}

func etags(t *testing.T, s Store) {
	seen := make(map[string]string)
	for i := range 20 {
		path := fmt.Sprintf("slot-%d/file", i)
		put(t, s, path, []byte("same bytes"))
		for range 2 {
			f, err := s.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			tag := f.ETag()
			if len(tag) < 3 || tag[0] != '"' || tag[len(tag)-1] != '"' || strings.ContainsAny(tag[1:len(tag)-1], "\" \x7f") {
				t.Errorf("ETag %s is not a strong one as RFC 9110 section 8.8.3 wants it", tag)
			}
			if owner, ok := seen[tag]; ok && owner != path {
				t.Errorf("%s and %s have one ETag", owner, path)
			}
			seen[tag] = path
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if len(seen) != 20 {
		t.Errorf("20 files had %d ETags", len(seen))
	}
}

func discardTwice(t *testing.T, s Store) {
	u := create(t, s, "slot/file", 1)
	write(t, u, []byte("1"))
	if err := u.Publish(); err != nil {
		t.Fatal(err)
	}
	discard(t, u)
	discard(t, u)
	mustHold(t, s, "slot/file", []byte("1"))
	if err := u.Publish(); err == nil || errors.Is(err, fs.ErrExist) {
		t.Errorf("Publish again: %v, want a plain error", err)
	}
}

func free(t *testing.T, s Store) {
	if n, err := s.Free(); err != nil || n == 0 {
		t.Errorf("Free: %d, %v", n, err)
	}
}
