package authority

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Bundle is the system's certificates with those of the hosts behind them, as one PEM file. What a host's file holds
// more than once, or the system has already, is there once. The next certificate of a host is in it, too, so that
// a client that runs for months goes on trusting.
func (s *Store) Bundle(system []byte, hosts []string) ([]byte, error) {
	out := bytes.TrimRight(bytes.Clone(system), "\n")
	if len(out) > 0 {
		out = append(out, '\n')
	}
	for _, h := range hosts {
		for i, file := range []string{s.CAFile(h), s.NextCAFile(h)} {
			data, err := os.ReadFile(file)
			if errors.Is(err, fs.ErrNotExist) && i > 0 {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("read the certificate for %s: %w", h, err)
			}
			if !Holds(out, data) {
				out = append(append(out, bytes.TrimSpace(data)...), '\n')
			}
		}
	}
	return out, nil
}

// WriteBundle puts a bundle at path, with mode 0600 in a folder of mode 0700, whole or not at all; one that is there
// already in the same form is left alone.
func WriteBundle(path string, data []byte) error {
	if was, err := os.ReadFile(path); err == nil && bytes.Equal(was, data) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the folder of the certificates: %w", err)
	}
	if err := writeFile(path, data); err != nil {
		return fmt.Errorf("write the certificates: %w", err)
	}
	return nil
}

// Holds says whether a PEM file holds the first certificate of another one.
func Holds(bundle, ca []byte) bool {
	want, _ := pem.Decode(ca)
	if want == nil {
		return false
	}
	for {
		var b *pem.Block
		if b, bundle = pem.Decode(bundle); b == nil {
			return false
		}
		if b.Type == want.Type && bytes.Equal(b.Bytes, want.Bytes) {
			return true
		}
	}
}
