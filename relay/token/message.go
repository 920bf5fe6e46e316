package token

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// octetStream is signed where the slot request named no type (XEP-0363 section 4).
const octetStream = "application/octet-stream"

// pathSizeMessage is the MAC input of v, v2 and token.
func pathSizeMessage(scheme Scheme, path string, size int64, mediaType string) string {
	n := strconv.FormatInt(size, 10)
	if scheme == V {
		return path + " " + n
	}
	return path + "\x00" + n + "\x00" + mediaType
}

// v3Message is the MAC input of v3. A slot is for PUT, whatever the method of the request that resumes it.
func v3Message(expires int64, fullPath string) string {
	return "PUT\n" + strconv.FormatInt(expires, 10) + "\n" + fullPath
}

// Offsets from the expiry back to the time of issue, fixed by the formats.
const (
	day  = 24 * 60 * 60
	hour = 60 * 60
)

// bearerMessage is the MAC input of a bearer token. The MAC binds the name of the file, not its whole path.
func bearerMessage(f Form, user, path string, size, expires int64, session string) string {
	file := path[strings.LastIndexByte(path, '/')+1:]
	fields := []any{user, file, size}
	switch f {
	case NetworkResilient:
		fields = append(fields, expires-day, expires, "network_resilient")
	case Standard:
		fields = append(fields, expires-hour)
	case Expiring:
		fields = append(fields, expires)
	case IssuedExpiring:
		fields = append(fields, expires-hour, expires)
	case SessionBased:
		fields = append(fields, expires, session)
	}
	var b strings.Builder
	for i, field := range fields {
		if i > 0 {
			b.WriteByte(0)
		}
		fmt.Fprint(&b, field)
	}
	return b.String()
}

// effectiveType is the media type that v2 and token sign for a Content-Type; false: no header can carry it.
func effectiveType(contentType string) (string, bool) {
	if contentType == "" {
		return octetStream, true
	}
	return contentType, !hasControl(contentType)
}

// IsBareJID reports whether s can be the bare JID of a user: exactly one "@" with something on both sides,
// no "/" and no control character. The rule also keeps a v2 MAC, whose first field is a path,
// from being read as a bearer token.
func IsBareJID(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	return ok && local != "" && domain != "" && !strings.ContainsAny(domain, "@") && isPlain(s) && !strings.Contains(s, "/")
}

// isPlain reports whether s is UTF-8 without control characters.
func isPlain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// Owner is the identity that files and sessions are kept under: the SHA-1 of the bare JID in hex,
// as ejabberd writes it into its upload paths. The JID is taken verbatim; XMPP servers hand it out normalised.
// SHA-1 names an owner here and protects nothing.
func Owner(bareJID string) string {
	if bareJID == "" {
		return ""
	}
	sum := sha1.Sum([]byte(bareJID))
	return hex.EncodeToString(sum[:])
}

// ownerSegment returns the first segment of <owner>/<random>/<file> if it is a SHA-1 as ejabberd writes it.
func ownerSegment(path string) string {
	first, _, _ := strings.Cut(path, "/")
	if strings.Count(path, "/") != 2 || len(first) != 2*sha1.Size {
		return ""
	}
	if b, err := hex.DecodeString(first); err != nil || hex.EncodeToString(b) != first {
		return ""
	}
	return first
}
