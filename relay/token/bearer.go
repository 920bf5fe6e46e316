package token

import "encoding/base64"

// verifyBearer checks a bearer token: the header holds the MAC, the query what it signs. Only these parameters
// are read: user, expiry and session_id; others that issuers add (token, network_resilience, resume_allowed) change nothing.
func (v *Verifier) verifyBearer(r Request, credential string) (Claims, error) {
	mac, ok := parseBase64(base64.StdEncoding, credential)
	if !ok {
		return Claims{}, ErrInvalid
	}
	q := query(r.RawQuery)
	user, ok := q.text("user")
	if !ok || !IsBareJID(user) {
		return Claims{}, ErrInvalid
	}
	var session string
	if q.has("session_id") {
		if session, ok = q.text("session_id"); !ok || !isPlain(session) {
			return Claims{}, ErrInvalid
		}
	}
	var expires int64
	forms := []Form{NetworkResilient, SessionBased, Standard, Expiring, IssuedExpiring, Simple}
	if q.has("expiry") {
		raw, ok := q.one("expiry")
		if !ok {
			return Claims{}, ErrInvalid
		}
		if expires, ok = parseUnix(raw); !ok {
			return Claims{}, ErrInvalid
		}
	} else {
		forms = []Form{Simple} // the only form that signs no time
	}
	if r.Size < 0 {
		return Claims{}, ErrNoSize
	}
	messages := make([]string, len(forms))
	for i, f := range forms {
		messages[i] = bearerMessage(f, user, r.Path, r.Size, expires, session)
	}
	i := v.match(Bearer, mac, func(Issuer) []string { return messages })
	if i < 0 {
		return Claims{}, ErrInvalid
	}
	c := Claims{
		Scheme: Bearer, Form: forms[i], MAC: mac,
		Path: r.Path, Size: r.Size, User: user, Owner: Owner(user),
	}
	if c.Form == SessionBased {
		c.Session = session
	}
	return c.withTimes(expires), nil
}

// withTimes sets the times that the form of a bearer token says. The two constants of the formats
// stand for the lifetime that its issuer gives: a day, or an hour.
func (c Claims) withTimes(expires int64) Claims {
	if c.Form == Simple {
		return c
	}
	c.Expires = unix(expires)
	switch c.Form {
	case NetworkResilient:
		c.IssuedAt = unix(expires - day)
	case Standard, IssuedExpiring:
		c.IssuedAt = unix(expires - hour)
	}
	return c
}
