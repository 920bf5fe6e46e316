// Package device makes and reads what an upload server gives to the devices of people: access tokens that are bound to a
// device's key (RFC 9449 with RFC 9068), one-time codes, and nonces. Which devices there are is in the ledger.
//
// # Invariants
//   - The signing key is the server's own and random. It has nothing to do with the secrets that slots are signed with.
//   - A token is good for one server (iss and aud are its public URL), one identity, one device and one key.
//   - A key signs for a month. Its private half is destroyed then; its public half is good for uploads for eight days
//     more, and for renewals as long as a token that it signed can be renewed.
//   - A code is kept as its SHA-256 only.
//
// # On disk
// The state folder holds device.keys, readable by the owner alone. Without it every device has to enrol again.
package device

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strings"
	"time"
)

// The errors a caller branches on. Anything else is a problem of the disk.
var (
	ErrInvalid = errors.New("access token is not valid")
	ErrExpired = errors.New("access token is too old")
)

// Times of access tokens and keys.
const (
	Life    = 7 * 24 * time.Hour  // of an access token
	Renewal = 30 * 24 * time.Hour // how long after that it can be renewed

	rotateEvery = 30 * 24 * time.Hour
	keepKey     = 8 * 24 * time.Hour // after it was rotated
)

// Enrol says how a device proves who it belongs to.
type Enrol string

// The ways.
const (
	BySlot Enrol = "slot" // a fresh slot of the person, or a code
	ByCode Enrol = "code" // a code only
	Off    Enrol = "off"  // there are no devices
)

// Token is what an access token says.
type Token struct {
	Device  string // sub
	Who     string // bare JID
	Key     string // cnf.jkt: thumbprint of the device's key
	Issued  time.Time
	Expires time.Time
}

// Mark names something that counts once: a proof, a slot. The kinds never meet.
func Mark(kind string, parts ...string) [32]byte {
	return sha256.Sum256([]byte(kind + "\x00" + strings.Join(parts, "\x00")))
}

// codeLetters are the digits and letters that nobody mistakes for one another (Crockford's base 32).
const codeLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

const codeLength = 20 // 100 bits

// NewCode makes a one-time code and its hash.
func NewCode() (code string, hash [32]byte) {
	var random [codeLength]byte
	_, _ = rand.Read(random[:]) // never fails
	var b strings.Builder
	for i, r := range random {
		if i > 0 && i%5 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(codeLetters[r&31])
	}
	code = b.String()
	hash, _ = CodeHash(code)
	return code, hash
}

// CodeHash is the hash of a code as a person writes it: in any case, with or without dashes and spaces, O for 0 and I or L
// for 1. false: it is no code.
func CodeHash(code string) (hash [32]byte, ok bool) {
	clean := strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(code))
	if len(clean) != codeLength || strings.Trim(clean, codeLetters) != "" {
		return hash, false
	}
	return Mark("code", clean), true
}
