package ledger

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// deviceClock is a clock that a test sets.
type deviceClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *deviceClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *deviceClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func devicesAt(t *testing.T) (*Ledger, *Devices, *deviceClock) {
	t.Helper()
	c := &deviceClock{at: time.Unix(1795289542, 0).UTC()}
	l := openAt(t, t.TempDir(), Options{Now: c.now})
	t.Cleanup(func() { closeIt(t, l) })
	return l, l.Devices(), c
}

func mark(n int) [32]byte { return [32]byte{byte(n), byte(n >> 8), 1} }

const (
	alice = "alice@example.org"
	bob   = "bob@example.org"
)

// proofs numbers the proofs of enrolments.
var proofs = 1 << 15

func of(d *Devices, key string) Enrolment {
	proofs++
	return Enrolment{Key: key, Proof: mark(proofs), Until: d.l.opt.Now().Add(time.Hour)}
}

func enrol(t *testing.T, d *Devices, who, key string, n int) Device {
	t.Helper()
	dev, _, err := d.Enrol(t.Context(), of(d, key), who, mark(n))
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

func TestASlotEnrolsOnceAndAKeyStaysOneDevice(t *testing.T) {
	_, d, _ := devicesAt(t)
	first := enrol(t, d, alice, "key", 1)
	if _, _, err := d.Enrol(t.Context(), of(d, "other"), alice, mark(2), mark(1)); !errors.Is(err, ErrSlotSpent) {
		t.Fatalf("the same slot again: %v", err)
	}
	if again := enrol(t, d, alice, "key", 2); again.ID != first.ID { // and mark 2 was not spent by what failed
		t.Errorf("the same key is another device: %s, %s", first.ID, again.ID)
	}
	if other := enrol(t, d, bob, "key", 3); other.ID == first.ID {
		t.Error("two people share a device")
	}
}

func TestAProofEnrolsOnce(t *testing.T) {
	_, d, c := devicesAt(t)
	e := of(d, "key")
	if _, _, err := d.Enrol(t.Context(), e, alice, mark(1)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Enrol(t.Context(), e, alice, mark(2)); !errors.Is(err, ErrSpent) {
		t.Errorf("with another slot: %v", err)
	}
	if err := d.AddCode(t.Context(), mark(300), alice, c.now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.EnrolByCode(t.Context(), e, mark(300)); !errors.Is(err, ErrSpent) {
		t.Errorf("with a code: %v", err)
	}
	if _, _, err := d.EnrolByCode(t.Context(), of(d, "key"), mark(300)); err != nil {
		t.Errorf("the code was used up by what failed: %v", err)
	}
}

func TestTheDeviceUnusedForTheLongestTimeLeaves(t *testing.T) {
	_, d, c := devicesAt(t)
	var ids []string
	for i := range 10 {
		ids = append(ids, enrol(t, d, alice, fmt.Sprintf("key%d", i), i).ID)
		c.pass(time.Minute)
	}
	if _, err := d.Use(t.Context(), ids[0], mark(100), c.now().Add(time.Hour)); err != nil { // now the second is the oldest
		t.Fatal(err)
	}
	c.pass(time.Minute)
	dev, left, err := d.Enrol(t.Context(), of(d, "key10"), alice, mark(50))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 || left[0].ID != ids[1] {
		t.Errorf("left: %+v, want %s", left, ids[1])
	}
	list, err := d.List(t.Context(), alice)
	if err != nil || len(list) != 10 {
		t.Fatalf("%d devices, %v", len(list), err)
	}
	for _, id := range append(ids[2:], ids[0], dev.ID) {
		if _, err := d.Use(t.Context(), id, mark(200+len(id)+int(id[0])*7+int(id[1])*131), c.now().Add(time.Hour)); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if _, err := d.Use(t.Context(), ids[1], mark(101), c.now().Add(time.Hour)); !errors.Is(err, ErrNoDevice) {
		t.Errorf("the one that left: %v", err)
	}
}

func TestAProofIsTakenOnceAndForgottenWhenItsTimeIsOver(t *testing.T) {
	l, d, c := devicesAt(t)
	dev := enrol(t, d, alice, "key", 1)
	if _, err := d.Use(t.Context(), dev.ID, mark(7), c.now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Use(t.Context(), dev.ID, mark(7), c.now().Add(time.Minute)); !errors.Is(err, ErrSpent) {
		t.Errorf("again: %v", err)
	}
	for i := range maxProofs + 1 {
		_, err := d.Use(t.Context(), dev.ID, mark(1000+i), c.now().Add(time.Minute))
		if full := i >= maxProofs-1; full != errors.Is(err, ErrTooMany) || !full && err != nil {
			t.Fatalf("proof %d: %v", i, err)
		}
	}
	c.pass(time.Minute)
	if _, err := d.Use(t.Context(), dev.ID, mark(9), c.now().Add(time.Minute)); err != nil {
		t.Errorf("after their time: %v", err)
	}
	c.pass(time.Hour)
	if err := l.prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := l.db.QueryRowContext(t.Context(), `SELECT count(*) FROM spent`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d marks stay, %v", n, err)
	}
}

func TestOfTwoThatShowOneProofOnlyOneIsRight(t *testing.T) {
	_, d, c := devicesAt(t)
	dev := enrol(t, d, alice, "key", 1)
	var wg sync.WaitGroup
	results := make([]error, 8)
	for i := range results {
		wg.Go(func() { _, results[i] = d.Use(t.Context(), dev.ID, mark(7), c.now().Add(time.Minute)) })
	}
	wg.Wait()
	good := 0
	for _, err := range results {
		if err == nil {
			good++
		} else if !errors.Is(err, ErrSpent) {
			t.Error(err)
		}
	}
	if good != 1 {
		t.Errorf("%d were taken", good)
	}
}

func TestARevokedDeviceComesBackByACodeOnly(t *testing.T) {
	_, d, c := devicesAt(t)
	dev := enrol(t, d, alice, "key", 1)
	if got, err := d.Revoke(t.Context(), dev.ID); err != nil || got.Revoked.IsZero() || got.Who != alice {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := d.Revoke(t.Context(), dev.ID); !errors.Is(err, ErrNoDevice) {
		t.Errorf("twice: %v", err)
	}
	if _, err := d.Use(t.Context(), dev.ID, mark(7), c.now().Add(time.Minute)); !errors.Is(err, ErrRevoked) {
		t.Errorf("use: %v", err)
	}
	if _, _, err := d.Enrol(t.Context(), of(d, "key"), alice, mark(2)); !errors.Is(err, ErrRevoked) {
		t.Errorf("enrol: %v", err)
	}
	if err := d.AddCode(t.Context(), mark(300), alice, c.now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	back, _, err := d.EnrolByCode(t.Context(), of(d, "key"), mark(300))
	if err != nil || back.ID != dev.ID {
		t.Fatalf("%+v, %v", back, err)
	}
	if _, err := d.Use(t.Context(), dev.ID, mark(8), c.now().Add(time.Minute)); err != nil {
		t.Errorf("use: %v", err)
	}
}

func TestACodeIsForOneDeviceOfOnePersonAndForItsTime(t *testing.T) {
	_, d, c := devicesAt(t)
	for n, who := range map[int]string{1: alice, 2: alice, 3: bob} {
		if err := d.AddCode(t.Context(), mark(n), who, c.now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	dev, _, err := d.EnrolByCode(t.Context(), of(d, "key"), mark(1))
	if err != nil || dev.Who != alice {
		t.Fatalf("%+v, %v", dev, err)
	}
	for name, n := range map[string]int{"twice": 1, "one that nobody made": 9} {
		if _, _, err := d.EnrolByCode(t.Context(), of(d, "key2"), mark(n)); !errors.Is(err, ErrNoCode) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list, err := d.RevokeAll(t.Context(), alice); err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	if _, _, err := d.EnrolByCode(t.Context(), of(d, "key2"), mark(2)); !errors.Is(err, ErrNoCode) {
		t.Errorf("after the person was revoked: %v", err)
	}
	c.pass(time.Hour)
	if _, _, err := d.EnrolByCode(t.Context(), of(d, "key3"), mark(3)); !errors.Is(err, ErrNoCode) {
		t.Errorf("too late: %v", err)
	}
}

func TestADeviceThatNobodyUsesIsForgotten(t *testing.T) {
	l, d, c := devicesAt(t)
	enrol(t, d, alice, "old", 1)
	kept := enrol(t, d, alice, "kept", 2)
	gone := enrol(t, d, bob, "revoked", 3)
	if _, err := d.Revoke(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	c.pass(deviceLife - time.Second)
	if _, err := d.Use(t.Context(), kept.ID, mark(7), c.now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	c.pass(time.Second)
	if err := l.prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := d.List(t.Context(), "")
	if err != nil || len(list) != 2 || list[0].ID != kept.ID || list[1].ID != gone.ID {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestALedgerFromBeforeDevicesIsMigrated(t *testing.T) {
	dir := t.TempDir()
	l := openAt(t, dir, Options{})
	closeIt(t, l)
	db, err := sql.Open("sqlite", filepath.Join(dir, databaseName))
	if err != nil {
		t.Fatal(err)
	}
	// As version 3 left it, with a session in it.
	for _, q := range []string{
		`DROP TABLE devices`, `DROP TABLE codes`, `DROP TABLE spent`, `PRAGMA user_version = 3`,
		`INSERT INTO sessions (owner, id, last_fresh, fresh_addr, name) VALUES ('o', 'kept', ` + fmt.Sprint(time.Now().UnixMilli()) + `, '', '')`,
	} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l = openAt(t, dir, Options{})
	defer closeIt(t, l)
	enrol(t, l.Devices(), alice, "key", 1)
	if s, ok, err := l.Session(t.Context(), "o"); err != nil || !ok || s.ID != "kept" {
		t.Errorf("%+v, %v, %v", s, ok, err)
	}
}
