package token

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strings"
	"time"
)

// jwtHeader is what Prosody's util.jwt writes, and what Sign writes.
const jwtHeader = `{"alg":"HS256","typ":"JWT"}`

// verifyJWT checks a JWT of mod_http_file_share (RFC 7519, RFC 7515). The algorithm is fixed before anything is read.
func (v *Verifier) verifyJWT(r Request, credential string) (Claims, error) {
	dot := strings.LastIndexByte(credential, '.')
	mac, ok := parseBase64(base64.RawURLEncoding, credential[dot+1:])
	if !ok {
		return Claims{}, ErrInvalid
	}
	input := []string{credential[:dot]}
	if v.match(JWT, mac, func(Issuer) []string { return input }) < 0 {
		return Claims{}, ErrInvalid
	}
	// From here on the bytes are the issuer's own.
	header, payload, _ := strings.Cut(input[0], ".")
	if !headerAllowed(header) {
		return Claims{}, ErrInvalid
	}
	c, ok := parseJWTClaims(payload)
	if !ok {
		return Claims{}, ErrInvalid
	}
	c.MAC = mac
	switch {
	case c.Path != r.Path:
		return Claims{}, ErrInvalid
	case r.Size < 0:
		return Claims{}, ErrNoSize
	case c.Size != r.Size:
		return Claims{}, ErrSize
	}
	return c, nil
}

// headerAllowed reports whether a JOSE header asks for nothing but HS256. A "crit" names extensions
// that must be understood or the token refused (RFC 7515 section 4.1.11); none is understood here.
func headerAllowed(encoded string) bool {
	h, ok := decodeObject(encoded)
	if !ok {
		return false
	}
	alg, ok := h.text("alg")
	return ok && alg == "HS256" && h["crit"] == nil
}

// parseJWTClaims reads the claims that mod_http_file_share signs.
func parseJWTClaims(encoded string) (Claims, bool) {
	o, ok := decodeObject(encoded)
	if !ok {
		return Claims{}, false
	}
	slot, ok1 := o.text("slot")
	file, ok2 := o.text("filename")
	size, ok3 := o.number("filesize")
	if !ok1 || !ok2 || !ok3 || size != math.Trunc(size) || size < 0 || size > 1<<53 || o["exp"] == nil {
		return Claims{}, false
	}
	c := Claims{Scheme: JWT, Path: slot + "/" + file, Size: int64(size)}
	var notBefore time.Time
	for name, to := range map[string]*time.Time{"exp": &c.Expires, "iat": &c.IssuedAt, "nbf": &notBefore, "expires": &c.Retain} {
		if o[name] == nil {
			continue
		}
		n, ok := o.number(name)
		if !ok || n < 0 || n > lastSecond {
			return Claims{}, false
		}
		*to = unix(int64(n)) // a NumericDate may have a fraction (RFC 7519 section 2)
	}
	if notBefore.After(c.IssuedAt) { // not used by Prosody; a token that says so counts as issued then
		c.IssuedAt = notBefore
	}
	if o["filetype"] != nil {
		if c.Type, ok = o.text("filetype"); !ok {
			return Claims{}, false
		}
	}
	if o["sub"] != nil {
		sub, ok := o.text("sub")
		if !ok {
			return Claims{}, false
		}
		if IsBareJID(sub) { // another sub is no identity, and no reason to refuse the file
			c.User, c.Owner = sub, Owner(sub)
		}
	}
	return c, true
}

// object is a JSON object with its member names as they are written; encoding/json would match a struct's
// field names in any case.
type object map[string]json.RawMessage

// decodeObject reads one JSON object from canonical unpadded base64url.
func decodeObject(encoded string) (object, bool) {
	b, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || base64.RawURLEncoding.EncodeToString(b) != encoded {
		return nil, false
	}
	var o object
	if err := json.Unmarshal(b, &o); err != nil || o == nil {
		return nil, false
	}
	return o, true
}

// text returns a member that is a string.
func (o object) text(name string) (string, bool) {
	raw := o[name]
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	return s, json.Unmarshal(raw, &s) == nil
}

// number returns a member that is a number.
func (o object) number(name string) (float64, bool) {
	raw := o[name]
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, false
	}
	var n float64
	return n, json.Unmarshal(raw, &n) == nil
}
