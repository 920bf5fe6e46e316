package ledger

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		burnUntilKilled(dir)
	}
	goleak.VerifyTestMain(m)
}

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: start} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func openAt(t *testing.T, dir string, opt Options) *Ledger {
	t.Helper()
	l, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func closeIt(t *testing.T, l *Ledger) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// inEveryState runs check on a ledger whose entries are in memory only, and again after they went through the disk.
func inEveryState(t *testing.T, opt Options, note func(*testing.T, *Ledger), check func(*testing.T, *Ledger)) {
	t.Helper()
	dir := t.TempDir()
	l := openAt(t, dir, opt)
	note(t, l)
	t.Run("in memory", func(t *testing.T) { check(t, l) })
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	t.Run("written", func(t *testing.T) { check(t, l) })
	closeIt(t, l)
	l = openAt(t, dir, opt)
	defer closeIt(t, l)
	t.Run("after a restart", func(t *testing.T) { check(t, l) })
}

func burnt(t *testing.T, l *Ledger, path string) bool {
	t.Helper()
	b, err := l.Burnt(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBurntSlotsStayBurntUntilTheirTimeIsOver(t *testing.T) {
	c := newClock()
	inEveryState(t, Options{Now: c.Now}, func(_ *testing.T, l *Ledger) {
		l.Burn("for/ever", time.Time{})
		l.Burn("an/hour", start.Add(time.Hour))
		l.Burn("longer/wins", start.Add(time.Hour))
		l.Burn("longer/wins", start.Add(time.Minute))
		l.Burn("ever/wins", time.Time{})
		l.Burn("ever/wins", start.Add(time.Minute))
		l.Burn("over/already", start)
	}, func(t *testing.T, l *Ledger) {
		for path, want := range map[string]bool{
			"for/ever": true, "an/hour": true, "longer/wins": true, "ever/wins": true, "over/already": false, "never/used": false, "for": false, "": false,
		} {
			if got := burnt(t, l, path); got != want {
				t.Errorf("Burnt(%q) = %v, want %v", path, got, want)
			}
		}
	})

	dir := t.TempDir()
	l := openAt(t, dir, Options{Now: c.Now})
	l.Burn("for/ever", time.Time{})
	l.Burn("an/hour", start.Add(time.Hour))
	for _, written := range []bool{false, true} {
		if written {
			if err := l.flush(); err != nil {
				t.Fatal(err)
			}
			// On disk too the longer time stays.
			l.Burn("for/ever", start.Add(time.Minute))
			l.Burn("an/hour", start.Add(time.Minute))
			if err := l.flush(); err != nil {
				t.Fatal(err)
			}
		}
		c.now = start.Add(time.Hour - time.Millisecond)
		if !burnt(t, l, "an/hour") {
			t.Errorf("written %v: free before its time is over", written)
		}
		c.now = start.Add(time.Hour)
		if burnt(t, l, "an/hour") || !burnt(t, l, "for/ever") {
			t.Errorf("written %v: an/hour %v, for/ever %v after the hour", written, burnt(t, l, "an/hour"), burnt(t, l, "for/ever"))
		}
	}
	closeIt(t, l)
}

func TestATokenIsGoodForOnePath(t *testing.T) {
	c := newClock()
	mac, other := [32]byte{1}, [32]byte{2}
	inEveryState(t, Options{Now: c.Now}, func(t *testing.T, l *Ledger) {
		if err := l.BurnToken(t.Context(), mac, "a/b", start.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := l.BurnToken(t.Context(), other, "a/b", time.Time{}); err != nil {
			t.Fatal(err)
		}
	}, func(t *testing.T, l *Ledger) {
		for _, until := range []time.Time{start.Add(time.Minute), start.Add(time.Hour), start.Add(2 * time.Hour)} {
			if err := l.BurnToken(t.Context(), mac, "a/b", until); err != nil {
				t.Errorf("the same path again: %v", err)
			}
		}
		for _, m := range [][32]byte{mac, other} {
			if err := l.BurnToken(t.Context(), m, "a/c", start.Add(time.Hour)); !errors.Is(err, ErrTokenUsed) {
				t.Errorf("another path: %v, want ErrTokenUsed", err)
			}
		}
	})
}

func TestATokenThatIsOverIsForgotten(t *testing.T) {
	c := newClock()
	l := openAt(t, t.TempDir(), Options{Now: c.Now})
	defer closeIt(t, l)
	mac := [32]byte{1}
	if err := l.BurnToken(t.Context(), mac, "a/b", start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	c.add(time.Hour)
	if err := l.BurnToken(t.Context(), mac, "a/c", start.Add(2*time.Hour)); err != nil {
		t.Errorf("after its time: %v", err)
	}
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	if err := l.BurnToken(t.Context(), mac, "a/b", start.Add(2*time.Hour)); !errors.Is(err, ErrTokenUsed) {
		t.Errorf("the first path again: %v, want ErrTokenUsed", err)
	}
}

func TestOfManyPathsForOneTokenAtOnceOneWins(t *testing.T) {
	l := openAt(t, t.TempDir(), Options{})
	defer closeIt(t, l)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 50 {
		wg.Go(func() {
			err := l.BurnToken(t.Context(), [32]byte{9}, fmt.Sprintf("a/%d", i), time.Time{})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case !errors.Is(err, ErrTokenUsed):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d paths got the token, want 1", won)
	}
}

func TestASessionIsKnownForThirtyDaysAfterItsLastFreshUpload(t *testing.T) {
	c := newClock()
	want := Session{LastFresh: start, FreshAddr: "home", Name: "Gajim"}
	inEveryState(t, Options{Now: c.Now}, func(t *testing.T, l *Ledger) {
		id, err := l.Fresh(t.Context(), "romeo", "office", "Dino", start.Add(-time.Hour))
		if err != nil || len(id) < 22 {
			t.Fatalf("Fresh: %q, %v, want a random id", id, err)
		}
		again, err := l.Fresh(t.Context(), "romeo", "home", "Gajim", start)
		if err != nil || again != id {
			t.Errorf("Fresh again: %q, %v, want %q", again, err, id)
		}
		// One that began earlier and ended later.
		if _, err := l.Fresh(t.Context(), "romeo", "office", "Dino", start.Add(-time.Minute)); err != nil {
			t.Error(err)
		}
		want.ID = id
		other, err := l.Fresh(t.Context(), "juliet", "home", strings.Repeat("ä", 100), start)
		if err != nil || other == id {
			t.Errorf("Fresh of another: %q, %v", other, err)
		}
	}, func(t *testing.T, l *Ledger) {
		got, ok, err := l.Session(t.Context(), "romeo")
		if err != nil || !ok {
			t.Fatalf("Session: %v, %v", ok, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Session (-want +got):\n%s", diff)
		}
		if _, ok, err := l.Session(t.Context(), "tybalt"); ok || err != nil {
			t.Errorf("Session of a stranger: %v, %v", ok, err)
		}
		if juliet, _, _ := l.Session(t.Context(), "juliet"); juliet.Name != strings.Repeat("ä", 50) {
			t.Errorf("a name of 200 bytes became %q", juliet.Name)
		}
		c.now = start.Add(30*24*time.Hour - time.Millisecond)
		if _, ok, err := l.Session(t.Context(), "romeo"); !ok || err != nil {
			t.Errorf("shortly before 30 days: %v, %v", ok, err)
		}
		c.now = start.Add(30 * 24 * time.Hour)
		if _, ok, err := l.Session(t.Context(), "romeo"); ok || err != nil {
			t.Errorf("after 30 days: %v, %v", ok, err)
		}
		c.now = start
	})

	l := openAt(t, t.TempDir(), Options{Now: c.Now})
	defer closeIt(t, l)
	first, _ := l.Fresh(t.Context(), "romeo", "a", "b", start)
	c.add(31 * 24 * time.Hour)
	if second, err := l.Fresh(t.Context(), "romeo", "a", "b", c.Now()); err != nil || second == first {
		t.Errorf("after 31 days: %q, %v, want a new id", second, err)
	}
}

func TestFilesThatEndAreDueInOrderUntilTheyAreGone(t *testing.T) {
	inEveryState(t, Options{}, func(_ *testing.T, l *Ledger) {
		l.Expire("b/second", start.Add(2*time.Second))
		l.Expire("c/third", start.Add(3*time.Second))
		l.Expire("a/first", start.Add(time.Second))
		l.Expire("d/later", start.Add(time.Hour))
		l.Expire("e/removed", start)
		l.Expired("e/removed")
		l.Expire("f/kept", start)
		l.Expire("f/kept", time.Time{})
	}, func(t *testing.T, l *Ledger) {
		for _, test := range []struct {
			name  string
			after time.Duration
			limit int
			want  []string
		}{
			{"nothing is due yet", 0, 10, []string{}},
			{"three are due", 3 * time.Second, 10, []string{"a/first", "b/second", "c/third"}},
			{"the oldest come first", 3 * time.Second, 2, []string{"a/first", "b/second"}},
		} {
			got, err := l.Due(t.Context(), start.Add(test.after), test.limit)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.name, diff)
			}
		}
	})

	dir := t.TempDir()
	l := openAt(t, dir, Options{})
	l.Expire("a/b", start)
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	l.Expired("a/b")
	for range 2 {
		if got, err := l.Due(t.Context(), start.Add(time.Hour), 10); err != nil || len(got) != 0 {
			t.Errorf("Due after Expired: %v, %v", got, err)
		}
		if err := l.flush(); err != nil {
			t.Fatal(err)
		}
	}
	closeIt(t, l)
}

func TestAttributesRideAlong(t *testing.T) {
	digest := sha256.Sum256(nil)
	inEveryState(t, Options{}, func(_ *testing.T, l *Ledger) {
		l.SetAttributes("a/b", "image/png", digest[:], start)
		l.SetAttributes("a/c", "", nil, time.Time{})
		l.SetAttributes("a/d", "text/plain", nil, time.Time{})
		l.ForgetAttributes("a/d")
	}, func(t *testing.T, l *Ledger) {
		for _, test := range []struct {
			path, mediaType string
			digest          []byte
			retain          time.Time
		}{{"a/b", "image/png", digest[:], start}, {"a/c", "", nil, time.Time{}}, {"a/d", "", nil, time.Time{}}, {"a/e", "", nil, time.Time{}}} {
			mediaType, digest, retain, err := l.Attributes(test.path)
			if err != nil || mediaType != test.mediaType || !bytes.Equal(digest, test.digest) || !retain.Equal(test.retain) {
				t.Errorf("Attributes(%s) = %q, %x, %v, %v", test.path, mediaType, digest, retain, err)
			}
		}
	})
}

func TestAddressesAreHashedByNetwork(t *testing.T) {
	dir := t.TempDir()
	l := openAt(t, dir, Options{})
	hash := func(s string) string { return l.AddrHash(netip.MustParseAddr(s)) }
	for _, test := range []struct {
		name, a, b string
		same       bool
	}{
		{"one IPv4 address", "192.0.2.1", "192.0.2.1", true},
		{"neighbours in IPv4", "192.0.2.1", "192.0.2.2", false},
		{"IPv4 and the same mapped into IPv6", "192.0.2.1", "::ffff:192.0.2.1", true},
		{"two addresses of one /64", "2001:db8:1:2::1", "2001:db8:1:2:ffff::2", true},
		{"two networks", "2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"zones do not count", "fe80::1%eth0", "fe80::1%wlan0", true},
	} {
		if got := hash(test.a) == hash(test.b); got != test.same {
			t.Errorf("%s: same %v, want %v", test.name, got, test.same)
		}
	}
	if l.AddrHash(netip.Addr{}) != "" {
		t.Error("no address has a hash")
	}
	first := hash("192.0.2.1")
	if strings.Contains(first, "192") {
		t.Errorf("the hash shows the address: %s", first)
	}
	closeIt(t, l)
	l = openAt(t, dir, Options{})
	if hash("192.0.2.1") != first {
		t.Error("the hash is another one after a restart")
	}
	closeIt(t, l)
	l = openAt(t, t.TempDir(), Options{})
	if hash("192.0.2.1") == first {
		t.Error("two servers have the same hash")
	}
	closeIt(t, l)
}

func TestEntriesAreWrittenWithinASecondWithoutClose(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := openAt(t, dir, Options{})
		for i := range 10 {
			path := fmt.Sprintf("a/%d", i)
			l.Burn(path, time.Time{})
			<-time.After(time.Second)
			synctest.Wait()
			l.mu.RLock()
			pending := l.next.len()
			l.mu.RUnlock()
			if pending != 0 {
				t.Errorf("%d entries are in memory only after a second", pending)
			}
			k := pathKey(path)
			var n int
			if err := l.db.QueryRowContext(t.Context(), `SELECT count(*) FROM slots WHERE path = ?`, k[:]).Scan(&n); err != nil || n != 1 {
				t.Errorf("on disk: %d, %v", n, err)
			}
		}
		closeIt(t, l)
	})
}

func TestWhatIsOverIsRemovedFromTheDisk(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := openAt(t, dir, Options{})
		until := time.Now().Add(30 * time.Minute)
		l.Burn("a/b", until)
		l.Burn("a/ever", time.Time{})
		if err := l.BurnToken(t.Context(), [32]byte{1}, "a/b", until); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Fresh(t.Context(), "romeo", "", "", time.Now()); err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			wait                    time.Duration
			slots, tokens, sessions int
		}{{time.Second, 2, 1, 1}, {2 * time.Hour, 1, 0, 1}, {30 * 24 * time.Hour, 1, 0, 0}} {
			<-time.After(test.wait)
			synctest.Wait()
			var slots, tokens, sessions int
			err := l.db.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM slots), (SELECT count(*) FROM tokens), (SELECT count(*) FROM sessions)`).
				Scan(&slots, &tokens, &sessions)
			if err != nil || slots != test.slots || tokens != test.tokens || sessions != test.sessions {
				t.Errorf("after %v: %d slots, %d tokens, %d sessions, %v", test.wait, slots, tokens, sessions, err)
			}
		}
		closeIt(t, l)
	})
}

func TestTheFilterNeverForgetsAndSeldomErrs(t *testing.T) {
	f := newFilter(0)
	for i := range minKeys {
		f.add(pathKey(fmt.Sprint("in/", i)))
	}
	wrong := 0
	for i := range minKeys {
		if !f.has(pathKey(fmt.Sprint("in/", i))) {
			t.Fatalf("in/%d is forgotten", i)
		}
		if f.has(pathKey(fmt.Sprint("out/", i))) {
			wrong++
		}
	}
	if wrong > minKeys/50 {
		t.Errorf("%d of %d are wrong, want one in a hundred", wrong, minKeys)
	}
}

func TestAFullFilterGrowsAndForgetsNothing(t *testing.T) {
	l := openAt(t, t.TempDir(), Options{MaxPending: 1 << 20})
	defer closeIt(t, l)
	for i := range minKeys + 1 {
		l.Burn(fmt.Sprint("a/", i), time.Time{})
	}
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	l.Burn("in/memory", time.Time{})
	if err := l.growFilter(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l.used.full() || l.used.capacity <= minKeys || l.growing != nil {
		t.Errorf("the filter did not grow: %d of %d", l.used.count, l.used.capacity)
	}
	if !burnt(t, l, "in/memory") {
		t.Error("in/memory is forgotten")
	}
	for i := range minKeys + 1 {
		if !l.used.has(pathKey(fmt.Sprint("a/", i))) {
			t.Fatalf("a/%d is forgotten", i)
		}
	}
}

func BenchmarkBurntOfAnUnusedSlot(b *testing.B) {
	l, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := l.Burnt(b.Context(), "never/used"); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkBurn(b *testing.B) {
	l, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	i := 0
	for b.Loop() {
		i++
		l.Burn(fmt.Sprint("a/", i), time.Time{})
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}
