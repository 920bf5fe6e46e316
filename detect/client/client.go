// Package client names the XMPP client behind an HTTP User-Agent.
//
// It is pure: the upload server uses it to choose a grace window, the desktop to say "Dino" or "Gajim".
// A User-Agent is a claim, never a proof. The strings that clients really send are in docs/clients.md.
//
// # Invariants
//   - The first product token decides (RFC 9110 section 10.1.5), never a substring: "robot" is not a bot and
//     "my-gajim-clone" is not Gajim. What stands behind it are libraries.
//   - Parse never fails; what it does not know is Unknown.
package client

import (
	"strconv"
	"strings"
)

// Kind is the class of a client.
type Kind uint8

// Kinds of clients.
const (
	Unknown Kind = iota
	Desktop
	Mobile
	Web
	Library // command-line tools and bots
)

// String returns "unknown", "desktop", "mobile", "web" or "library".
func (k Kind) String() string {
	names := [...]string{"unknown", "desktop", "mobile", "web", "library"}
	if int(k) >= len(names) {
		return "kind(" + strconv.Itoa(int(k)) + ")"
	}
	return names[k]
}

// Client is who made a request, as far as it says.
type Client struct {
	Kind    Kind
	Name    string // "Dino", "Gajim", ...; empty: unknown
	Version string // as sent; may be empty
}

// Parse reads a User-Agent header value.
func Parse(userAgent string) Client {
	ps := products(userAgent)
	if len(ps) == 0 {
		return Client{}
	}
	first := ps[0]
	if first.version == "" && len(ps) > 1 {
		next := ps[1]
		switch {
		case startsWithDigit(next.name) && next.version == "":
			first.version = next.name // "Gajim 1.7.3", "slixmpp 1.8.3"
		case known[fold(first.name+" "+next.name)] != Client{}:
			first = product{first.name + " " + next.name, next.version} // "monocles chat/1.7.9"
		}
	}
	c, ok := known[fold(first.name)]
	if !ok {
		if hasAndroidComment(userAgent) {
			return Client{Kind: Mobile}
		}
		return Client{}
	}
	c.Version = first.version
	if c.Kind == Web {
		c.Version = "" // "Mozilla/5.0" says nothing about the browser
		for _, p := range ps[1:] {
			if fold(p.name) == "converse" || fold(p.name) == "converse.js" || fold(p.name) == "conversejs" {
				c.Name, c.Version = "Converse.js", p.version
			}
		}
	}
	return c
}

// product is one "name" or "name/version" of a User-Agent.
type product struct{ name, version string }

// products splits a User-Agent into its products and leaves the comments out. What is no token ends it:
// the rest cannot be told apart.
func products(userAgent string) []product {
	var ps []product
	for s := strings.TrimLeft(userAgent, " \t"); s != ""; s = strings.TrimLeft(s, " \t") {
		if s[0] == '(' {
			n := commentLength(s)
			s = s[n:]
			continue
		}
		name := token(s)
		if name == "" {
			break
		}
		s = s[len(name):]
		p := product{name: name}
		if strings.HasPrefix(s, "/") {
			p.version = token(s[1:])
			s = s[1+len(p.version):]
		}
		ps = append(ps, p)
		if s != "" && s[0] != ' ' && s[0] != '\t' && s[0] != '(' {
			break
		}
	}
	return ps
}

// commentLength is the length of the comment that s starts with (RFC 9110 section 5.6.5): nested, with quoted pairs.
// An unfinished comment reaches to the end.
func commentLength(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// hasAndroidComment reports whether the first comment names Android as one of its parts, as in
// "SomeChat/1.0 (Linux; Android 14; Pixel 8)".
func hasAndroidComment(userAgent string) bool {
	open := strings.IndexByte(userAgent, '(')
	if open < 0 {
		return false
	}
	comment := strings.Trim(userAgent[open:open+commentLength(userAgent[open:])], "()")
	for part := range strings.SplitSeq(comment, ";") {
		word, _, _ := strings.Cut(strings.TrimSpace(part), " ")
		if fold(word) == "android" {
			return true
		}
	}
	return false
}

// token returns the longest token that s starts with (RFC 9110 section 5.6.2).
func token(s string) string {
	i := 0
	for i < len(s) && isTokenByte(s[i]) {
		i++
	}
	return s[:i]
}

func isTokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func startsWithDigit(s string) bool { return s != "" && '0' <= s[0] && s[0] <= '9' }

// fold makes the form in which products are looked up. Apple's libraries write the spaces of a name as "%20".
func fold(name string) string { return strings.ToLower(strings.ReplaceAll(name, "%20", " ")) }
