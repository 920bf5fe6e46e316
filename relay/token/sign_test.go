package token_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/relay/token"
)

// signed returns the request that a client makes of a grant.
func signed(c token.Claims, g token.Grant) token.Request {
	return token.Request{
		Path: c.Path, FullPath: "/upload/" + c.Path, RawQuery: g.RawQuery, Authorization: g.Authorization, Size: c.Size, Type: c.Type,
	}
}

func TestWhatIsSignedVerifies(t *testing.T) {
	at := time.Unix(1795289242, 0).UTC()
	bearer := func(f token.Form) token.Claims {
		return token.Claims{Scheme: token.Bearer, Form: f, Path: "a/b c.txt", Size: 7, User: user, Owner: token.Owner(user)}
	}
	tests := []struct {
		name   string
		claims token.Claims
	}{
		{"v", token.Claims{Scheme: token.V, Path: "a/b c.txt", Size: 0}},
		{"v with ejabberd's owner", token.Claims{Scheme: token.V, Path: strings.Repeat("0a", 20) + "/b/c", Size: 1 << 40, Owner: strings.Repeat("0a", 20)}},
		{"v2", token.Claims{Scheme: token.V2, Path: "a/é.txt", Size: 7, Type: "text/plain; charset=utf-8"}},
		{"token", token.Claims{Scheme: token.Token, Path: "a/b", Size: 7, Type: "image/png"}},
		{"v3", token.Claims{Scheme: token.V3, Path: "a/b?c#d", Size: 7}},
		{"network_resilient", bearer(token.NetworkResilient)},
		{"standard", bearer(token.Standard)},
		{"simple", bearer(token.Simple)},
		{"expiring", bearer(token.Expiring)},
		{"issued_expiring", bearer(token.IssuedExpiring)},
		{"session_based", func() token.Claims { c := bearer(token.SessionBased); c.Session = "a+b &=%é"; return c }()},
		{"session_based without a session", bearer(token.SessionBased)},
		{"bearer for a user with a plus", func() token.Claims {
			c := bearer(token.Standard)
			c.User = "a+b&c=d%@ex%41mple.org"
			c.Owner = token.Owner(c.User)
			return c
		}()},
		{"jwt", token.Claims{Scheme: token.JWT, Path: "slot/a+b&c=<d>\u2028.jpg", Size: 7, Type: "image/jpeg", User: user, Owner: token.Owner(user), Retain: at.Add(time.Hour)}},
		{"jwt with the least", token.Claims{Scheme: token.JWT, Path: "slot/a", Size: 0}},
		{"jwt with three segments", token.Claims{Scheme: token.JWT, Path: "slot/a/b", Size: 1 << 53}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := token.Issued(tt.claims, at)
			g, err := token.Sign(c, "/upload/"+c.Path, token.Secret(secret))
			if err != nil {
				t.Fatal(err)
			}
			r := signed(c, g)
			got, err := verifier(t, secret).Verify(r)
			if err != nil {
				t.Fatalf("%+v: %v", g, err)
			}
			if got.MAC == [32]byte{} {
				t.Error("no MAC")
			}
			c.MAC = got.MAC
			if d := cmp.Diff(c, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if _, err := verifier(t, "another").Verify(r); !errors.Is(err, token.ErrInvalid) {
				t.Errorf("under another secret: %v", err)
			}
		})
	}
}

func TestIssuedGivesTheTimesOfTheUsualIssuer(t *testing.T) {
	at := time.Unix(1795289242, 500)
	iat := time.Unix(1795289242, 0).UTC()
	tests := []struct {
		name    string
		claims  token.Claims
		issued  time.Time
		expires time.Time
		form    token.Form
	}{
		{"jwt", token.Claims{Scheme: token.JWT}, iat, iat.Add(5 * time.Minute), 0},
		{"v3", token.Claims{Scheme: token.V3}, time.Time{}, iat.Add(time.Hour), 0},
		{"v", token.Claims{Scheme: token.V, Expires: iat}, time.Time{}, time.Time{}, 0},
		{"bearer without a form", token.Claims{Scheme: token.Bearer}, iat, iat.Add(time.Hour), token.Standard},
		{"network_resilient", token.Claims{Scheme: token.Bearer, Form: token.NetworkResilient}, iat, iat.Add(24 * time.Hour), token.NetworkResilient},
		{"simple", token.Claims{Scheme: token.Bearer, Form: token.Simple}, time.Time{}, time.Time{}, token.Simple},
		{"expiring", token.Claims{Scheme: token.Bearer, Form: token.Expiring}, time.Time{}, iat.Add(time.Hour), token.Expiring},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := token.Issued(tt.claims, at)
			if !c.IssuedAt.Equal(tt.issued) || !c.Expires.Equal(tt.expires) || c.Form != tt.form {
				t.Errorf("issued %v, expires %v, form %v", c.IssuedAt, c.Expires, c.Form)
			}
		})
	}
}

func TestAnEmptyTypeIsSignedAsOctetStream(t *testing.T) {
	c := token.Claims{Scheme: token.V2, Path: "a/b", Size: 1}
	g, err := token.Sign(c, "", token.Secret(secret))
	if err != nil {
		t.Fatal(err)
	}
	for _, sent := range []string{"", "application/octet-stream"} {
		r := signed(c, g)
		r.Type = sent
		if got, err := verifier(t, secret).Verify(r); err != nil || got.Type != "application/octet-stream" {
			t.Errorf("sent %q: type %q, %v", sent, got.Type, err)
		}
	}
}

