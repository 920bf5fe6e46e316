package store_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/relay/server/store"
	"holdfast/relay/server/store/storetest"
)

func TestDiskKeepsThePromisesOfAStore(t *testing.T) {
	for _, tt := range []struct {
		name string
		opt  store.Options
	}{
		{"on this file system", store.Options{}},
		{"on one that cannot move exclusively", store.Options{Hook: noRename{}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) storetest.Store {
				d, err := store.Open(t.TempDir(), tt.opt)
				if err != nil {
					t.Fatal(err)
				}
				return d
			})
		})
	}
}

// noRename is a file system that knows links and nothing newer.
type noRename struct{}

func (noRename) Do(s store.Step, do func() error) error {
	if s.Op == "rename" {
		return unix.EINVAL
	}
	return do()
}
