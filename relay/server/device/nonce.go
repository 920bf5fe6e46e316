package device

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// nonceLife is how long a nonce is the newest one. It is good for as long again.
const nonceLife = 5 * time.Minute

// Nonces are the server's numbers that show when a proof was made (RFC 9449 section 8). They are computed, not kept. Make
// them with NewNonces.
type Nonces struct{ key [32]byte }

// NewNonces returns nonces that nobody can know before.
func NewNonces() *Nonces {
	n := new(Nonces)
	_, _ = rand.Read(n.key[:]) // never fails
	return n
}

// At returns the nonces that are good at now, the newest first.
func (n *Nonces) At(now time.Time) []string {
	turn := now.Unix() / int64(nonceLife/time.Second)
	return []string{n.of(turn), n.of(turn - 1)}
}

func (n *Nonces) of(turn int64) string {
	m := hmac.New(sha256.New, n.key[:])
	_ = binary.Write(m, binary.BigEndian, turn) // into a hash: never fails
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil)[:16])
}
