// Package token signs and verifies upload tokens.
//
// A token is a MAC over a Claims value in one of the Schemes. The package is a
// function of bytes: it opens no file, reads no clock and knows no HTTP.
//
// # Invariants
//   - Verify is the only way to obtain Claims from the wire.
//   - MACs are compared in constant time; every accepted encoding is canonical.
//   - Adding a Scheme never changes what an existing Scheme accepts.
package token

import (
	"errors"
	"time"
)

// Scheme names a token format.
type Scheme string

// The schemes that upload servers in the field use.
const (
	V      Scheme = "v"      // Prosody mod_http_upload_external v1, ejabberd external_secret
	V2     Scheme = "v2"     // Prosody mod_http_upload_external, protocol v2
	Token  Scheme = "token"  // Metronome
	V3     Scheme = "v3"     // hmac-file-server modules
	Bearer Scheme = "bearer" // hmac-file-server ejabberd modules
	JWT    Scheme = "jwt"    // Prosody mod_http_file_share
)

// Claims is what a token says.
type Claims struct {
	Scheme Scheme
	Path   string // decoded path below the prefix, no leading slash
	Size   int64  // bytes
	Type   string // v2, token: the signed type; jwt: filetype (may be empty)
	User   string // bare JID (bearer user, jwt sub); else empty
	Owner  string // 40 lower-case hex: SHA-1 of User, or ejabberd's owner segment; else empty

	IssuedAt time.Time // zero: the token does not say
	Expires  time.Time // zero: the token carries no time
	Retain   time.Time // jwt `expires`: keep the file until then; zero: for ever

	Form Form     // bearer only
	MAC  [32]byte // the verified MAC; identifies a bearer token when it is burnt
}

// Form is the payload format of a bearer token.
type Form uint8

// Request is what Verify looks at: the wire values of one request, decoded.
type Request struct {
	Path          string // decoded once, below the prefix, no leading slash
	FullPath      string // decoded once, the whole URL path with its leading slash
	RawQuery      string
	Authorization string // the slot's Authorization header, or empty
	Size          int64  // Content-Length, or Upload-Length; -1: unknown
	Type          string // Content-Type as sent, verbatim; empty: none sent
}

// Secret is key material that never prints itself.
type Secret []byte

// Issuer binds secrets to the schemes they may verify. The first secret signs, all verify.
type Issuer struct {
	Schemes        []Scheme
	Secrets        []Secret
	LegacyFullPath bool // also accept MACs over the whole URL path
}

// The errors a caller branches on. Anything else from Verify is a bug.
var (
	ErrMissing = errors.New("no upload token")
	ErrInvalid = errors.New("upload token does not match")
	ErrSize    = errors.New("size differs from the signed size") // only where the size is authenticated apart from the MAC input (jwt)
	ErrNoSize  = errors.New("no length given")                   // Size is -1
	ErrPath    = errors.New("path not allowed")                  // from ParsePath
)

// Verifier checks requests against a fixed set of issuers. Safe for concurrent use.
type Verifier struct{ issuers []Issuer }

// NewVerifier returns a Verifier; an issuer without schemes or secrets is an error.
func NewVerifier(issuers []Issuer) (*Verifier, error) { return &Verifier{issuers}, nil }

// Verify returns what the chosen credential of r says, or one of the errors above.
// Time is not judged here.
func (v *Verifier) Verify(r Request) (Claims, error) { return Claims{}, ErrMissing }

// Grant is what an issuer hands out: how to make a signed request.
type Grant struct {
	RawQuery      string // without '?', empty for header-only schemes
	Authorization string // empty for query-only schemes
}

// Sign makes the credential for c with the secret. For jwt a zero Expires is an error;
// fullPath is only used by v3 (leading slash).
func Sign(c Claims, fullPath string, secret Secret) (Grant, error) { return Grant{}, ErrInvalid }

// ParsePath decodes the escaped path below the prefix exactly once and applies the path rules
// (2 to 8 segments and so on); the error wraps ErrPath and says which rule.
func ParsePath(escaped string) (string, error) { return "", ErrPath }

// EscapePath is the inverse of ParsePath for building URLs.
func EscapePath(path string) string { return path }
