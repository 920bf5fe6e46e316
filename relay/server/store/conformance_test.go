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
		{"on one that cannot move exclusively", store.Options{Hook: refusing{"rename", unix.EINVAL}}},
		{"on a kernel without openat2", store.Options{Hook: refusing{"openat2", unix.ENOSYS}}},
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

// refusing is a system that cannot do one thing.
type refusing struct {
	op  string
	err error
}

func (r refusing) Do(s store.Step, do func() error) error {
	if s.Op == r.op {
		return r.err
	}
	return do()
}
