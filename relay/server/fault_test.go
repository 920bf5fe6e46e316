package server_test

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"holdfast/relay/server"
	"holdfast/relay/server/ledger"
	"holdfast/relay/server/store"
	"holdfast/relay/token"
)

// brokenStore fails where it is told to.
type brokenStore struct {
	server.Store
	create, open, publish error
}

func (b *brokenStore) Create(ctx context.Context, path string, size int64, m store.Meta) (store.Upload, error) {
	if b.create != nil {
		return nil, b.create
	}
	u, err := b.Store.Create(ctx, path, size, m)
	if err != nil {
		return nil, err
	}
	return &brokenUpload{u, b}, nil
}

func (b *brokenStore) Open(path string) (store.File, error) {
	if b.open != nil {
		return nil, b.open
	}
	return b.Store.Open(path)
}

type brokenUpload struct {
	store.Upload
	b *brokenStore
}

func (u *brokenUpload) Publish() error {
	if u.b.publish != nil {
		return u.b.publish
	}
	return u.Upload.Publish()
}

// brokenLedger fails where it is told to.
type brokenLedger struct {
	server.Ledger
	health, burnt, session error
}

func (b *brokenLedger) Health() error {
	if b.health != nil {
		return b.health
	}
	return b.Ledger.Health()
}

func (b *brokenLedger) Burnt(ctx context.Context, path string) (bool, error) {
	if b.burnt != nil {
		return false, b.burnt
	}
	return b.Ledger.Burnt(ctx, path)
}

func (b *brokenLedger) Session(ctx context.Context, owner string) (ledger.Session, bool, error) {
	if b.session != nil {
		return ledger.Session{}, false, b.session
	}
	return b.Ledger.Session(ctx, owner)
}

func TestWhatABrokenDiskOrLedgerAnswersAndThatItRecovers(t *testing.T) {
	secretive := errors.New("input/output error at /very/private/path")
	for _, tt := range []struct {
		name   string
		break_ func(*brokenStore, *brokenLedger)
		status int
		code   string
	}{
		{"full at the start", func(s *brokenStore, _ *brokenLedger) { s.create = store.ErrFull }, 507, "storage-full"},
		{"full at the end", func(s *brokenStore, _ *brokenLedger) { s.publish = store.ErrFull }, 507, "storage-full"},
		{"read-only", func(s *brokenStore, _ *brokenLedger) { s.create = store.ErrReadOnly }, 503, "unavailable"},
		{"a bad disk at the end", func(s *brokenStore, _ *brokenLedger) { s.publish = secretive }, 503, "unavailable"},
		{"a bad disk at the look", func(s *brokenStore, _ *brokenLedger) { s.open = secretive }, 503, "unavailable"},
		{"a ledger that is full", func(_ *brokenStore, l *brokenLedger) { l.health = secretive }, 503, "unavailable"},
		{"a ledger that is locked", func(_ *brokenStore, l *brokenLedger) { l.burnt = secretive }, 503, "unavailable"},
		{"sessions that cannot be read", func(_ *brokenStore, l *brokenLedger) { l.session = secretive }, 503, "unavailable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bs, bl := &brokenStore{}, &brokenLedger{}
			l := newLab(t, func(c *server.Config) {
				bs.Store, bl.Ledger = c.Store, c.Ledger
				c.Store, c.Ledger = bs, bl
			})
			tt.break_(bs, bl)
			sl := l.sign(token.JWT, "fault/file", 5)
			resp := l.put(sl, "hello")
			want(t, resp, tt.status, tt.code)
			if resp.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			if b := text(resp); strings.Contains(b, "private") || strings.Contains(resp.Status, "private") {
				t.Errorf("the answer tells of our insides: %s %s", resp.Status, b)
			}
			*bs = brokenStore{Store: bs.Store}
			*bl = brokenLedger{Ledger: bl.Ledger}
			want(t, l.do(http.MethodGet, l.base+"/upload/fault/file", nil), 404, "not-found")
			want(t, l.put(sl, "hello"), 201, "")
			published(t, l.files())
		})
	}
}

func TestFilesOfAnUncleanStopAreBurntAgain(t *testing.T) {
	l := newLab(t, func(c *server.Config) { c.Ledger = forgetful{c.Ledger} })
	sl := l.sign(token.V2, "unclean/file", 5)
	want(t, l.put(sl, "hello"), 201, "")
	l.stop()
	l.start(func(c *server.Config) { c.Ledger = &unclean{Ledger: c.Ledger} })
	if err := os.RemoveAll(l.files() + "/unclean"); err != nil {
		t.Fatal(err)
	}
	sl.url = rebase(sl.url, l.base)
	want(t, l.put(sl, "hello"), 409, "slot-used")
	if !strings.Contains(l.log.String(), "ledger recovered after an unclean stop") {
		t.Error("the log does not tell")
	}
}

// forgetful is a ledger that was killed before it wrote.
type forgetful struct{ server.Ledger }

func (forgetful) Burn(string, time.Time) {}

type unclean struct{ server.Ledger }

func (*unclean) Unclean() (time.Time, bool) { return time.Now().Add(-time.Hour), true }

func writePEM(t *testing.T, file string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
