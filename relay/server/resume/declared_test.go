package resume

import (
	"strings"
	"testing"

	"holdfast/relay/server/store"
)

func TestDeclaredCountsWhatIsUnfinished(t *testing.T) {
	r := newRig(t, nil)
	want := func(what string, alice, bob int64) {
		t.Helper()
		a, all := r.Declared("alice")
		b, _ := r.Declared("bob")
		if a != alice || b != bob || all != alice+bob {
			t.Errorf("%s: alice %d, bob %d, all %d; want %d and %d", what, a, b, all, alice, bob)
		}
	}
	create := func(path, source string, size int64, piece bool) *Hold {
		t.Helper()
		h, err := r.Create(t.Context(), NewID(), Facts{Path: path, Size: size, Source: source, Piece: piece}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	want("nothing", 0, 0)
	one, two, other := create("a/1", "alice", 5, false), create("a/2", "alice", 7, false), create("b/1", "bob", 11, false)
	piece := create("a/1", "alice", 3, true)
	want("three and a piece", 12, 11)
	if _, err := one.Append(strings.NewReader("hello"), nil, true); err != nil {
		t.Fatal(err)
	}
	if err := one.Publish(store.Meta{}); err != nil {
		t.Fatal(err)
	}
	want("one is published", 7, 11)
	if err := other.Drop(); err != nil {
		t.Fatal(err)
	}
	want("one is dropped", 7, 0)
	for _, h := range []*Hold{one, two, other, piece} {
		if err := h.Release(); err != nil {
			t.Fatal(err)
		}
	}
	r.restart()
	want("a restart", 7, 0)
	r.now = r.now.Add(Lifetime)
	r.Sweep(t.Context())
	want("their time is over", 0, 0)
}
