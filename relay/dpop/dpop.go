// Package dpop makes and verifies proofs of possession (DPoP, RFC 9449) with Ed25519 keys: a signed object that says that
// the owner of a key sends one request to one URL now.
//
// The package is a function of bytes: it opens no file, reads no clock and knows no HTTP. docs/devices.md has the wire
// with examples.
//
// # Invariants
//   - Verify is the only way to obtain a Proof from the wire, and every field of a Proof was signed.
//   - EdDSA only, typ dpop+jwt only, a public key only; one spelling (package jose).
//   - That a proof is used once is for the caller to see to, by Proof.ID and Proof.Thumbprint.
package dpop

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"holdfast/relay/jose"
)

// The errors a caller branches on; each is an ErrInvalid too.
var (
	ErrInvalid = errors.New("proof is not valid")
	ErrTime    = fmt.Errorf("%w: made at another time", ErrInvalid)         // the clocks differ, or the proof is old
	ErrNonce   = fmt.Errorf("%w: another nonce is expected", ErrInvalid)    // absent, or too old
	ErrTarget  = fmt.Errorf("%w: made for another request", ErrInvalid)     // method or URL
	ErrToken   = fmt.Errorf("%w: made for another token", ErrInvalid)       // ath
	errClaims  = fmt.Errorf("%w: a claim is missing or odd", ErrInvalid)    // jti, htm, htu, iat, nonce
	errHeader  = fmt.Errorf("%w: its header is not of a proof", ErrInvalid) // typ, jwk
)

// Window is how far the time of a proof may be from now, before and after.
const Window = 300 * time.Second

const (
	proofType = "dpop+jwt"
	maxID     = 256 // bytes of a jti
)

// Claims is what a proof is made of.
type Claims struct {
	Method      string    // htm
	URL         string    // htu; query and fragment are left out
	IssuedAt    time.Time // iat, in the server's time
	ID          string    // jti, never used before: at least 96 random bits
	AccessToken string    // goes into ath as its hash; empty: none
	Nonce       string    // of the server's last DPoP-Nonce; empty: none
}

// Make signs a proof.
func Make(key ed25519.PrivateKey, c Claims) (string, error) {
	if len(key) != ed25519.PrivateKeySize {
		return "", fmt.Errorf("make a proof: a key of %d bytes", len(key))
	}
	htu, _, _ := strings.Cut(c.URL, "#")
	htu, _, _ = strings.Cut(htu, "?")
	if _, err := target(htu); err != nil || c.Method == "" || c.ID == "" || len(c.ID) > maxID ||
		!utf8.ValidString(c.Method+" "+c.ID+" "+c.Nonce) || c.IssuedAt.Unix() < 0 || c.IssuedAt.Year() > 9999 {
		return "", fmt.Errorf("make a proof: %w", errClaims)
	}
	claims := map[string]any{"htm": c.Method, "htu": htu, "iat": c.IssuedAt.Unix(), "jti": c.ID}
	if c.AccessToken != "" {
		claims["ath"] = Hash(c.AccessToken)
	}
	if c.Nonce != "" {
		claims["nonce"] = c.Nonce
	}
	header := map[string]any{"typ": proofType, "jwk": jose.JWK(key.Public().(ed25519.PublicKey))}
	proof, err := jose.Sign(key, header, claims)
	if err != nil {
		return "", fmt.Errorf("make a proof: %w", err)
	}
	return proof, nil
}

// Expect is the request that a proof must be for.
type Expect struct {
	Method      string
	URL         string // query and fragment do not count
	Now         time.Time
	AccessToken string   // ath must be its hash; empty: there is none, and ath does not count
	Nonces      []string // the proof must carry one of them; empty: it may carry any
}

// Proof is a proof that was found good.
type Proof struct {
	Key        ed25519.PublicKey
	Thumbprint string // of the key; what cnf.jkt of an access token is compared with
	ID         string // jti
	IssuedAt   time.Time
	Nonce      string // empty: none
}

// Verify checks a proof (RFC 9449 section 4.3), all but whether it was used before.
func Verify(proof string, e Expect) (Proof, error) {
	j, err := jose.Parse(proof)
	if err != nil {
		return Proof{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if !j.Typed(proofType) {
		return Proof{}, errHeader
	}
	key, err := jose.ParseJWK(j.Header["jwk"])
	if err != nil {
		return Proof{}, fmt.Errorf("%w: %w", errHeader, err)
	}
	if err := j.Verify(key); err != nil {
		return Proof{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	p, err := read(j.Claims)
	if err != nil {
		return Proof{}, err
	}
	if err := matches(j.Claims, p, e); err != nil {
		return Proof{}, err
	}
	p.Key, p.Thumbprint = key, jose.Thumbprint(key)
	return p, nil
}

// read takes the claims that stand for themselves.
func read(o jose.Object) (Proof, error) {
	var p Proof
	var ok bool
	if p.ID, ok = o.Text("jti"); !ok || p.ID == "" || len(p.ID) > maxID {
		return Proof{}, errClaims
	}
	if p.IssuedAt, ok = o.Time("iat"); !ok {
		return Proof{}, errClaims
	}
	if p.Nonce, ok = o.Text("nonce"); !ok && o.Has("nonce") {
		return Proof{}, errClaims
	}
	return p, nil
}

// matches compares the claims with the request.
func matches(o jose.Object, p Proof, e Expect) error {
	method, ok1 := o.Text("htm")
	htu, ok2 := o.Text("htu")
	if !ok1 || !ok2 {
		return errClaims
	}
	want, err := target(e.URL)
	if err != nil {
		return fmt.Errorf("expect a proof for %q: %w", e.URL, err)
	}
	if got, err := target(htu); err != nil || got != want || method != e.Method {
		return ErrTarget
	}
	if e.AccessToken != "" {
		ath, ok := o.Text("ath")
		if !ok || subtle.ConstantTimeCompare([]byte(ath), []byte(Hash(e.AccessToken))) == 0 {
			return ErrToken
		}
	}
	if len(e.Nonces) > 0 && !slices.ContainsFunc(e.Nonces, func(n string) bool {
		return subtle.ConstantTimeCompare([]byte(n), []byte(p.Nonce)) == 1
	}) {
		return ErrNonce
	}
	if d := time.Unix(e.Now.Unix(), 0).Sub(p.IssuedAt); d > Window || d < -Window {
		return ErrTime
	}
	return nil
}

// Hash is the ath of an access token.
func Hash(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return jose.Encode(sum[:])
}

// Thumbprint names a key as Proof does.
func Thumbprint(key ed25519.PublicKey) string { return jose.Thumbprint(key) }

// target is the one spelling of a URL in which proofs are compared (RFC 9449 section 4.3, RFC 3986 section 6.2): scheme and
// host in lower case, no default port, each segment of the path escaped in one way, no query, no fragment.
func target(raw string) (string, error) {
	for i := range len(raw) {
		if raw[i] <= ' ' || raw[i] >= 0x7f {
			return "", ErrTarget
		}
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.User != nil || u.Host == "" {
		return "", ErrTarget
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	default:
		return "", ErrTarget
	}
	segments := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	for i, s := range segments {
		if s, err = url.PathUnescape(s); err != nil {
			return "", ErrTarget
		}
		segments[i] = url.PathEscape(s)
	}
	return scheme + "://" + strings.TrimSuffix(host, ":") + "/" + strings.Join(segments, "/"), nil
}
