package token_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/relay/token"
)

// claimsFrom makes claims that Sign takes out of anything, or says false.
func claimsFrom(scheme, form uint8, path string, size int64, mediaType, user, session string, expires int64) (token.Claims, bool) {
	c := token.Claims{Scheme: token.Schemes()[int(scheme)%6], Path: path, Size: size}
	switch c.Scheme {
	case token.V2, token.Token:
		if c.Type = mediaType; c.Type == "" {
			c.Type = "application/octet-stream"
		}
	case token.V3:
		c.Expires = time.Unix(expires, 0).UTC()
	case token.Bearer:
		c.Form, c.User, c.Owner = token.Form(form%6+1), user, token.Owner(user)
		switch c.Form {
		case token.SessionBased:
			c.Session = session
			fallthrough
		case token.Expiring:
			c.Expires = time.Unix(expires, 0).UTC()
		case token.Standard, token.IssuedExpiring:
			c.Expires = time.Unix(expires, 0).UTC()
			c.IssuedAt = c.Expires.Add(-time.Hour)
		case token.NetworkResilient:
			c.Expires = time.Unix(expires, 0).UTC()
			c.IssuedAt = c.Expires.Add(-24 * time.Hour)
		}
	case token.JWT:
		c.Type, c.User, c.Owner = mediaType, user, token.Owner(user)
		c.Expires = time.Unix(expires, 0).UTC()
		c.IssuedAt = c.Expires.Add(-5 * time.Minute)
		c.Retain = c.Expires.Add(time.Hour)
	}
	_, err := token.Sign(c, "/upload/"+c.Path, token.Secret(secret))
	return c, err == nil
}

func seedClaims(f *testing.F, more ...any) {
	for scheme := range uint8(6) {
		for form := range uint8(6) {
			f.Add(append([]any{scheme, form, "slot/a b+c%41é.jpg", int64(42), "text/plain; a=\"b\"", "a+b@example.org", "s&=", int64(1795289542)}, more...)...)
		}
	}
	f.Add(append([]any{uint8(5), uint8(0), strings.Repeat("0a", 20) + "/b/c", int64(0), "", "", "", int64(0)}, more...)...)
}

func FuzzSignVerify(f *testing.F) {
	seedClaims(f)
	f.Fuzz(func(t *testing.T, scheme, form uint8, path string, size int64, mediaType, user, session string, expires int64) {
		c, ok := claimsFrom(scheme, form, path, size, mediaType, user, session, expires)
		if !ok {
			return
		}
		g, err := token.Sign(c, "/upload/"+c.Path, token.Secret(secret))
		if err != nil {
			t.Fatal(err)
		}
		r := signed(c, g)
		got, err := verifier(t, secret).Verify(r)
		if err != nil {
			t.Fatalf("%+v does not verify as %+v: %v", c, g, err)
		}
		want := c
		want.MAC = got.MAC
		if c.Scheme == token.V {
			want.Owner = got.Owner
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("(-signed +verified):\n%s", d)
		}

		// Another path, size or type is refused.
		refuse := func(what string, r token.Request) {
			t.Helper()
			if _, err := verifier(t, secret).Verify(r); err == nil {
				t.Errorf("%+v verifies with another %s", c, what)
			}
		}
		other := r
		other.Path, other.FullPath = c.Path+"x", "/upload/"+c.Path+"x"
		refuse("path", other)
		if c.Scheme != token.V3 {
			other = r
			other.Size++
			refuse("size", other)
		}
		if c.Scheme == token.V2 || c.Scheme == token.Token {
			other = r
			other.Type += "x"
			refuse("type", other)
		}
		if _, err := verifier(t, secret+"x").Verify(r); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("under another secret: %v", err)
		}
	})
}

func FuzzVerifyNeverPanics(f *testing.F) {
	for _, r := range []token.Request{
		request(goodV, ""), request(goodV2, ""), request(goodToken, ""), request(goodV3, ""), request(bearerQ, goodBear),
		request("", goodJWT), request("v3&expires", "Bearer .."), request("user=%&expiry=&session_id=%00", "Bearer "),
		request("", jwtOf("{}", "{}")), request("", jwtOf(joseHeader, `{"exp":1e999}`)), {Size: -1},
	} {
		f.Add(r.Path, r.FullPath, r.RawQuery, r.Authorization, r.Size, r.Type)
	}
	f.Fuzz(func(t *testing.T, path, full, rawQuery, authorization string, size int64, mediaType string) {
		r := token.Request{Path: path, FullPath: full, RawQuery: rawQuery, Authorization: authorization, Size: size, Type: mediaType}
		for _, key := range []string{secret, "another"} {
			c, err := verifier(t, key).Verify(r)
			switch {
			case err == nil:
				if key != secret {
					t.Errorf("%+v verifies under a secret that signed nothing", r)
				}
				if c.Path != path || c.Size != size || c.Size < 0 {
					t.Errorf("%+v gives claims for another file: %+v", r, c)
				}
			case c != token.Claims{}:
				t.Errorf("refused, and yet claims: %+v", c)
			case !errors.Is(err, token.ErrMissing) && !errors.Is(err, token.ErrInvalid) && !errors.Is(err, token.ErrSize) && !errors.Is(err, token.ErrNoSize):
				t.Errorf("an error that nobody expects: %v", err)
			}
		}
	})
}

