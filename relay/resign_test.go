package relay

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/relay/token"
)

// keyMap is a keyring of one test.
type keyMap struct {
	mu   sync.Mutex
	keys map[string]Key
	asks int
}

func (k *keyMap) Key(_ context.Context, host string) (Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asks++
	key, ok := k.keys[host]
	if !ok {
		return Key{}, ErrNoKey
	}
	return key, nil
}

// tokenServer stores what comes with a token that is good and fresh by its own clock.
type tokenServer struct {
	t        *testing.T
	verify   *token.Verifier
	ahead    time.Duration // of the test's clock
	refusal  int
	mu       sync.Mutex
	accepted []token.Claims
	requests int
}

func newTokenServer(t *testing.T, scheme token.Scheme, secret string) *tokenServer {
	t.Helper()
	v, err := token.NewVerifier([]token.Issuer{{Schemes: []token.Scheme{scheme}, Secrets: []token.Secret{token.Secret(secret)}}})
	if err != nil {
		t.Fatal(err)
	}
	return &tokenServer{t: t, verify: v, refusal: http.StatusForbidden}
}

func (s *tokenServer) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	now := time.Now().Add(s.ahead)
	rw.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	s.mu.Lock()
	s.requests++
	s.mu.Unlock()
	_, _ = io.Copy(io.Discard, req.Body)
	path, err := token.ParsePath(strings.TrimPrefix(req.URL.EscapedPath(), "/upload/"))
	if err != nil {
		s.t.Error(err)
	}
	c, err := s.verify.Verify(token.Request{
		Path: path, FullPath: req.URL.Path, RawQuery: req.URL.RawQuery, Authorization: req.Header.Get("Authorization"),
		Size: req.ContentLength, Type: req.Header.Get("Content-Type"),
	})
	if err != nil || !c.Expires.IsZero() && (now.After(c.Expires) || c.IssuedAt.After(now.Add(10*time.Minute))) {
		rw.WriteHeader(s.refusal)
		return
	}
	s.mu.Lock()
	s.accepted = append(s.accepted, c)
	s.mu.Unlock()
	rw.WriteHeader(http.StatusCreated)
}

func signed(t *testing.T, c token.Claims, secret string) token.Grant {
	t.Helper()
	g, err := token.Sign(c, "/upload/"+c.Path, token.Secret(secret))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

const slotFile = "0123456789abcdefghijklmn/a b.png"

func oldClaims(late time.Duration) token.Claims {
	issued := time.Now().Add(-late - 300*time.Second).Truncate(time.Second)
	return token.Claims{
		Scheme: token.JWT, Path: slotFile, Size: 100_000, Type: "image/png", User: "alice@example.org",
		IssuedAt: issued, Expires: issued.Add(300 * time.Second), Retain: issued.Add(7 * 24 * time.Hour),
	}
}

func TestOldTokenIsReplaced(t *testing.T) {
	for _, tc := range []struct {
		name     string
		late     time.Duration
		ahead    time.Duration // the server's clock
		secret   string        // of the client's token
		keys     map[string]Key
		refusal  int
		status   int
		resigned int
		requests int
	}{
		{"a fresh token is left alone", -200 * time.Second, 0, "k", map[string]Key{listed: {Scheme: token.JWT, Secret: token.Secret("k"), Prefix: "/upload/"}}, 403, 201, 0, 1},
		{"an old one is replaced before it is sent", 3 * time.Hour, 0, "k", map[string]Key{listed: {Scheme: token.JWT, Secret: token.Secret("k"), Prefix: "/upload/"}}, 403, 201, 1, 1},
		{"one made with a rotated secret is replaced after a 403", -200 * time.Second, 0, "old", map[string]Key{listed: {Scheme: token.JWT, Secret: token.Secret("k"), Prefix: "/upload/"}}, 403, 201, 1, 2},
		{"one that only the server thinks old is replaced after a 410", -200 * time.Second, time.Hour, "k", map[string]Key{listed: {Scheme: token.JWT, Secret: token.Secret("k"), Prefix: "/upload/"}}, 410, 201, 1, 2},
		{"a clock that is hours ahead is corrected by the server's", 0, -5 * time.Hour, "k", map[string]Key{listed: {Scheme: token.JWT, Secret: token.Secret("k"), Prefix: "/upload/"}}, 401, 201, 2, 2},
		{"without a key it is forwarded as it is", 3 * time.Hour, 0, "k", nil, 410, 410, 0, 1},
		{"a wrong key is tried once", 3 * time.Hour, 0, "k", map[string]Key{listed: {Scheme: token.JWT, Secret: token.Secret("wrong"), Prefix: "/upload/"}}, 403, 403, 1, 1},
		{"a wrong key is tried once after a refusal", -200 * time.Second, 0, "old", map[string]Key{listed: {Scheme: token.JWT, Secret: token.Secret("wrong"), Prefix: "/upload/"}}, 401, 401, 1, 2},
		{"a key for another prefix signs nothing", 3 * time.Hour, 0, "k", map[string]Key{listed: {Scheme: token.JWT, Secret: token.Secret("k"), Prefix: "/files/"}}, 403, 403, 0, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			keys := &keyMap{keys: tc.keys}
			w := newWorld(t, func(c *Config) { c.Keys = keys })
			s := newTokenServer(t, token.JWT, "k")
			s.ahead, s.refusal = tc.ahead, tc.refusal
			w.serve(listed, s)
			old := oldClaims(tc.late)
			got := w.putWith(w.client("Gajim 1.7.3"), "/upload/"+token.EscapePath(slotFile), strings.NewReader(string(sample(100_000))), func(r *http.Request) {
				r.Header.Set("Authorization", signed(t, old, tc.secret).Authorization)
			})
			if got.status != tc.status {
				t.Error(got)
			}
			u := w.await("over", func(u Upload) bool { return !u.Ended.IsZero() })
			if u.Resigned != tc.resigned || s.requests != tc.requests {
				t.Errorf("signed anew %d times, %d requests; want %d and %d", u.Resigned, s.requests, tc.resigned, tc.requests)
			}
			if tc.status == 201 && tc.resigned > 0 {
				c := s.accepted[0]
				if c.User != old.User || c.Path != old.Path || c.Size != old.Size || c.Type != old.Type {
					t.Errorf("signed for something else: %+v", c)
				}
				if d := cmp.Diff([]string{"5m0s", "168h0m0s"}, []string{c.Expires.Sub(c.IssuedAt).String(), c.Retain.Sub(c.IssuedAt).Round(time.Second).String()}); d != "" {
					t.Error(d)
				}
			}
		})
	}
}

