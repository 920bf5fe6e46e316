package token

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The encodings of the wire. Each parser accepts exactly what its encoder writes and nothing else,
// so that one MAC has one spelling.

// parseHex reads a MAC as 64 lower-case hex digits. Every issuer in the field writes lower case.
func parseHex(s string) (mac [32]byte, ok bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(mac) || hex.EncodeToString(b) != s {
		return mac, false
	}
	return [32]byte(b), true
}

// parseBase64 reads a MAC in the given alphabet. The decoder of the standard library skips line ends
// and, unless told to be strict, trailing bits; comparing with the encoder's result refuses both.
func parseBase64(enc *base64.Encoding, s string) (mac [32]byte, ok bool) {
	b, err := enc.DecodeString(s)
	if err != nil || len(b) != len(mac) || enc.EncodeToString(b) != s {
		return mac, false
	}
	return [32]byte(b), true
}

// lastSecond is the end of the year 9999, the last one that RFC 3339 can write.
const lastSecond = 253402300799

// parseUnix reads seconds since 1970 as decimal digits without sign or leading zero.
func parseUnix(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > lastSecond || strconv.FormatInt(n, 10) != s {
		return 0, false
	}
	return n, true
}

// unix is the time n seconds after 1970 in the one form in which Claims hold times.
func unix(n int64) time.Time { return time.Unix(n, 0).UTC() }

// query is a raw query. Names of parameters are compared as they are written, upper and lower case apart.
type query string

// values returns the raw values of all parameters with the name.
func (q query) values(name string) []string {
	var found []string
	for pair := range strings.SplitSeq(string(q), "&") {
		if n, value, _ := strings.Cut(pair, "="); n == name {
			found = append(found, value)
		}
	}
	return found
}

func (q query) has(name string) bool { return len(q.values(name)) > 0 }

// one returns the raw value of a parameter that is there exactly once. Two of the same name are refused:
// which of them counts would depend on who reads.
func (q query) one(name string) (string, bool) {
	v := q.values(name)
	if len(v) != 1 {
		return "", false
	}
	return v[0], true
}

// text returns the percent-decoded value of a parameter that is there exactly once. A "+" stays a "+":
// the values are JIDs and ids, which have no spaces, and issuers write the "+" of alice+phone@example.org as it is.
func (q query) text(name string) (string, bool) {
	raw, ok := q.one(name)
	if !ok {
		return "", false
	}
	s, err := url.PathUnescape(raw)
	return s, err == nil
}
