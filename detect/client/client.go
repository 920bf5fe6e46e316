// Package client names the XMPP client behind an HTTP User-Agent.
//
// It is pure: the upload server uses it to choose a grace window, the desktop to say "Dino" or "Gajim".
// Product tokens decide (RFC 9110 section 10.1.5), never substrings, so "robot" is not a bot and
// "my-gajim-clone" is not Gajim. A User-Agent is a claim, never a proof.
package client

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
	return [...]string{"unknown", "desktop", "mobile", "web", "library"}[k]
}

// Client is who made a request, as far as it says.
type Client struct {
	Kind    Kind
	Name    string // "Dino", "Gajim", ...; empty: unknown
	Version string // as sent; may be empty
}

// Parse reads a User-Agent header value.
func Parse(userAgent string) Client { return Client{} }
