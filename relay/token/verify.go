package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Issuer binds secrets to the schemes they may verify. The first secret signs, all verify.
type Issuer struct {
	Schemes        []Scheme
	Secrets        []Secret
	LegacyFullPath bool // also accept v, v2 and token MACs over the whole URL path
}

// Verifier checks requests against a fixed set of issuers. Safe for concurrent use.
type Verifier struct{ issuers []Issuer }

// NewVerifier returns a Verifier; an issuer without schemes or secrets is an error.
func NewVerifier(issuers []Issuer) (*Verifier, error) {
	if len(issuers) == 0 {
		return nil, errors.New("no issuer is configured")
	}
	own := make([]Issuer, 0, len(issuers))
	for _, is := range issuers {
		if len(is.Schemes) == 0 {
			return nil, errors.New("an issuer has no schemes")
		}
		if len(is.Secrets) == 0 {
			return nil, errors.New("an issuer has no secrets")
		}
		for _, s := range is.Schemes {
			if _, err := ParseScheme(string(s)); err != nil {
				return nil, err
			}
		}
		secrets := make([]Secret, 0, len(is.Secrets))
		for _, s := range is.Secrets {
			if len(s) == 0 {
				return nil, errors.New("an issuer has an empty secret")
			}
			secrets = append(secrets, slices.Clone(s))
		}
		own = append(own, Issuer{slices.Clone(is.Schemes), secrets, is.LegacyFullPath})
	}
	return &Verifier{own}, nil
}

// Accepts reports whether some issuer is bound to the scheme.
func (v *Verifier) Accepts(s Scheme) bool {
	return slices.ContainsFunc(v.issuers, func(is Issuer) bool { return slices.Contains(is.Schemes, s) })
}

// Verify returns what the chosen credential of r says, or one of the errors of this package.
// Time is not judged here.
//
// Credentials of schemes that no issuer is bound to do not count. Of the rest, the Authorization
// header is preferred (two dots: jwt, else bearer), then v3, v2, token, v; the chosen one decides.
// A missing length is ErrNoSize as soon as the credential can be read; it is never taken for zero.
func (v *Verifier) Verify(r Request) (Claims, error) {
	if hasControl(r.Path) || r.Path == "" {
		return Claims{}, ErrInvalid
	}
	// What is signed for the whole URL must be about the file that is stored.
	if r.FullPath != "" && (r.FullPath[0] != '/' || !strings.HasSuffix(r.FullPath, "/"+r.Path) || hasControl(r.FullPath)) {
		return Claims{}, ErrInvalid
	}
	if scheme, credential, ok := v.fromHeader(r.Authorization); ok {
		if r.Several { // which of them counts would depend on who reads
			return Claims{}, ErrInvalid
		}
		if scheme == JWT {
			return v.verifyJWT(r, credential)
		}
		return v.verifyBearer(r, credential)
	}
	q := query(r.RawQuery)
	for _, scheme := range []Scheme{V3, V2, Token, V} {
		if !v.Accepts(scheme) || !q.has(string(scheme)) {
			continue
		}
		if scheme == V3 {
			return v.verifyV3(r, q)
		}
		return v.verifyPathSize(r, scheme, q)
	}
	return Claims{}, ErrMissing
}

// fromHeader finds the credential in an Authorization header. The name of the authentication scheme is
// case-insensitive (RFC 9110 section 11.1); between it and the credential stands one space.
func (v *Verifier) fromHeader(authorization string) (Scheme, string, bool) {
	name, credential, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(name, "Bearer") {
		return "", "", false
	}
	scheme := Bearer
	if strings.Count(credential, ".") == 2 {
		scheme = JWT
	}
	return scheme, credential, v.Accepts(scheme)
}

// verifyPathSize checks v, v2 and token.
func (v *Verifier) verifyPathSize(r Request, scheme Scheme, q query) (Claims, error) {
	raw, ok := q.one(string(scheme))
	if !ok {
		return Claims{}, ErrInvalid
	}
	mac, ok := parseHex(raw)
	if !ok {
		return Claims{}, ErrInvalid
	}
	c := Claims{Scheme: scheme, Path: r.Path, Size: r.Size, MAC: mac}
	if scheme != V {
		if c.Type, ok = effectiveType(r.Type); !ok {
			return Claims{}, ErrInvalid
		}
	}
	if r.Size < 0 {
		return Claims{}, ErrNoSize
	}
	match := v.match(scheme, mac, func(is Issuer) []string {
		messages := []string{pathSizeMessage(scheme, r.Path, r.Size, c.Type)}
		if is.LegacyFullPath && r.FullPath != "" {
			messages = append(messages, pathSizeMessage(scheme, r.FullPath[1:], r.Size, c.Type),
				pathSizeMessage(scheme, r.FullPath, r.Size, c.Type))
		}
		return messages
	})
	if match < 0 {
		return Claims{}, ErrInvalid
	}
	if scheme == V {
		c.Owner = ownerSegment(r.Path)
	}
	return c, nil
}

// verifyV3 checks v3, whose MAC covers the method, the expiry and the whole URL path, but no size.
func (v *Verifier) verifyV3(r Request, q query) (Claims, error) {
	raw, ok := q.one(string(V3))
	if !ok {
		return Claims{}, ErrInvalid
	}
	mac, ok := parseHex(raw)
	if !ok {
		return Claims{}, ErrInvalid
	}
	rawExpires, ok := q.one("expires")
	if !ok {
		return Claims{}, ErrInvalid
	}
	expires, ok := parseUnix(rawExpires)
	if !ok || r.FullPath == "" {
		return Claims{}, ErrInvalid
	}
	message := []string{v3Message(expires, r.FullPath)}
	if v.match(V3, mac, func(Issuer) []string { return message }) < 0 {
		return Claims{}, ErrInvalid
	}
	if r.Size < 0 {
		return Claims{}, ErrNoSize
	}
	return Claims{Scheme: V3, Path: r.Path, Size: r.Size, Expires: unix(expires), MAC: mac}, nil
}

// match returns the index of the first message whose MAC, under one of the secrets bound to the scheme, is mac; else -1.
func (v *Verifier) match(scheme Scheme, mac [32]byte, messages func(Issuer) []string) int {
	for _, is := range v.issuers {
		if !slices.Contains(is.Schemes, scheme) {
			continue
		}
		for i, message := range messages(is) {
			for _, secret := range is.Secrets {
				want := computeMAC(secret, message)
				if hmac.Equal(want[:], mac[:]) {
					return i
				}
			}
		}
	}
	return -1
}

// computeMAC is HMAC-SHA256, the one primitive of every scheme.
func computeMAC(secret Secret, message string) [32]byte {
	h := hmac.New(sha256.New, secret)
	_, _ = h.Write([]byte(message)) // hash.Hash never returns an error
	return [32]byte(h.Sum(nil))
}

// invalid wraps ErrInvalid with what Sign refused.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}
