package realip

import "strings"

// forwardedHops reads a line of Forwarded (RFC 7239 section 4): elements apart by commas, each of them
// name=value pairs apart by semicolons. An element without for= is an unreadable hop. False: the line breaks the grammar.
func forwardedHops(line string) ([]hop, bool) {
	var hops []hop
	for rest := trim(line); rest != ""; {
		var h hop
		var seen, pairs bool
		for rest != "" && rest[0] != ',' {
			name, value, after, ok := pair(rest)
			if !ok {
				return nil, false
			}
			if strings.EqualFold(name, "for") {
				if seen { // each parameter at most once
					return nil, false
				}
				seen, h = true, node(value)
			}
			pairs = true
			rest = trim(after)
			if strings.HasPrefix(rest, ";") {
				if rest = trim(rest[1:]); rest == "" || rest[0] == ',' {
					break // "for=a;" is written by some
				}
			} else if rest != "" && rest[0] != ',' {
				return nil, false
			}
		}
		if pairs {
			hops = append(hops, h)
		}
		rest = trim(strings.TrimPrefix(rest, ","))
	}
	return hops, true
}

// pair reads name=value from the start of s. The value is a token or a quoted string.
func pair(s string) (name, value, rest string, ok bool) {
	n := 0
	for n < len(s) && isTokenByte(s[n]) {
		n++
	}
	name = s[:n]
	if n == 0 || !strings.HasPrefix(s[n:], "=") {
		return "", "", "", false
	}
	s = s[n+1:]
	if !strings.HasPrefix(s, `"`) {
		// A bare address has colons and brackets, which no token has; many proxies leave the quotes out.
		n = 0
		for n < len(s) && (isTokenByte(s[n]) || strings.IndexByte(":[]", s[n]) >= 0) {
			n++
		}
		return name, s[:n], s[n:], n > 0
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return name, b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", "", false
}

func trim(s string) string { return strings.Trim(s, " \t") }

func isTokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
