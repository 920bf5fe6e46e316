package credential

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/relay/token"
)

func plain(s token.Secret) string { return string([]byte(s)) }

func TestDeviceIsKeptAndReadBack(t *testing.T) {
	ring := &fakeRing{items: map[string]string{}}
	s := newStore(ring, always)
	if _, err := s.Device(t.Context(), "h.example:8443"); !errors.Is(err, ErrNoKey) {
		t.Errorf("got %v, want ErrNoKey", err)
	}
	at := time.Unix(1795541542, 0).UTC()
	d := NewDevice()
	d.API = "/upload/.holdfast/v1/"
	d = d.With(Grant{"alice@example.org", "d1", token.Secret("tok"), at, at.Add(time.Hour), false}).With(Grant{"bob@example.org", "d2", nil, at, at, true})
	if err := s.KeepDevice(t.Context(), "H.example:8443", d); err != nil {
		t.Fatal(err)
	}
	if ring.items["h.example:8443/device"] == "" {
		t.Errorf("kept as %v", ring.items)
	}
	s.Forget()
	got, err := s.Device(t.Context(), "h.example:8443")
	if err != nil || plain(got.Seed) != plain(d.Seed) || !got.Key().Equal(d.Key()) || got.API != d.API {
		t.Fatalf("got %+v, %v", got, err)
	}
	if diff := cmp.Diff(fmt.Sprint(d.Grants), fmt.Sprint(got.Grants)); diff != "" {
		t.Error(diff)
	}
	g, ok := got.For("alice@example.org")
	if !ok || plain(g.Token) != "tok" {
		t.Errorf("got %+v", g)
	}
	for range 2 {
		if err := s.ForgetDevice(t.Context(), "h.example:8443"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Device(t.Context(), "h.example:8443"); !errors.Is(err, ErrNoKey) {
		t.Errorf("got %v after forgetting", err)
	}
}

func TestAGrantIsForOneIdentity(t *testing.T) {
	d := NewDevice().With(Grant{Who: token.Owner("alice@example.org"), Device: "hash", Token: token.Secret("a")}).With(Grant{Who: "bob@example.org", Device: "jid", Token: token.Secret("b")})
	for user, want := range map[string]string{"alice@example.org": "hash", "bob@example.org": "jid", "carol@example.org": "", "": "", "Bob@example.org": ""} {
		if g, ok := d.For(user); g.Device != want || ok != (want != "") {
			t.Errorf("%q gets %q", user, g.Device)
		}
	}
	d = d.With(Grant{Who: "bob@example.org", Device: "newer", Token: token.Secret("c")})
	if g, _ := d.For("bob@example.org"); g.Device != "newer" || len(d.Grants) != 2 {
		t.Errorf("%d grants, bob has %q", len(d.Grants), g.Device)
	}
}

func TestDevicesThatAreRefused(t *testing.T) {
	s := newStore(&fakeRing{items: map[string]string{
		"bad/device": `{"seed":"topsecret`, "short/device": `{"seed":"YWJj","api":"/"}`, "empty/device": `{}`,
	}}, always)
	for _, host := range []string{"bad", "short", "empty"} {
		_, err := s.Device(t.Context(), host)
		if err == nil || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: got %v", host, err)
		}
	}
	if err := s.KeepDevice(t.Context(), "h", Device{}); err == nil {
		t.Error("kept a device without a key")
	}
}

func TestADeviceDoesNotPrintItself(t *testing.T) {
	d := Device{Seed: token.Secret("01234567890123456789012345678901"), Grants: []Grant{{Who: "a@b", Token: token.Secret("t0ken")}}}
	text := fmt.Sprintf("%v %+v %#v", d, d, d)
	if strings.Contains(text, "0123456789") || strings.Contains(text, "t0ken") {
		t.Error(text)
	}
}

func FuzzDecodeDevice(f *testing.F) {
	f.Add(`{"seed":"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=","api":"/u/","grants":[{"who":"a@b","device":"d","access_token":"t","issued":1,"expires":2}]}`)
	f.Fuzz(func(t *testing.T, value string) {
		d, err := decodeDevice(value)
		if err != nil {
			return
		}
		again, err := encodeDevice(d)
		if err != nil {
			t.Fatal(err)
		}
		same, err := decodeDevice(again)
		if err != nil || fmt.Sprint(same) != fmt.Sprint(d) || plain(same.Seed) != plain(d.Seed) {
			t.Fatalf("%q -> %q: %v", value, again, err)
		}
	})
}