func TestV2TokenOfARotatedSecretIsReplaced(t *testing.T) {
	for _, contentType := range []string{"image/png", ""} {
		keys := &keyMap{keys: map[string]Key{listed: {Scheme: token.V2, Secret: token.Secret("new"), Prefix: "/upload/"}}}
		w := newWorld(t, func(c *Config) { c.Keys = keys })
		s := newTokenServer(t, token.V2, "new")
		w.serve(listed, s)
		signedType := contentType
		if signedType == "" {
			signedType = "application/octet-stream"
		}
		g := signed(t, token.Claims{Scheme: token.V2, Path: slotFile, Size: 1000, Type: signedType}, "old")
		got := w.putWith(w.client("Gajim 1.7.3"), "/upload/"+token.EscapePath(slotFile)+"?x=1&"+g.RawQuery, strings.NewReader(string(sample(1000))), func(r *http.Request) {
			r.Header.Del("Content-Type")
			if contentType != "" {
				r.Header.Set("Content-Type", contentType)
			}
		})
		if !got.stored() || s.requests != 2 || w.last().Resigned != 1 {
			t.Errorf("%q: %v, %d requests, %d", contentType, got, s.requests, w.last().Resigned)
		}
	}
}

func TestFreshCredentialNeverWidensWhatIsAllowed(t *testing.T) {
	key := Key{Scheme: token.JWT, Secret: token.Secret("k"), Prefix: "/upload/"}
	now := time.Now()
	claims := oldClaims(time.Hour)
	auth := signed(t, claims, "k").Authorization
	good := "https://upload.test/upload/" + token.EscapePath(slotFile)
	for _, tc := range []struct {
		name, url, auth string
		size            int64
		ok              bool
	}{
		{"the very file", good, auth, claims.Size, true},
		{"another size", good, auth, claims.Size + 1, false},
		{"another name", good + "x", auth, claims.Size, false},
		{"another slot", strings.Replace(good, "0123", "9999", 1), auth, claims.Size, false},
		{"not below the prefix", strings.Replace(good, "/upload/", "/other/", 1), auth, claims.Size, false},
		{"a path that is not allowed", "https://upload.test/upload/a/%2e%2e/b", auth, claims.Size, false},
		{"no token", good, "", claims.Size, false},
		{"a token of another kind", good, "Bearer abc", claims.Size, false},
		{"a token that is not JSON", good, "Bearer a.b.c", claims.Size, false},
		{"basic", good, "Basic eDp5", claims.Size, false},
	} {
		u, err := url.Parse(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{"Authorization": {tc.auth}}
		_, a, err := freshCredential(key, u, h, tc.size, now)
		if (err == nil) != tc.ok || tc.ok && (a == "" || a == tc.auth) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	u, _ := url.Parse(good + "?a=1&v2=dead&b=2")
	q, a, err := freshCredential(Key{Scheme: token.V2, Secret: token.Secret("k"), Prefix: "/upload/"}, u, http.Header{}, 5, now)
	want := signed(t, token.Claims{Scheme: token.V2, Path: slotFile, Size: 5, Type: "application/octet-stream"}, "k").RawQuery + "&a=1&b=2"
	if err != nil || a != "" || q != want {
		t.Errorf("got %q, want %q (%v)", q, want, err)
	}
	if _, _, err := freshCredential(Key{Scheme: token.V3, Secret: token.Secret("k"), Prefix: "/upload/"}, u, http.Header{}, 5, now); err == nil {
		t.Error("v3 was signed")
	}
}

func TestSilentKeyringIsNotAskedAgainAndAgain(t *testing.T) {
	keys := &keyMap{}
	w := newWorld(t, func(c *Config) { c.Keys = keys; c.GiveUp = 200 * time.Millisecond })
	w.point(listed+":443", "127.0.0.1:1")
	w.putWith(w.client("x"), "/upload/"+token.EscapePath(slotFile), strings.NewReader("hello"), func(r *http.Request) {
		r.Header.Set("Authorization", signed(t, oldClaims(time.Hour), "k").Authorization)
	})
	if u := w.last(); u.Repeats < 2 || keys.asks != 1 {
		t.Errorf("%d repeats, keyring asked %d times, want once a minute", u.Repeats, keys.asks)
	}
}

func FuzzReadJWT(f *testing.F) {
	f.Add("Bearer a.e30.c")
	f.Add(`Bearer x.eyJzdWIiOiJhQGIiLCJleHAiOjF9.y`)
	f.Add("bearer ..")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := readJWT(s)
		if err == nil && strings.Count(s, ".") != 2 {
			t.Fatalf("%q gives %s", s, fmt.Sprint(c))
		}
	})
}