func TestSignRefusesWhatWouldNotVerify(t *testing.T) {
	at := time.Unix(1795289242, 0)
	jwt := token.Claims{Scheme: token.JWT, Path: "a/b", Expires: at}
	bearer := token.Claims{Scheme: token.Bearer, Form: token.Standard, Path: "a/b", User: user, Expires: at}
	change := func(c token.Claims, f func(*token.Claims)) token.Claims { f(&c); return c }
	tests := []struct {
		name   string
		claims token.Claims
		full   string
		err    error
	}{
		{"no scheme", token.Claims{Path: "a/b"}, "", token.ErrInvalid},
		{"a path that no server takes", token.Claims{Scheme: token.V, Path: "a/.."}, "", token.ErrPath},
		{"a negative size", token.Claims{Scheme: token.V, Path: "a/b", Size: -1}, "", token.ErrInvalid},
		{"a type with a line end", token.Claims{Scheme: token.V2, Path: "a/b", Type: "a\nb"}, "", token.ErrInvalid},
		{"jwt without an expiry", change(jwt, func(c *token.Claims) { c.Expires = time.Time{} }), "", token.ErrInvalid},
		{"jwt before 1970", change(jwt, func(c *token.Claims) { c.IssuedAt = time.Unix(-1, 0) }), "", token.ErrInvalid},
		{"jwt kept past the year 9999", change(jwt, func(c *token.Claims) { c.Retain = time.Unix(253402300800, 0) }), "", token.ErrInvalid},
		{"jwt for a full JID", change(jwt, func(c *token.Claims) { c.User = user + "/phone" }), "", token.ErrInvalid},
		{"jwt larger than a JSON number", change(jwt, func(c *token.Claims) { c.Size = 1<<53 + 1 }), "", token.ErrInvalid},
		{"jwt with a type that is no text", change(jwt, func(c *token.Claims) { c.Type = "\xff" }), "", token.ErrInvalid},
		{"v3 without an expiry", token.Claims{Scheme: token.V3, Path: "a/b"}, "/a/b", token.ErrInvalid},
		{"v3 without a whole path", token.Claims{Scheme: token.V3, Path: "a/b", Expires: at}, "", token.ErrInvalid},
		{"v3 with a whole path of another file", token.Claims{Scheme: token.V3, Path: "a/b", Expires: at}, "/upload/a/c", token.ErrInvalid},
		{"v3 with a whole path without its slash", token.Claims{Scheme: token.V3, Path: "a/b", Expires: at}, "upload/a/b", token.ErrInvalid},
		{"bearer without a user", change(bearer, func(c *token.Claims) { c.User = "" }), "", token.ErrInvalid},
		{"bearer without a form", change(bearer, func(c *token.Claims) { c.Form = token.NoForm }), "", token.ErrInvalid},
		{"bearer without an expiry", change(bearer, func(c *token.Claims) { c.Expires = time.Time{} }), "", token.ErrInvalid},
		{"bearer with another time of issue", change(bearer, func(c *token.Claims) { c.IssuedAt = at }), "", token.ErrInvalid},
		{"bearer with a session in a form without", change(bearer, func(c *token.Claims) { c.Session = "x" }), "", token.ErrInvalid},
		{"bearer with NUL in the session", change(bearer, func(c *token.Claims) { c.Form, c.Session = token.SessionBased, "\x00" }), "", token.ErrInvalid},
		{"simple with an expiry", change(bearer, func(c *token.Claims) { c.Form = token.Simple }), "", token.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if g, err := token.Sign(tt.claims, tt.full, token.Secret(secret)); !errors.Is(err, tt.err) || g != (token.Grant{}) {
				t.Errorf("got %+v, %v; want %v", g, err, tt.err)
			}
		})
	}
	if _, err := token.Sign(token.Claims{Scheme: token.V, Path: "a/b"}, "", nil); err == nil {
		t.Error("an empty secret signs")
	}
}

func TestASecretNeverPrintsItself(t *testing.T) {
	const plain = "correct horse"
	s := token.Secret(plain)
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("x", "secret", s, "in", struct{ S token.Secret }{s}, "list", []token.Secret{s}, "key", token.Issuer{Secrets: []token.Secret{s}})
	}
	js, err := json.Marshal(map[string]any{"s": s, "in": token.Issuer{Secrets: []token.Secret{s}}})
	if err != nil {
		t.Fatal(err)
	}
	printed := log.String() + string(js) + s.String() + s.GoString()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "% x", "%o", "%b", "%c", "%U"} {
		printed += fmt.Sprintf(verb, s) + fmt.Sprintf(verb, token.Issuer{Secrets: []token.Secret{s}})
	}
	for _, leak := range []string{plain, "correct", fmt.Sprintf("%x", plain), fmt.Sprintf("%X", plain), base64.StdEncoding.EncodeToString([]byte(plain)), "99 111 114", "63 6f"} {
		if strings.Contains(printed, leak) {
			t.Errorf("%q is printed in\n%s", leak, printed)
		}
	}
	if !strings.Contains(printed, "***") {
		t.Error("nothing is printed in its place")
	}
}

func TestNames(t *testing.T) {
	for _, s := range token.Schemes() {
		if got, err := token.ParseScheme(string(s)); err != nil || got != s {
			t.Errorf("ParseScheme(%q): %q, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "V", "v1", "device", "JWT"} {
		if _, err := token.ParseScheme(s); err == nil {
			t.Errorf("ParseScheme(%q) accepts", s)
		}
	}
	for f, want := range map[token.Form]string{token.NoForm: "", token.Simple: "simple", token.SessionBased: "session_based", 9: "form(9)"} {
		if got := f.String(); got != want {
			t.Errorf("Form(%d) is %q, want %q", uint8(f), got, want)
		}
	}
}
