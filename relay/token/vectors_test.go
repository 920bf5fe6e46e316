package token_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"holdfast/relay/token"
)

// vector is one signed upload URL that a real server issued.
type vector struct {
	Protocol  string
	Secret    string
	BaseURL   string `json:"base_url"`
	URL       string
	Path      string `json:"path_decoded"`
	Size      int64
	Type      string `json:"content_type_effective"`
	Requester string
	IssuedAt  int64 `json:"issued_at"`
	Headers   map[string]string
	Signature string
}

func vectors(t *testing.T) []vector {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) != 70 {
		t.Fatalf("testdata/vectors.json holds %d vectors, want 70", len(file.Vectors))
	}
	return file.Vectors
}

func (v vector) scheme() token.Scheme {
	switch {
	case strings.Contains(v.Protocol, "jwt"):
		return token.JWT
	case strings.HasSuffix(v.Protocol, "v2"):
		return token.V2
	}
	return token.V
}

// request is what a server makes of the vector, without the path rules.
func (v vector) request(t *testing.T) token.Request {
	t.Helper()
	base, err := url.Parse(v.BaseURL)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(v.URL)
	if err != nil {
		t.Fatal(err)
	}
	path, ok := strings.CutPrefix(u.Path, base.Path)
	if !ok {
		t.Fatalf("%s is not below %s", v.URL, v.BaseURL)
	}
	return token.Request{
		Path: path, FullPath: u.Path, RawQuery: u.RawQuery,
		Authorization: v.Headers["Authorization"], Size: v.Size, Type: v.Type,
	}
}

func verifier(t testing.TB, secret string, schemes ...token.Scheme) *token.Verifier {
	t.Helper()
	if len(schemes) == 0 {
		schemes = token.Schemes()
	}
	v, err := token.NewVerifier([]token.Issuer{{Schemes: schemes, Secrets: []token.Secret{token.Secret(secret)}}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEveryVectorOfARealServerVerifies(t *testing.T) {
	for _, v := range vectors(t) {
		r := v.request(t)
		if r.Path != v.Path {
			t.Errorf("%s: decoded path %q, want %q", v.URL, r.Path, v.Path)
		}
		for name, schemes := range map[string][]token.Scheme{"only its scheme": {v.scheme()}, "all schemes": nil} {
			c, err := verifier(t, v.Secret, schemes...).Verify(r)
			if err != nil {
				t.Errorf("%s, %s enabled: %v", v.URL, name, err)
				continue
			}
			if c.Scheme != v.scheme() || c.Path != v.Path || c.Size != v.Size {
				t.Errorf("%s: claims %+v", v.URL, c)
			}
			switch v.scheme() {
			case token.JWT:
				if c.User != v.Requester || c.Owner != token.Owner(v.Requester) || c.Type != v.Type ||
					c.IssuedAt.Unix() != v.IssuedAt || c.Expires.Unix() != v.IssuedAt+300 || c.Retain.Unix() != v.IssuedAt+604800 {
					t.Errorf("%s: claims %+v", v.URL, c)
				}
			case token.V:
				want := ""
				if strings.HasPrefix(v.Protocol, "ejabberd") {
					want = token.Owner(v.Requester)
				}
				if c.Owner != want || !c.Expires.IsZero() {
					t.Errorf("%s: owner %q, want %q", v.URL, c.Owner, want)
				}
			case token.V2:
				if c.Type != v.Type || c.Owner != "" || !c.Expires.IsZero() {
					t.Errorf("%s: claims %+v", v.URL, c)
				}
			}
		}
	}
}

// Issuers sign the name ".." as they sign any other; the path rules are what keeps it out of a store.
func TestTheVectorsWhosePathIsRefused(t *testing.T) {
	refused := 0
	for _, v := range vectors(t) {
		below, _, _ := strings.Cut(strings.TrimPrefix(v.URL, v.BaseURL), "?")
		path, err := token.ParsePath(below)
		if strings.HasSuffix(v.Path, "/..") {
			refused++
			if !errors.Is(err, token.ErrPath) {
				t.Errorf("%s: ParsePath gives %q, %v; want ErrPath", v.URL, path, err)
			}
			continue
		}
		if err != nil || path != v.Path {
			t.Errorf("%s: ParsePath gives %q, %v; want %q", v.URL, path, err, v.Path)
		}
	}
	if refused != 5 {
		t.Errorf("%d vectors name .., want 5", refused)
	}
}

// Every path byte replaced, removed or doubled, every bit of the signature flipped, and the like.
func TestNoVectorVerifiesAfterAnyChange(t *testing.T) {
	for _, v := range vectors(t) {
		verify := verifier(t, v.Secret).Verify
		r := v.request(t)
		refuse := func(what string, r token.Request, allowed ...error) {
			t.Helper()
			c, err := verify(r)
			if err == nil {
				t.Errorf("%s: verifies with %s: %+v", v.URL, what, c)
			}
			if !slices.ContainsFunc(append(allowed, token.ErrInvalid), func(e error) bool { return errors.Is(err, e) }) {
				t.Errorf("%s: with %s: error %v", v.URL, what, err)
			}
		}
		path := func(p string) token.Request {
			changed := r
			changed.Path, changed.FullPath = p, strings.TrimSuffix(r.FullPath, r.Path)+p
			return changed
		}
		for i := range len(r.Path) {
			for bit := range 8 {
				b := []byte(r.Path)
				b[i] ^= 1 << bit
				refuse("a path bit flipped", path(string(b)))
			}
			refuse("a path byte removed", path(r.Path[:i]+r.Path[i+1:]))
			refuse("a path byte doubled", path(r.Path[:i+1]+r.Path[i:]))
		}
		refuse("the path prefixed", path("x/"+r.Path))
		refuse("the path lengthened", path(r.Path+" "))
		for _, size := range []int64{r.Size + 1, r.Size - 1, r.Size * 10, r.Size + 1<<32} {
			if size == r.Size {
				continue
			}
			changed := r
			changed.Size = size
			switch {
			case size < 0:
				if _, err := verify(changed); !errors.Is(err, token.ErrNoSize) {
					t.Errorf("%s: no size: error %v, want ErrNoSize", v.URL, err)
				}
			case v.scheme() == token.JWT:
				if _, err := verify(changed); !errors.Is(err, token.ErrSize) {
					t.Errorf("%s: size %d: error %v, want ErrSize", v.URL, size, err)
				}
			default:
				refuse("another size", changed)
			}
		}
		if v.scheme() == token.V2 {
			for _, contentType := range []string{"text/html", r.Type + ";charset=utf-8", strings.ToUpper(r.Type), r.Type[1:], " " + r.Type} {
				changed := r
				changed.Type = contentType
				refuse("the type "+contentType, changed)
			}
		}
		for name, field := range map[string]*string{"query": &r.RawQuery, "header": &r.Authorization} {
			whole := *field
			at := strings.Index(whole, v.Signature)
			if at < 0 {
				continue
			}
			for i := at; i < len(whole); i++ {
				for bit := range 8 {
					b := []byte(whole)
					b[i] ^= 1 << bit
					*field = string(b)
					refuse("a bit of the signature flipped in the "+name, r)
				}
				*field = whole[:i]
				refuse("the signature cut", r)
			}
			if v.scheme() == token.JWT {
				for i := len("Bearer "); i < at; i++ {
					for bit := range 8 {
						b := []byte(whole)
						b[i] ^= 1 << bit
						*field = string(b)
						refuse("a bit of the claims flipped", r, token.ErrMissing)
					}
				}
			}
			*field = whole
		}
	}
}
