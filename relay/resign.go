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

// signing is what a delivery remembers about its token.
type signing struct {
	at           time.Time     // when the token in use was made; zero: it is the client's own
	atSkew       time.Duration // what the server's clock was taken to be ahead then
	skew         time.Duration // the same by the server's latest answer
	afterRefusal bool          // a fresh token was tried because of a refusal
	noKey        time.Time     // when the keyring had no answer
	device       *deviceSigner // signs each request; nil: none does
}

// setClock learns from Date (RFC 9110 section 6.6.1) how wrong this machine's clock is; small differences do not count.
func (s *signing) setClock(h http.Header, now time.Time) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	if s.skew = date.Sub(now); s.skew.Abs() < time.Minute {
		s.skew = 0
	}
}

// mayAfterRefusal says whether a refusal can be answered with a fresh token: once, and only if the refused one was
// the client's own, old, or made by a wrong clock.
func (s *signing) mayAfterRefusal(now time.Time) bool {
	if s.afterRefusal || s.keyringIsSilent(now) {
		return false
	}
	return s.at.IsZero() || now.Sub(s.at) > jwtLife-time.Minute || (s.skew-s.atSkew).Abs() > time.Minute
}

// keyringIsSilent says that asking now would only ask the person once more.
func (s *signing) keyringIsSilent(now time.Time) bool {
	return !s.noKey.IsZero() && now.Sub(s.noKey) < time.Minute
}

// freshen signs anew if the token in use is known to be too old.
func (d *delivery) freshen(ctx context.Context) {
	now := time.Now()
	if !d.maySign() || d.signing.device != nil || d.signing.keyringIsSilent(now) {
		return
	}
	if p := readPermit(d.url, d.header); !p.expires.IsZero() && !now.Add(d.signing.skew).Before(p.expires) {
		d.sign(ctx)
	}
}

// maySign says whether there is anything that could sign.
func (d *delivery) maySign() bool { return d.r.c.Keys != nil || d.r.c.Devices != nil }

// sign makes the request good again that came too late: with this person's device where the server knows it, else with the
// server's shared secret.
func (d *delivery) sign(ctx context.Context) bool {
	return d.signByDevice(ctx) || d.signBySecret(ctx)
}

// signBySecret puts a fresh token in the place of the present one, if there is a key for that. The outcome is the same
// request for the same file, only later.
func (d *delivery) signBySecret(ctx context.Context) bool {
	if d.r.c.Keys == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, keyLimit)
	defer cancel()
	log := d.r.c.Log.With("upload", d.u.snap.ID, "host", d.target)
	key, err := d.r.c.Keys.Key(ctx, d.target)
	if err != nil {
		d.signing.noKey = time.Now()
		log.Debug("token is not signed anew", "error", err)
		return false
	}
	now := time.Now()
	query, authorization, err := freshCredential(key, d.url, d.header, d.size, now.Add(d.signing.skew))
	if err != nil {
		d.signing.noKey = now
		log.Warn("token cannot be signed anew", "scheme", string(key.Scheme), "error", err)
		return false
	}
	to := *d.url
	to.RawQuery = query
	if d.url.Path == d.origin.Path && d.url.Host == d.origin.Host {
		d.origin = &to
	}
	d.url = &to
	if authorization != "" {
		d.header["Authorization"] = []string{authorization}
	}
	d.signing.at, d.signing.atSkew = now, d.signing.skew
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
