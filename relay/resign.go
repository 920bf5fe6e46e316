package relay

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"holdfast/relay/token"
)

const (
	jwtLife  = 300 * time.Second // as Prosody gives
	keyLimit = 5 * time.Second   // nobody waits longer for a keyring in the background
)

// freshen signs anew if the token in use is known to be too old.
func (d *delivery) freshen(ctx context.Context) {
	if d.r.c.Keys == nil {
		return
	}
	if c, err := readJWT(d.header.Get("Authorization")); err == nil && !c.expires.IsZero() && !time.Now().Before(c.expires) {
		d.sign(ctx)
	}
}

// sign puts a fresh token in the place of the present one, if there is a key for that. The outcome is the same request
// for the same file, only later.
func (d *delivery) sign(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, keyLimit)
	defer cancel()
	log := d.r.c.Log.With("upload", d.u.snap.ID, "host", d.target)
	key, err := d.r.c.Keys.Key(ctx, d.target)
	if err != nil {
		log.Debug("token is not signed anew", "error", err)
		return false
	}
	query, authorization, err := freshCredential(key, d.url, d.header, d.size, time.Now())
	if err != nil {
		log.Warn("token cannot be signed anew", "scheme", string(key.Scheme), "error", err)
		return false
	}
	to := *d.url
	to.RawQuery = query
	if d.url == d.origin || d.url.String() == d.origin.String() {
		d.origin = &to
	}
	d.url = &to
	if authorization != "" {
		d.header["Authorization"] = []string{authorization}
	}
	d.resigned = time.Now()
	d.u.change(func(s *Upload) { s.Resigned++ })
	log.Info("token signed anew", "scheme", string(key.Scheme))
	return true
}

// freshCredential makes the query and the Authorization of the same upload with a token of now. An empty
// authorization means: as it was.
func freshCredential(key Key, u *url.URL, h http.Header, size int64, now time.Time) (query, authorization string, err error) {
	below, ok := strings.CutPrefix(u.EscapedPath(), key.Prefix)
	if !ok {
		return "", "", fmt.Errorf("the address is not below %s", key.Prefix)
	}
	path, err := token.ParsePath(below)
	if err != nil {
		return "", "", err
	}
	c := token.Claims{Scheme: key.Scheme, Path: path, Size: size}
	switch key.Scheme {
	case token.V2:
		if c.Type = h.Get("Content-Type"); c.Type == "" {
			c.Type = "application/octet-stream"
		}
	case token.JWT:
		old, err := readJWT(h.Get("Authorization"))
		if err != nil {
			return "", "", err
		}
		// Only when, never what: the new token is for the very file that the old one names.
		if old.path != path || old.size != size {
			return "", "", errors.New("the old token is for another file")
		}
		c.Type, c.User = old.typ, old.user
		c.IssuedAt, c.Expires = now, now.Add(jwtLife)
		if !old.retain.IsZero() && !old.issued.IsZero() {
			c.Retain = old.retain.Add(now.Sub(old.issued))
		}
	default:
		return "", "", fmt.Errorf("scheme %q cannot be signed anew", key.Scheme)
	}
	grant, err := token.Sign(c, u.Path, key.Secret)
	if err != nil {
		return "", "", fmt.Errorf("sign token: %w", err)
	}
	query = u.RawQuery
	if grant.RawQuery != "" {
		query = grant.RawQuery
		for part := range strings.SplitSeq(u.RawQuery, "&") {
			if name, _, _ := strings.Cut(part, "="); part != "" && name != string(key.Scheme) {
				query += "&" + part
			}
		}
	}
	return query, grant.Authorization, nil
}

// oldJWT is what an upload's own token says. It is not verified: it only says what to ask for once more.
type oldJWT struct {
	path, typ, user         string
	size                    int64
	issued, expires, retain time.Time
}

// readJWT decodes the claims of "Bearer <jwt>" as Prosody's mod_http_file_share writes them.
func readJWT(authorization string) (oldJWT, error) {
	scheme, value, _ := strings.Cut(authorization, " ")
	parts := strings.Split(strings.TrimSpace(value), ".")
	if !strings.EqualFold(scheme, "Bearer") || len(parts) != 3 {
		return oldJWT{}, errors.New("the request has no token of this kind")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return oldJWT{}, errors.New("the token cannot be read")
	}
	var c struct {
		Sub      string  `json:"sub"`
		Slot     string  `json:"slot"`
		Filename string  `json:"filename"`
		Filetype string  `json:"filetype"`
		Filesize int64   `json:"filesize"`
		IAT      float64 `json:"iat"`
		Exp      float64 `json:"exp"`
		Expires  float64 `json:"expires"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return oldJWT{}, errors.New("the token cannot be read")
	}
	return oldJWT{
		path: c.Slot + "/" + c.Filename, typ: c.Filetype, user: c.Sub, size: c.Filesize,
		issued: unixTime(c.IAT), expires: unixTime(c.Exp), retain: unixTime(c.Expires),
	}, nil
}

func unixTime(s float64) time.Time {
	if s <= 0 || s > 1e11 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0)
}
