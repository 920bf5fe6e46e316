package dpop_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"holdfast/relay/dpop"
)

// key is the one of RFC 8037 appendix A.1.
var key = ed25519.NewKeyFromSeed(raw("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"))

const (
	thumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" // RFC 8037 appendix A.3
	jwk        = `{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
)

var now = time.Unix(1795289542, 0)

func raw(s string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// signed is a proof out of the bytes of its parts, without any help of the package.
func signed(header, claims string) string {
	input := b64(header) + "." + b64(claims)
	return input + "." + b64(string(ed25519.Sign(key, []byte(input))))
}

func expect() dpop.Expect {
	return dpop.Expect{Method: "PUT", URL: "https://upload.example.org/upload/a/b%20c.jpg?v2=00", Now: now, AccessToken: "tok.en.x"}
}

func x() string { return b64(string(key.Public().(ed25519.PublicKey))) }

func TestWhatIsAProof(t *testing.T) {
	ath := dpop.Hash("tok.en.x")
	header := `{"alg":"EdDSA","typ":"dpop+jwt","jwk":{"kty":"OKP","crv":"Ed25519","x":"` + x() + `"}}`
	claims := `{"jti":"one","htm":"PUT","htu":"https://upload.example.org/upload/a/b%20c.jpg","iat":1795289542,"ath":"` + ath + `"}`
	swap := func(s, old, to string) string {
		if !strings.Contains(s, old) {
			t.Fatalf("%q is not in %q", old, s)
		}
		return strings.Replace(s, old, to, 1)
	}
	for _, tt := range []struct {
		name   string
		header string // empty: as above
		claims string
		edit   func(*dpop.Expect)
		want   error // nil: good
	}{
		{name: "as it should be"},
		{name: "the type in other letters", header: swap(header, "dpop+jwt", "DPoP+JWT")},
		{name: "300 s slow", claims: swap(claims, "1795289542", "1795289242")},
		{name: "300 s fast", claims: swap(claims, "1795289542", "1795289842")},
		{name: "with a fraction of a second", claims: swap(claims, "1795289542", "1795289542.9")},
		{name: "301 s slow", claims: swap(claims, "1795289542", "1795289241"), want: dpop.ErrTime},
		{name: "301 s fast", claims: swap(claims, "1795289542", "1795289843"), want: dpop.ErrTime},
		{name: "a time below zero", claims: swap(claims, "1795289542", "-1"), want: dpop.ErrInvalid},
		{name: "a time as text", claims: swap(claims, "1795289542", `"1795289542"`), want: dpop.ErrInvalid},
		{name: "no time", claims: swap(claims, `"iat"`, `"Iat"`), want: dpop.ErrInvalid},
		{name: "another method", claims: swap(claims, "PUT", "GET"), want: dpop.ErrTarget},
		{name: "the method in small letters", claims: swap(claims, "PUT", "put"), want: dpop.ErrTarget},
		{name: "another file", claims: swap(claims, "b%20c", "b%20d"), want: dpop.ErrTarget},
		{name: "another host", claims: swap(claims, "upload.example.org", "upload.example.net"), want: dpop.ErrTarget},
		{name: "another scheme", claims: swap(claims, "https:", "http:"), want: dpop.ErrTarget},
		{name: "another port", claims: swap(claims, "example.org/", "example.org:8443/"), want: dpop.ErrTarget},
		{name: "the default port said", claims: swap(claims, "example.org/", "example.org:443/")},
		{name: "the host in capitals", claims: swap(claims, "upload.example.org", "UPLOAD.Example.ORG")},
		{name: "the path escaped in another way", claims: swap(claims, "/a/b%20c", "/%61/b%20%63")},
		{name: "a slash that is escaped", claims: swap(claims, "/a/b", "/a%2Fb"), want: dpop.ErrTarget},
		{name: "escaped twice", claims: swap(claims, "b%20c", "b%2520c"), want: dpop.ErrTarget},
		{name: "with the query", claims: swap(claims, "c.jpg", "c.jpg?v2=01")},
		{name: "a user before the host", claims: swap(claims, "//upload", "//u@upload"), want: dpop.ErrTarget},
		{name: "only a path", claims: swap(claims, "https://upload.example.org", ""), want: dpop.ErrTarget},
		{name: "a line end in the URL", claims: swap(claims, "c.jpg", `c.jpg\n`), want: dpop.ErrTarget},
		{name: "no URL", claims: swap(claims, `"htu"`, `"HTU"`), want: dpop.ErrInvalid},
		{name: "no id", claims: swap(claims, `"one"`, `""`), want: dpop.ErrInvalid},
		{name: "a number as id", claims: swap(claims, `"one"`, `1`), want: dpop.ErrInvalid},
		{name: "an endless id", claims: swap(claims, "one", strings.Repeat("a", 257)), want: dpop.ErrInvalid},
		{name: "for another token", edit: func(e *dpop.Expect) { e.AccessToken = "other" }, want: dpop.ErrToken},
		{name: "for no token", claims: swap(claims, `"ath"`, `"Ath"`), want: dpop.ErrToken},
		{name: "where no token is asked for", edit: func(e *dpop.Expect) { e.AccessToken = "" }},
		{name: "without the nonce", edit: func(e *dpop.Expect) { e.Nonces = []string{"n1", "n2"} }, want: dpop.ErrNonce},
		{name: "with the older nonce", claims: swap(claims, `"jti"`, `"nonce":"n2","jti"`), edit: func(e *dpop.Expect) { e.Nonces = []string{"n1", "n2"} }},
		{name: "a nonce that is no text", claims: swap(claims, `"jti"`, `"nonce":2,"jti"`), want: dpop.ErrInvalid},
		{name: "the method twice", claims: swap(claims, `"jti"`, `"htm":"GET","jti"`), want: dpop.ErrInvalid},
		{name: "the id twice, once in escapes", claims: swap(claims, `"jti"`, `"\u006ati":"two","jti"`), want: dpop.ErrInvalid},
		{name: "a member that is not known", claims: swap(claims, `"jti"`, `"more":{"a":[1,{"b":null}]},"jti"`)},
		{name: "something after the claims", claims: claims + "{}", want: dpop.ErrInvalid},
		{name: "no object", claims: "[]", want: dpop.ErrInvalid},
		{name: "null", claims: "null", want: dpop.ErrInvalid},
		{name: "not UTF-8", claims: swap(claims, "one", "one\xff"), want: dpop.ErrInvalid},
		{name: "another type", header: swap(header, "dpop+jwt", "JWT"), want: dpop.ErrInvalid},
		{name: "no type", header: swap(header, `"typ":"dpop+jwt",`, ""), want: dpop.ErrInvalid},
		{name: "alg none", header: swap(header, "EdDSA", "none"), want: dpop.ErrInvalid},
		{name: "alg HS256", header: swap(header, "EdDSA", "HS256"), want: dpop.ErrInvalid},
		{name: "alg ES256", header: swap(header, "EdDSA", "ES256"), want: dpop.ErrInvalid},
		{name: "alg in other letters", header: swap(header, "EdDSA", "eddsa"), want: dpop.ErrInvalid},
		{name: "alg twice", header: swap(header, `"alg"`, `"alg":"none","alg"`), want: dpop.ErrInvalid},
		{name: "an extension that must be understood", header: swap(header, `"typ"`, `"crit":["exp"],"typ"`), want: dpop.ErrInvalid},
		{name: "claims that are not encoded", header: swap(header, `"typ"`, `"b64":false,"typ"`), want: dpop.ErrInvalid},
		{name: "the private key in it", header: swap(header, `"kty"`, `"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","kty"`), want: dpop.ErrInvalid},
		{name: "a private member that is null", header: swap(header, `"kty"`, `"d":null,"kty"`), want: dpop.ErrInvalid},
		{name: "two keys", header: swap(header, `"kty"`, `"x":"AA","kty"`), want: dpop.ErrInvalid},
		{name: "a key of another curve", header: swap(header, "Ed25519", "X25519"), want: dpop.ErrInvalid},
		{name: "a key of another type", header: swap(header, "OKP", "EC"), want: dpop.ErrInvalid},
		{name: "a key that is too short", header: swap(header, x(), x()[:40]), want: dpop.ErrInvalid},
		{name: "a key that is padded", header: swap(header, x(), x()+"="), want: dpop.ErrInvalid},
		{name: "a key with stray bits", header: swap(header, x(), x()[:42]+string(x()[42]+1)), want: dpop.ErrInvalid},
		{name: "another key", header: swap(header, x(), b64(strings.Repeat("k", 32))), want: dpop.ErrInvalid},
		{name: "no key", header: swap(header, `"jwk"`, `"jwK"`), want: dpop.ErrInvalid},
		{name: "the key as text", header: `{"alg":"EdDSA","typ":"dpop+jwt","jwk":"` + x() + `"}`, want: dpop.ErrInvalid},
		{name: "a huge header", header: swap(header, `"typ"`, `"pad":"`+strings.Repeat("a", 9000)+`","typ"`), want: dpop.ErrInvalid},
		{name: "brackets without end", claims: swap(claims, `"jti"`, `"deep":`+strings.Repeat("[", 300)+strings.Repeat("]", 300)+`,"jti"`), want: dpop.ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, c := header, claims
			if tt.header != "" {
				h = tt.header
			}
			if tt.claims != "" {
				c = tt.claims
			}
			e := expect()
			if tt.edit != nil {
				tt.edit(&e)
			}
			p, err := dpop.Verify(signed(h, c), e)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err != nil {
				if !errors.Is(err, dpop.ErrInvalid) {
					t.Errorf("%v is not ErrInvalid", err)
				}
				return
			}
			if p.Thumbprint != thumbprint || p.ID != "one" || p.IssuedAt.IsZero() {
				t.Errorf("got %+v", p)
			}
		})
	}
}

func TestASpellingOfItsOwnIsNoProof(t *testing.T) {
	good, err := dpop.Make(key, dpop.Claims{Method: "PUT", URL: expect().URL, IssuedAt: now, ID: "one", AccessToken: "tok.en.x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dpop.Verify(good, expect()); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	mac := hmac.New(sha256.New, key.Public().(ed25519.PublicKey))
	mac.Write([]byte(parts[0] + "." + parts[1]))
	for name, bad := range map[string]string{
		"padding":             good + "==",
		"a line end":          good[:20] + "\n" + good[20:],
		"a space before":      " " + good,
		"four parts":          good + ".",
		"two parts":           parts[0] + "." + parts[1],
		"no signature":        parts[0] + "." + parts[1] + ".",
		"a MAC by its key":    parts[0] + "." + parts[1] + "." + b64(string(mac.Sum(nil))),
		"stray bits":          good[:len(good)-1] + string(good[len(good)-1]+1),
		"other base64":        strings.ReplaceAll(strings.ReplaceAll(good, "-", "+"), "_", "/"),
		"the claims of none":  b64(`{"alg":"none","typ":"dpop+jwt","jwk":`+jwk+`}`) + "." + parts[1] + ".",
		"nothing":             "",
		"dots":                "..",
		"as long as it likes": strings.Repeat("a", 1<<20),
	} {
		if _, err := dpop.Verify(bad, expect()); !errors.Is(err, dpop.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAProofThatCannotBeMade(t *testing.T) {
	good := dpop.Claims{Method: "PUT", URL: "https://a.example/b", IssuedAt: now, ID: "one"}
	for name, edit := range map[string]func(*dpop.Claims){
		"no method":   func(c *dpop.Claims) { c.Method = "" },
		"no id":       func(c *dpop.Claims) { c.ID = "" },
		"no host":     func(c *dpop.Claims) { c.URL = "/b" },
		"endless id":  func(c *dpop.Claims) { c.ID = strings.Repeat("a", 257) },
		"another URL": func(c *dpop.Claims) { c.URL = "mailto:a@b" },
	} {
		c := good
		edit(&c)
		if s, err := dpop.Make(key, c); err == nil {
			t.Errorf("%s: %s", name, s)
		}
	}
	if _, err := dpop.Make(key[:5], good); err == nil {
		t.Error("half a key signs")
	}
	if dpop.Thumbprint(key.Public().(ed25519.PublicKey)) != thumbprint {
		t.Error("the thumbprint is not the one of RFC 8037")
	}
}

func FuzzVerify(f *testing.F) {
	good, err := dpop.Make(key, dpop.Claims{Method: "PUT", URL: expect().URL, IssuedAt: now, ID: "one", AccessToken: "tok.en.x"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(signed(`{"alg":"EdDSA"}`, `{}`))
	f.Add("..")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := dpop.Verify(s, expect())
		if err == nil && (s != good || p.Thumbprint != thumbprint) {
			t.Errorf("a proof that nobody signed is taken: %q", s)
		}
		if err != nil && !errors.Is(err, dpop.ErrInvalid) {
			t.Errorf("another error: %v", err)
		}
	})
}

// Whatever is signed: Verify agrees with what the claims say to a plain reader of JSON, or refuses.
func FuzzClaims(f *testing.F) {
	f.Add(`{"jti":"one","htm":"PUT","htu":"https://upload.example.org/upload/a/b%20c.jpg","iat":1795289542}`, "PUT", "https://upload.example.org/upload/a/b%20c.jpg")
	f.Add(`{"jti":"one","htm":"GET","htm":"PUT","htu":"https://upload.example.org/","iat":1}`, "PUT", "https://upload.example.org/")
	f.Fuzz(func(t *testing.T, claims, method, url string) {
		header := `{"alg":"EdDSA","typ":"dpop+jwt","jwk":{"kty":"OKP","crv":"Ed25519","x":"` + x() + `"}}`
		p, err := dpop.Verify(signed(header, claims), dpop.Expect{Method: method, URL: url, Now: now})
		if err != nil {
			return
		}
		var c struct{ Jti, Htm string }
		if json.Unmarshal([]byte(claims), &c) != nil || c.Jti != p.ID && !strings.EqualFold(c.Jti, p.ID) && strings.Count(strings.ToLower(claims), "jti") < 2 {
			t.Errorf("%q: %+v", claims, p)
		}
	})
}

func FuzzMakeVerify(f *testing.F) {
	f.Add("PUT", "https://upload.example.org/upload/a", "id", "token", "nonce", int64(1795289542), 7)
	f.Fuzz(func(t *testing.T, method, url, id, token, nonce string, at int64, flip int) {
		when := time.Unix(at, 0).UTC()
		proof, err := dpop.Make(key, dpop.Claims{Method: method, URL: url, IssuedAt: when, ID: id, AccessToken: token, Nonce: nonce})
		if err != nil {
			return
		}
		e := dpop.Expect{Method: method, URL: url, Now: when, AccessToken: token}
		if nonce != "" {
			e.Nonces = []string{nonce}
		}
		p, err := dpop.Verify(proof, e)
		if err != nil {
			t.Fatalf("own proof is refused: %v", err)
		}
		if p.ID != id || p.Nonce != nonce || p.IssuedAt.Unix() != at {
			t.Errorf("got %+v", p)
		}
		i := int(uint(flip) % uint(len(proof)))
		altered := proof[:i] + string(proof[i]^1) + proof[i+1:]
		if _, err := dpop.Verify(altered, e); err == nil {
			t.Errorf("byte %d can be changed", i)
		}
	})
}

// The examples of docs/devices.md are what this package makes and takes.
func TestTheProofInTheDocumentation(t *testing.T) {
	doc, err := os.ReadFile("../../docs/devices.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```proof\n(.*?)```").FindAllStringSubmatch(string(doc), -1)
	if len(blocks) < 2 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, block := range blocks {
		f := map[string]string{}
		for line := range strings.Lines(block[1]) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			f[name] = strings.TrimSpace(value)
		}
		var said struct {
			Htm, Htu, Jti, Nonce string
			Iat                  int64
		}
		if err := json.Unmarshal([]byte(f["claims"]), &said); err != nil {
			t.Fatal(err)
		}
		c := dpop.Claims{Method: said.Htm, URL: said.Htu, IssuedAt: time.Unix(said.Iat, 0), ID: said.Jti, Nonce: said.Nonce, AccessToken: f["token"]}
		got, err := dpop.Make(ed25519.NewKeyFromSeed(raw(f["key"])), c)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(got, ".")
		if string(raw(parts[0])) != f["header"] || string(raw(parts[1])) != f["claims"] || got != f["proof"] {
			t.Errorf("made:\nheader %s\nclaims %s\nproof %s", raw(parts[0]), raw(parts[1]), got)
		}
		p, err := dpop.Verify(f["proof"], dpop.Expect{Method: said.Htm, URL: said.Htu, Now: time.Unix(said.Iat, 0), AccessToken: f["token"]})
		if err != nil || p.Thumbprint != f["jkt"] {
			t.Errorf("%v, thumbprint %s", err, p.Thumbprint)
		}
	}
}
