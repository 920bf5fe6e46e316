package relay

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// permit is what a slot's credential says about who may use it until when. It is not verified: it only tells when it is
// worth to ask for more time, and which device to ask with.
type permit struct {
	user    string    // bare JID; empty: the credential names nobody
	expires time.Time // zero: it does not say
}

// readPermit reads the credentials of docs/token.md that carry a time.
func readPermit(u *url.URL, h http.Header) permit {
	authorization := h.Get("Authorization")
	if c, err := readJWT(authorization); err == nil {
		return permit{c.user, c.expires}
	}
	q := u.Query()
	if scheme, _, _ := strings.Cut(authorization, " "); strings.EqualFold(scheme, "Bearer") {
		return permit{q.Get("user"), unixText(q.Get("expiry"))}
	}
	if q.Get("v3") != "" {
		return permit{"", unixText(q.Get("expires"))}
	}
	return permit{}
}

func unixText(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return unixTime(float64(n))
}
