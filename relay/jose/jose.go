// Package jose reads and writes signed objects of JSON in their compact form (JWS, RFC 7515), with Ed25519 (RFC 8037) and
// with nothing else. Proofs of relay/dpop and access tokens of relay/server/device are such objects.
//
// The package is a function of bytes: it opens no file, reads no clock and knows no HTTP. The signature itself is made and
// checked by golang-jwt; what is read before that is read here, since a parser that takes the last of two members with
// one name, or skips line ends in base64, lets one object have two meanings.
//
// # Invariants
//   - The algorithm is EdDSA and is fixed before anything else of the header is used.
//   - Every accepted encoding is canonical: base64url without padding or stray bits, UTF-8, no member twice.
//   - Names of members are compared as they are written, upper and lower case apart.
//   - An extension that must be understood (crit) is not, and refuses the object.
package jose

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// ErrInvalid is what everything that is refused here is.
var ErrInvalid = errors.New("not a valid signed object")

// MaxSize is how long an object in its compact form may be. A proof has some 600 bytes, an access token some 500.
const MaxSize = 8 << 10

const algorithm = "EdDSA"

// JWS is a signed object whose signature is not checked yet.
type JWS struct {
	Header Object
	Claims Object // say nothing before Verify

	input     string
	signature []byte
}

// Parse reads the compact form.
func Parse(compact string) (*JWS, error) {
	if len(compact) > MaxSize {
		return nil, invalid("longer than %d bytes", MaxSize)
	}
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return nil, invalid("%d parts instead of 3", len(parts))
	}
	j := &JWS{input: compact[:len(parts[0])+1+len(parts[1])]}
	var raw [3][]byte
	for i, p := range parts {
		b, err := Decode(p)
		if err != nil {
			return nil, err
		}
		raw[i] = b
	}
	j.signature = raw[2]
	var err error
	if j.Header, err = ParseObject(raw[0]); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if alg, ok := j.Header.Text("alg"); !ok || alg != algorithm {
		return nil, invalid("the algorithm is not %s", algorithm)
	}
	if j.Header.Has("crit") || j.Header.Has("b64") { // RFC 7515 section 4.1.11, RFC 7797 section 6
		return nil, invalid("asks for an extension")
	}
	if j.Claims, err = ParseObject(raw[1]); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	return j, nil
}

// Typed reports whether the object says that it is of the type. Types are compared as media types are: in any case of
// letters, and with or without "application/" before (RFC 7515 section 4.1.9).
func (j *JWS) Typed(name string) bool {
	typ, ok := j.Header.Text("typ")
	return ok && strings.TrimPrefix(strings.ToLower(typ), "application/") == name
}

// Verify checks the signature.
func (j *JWS) Verify(key ed25519.PublicKey) error {
	if err := jwt.SigningMethodEdDSA.Verify(j.input, j.signature, key); err != nil {
		return invalid("the signature is wrong")
	}
	return nil
}

// Sign returns the compact form of the claims. alg is added to the header.
func Sign(key ed25519.PrivateKey, header, claims map[string]any) (string, error) {
	if len(key) != ed25519.PrivateKeySize {
		return "", fmt.Errorf("sign: a key of %d bytes", len(key))
	}
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims(claims))
	for k, v := range header {
		t.Header[k] = v
	}
	t.Header["alg"] = algorithm
	s, err := t.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	if len(s) > MaxSize {
		return "", invalid("longer than %d bytes", MaxSize)
	}
	return s, nil
}

// Encode writes base64url without padding.
func Encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Decode reads exactly what Encode writes.
func Decode(s string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || Encode(b) != s {
		return nil, invalid("not canonical base64url")
	}
	return b, nil
}

// JWK is the public half of a key as a JSON Web Key (RFC 8037 section 2).
func JWK(key ed25519.PublicKey) map[string]any {
	return map[string]any{"kty": "OKP", "crv": "Ed25519", "x": Encode(key)}
}

// ParseJWK reads a public key. One that holds the private half too is refused.
func ParseJWK(raw json.RawMessage) (ed25519.PublicKey, error) {
	o, err := ParseObject(raw)
	if err != nil {
		return nil, fmt.Errorf("jwk: %w", err)
	}
	kty, _ := o.Text("kty")
	crv, _ := o.Text("crv")
	if kty != "OKP" || crv != "Ed25519" {
		return nil, invalid("the key is not one for Ed25519")
	}
	if o.Has("d") {
		return nil, invalid("the private key is in it")
	}
	x, ok := o.Text("x")
	if !ok {
		return nil, invalid("the key has no x")
	}
	key, err := Decode(x)
	if err != nil {
		return nil, fmt.Errorf("jwk: %w", err)
	}
	if len(key) != ed25519.PublicKeySize {
		return nil, invalid("the key has %d bytes", len(key))
	}
	return key, nil
}

// Thumbprint names a key: SHA-256 of its required members in their one spelling (RFC 7638, RFC 8037 appendix A.3).
func Thumbprint(key ed25519.PublicKey) string {
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + Encode(key) + `"}`))
	return Encode(sum[:])
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}
