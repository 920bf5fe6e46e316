package store_test

import (
	"testing"

	"holdfast/relay/server/store"
	"holdfast/relay/server/store/storetest"
)

func TestDiskKeepsThePromisesOfAStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store {
		d, err := store.Open(t.TempDir(), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}
