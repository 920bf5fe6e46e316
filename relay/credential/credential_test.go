package credential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zalando/go-keyring"

	"holdfast/relay/token"
)

// fakeRing is a keyring of functions; a nil one answers from the map.
type fakeRing struct {
	items map[string]string
	gets  atomic.Int32
	get   func() error
}

func (f *fakeRing) Get(_, user string) (string, error) {
	f.gets.Add(1)
	if f.get != nil {
		if err := f.get(); err != nil {
			return "", err
		}
	}
	v, ok := f.items[user]
	if !ok {
		return "", keyring.ErrNotFound
	}
	return v, nil
}

func (f *fakeRing) Set(_, user, password string) error {
	f.items[user] = password
	return nil
}

func (f *fakeRing) Delete(_, user string) error {
	if _, ok := f.items[user]; !ok {
		return keyring.ErrNotFound
	}
	delete(f.items, user)
	return nil
}

var sample = Key{Scheme: token.JWT, Secret: token.Secret("s3cr3t ü \""), Prefix: "/upload/"}

func always() bool { return true }

func TestKeyIsKeptAndReadBack(t *testing.T) {
	keyring.MockInit()
	s := newStore(desktop{}, always)
	if s.State() != Absent {
		t.Errorf("state %q before the first call", s.State())
	}
	if _, err := s.Key(t.Context(), "upload.example.org"); !errors.Is(err, ErrNoKey) {
		t.Errorf("got %v, want ErrNoKey", err)
	}
	if s.State() != OK {
		t.Errorf("state %q after an answer", s.State())
	}
	if err := s.Set(t.Context(), "Upload.Example.Org", sample); err != nil {
		t.Fatal(err)
	}
	value, err := keyring.Get("holdfast", "upload.example.org/secret")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(`{"scheme":"jwt","secret":"s3cr3t ü \"","prefix":"/upload/"}`, value); d != "" {
		t.Error(d)
	}
	s.Forget()
	got, err := s.Key(t.Context(), "upload.example.org")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(fmt.Sprintf("%q", []byte(sample.Secret)), fmt.Sprintf("%q", []byte(got.Secret))); d != "" {
		t.Error(d)
	}
	if got.Scheme != sample.Scheme || got.Prefix != sample.Prefix {
		t.Errorf("got %v %v", got.Scheme, got.Prefix)
	}
	for range 2 {
		if err := s.Delete(t.Context(), "upload.example.org"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Key(t.Context(), "upload.example.org"); !errors.Is(err, ErrNoKey) {
		t.Errorf("got %v after delete, want ErrNoKey", err)
	}
}

func TestKeyIsReadOnce(t *testing.T) {
	ring := &fakeRing{items: map[string]string{"h/secret": `{"scheme":"v2","secret":"x","prefix":"upload"}`}}
	s := newStore(ring, always)
	for range 3 {
		key, err := s.Key(t.Context(), "h")
		if err != nil || key.Prefix != "/upload/" {
			t.Fatalf("got %q %v", key.Prefix, err)
		}
	}
	if ring.gets.Load() != 1 {
		t.Errorf("%d reads, want 1", ring.gets.Load())
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	s := newStore(&fakeRing{items: map[string]string{
		"bad/secret":   `{"scheme":"v2","secret":"topsecret"`,
		"empty/secret": `{"scheme":"v2"}`,
		"v/secret":     `{"scheme":"v","secret":"topsecret"}`,
	}}, always)
	for _, host := range []string{"bad", "empty", "v"} {
		_, err := s.Key(t.Context(), host)
		if err == nil || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: got %v", host, err)
		}
	}
	for _, k := range []Key{{Scheme: token.V, Secret: token.Secret("a")}, {Scheme: token.JWT}, {Scheme: token.V2, Secret: token.Secret("\xff")}} {
		if err := s.Set(t.Context(), "h", k); err == nil {
			t.Errorf("kept %v", k.Scheme)
		}
	}
}

func TestKeyringThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		ring := &fakeRing{
			items: map[string]string{"h/secret": `{"scheme":"jwt","secret":"x","prefix":"/"}`},
			get:   func() error { <-release; return nil },
		}
		s := newStore(ring, always)
		start := time.Now()
		if _, err := s.Key(t.Context(), "h"); !errors.Is(err, ErrLocked) {
			t.Errorf("got %v, want ErrLocked", err)
		}
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("waited %v, want 5s without a deadline", d)
		}
		if s.State() != Locked {
			t.Errorf("state %q", s.State())
		}
		start = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := s.Key(ctx, "h"); !errors.Is(err, ErrLocked) {
			t.Errorf("got %v, want ErrLocked", err)
		}
		if d := time.Since(start); d != time.Minute {
			t.Errorf("waited %v, want 1m0s when a person asked", d)
		}
		if ring.gets.Load() != 1 {
			t.Errorf("%d calls at a time, want 1", ring.gets.Load())
		}
		close(release) // the person unlocks it at last
		synctest.Wait()
		if s.State() != OK {
			t.Errorf("state %q after it was unlocked", s.State())
		}
		if _, err := s.Key(t.Context(), "h"); err != nil {
			t.Errorf("the late answer was not kept: %v", err)
		}
	})
}

func TestWithoutBusNothingIsAsked(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	ring := &fakeRing{items: map[string]string{}}
	s := newStore(ring, HasBus)
	if _, err := s.Key(t.Context(), "h"); !errors.Is(err, ErrAbsent) {
		t.Errorf("got %v, want ErrAbsent", err)
	}
	if s.Probe(t.Context()) != Absent || ring.gets.Load() > 0 {
		t.Errorf("state %q, %d calls", s.State(), ring.gets.Load())
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+filepath.Join(t.TempDir(), "bus"))
	if !HasBus() {
		t.Error("an address in the environment is not seen")
	}
}

func TestSecretDoesNotPrintItself(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, nil))
	log.Info("key", "key", sample, "secret", sample.Secret)
	fmt.Fprint(&b, sample.Secret)
	fmt.Fprintf(&b, "%v %+v %s %q %x", sample, sample, sample, sample, sample)
	if strings.Contains(b.String(), "s3cr3t") || strings.Contains(b.String(), fmt.Sprintf("%x", "s3cr3t")) {
		t.Errorf("the secret is in %q", b.String())
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"scheme":"jwt","secret":"x","prefix":"/upload/"}`)
	f.Add(`{"scheme":"v2","secret":"\u0000","prefix":""}`)
	f.Fuzz(func(t *testing.T, value string) {
		key, err := decode(value)
		if err != nil {
			return
		}
		again, err := encode(key)
		if err != nil {
			t.Fatal(err)
		}
		same, err := decode(again)
		if err != nil || !bytes.Equal(same.Secret, key.Secret) || same.Prefix != key.Prefix || same.Scheme != key.Scheme {
			t.Fatalf("%q -> %q: %v", value, again, err)
		}
	})
}
