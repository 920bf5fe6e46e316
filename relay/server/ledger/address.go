package ledger

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
)

const (
	addressKeyName = "address.key"
	addressKeySize = 32
)

// addressKey reads the key of the address hashes, or makes one.
func addressKey(dir string) ([]byte, error) {
	name := filepath.Join(dir, addressKeyName)
	k, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return makeAddressKey(name)
	}
	if err != nil {
		return nil, fmt.Errorf("read the key of the address hashes: %w", err)
	}
	if len(k) != addressKeySize {
		return nil, fmt.Errorf("%s has %d bytes instead of %d: remove it, a new one is made", name, len(k), addressKeySize)
	}
	return k, nil
}

func makeAddressKey(name string) ([]byte, error) {
	k := make([]byte, addressKeySize)
	_, _ = rand.Read(k) // never fails
	tmp := name + ".new"
	if err := writeSynced(tmp, k); err != nil {
		return nil, fmt.Errorf("make the key of the address hashes: %w", err)
	}
	if err := os.Rename(tmp, name); err != nil {
		return nil, fmt.Errorf("make the key of the address hashes: %w", err)
	}
	return k, nil
}

func writeSynced(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// AddrHash returns the keyed hash of the full IPv4 address or of the /64 of the IPv6 address; empty for an invalid address.
// It is comparable, and without the key nobody can find the address by trying all of them.
func (l *Ledger) AddrHash(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return ""
	}
	bytes := addr.AsSlice()
	if addr.Is6() {
		bytes = bytes[:8]
	}
	h := hmac.New(sha256.New, l.addrKey)
	_, _ = h.Write(bytes) // never fails; 4 and 8 bytes cannot be taken for each other
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}
