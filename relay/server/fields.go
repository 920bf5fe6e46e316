package server

import (
	"strings"
)

// The structured fields of resumable uploads (RFC 9651 section 4.2): one integer or one boolean. Parameters behind them are
// checked and ignored, as the RFC has it for those that nobody defined.

// fieldInteger reads an sf-integer that is not negative. ok is false if the field is absent, or not that.
func fieldInteger(values []string) (n int64, ok bool) {
	s, ok := fieldItem(values)
	if !ok {
		return 0, false
	}
	s, negative := strings.CutPrefix(s, "-")
	i := 0
	for ; i < len(s) && isDigit(s[i]); i++ {
		n = n*10 + int64(s[i]-'0')
		if i == 15 { // RFC 9651 section 3.3.1: 15 digits at most
			return 0, false
		}
	}
	if i == 0 || negative && n != 0 || !fieldParameters(s[i:]) {
		return 0, false
	}
	return n, true
}

// fieldBoolean reads an sf-boolean. ok is false if the field is absent, or not that.
func fieldBoolean(values []string) (b, ok bool) {
	s, ok := fieldItem(values)
	if !ok || len(s) < 2 || s[0] != '?' || s[1] != '0' && s[1] != '1' || !fieldParameters(s[2:]) {
		return false, false
	}
	return s[1] == '1', true
}

// fieldItem joins the lines of a field and cuts the spaces around it.
func fieldItem(values []string) (string, bool) {
	if len(values) == 0 {
		return "", false
	}
	return strings.Trim(strings.Join(values, ","), " "), true
}

// fieldParameters reports whether s is nothing but well-formed parameters (RFC 9651 section 4.2.3.2).
func fieldParameters(s string) bool {
	for s != "" {
		if s[0] != ';' {
			return false
		}
		s = strings.TrimLeft(s[1:], " ")
		key := span(s, func(c byte) bool {
			return 'a' <= c && c <= 'z' || isDigit(c) || strings.IndexByte("_-.*", c) >= 0
		})
		if key == 0 || s[0] != '*' && (s[0] < 'a' || s[0] > 'z') {
			return false
		}
		s = s[key:]
		value, has := strings.CutPrefix(s, "=")
		if !has {
			continue
		}
		n := bareItem(value)
		if n == 0 {
			return false
		}
		s = value[n:]
	}
	return true
}

// bareItem returns how long the bare item at the start of s is; 0: there is none.
func bareItem(s string) int {
	if s == "" {
		return 0
	}
	switch c := s[0]; {
	case c == '?':
		if len(s) > 1 && (s[1] == '0' || s[1] == '1') {
			return 2
		}
	case c == '"':
		return quoted(s)
	case c == ':':
		if n := span(s[1:], func(c byte) bool { return isAlpha(c) || isDigit(c) || strings.IndexByte("+/=", c) >= 0 }); len(s) > n+1 && s[n+1] == ':' {
			return n + 2
		}
	case isAlpha(c), c == '*':
		return span(s, func(c byte) bool { return isAlpha(c) || isDigit(c) || strings.IndexByte("!#$%&'*+-.^_`|~:/", c) >= 0 })
	case isDigit(c), c == '-':
		return number(s)
	}
	return 0
}

// quoted is the length of the string at the start of s.
func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			if i++; i == len(s) || s[i] != '"' && s[i] != '\\' {
				return 0
			}
		case c < 0x20 || c > 0x7e:
			return 0
		}
	}
	return 0
}

// number is the length of the integer or decimal at the start of s.
func number(s string) int {
	sign := len(s) - len(strings.TrimPrefix(s, "-"))
	whole := span(s[sign:], isDigit)
	n := sign + whole
	if whole == 0 || whole > 15 {
		return 0
	}
	if n == len(s) || s[n] != '.' {
		return n
	}
	fraction := span(s[n+1:], isDigit)
	if fraction == 0 || fraction > 3 || whole > 12 {
		return 0
	}
	return n + 1 + fraction
}

func span(s string, ok func(byte) bool) int {
	n := 0
	for n < len(s) && ok(s[n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isAlpha(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
