package ledger

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every released version has left its ledger in testdata/release-VERSION: what an upgrade must be able to read. To record the
// one of a new release: HOLDFAST_RECORD=VERSION go test ./relay/server/ledger -run Released
const recordEnv = "HOLDFAST_RECORD"

// recorded is the time at which the ledgers of all releases were made.
var recorded = time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)

func openRelease(t *testing.T, dir string, now time.Time) *Ledger {
	t.Helper()
	l, err := Open(dir, Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// fill notes one of everything that a ledger remembers.
func fill(t *testing.T, l *Ledger) {
	t.Helper()
	ctx := t.Context()
	l.Burn("burnt/for ever.txt", time.Time{})
	l.Burn("burnt/a while", recorded.Add(24*time.Hour))
	if err := l.BurnToken(ctx, [32]byte{1, 2, 3}, "token/path", time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Fresh(ctx, "0123456789012345678901234567890123456789", l.AddrHash(netip.MustParseAddr("192.0.2.1")), "Gajim", recorded); err != nil {
		t.Fatal(err)
	}
	l.Expire("ends/soon", recorded.Add(time.Hour))
	l.SetAttributes("attributes/file", "image/png", slices.Repeat([]byte{7}, 32), recorded.Add(48*time.Hour))
	l.SetContent([32]byte{9}, "content/file")
	l.Charge("charged/file", "0123456789012345678901234567890123456789", 1234)
	if err := l.Block(ctx, [32]byte{5}); err != nil {
		t.Fatal(err)
	}
	l.Recovered()
}

func TestTheLedgerOfEveryReleasedVersionIsRead(t *testing.T) {
	if version := os.Getenv(recordEnv); version != "" {
		dir := filepath.Join("testdata", "release-"+version)
		l := openRelease(t, dir, recorded)
		fill(t, l)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, lockName)); err != nil {
			t.Fatal(err)
		}
	}
	releases, err := filepath.Glob("testdata/release-*")
	if err != nil || len(releases) == 0 {
		t.Fatalf("releases: %q, %v", releases, err)
	}
	for _, release := range releases {
		t.Run(strings.TrimPrefix(release, "testdata/release-"), func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(release)); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time it is one of this version
				l := openRelease(t, dir, recorded.Add(2*time.Hour))
				readRelease(t, l)
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func readRelease(t *testing.T, l *Ledger) {
	t.Helper()
	ctx := t.Context()
	if since, unclean := l.Unclean(); unclean {
		t.Errorf("the stop was clean, but the ledger is unclean since %v", since)
	}
	for path, want := range map[string]bool{"burnt/for ever.txt": true, "burnt/a while": true, "never/burnt": false} {
		if got, err := l.Burnt(ctx, path); err != nil || got != want {
			t.Errorf("%s is burnt: %v, %v", path, got, err)
		}
	}
	if err := l.BurnToken(ctx, [32]byte{1, 2, 3}, "other/path", time.Time{}); err != ErrTokenUsed { //nolint:errorlint // the sentinel itself
		t.Errorf("a used token: %v", err)
	}
	const owner = "0123456789012345678901234567890123456789"
	s, ok, err := l.Session(ctx, owner)
	if err != nil || !ok || !s.LastFresh.Equal(recorded) || s.Name != "Gajim" || s.FreshAddr != l.AddrHash(netip.MustParseAddr("192.0.2.1")) {
		t.Errorf("the session is %+v, %v, %v", s, ok, err)
	}
	if due, err := l.Due(ctx, recorded.Add(2*time.Hour), 10); err != nil || !slices.Equal(due, []string{"ends/soon"}) {
		t.Errorf("due are %q, %v", due, err)
	}
	if typ, digest, retain, err := l.Attributes("attributes/file"); err != nil || typ != "image/png" || len(digest) != 32 || digest[0] != 7 || !retain.Equal(recorded.Add(48*time.Hour)) {
		t.Errorf("the attributes are %q %x %v, %v", typ, digest, retain, err)
	}
	if path, err := l.Content([32]byte{9}); err != nil || path != "content/file" {
		t.Errorf("the content is at %q, %v", path, err)
	}
	if used, err := l.Used(ctx, owner); err != nil || used != 1234 {
		t.Errorf("%d bytes are used, %v", used, err)
	}
	if !l.Blocked([32]byte{5}) || l.Blocked([32]byte{6}) {
		t.Error("what is blocked was forgotten")
	}
}
