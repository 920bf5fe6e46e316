// Package storetest checks that a store keeps the promises of package store, whatever it is made of.
//
// A store's own test calls Run with a function that makes an empty one; the same table then holds for a folder, and later for
// object storage.
//
// # Invariants
//   - Only the surface that the server uses is touched: no test looks below a store.
//   - Every test gets a store of its own.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"testing"

	"holdfast/relay/server/store"
)

// Store is what the server asks of a store.
type Store interface {
	Create(ctx context.Context, path string, size int64, meta store.Meta) (store.Upload, error)
	Open(path string) (store.File, error)
	Remove(path string) error
	Free() (uint64, error)
	Close() error
}

// Run runs the suite. make returns an empty store; Run closes it.
func Run(t *testing.T, makeStore func(t *testing.T) Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Store)
	}{
		{"a published file has the bytes and the attributes it was given", roundTrip},
		{"every name that a URL can have is kept exactly", names},
		{"names that no URL has are refused", badNames},
		{"an unfinished upload is not visible and leaves nothing", unfinished},
		{"an upload with too few or too many bytes is not published", wrongLength},
		{"an error of the client's body comes back as it is", bodyError},
		{"the first publish wins and the others can compare", exclusive},
		{"of fifty uploads to one path at once exactly one is published", fiftyAtOnce},
		{"publish and remove at once never lose a folder from under a file", publishWhileRemoving},
		{"a removed file is gone and its open copy stays readable", removed},
		{"folders are not files and files are not folders", foldersAndFiles},
		{"an ETag belongs to one file and stays", etags},
		{"Discard may be called again and after Publish", discardTwice},
		{"the free space is known", free},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := makeStore(t)
			test.run(t, s)
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

// Bytes returns n bytes that look random and are the same for the same seed.
func Bytes(seed uint64, n int) []byte {
	var key [32]byte
	copy(key[:], fmt.Sprint(seed))
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

// Put publishes data under path.
func Put(ctx context.Context, s Store, path string, data []byte, meta store.Meta) (err error) {
	u, err := s.Create(ctx, path, int64(len(data)), meta)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Discard()) }()
	if _, err := u.ReadFrom(bytes.NewReader(data)); err != nil {
		return err
	}
	return u.Publish()
}

// Get returns the bytes published under path.
func Get(s Store, path string) (data []byte, err error) {
	f, err := s.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(f)
}

func put(t *testing.T, s Store, path string, data []byte) {
	t.Helper()
	if err := Put(t.Context(), s, path, data, store.Meta{}); err != nil {
		t.Fatalf("put %q: %v", path, err)
	}
}

func mustHold(t *testing.T, s Store, path string, want []byte) {
	t.Helper()
	got, err := Get(s, path)
	if err != nil {
		t.Fatalf("get %q: %v", path, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%q holds %d other bytes, want %d", path, len(got), len(want))
	}
}

func mustLack(t *testing.T, s Store, path string) {
	t.Helper()
	f, err := s.Open(path)
	if err == nil {
		_ = f.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Open(%q): %v, want fs.ErrNotExist", path, err)
	}
}

func create(t *testing.T, s Store, path string, size int64) store.Upload {
	t.Helper()
	u, err := s.Create(t.Context(), path, size, store.Meta{})
	if err != nil {
		t.Fatalf("create %q: %v", path, err)
	}
	return u
}

func write(t *testing.T, u store.Upload, data []byte) {
	t.Helper()
	if _, err := u.Write(data); err != nil {
		t.Fatalf("write: %v", err)
	}
}

func discard(t *testing.T, u store.Upload) {
	t.Helper()
	if err := u.Discard(); err != nil {
		t.Errorf("discard: %v", err)
	}
}
