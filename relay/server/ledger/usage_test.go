package ledger

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func used(t *testing.T, l *Ledger, owner string) int64 {
	t.Helper()
	n, err := l.Used(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWhatIsUsedIsTheSumOfWhatIsCharged(t *testing.T) {
	for _, written := range []bool{false, true} {
		t.Run(fmt.Sprintf("written in between: %v", written), func(t *testing.T) {
			dir := t.TempDir()
			l := openAt(t, dir, Options{})
			sync := func() {
				t.Helper()
				if !written {
					return
				}
				if err := l.Sync(); err != nil {
					t.Fatal(err)
				}
			}
			expect := func(what string, alice, bob int64) {
				t.Helper()
				sync()
				if a, b := used(t, l, "alice"), used(t, l, "bob"); a != alice || b != bob {
					t.Errorf("%s: alice uses %d and bob %d, want %d and %d", what, a, b, alice, bob)
				}
			}
			release := func(path string) {
				t.Helper()
				if err := l.Release(t.Context(), path); err != nil {
					t.Fatal(err)
				}
			}
			expect("at first", 0, 0)
			l.Charge("a/1", "alice", 100)
			l.Charge("a/2", "alice", 50)
			l.Charge("b/1", "bob", 7)
			expect("after three files", 150, 7)
			release("a/1")
			expect("after one is gone", 50, 7)
			release("a/1")
			release("never/was")
			expect("after it is gone again", 50, 7)
			l.Charge("a/1", "bob", 1000)
			expect("after its path has another owner", 50, 1007)
			release("a/1")
			l.Charge("a/1", "alice", 5)
			release("a/1")
			release("b/1")
			expect("after all but one are gone", 50, 0)
			closeIt(t, l)
			l = openAt(t, dir, Options{})
			expect("after a restart", 50, 0)
			paths, err := l.Charged(t.Context(), "", 10)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"a/2"}, paths); diff != "" {
				t.Errorf("Charged (-want +got):\n%s", diff)
			}
			closeIt(t, l)
		})
	}
}

func TestWhatIsUsedIsRightWhileItIsWritten(t *testing.T) {
	l := openAt(t, t.TempDir(), Options{})
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if err := l.Sync(); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for i := range int64(500) {
		l.Charge(fmt.Sprint(i), "alice", 1)
		if n := used(t, l, "alice"); n != i+1 {
			t.Errorf("%d files are charged, %d are counted", i+1, n)
			break
		}
	}
	close(done)
	wg.Wait()
	closeIt(t, l)
}

// The moment between the commit of a batch and the ledger's knowing of it, which the test above meets only by chance.
func TestABatchThatHasJustComeToDiskIsCountedOnce(t *testing.T) {
	l := openAt(t, t.TempDir(), Options{})
	l.Charge("a/1", "alice", 100)
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	l.flushing.Lock() // from here on as flush does it
	l.mu.Lock()
	l.next.charge(charge{path: "a/2", owner: "alice", size: 20})
	b := l.next
	l.writing, l.next = b, newBatch(b.number+1)
	l.next.charge(charge{path: "a/3", owner: "alice", size: 3})
	l.mu.Unlock()
	if n := used(t, l, "alice"); n != 123 {
		t.Errorf("while a batch is being written %d are counted, not 123", n)
	}
	if err := l.write(b, true); err != nil {
		t.Fatal(err)
	}
	if n := used(t, l, "alice"); n != 123 {
		t.Errorf("once the batch is on disk %d are counted, not 123", n)
	}
	l.mu.Lock()
	l.writing = nil
	l.mu.Unlock()
	l.flushing.Unlock()
	if n := used(t, l, "alice"); n != 123 {
		t.Errorf("once that is known %d are counted, not 123", n)
	}
	closeIt(t, l)
}

func TestContentsAreRememberedAndForgotten(t *testing.T) {
	dir := t.TempDir()
	l := openAt(t, dir, Options{})
	find := func(sum byte, want string) {
		t.Helper()
		if got, err := l.Content([32]byte{sum}); err != nil || got != want {
			t.Errorf("content %d: %q, %v, want %q", sum, got, err, want)
		}
	}
	find(1, "")
	l.SetContent([32]byte{1}, "a/1")
	l.SetContent([32]byte{2}, "a/2")
	find(1, "a/1")
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	find(1, "a/1")
	l.SetContent([32]byte{1}, "a/3")
	l.ForgetContent([32]byte{2})
	find(2, "")
	closeIt(t, l)
	l = openAt(t, dir, Options{})
	find(1, "a/3")
	find(2, "")
	closeIt(t, l)
}
