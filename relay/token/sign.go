package token

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Grant is what an issuer hands out: how to make a signed request.
type Grant struct {
	RawQuery      string // without '?', empty for header-only schemes
	Authorization string // empty for query-only schemes
}

// Issued returns c with the times that the usual issuer of its scheme gives to a slot asked for at the
// time at: five minutes for jwt (mod_http_file_share of Prosody 0.12), an hour for v3, and what the form says for
// bearer. The other schemes carry no time. A bearer token without a form gets Standard.
func Issued(c Claims, at time.Time) Claims {
	at = unix(at.Unix())
	c.IssuedAt, c.Expires = time.Time{}, time.Time{}
	switch c.Scheme {
	case JWT:
		c.IssuedAt, c.Expires = at, at.Add(5*time.Minute)
	case V3:
		c.Expires = at.Add(time.Hour)
	case Bearer:
		switch c.Form {
		case NoForm:
			c.Form = Standard
			return c.withTimes(at.Unix() + hour)
		case NetworkResilient:
			return c.withTimes(at.Unix() + day)
		default:
			return c.withTimes(at.Unix() + hour)
		}
	}
	return c
}

// Sign makes the credential for c with the secret. For jwt a zero Expires is an error;
// fullPath is only used by v3 (leading slash). What Verify would refuse, Sign refuses with
// an error that wraps ErrInvalid or ErrPath.
//
// Owner and MAC are results of Verify and ignored. An empty Type of v2 and token is signed as
// application/octet-stream. The times that a bearer form derives from the expiry are derived again.
func Sign(c Claims, fullPath string, secret Secret) (Grant, error) {
	if len(secret) == 0 {
		return Grant{}, errors.New("sign upload token: the secret is empty")
	}
	if err := CheckPath(c.Path); err != nil {
		return Grant{}, err
	}
	if c.Size < 0 {
		return Grant{}, invalid("size %d is negative", c.Size)
	}
	switch c.Scheme {
	case V, V2, Token:
		mediaType, ok := effectiveType(c.Type)
		if !ok {
			return Grant{}, invalid("type %q contains a control character", c.Type)
		}
		mac := computeMAC(secret, pathSizeMessage(c.Scheme, c.Path, c.Size, mediaType))
		return Grant{RawQuery: string(c.Scheme) + "=" + hex.EncodeToString(mac[:])}, nil
	case V3:
		return signV3(c, fullPath, secret)
	case Bearer:
		return signBearer(c, secret)
	case JWT:
		return signJWT(c, secret)
	}
	return Grant{}, invalid("unknown scheme %q", c.Scheme)
}

func signV3(c Claims, fullPath string, secret Secret) (Grant, error) {
	if !strings.HasPrefix(fullPath, "/") || !strings.HasSuffix(fullPath, "/"+c.Path) || hasControl(fullPath) {
		return Grant{}, invalid("v3 signs the whole URL path, and %q is not one that ends in %q", fullPath, c.Path)
	}
	expires, err := seconds("expiry", c.Expires)
	if err != nil {
		return Grant{}, err
	}
	mac := computeMAC(secret, v3Message(expires, fullPath))
	return Grant{RawQuery: "v3=" + hex.EncodeToString(mac[:]) + "&expires=" + strconv.FormatInt(expires, 10)}, nil
}

func signBearer(c Claims, secret Secret) (Grant, error) {
	switch {
	case !IsBareJID(c.User):
		return Grant{}, invalid("user %q is not a bare JID", c.User)
	case !isPlain(c.Session):
		return Grant{}, invalid("session %q contains a control character", c.Session)
	case c.Session != "" && c.Form != SessionBased:
		return Grant{}, invalid("form %v has no session", c.Form)
	}
	rawQuery := "user=" + escape(c.User, "@")
	var expires int64
	switch c.Form {
	case NetworkResilient, Standard, Expiring, IssuedExpiring, SessionBased:
		var err error
		if expires, err = seconds("expiry", c.Expires); err != nil {
			return Grant{}, err
		}
		if !c.IssuedAt.IsZero() && c.IssuedAt.Unix() != c.withTimes(expires).IssuedAt.Unix() {
			return Grant{}, invalid("form %v does not say that it was issued at %v", c.Form, c.IssuedAt)
		}
		rawQuery += "&expiry=" + strconv.FormatInt(expires, 10)
	case Simple:
		if !c.Expires.IsZero() || !c.IssuedAt.IsZero() {
			return Grant{}, invalid("form %v carries no time", c.Form)
		}
	default:
		return Grant{}, invalid("bearer token without a form")
	}
	if c.Session != "" {
		rawQuery += "&session_id=" + escape(c.Session, "")
	}
	mac := computeMAC(secret, bearerMessage(c.Form, c.User, c.Path, c.Size, expires, c.Session))
	return Grant{RawQuery: rawQuery, Authorization: "Bearer " + base64.StdEncoding.EncodeToString(mac[:])}, nil
}

// jwtClaims are the claims of mod_http_file_share in the order in which Sign writes them.
type jwtClaims struct {
	Sub      string `json:"sub,omitempty"`
	IssuedAt *int64 `json:"iat,omitempty"`
	Expires  int64  `json:"exp"`
	Slot     string `json:"slot"`
	FileName string `json:"filename"`
	FileSize int64  `json:"filesize"`
	FileType string `json:"filetype,omitempty"`
	Retain   *int64 `json:"expires,omitempty"`
}

func signJWT(c Claims, secret Secret) (Grant, error) {
	slot, file, _ := strings.Cut(c.Path, "/")
	claims := jwtClaims{Sub: c.User, Slot: slot, FileName: file, FileSize: c.Size, FileType: c.Type}
	if c.User != "" && !IsBareJID(c.User) {
		return Grant{}, invalid("user %q is not a bare JID", c.User)
	}
	if !isPlain(c.Type) {
		return Grant{}, invalid("type %q contains a control character", c.Type)
	}
	if c.Size > 1<<53 { // a JSON number holds no more (RFC 8259 section 6)
		return Grant{}, invalid("size %d is too large", c.Size)
	}
	var err error
	if claims.Expires, err = seconds("expiry", c.Expires); err != nil {
		return Grant{}, err
	}
	if claims.IssuedAt, err = optionalSeconds("time of issue", c.IssuedAt); err != nil {
		return Grant{}, err
	}
	if claims.Retain, err = optionalSeconds("retention", c.Retain); err != nil {
		return Grant{}, err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return Grant{}, invalid("encode claims: %v", err)
	}
	enc := base64.RawURLEncoding
	input := enc.EncodeToString([]byte(jwtHeader)) + "." + enc.EncodeToString(payload)
	mac := computeMAC(secret, input)
	return Grant{Authorization: "Bearer " + input + "." + enc.EncodeToString(mac[:])}, nil
}

// seconds returns t as tokens write it. Tokens hold whole seconds, so a fraction would not come back.
func seconds(what string, t time.Time) (int64, error) {
	n := t.Unix()
	switch {
	case t.IsZero():
		return 0, invalid("%s is missing", what)
	case n < 0 || n > lastSecond:
		return 0, invalid("%s %v is out of range", what, t)
	}
	return n, nil
}

func optionalSeconds(what string, t time.Time) (*int64, error) {
	if t.IsZero() {
		return nil, nil
	}
	n, err := seconds(what, t)
	return &n, err
}