// FuzzJWTPayload signs what the fuzzer makes of header and payload, so that the code behind the MAC is reached.
func FuzzJWTPayload(f *testing.F) {
	f.Add(joseHeader, jwtPayload)
	f.Add(`{"alg":"HS256","crit":[]}`, `{"exp":1e3,"filesize":-0,"slot":"a","filename":"b"}`)
	f.Add(joseHeader, `{"exp":1,"exp":null,"filesize":9007199254740993,"slot":"\ud800","filename":"/"}`)
	f.Fuzz(func(t *testing.T, header, payload string) {
		c, err := verifier(t, secret).Verify(request("", jwtOf(header, payload)))
		if err == nil && (c.Path != path || c.Size != 42 || c.Expires.IsZero()) {
			t.Errorf("%s.%s: %+v", header, payload, c)
		}
	})
}

// FuzzMalleability changes one byte of a credential, or inserts or removes one. Whatever the change, it is refused:
// no MAC has two spellings. What signs nothing is left out: other parameters, and the escapes of user and session_id.
func FuzzMalleability(f *testing.F) {
	seedClaims(f, uint16(3), uint8(0), byte('A'))
	seedClaims(f, uint16(40), uint8(1), byte('\n'))
	seedClaims(f, uint16(63), uint8(2), byte('='))
	f.Fuzz(func(t *testing.T, scheme, form uint8, path string, size int64, mediaType, user, session string, expires int64, at uint16, how uint8, with byte) {
		c, ok := claimsFrom(scheme, form, path, size, mediaType, user, session, expires)
		if !ok {
			return
		}
		g, err := token.Sign(c, "/upload/"+c.Path, token.Secret(secret))
		if err != nil {
			t.Fatal(err)
		}
		change := func(s string, from, to int) string {
			i := from + int(at)%(to-from)
			switch how % 3 {
			case 0:
				return s[:i] + string([]byte{with}) + s[i+1:]
			case 1:
				return s[:i] + string([]byte{with}) + s[i:]
			}
			return s[:i] + s[i+1:]
		}
		r := signed(c, g)
		var before, after string
		if g.Authorization != "" {
			before = g.Authorization
			r.Authorization = change(before, len("Bearer "), len(before))
			after = r.Authorization
		} else {
			before = g.RawQuery
			from := strings.IndexByte(before, '=') + 1
			r.RawQuery = change(before, from, from+64)
			after = r.RawQuery
			// "&" ends the value and begins another parameter that signs nothing; only then the value may be whole.
			if strings.HasPrefix(after, before[:from+64]+"&") {
				return
			}
		}
		if before == after {
			return
		}
		if got, err := verifier(t, secret).Verify(r); err == nil {
			t.Errorf("%q and %q are one credential: %+v", before, after, got)
		}
	})
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"a/b", "a/%2e%2e", "a%2Fb", "a/%252e", "a/\xff", "a/%00", "a/+", ".a/b", "a/%F0%9F%98%80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, escaped string) {
		p, err := token.ParsePath(escaped)
		if err != nil {
			if !errors.Is(err, token.ErrPath) || p != "" {
				t.Errorf("ParsePath(%q): %q, %v", escaped, p, err)
			}
			return
		}
		if err := token.CheckPath(p); err != nil {
			t.Errorf("ParsePath(%q) gives %q: %v", escaped, p, err)
		}
		canonical := token.EscapePath(p)
		if again, err := token.ParsePath(canonical); err != nil || again != p {
			t.Errorf("%q escapes to %q, which gives %q, %v", p, canonical, again, err)
		}
		for _, s := range strings.Split(p, "/") {
			if s == "" || s == "." || s == ".." {
				t.Errorf("ParsePath(%q) lets %q through", escaped, p)
			}
		}
	})
}
