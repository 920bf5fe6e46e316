package token

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Limits of a path below the prefix.
const (
	minSegments    = 2
	maxSegments    = 8
	maxSegmentSize = 255 // bytes; what file systems take
)

// ParsePath decodes the escaped path below the prefix exactly once and applies the path rules
// (2 to 8 segments and so on); the error wraps ErrPath and says which rule.
//
// A "+" stays a "+", "%2F" becomes a separator, and "%252e" becomes the three bytes "%2e": there is no second decoding.
func ParsePath(escaped string) (string, error) {
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return "", fmt.Errorf("%w: a percent sign without two hex digits", ErrPath)
	}
	if err := CheckPath(path); err != nil {
		return "", err
	}
	return path, nil
}

// CheckPath applies the path rules to a decoded path below the prefix; the error wraps ErrPath and says which rule.
func CheckPath(path string) error {
	switch {
	case path == "":
		return fmt.Errorf("%w: it is empty", ErrPath)
	case !utf8.ValidString(path):
		return fmt.Errorf("%w: it is not UTF-8", ErrPath)
	case hasControl(path):
		return fmt.Errorf("%w: it contains a control character", ErrPath)
	case path[0] == '.' && !strings.HasPrefix(path, "./") && !strings.HasPrefix(path, "../"):
		return fmt.Errorf("%w: the first segment starts with a dot", ErrPath)
	}
	segments := strings.Split(path, "/")
	if len(segments) < minSegments {
		return fmt.Errorf("%w: it has fewer than %d segments", ErrPath, minSegments)
	}
	if len(segments) > maxSegments {
		return fmt.Errorf("%w: it has more than %d segments", ErrPath, maxSegments)
	}
	for _, s := range segments {
		switch {
		case s == "":
			return fmt.Errorf("%w: a segment is empty", ErrPath)
		case s == ".", s == "..":
			return fmt.Errorf("%w: a segment is %q", ErrPath, s)
		case len(s) > maxSegmentSize:
			return fmt.Errorf("%w: a segment is longer than %d bytes", ErrPath, maxSegmentSize)
		}
	}
	return nil
}

// EscapePath is the inverse of ParsePath for building URLs. Everything but the unreserved characters
// of RFC 3986 section 2.3 and the separators is escaped, in upper case.
func EscapePath(path string) string { return escape(path, "/") }

// escape percent-encodes every byte of s that is neither unreserved nor in keep.
func escape(s, keep string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		c := s[i]
		if isUnreserved(c) || strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&15])
	}
	return b.String()
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// hasControl reports whether s contains NUL, another C0 character or DEL.
func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return true
		}
	}
	return false
}
