// Package token signs and verifies upload tokens.
//
// A token is a MAC over a Claims value in one of the Schemes. The package is a
// function of bytes: it opens no file, reads no clock and knows no HTTP. The
// formats are written down, with examples, in docs/token.md.
//
// # Invariants
//   - Verify is the only way to obtain Claims from the wire.
//   - MACs are compared in constant time; every accepted encoding is canonical.
//   - One credential of a request is chosen before any MAC is computed, and it alone decides.
//   - Nothing inside a token is interpreted before its MAC has been found good.
//   - Adding a Scheme never changes what an existing Scheme accepts.
package token

import (
	"errors"
	"fmt"
	"slices"
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

// Schemes lists every Scheme, in the order in which credentials of one request are preferred.
func Schemes() []Scheme { return []Scheme{JWT, Bearer, V3, V2, Token, V} }

// ParseScheme reads the name of a Scheme as a configuration writes it.
func ParseScheme(name string) (Scheme, error) {
	s := Scheme(name)
	if !slices.Contains(Schemes(), s) {
		return "", fmt.Errorf("unknown scheme %q: it must be one of v, v2, token, v3, bearer, jwt", name)
	}
	return s, nil
}

// Claims is what a token says.
type Claims struct {
	Scheme Scheme
	Path   string // decoded path below the prefix, no leading slash
	Size   int64  // bytes; v3 does not sign it, there it is the request's
	Type   string // v2, token: the signed type; jwt: filetype (may be empty)
	User   string // bare JID (bearer user, jwt sub); else empty
	Owner  string // 40 lower-case hex: SHA-1 of User, or ejabberd's owner segment; else empty

	IssuedAt time.Time // zero: the token does not say
	Expires  time.Time // zero: the token carries no time
	Retain   time.Time // jwt `expires`: keep the file until then; zero: for ever

	Form    Form     // bearer only
	Session string   // bearer session_based only: session_id (may be empty)
	MAC     [32]byte // the verified MAC; identifies a bearer token when it is burnt
}

// Form is the payload format of a bearer token.
type Form uint8

// The payload formats, fields joined by NUL. E is the query's expiry.
const (
	NoForm           Form = iota
	NetworkResilient      // user, file, size, E-86400, E, "network_resilient"
	Standard              // user, file, size, E-3600
	Simple                // user, file, size: carries no time
	Expiring              // user, file, size, E
	IssuedExpiring        // user, file, size, E-3600, E
	SessionBased          // user, file, size, E, session_id
)

// String returns the name that logs use for f.
func (f Form) String() string {
	names := [...]string{"", "network_resilient", "standard", "simple", "expiring", "issued_expiring", "session_based"}
	if int(f) >= len(names) {
		return fmt.Sprintf("form(%d)", uint8(f))
	}
	return names[f]
}

// Request is what Verify looks at: the wire values of one request, decoded.
type Request struct {
	Path          string // decoded once, below the prefix, no leading slash
	FullPath      string // decoded once, the whole URL path with its leading slash
	RawQuery      string
	Authorization string // the slot's Authorization header, or empty
	Several       bool   // there is more than one; Authorization is the first that is a Bearer credential, if any is
	Size          int64  // Content-Length, or Upload-Length; -1: unknown
	Type          string // Content-Type as sent, verbatim; empty: none sent
}

// The errors a caller branches on. Anything else from Verify is a bug.
var (
	ErrMissing = errors.New("no upload token")
	ErrInvalid = errors.New("upload token does not match")
	ErrSize    = errors.New("size differs from the signed size") // only where the size is authenticated apart from the MAC input (jwt)
	ErrNoSize  = errors.New("no length given")                   // Size is negative
	ErrPath    = errors.New("path not allowed")                  // from ParsePath
)
