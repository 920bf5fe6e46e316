// Package authority makes one name-constrained CA per listed host and the one leaf it signs.
//
// A client that trusts the CA of upload.example.org lets the relay of this user, and nobody else, answer for
// upload.example.org, and for no other name. Trusting it in the client's place is not done here (see relay/route).
//
// # Invariants
//   - A CA is good for one DNS name (critical name constraint), no address, path length 0. For a host that is an
//     address it is good for that address and no name.
//   - Its key exists only in memory and only until the one leaf is signed.
//   - CA and leaf are valid for one year; a pair that ended is never used.
//
// # On disk
// A folder of mode 0700 with files of mode 0600: <host>.ca.pem is the certificate to trust, <host>.leaf.pem and
// <host>.leaf-key.pem are what the relay shows. The next pair lies beside as <host>.next.ca.pem and so on until
// it is promoted. Every file is written to a temporary name and renamed; a set that does not fit together is made anew.
//
// # Concurrency
// A Store may be used by several goroutines; one folder belongs to one process.
package authority

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	lifetime = 365 * 24 * time.Hour
	early    = 60 * 24 * time.Hour // before the end, the next pair is due
	backdate = time.Hour           // for a clock that was just set back
)

// ErrEnded says that a pair is past its end and that no client would accept it.
var ErrEnded = errors.New("certificate of the relay has ended: trust the next one")

// Store keeps the pairs of all hosts in one folder.
type Store struct {
	dir string
	now func() time.Time

	mu    sync.Mutex // guards the following and the files
	pairs map[string]*tls.Certificate
}

// Open uses dir, which is made with mode 0700 if it is missing.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make certificate folder: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("close certificate folder to others: %w", err)
	}
	return &Store{dir: dir, now: time.Now, pairs: map[string]*tls.Certificate{}}, nil
}

// Leaf returns the certificate to show a client for host, made on first use. A port in host is ignored.
// It fails with ErrEnded when the pair is past its end; the caller then leaves the connection alone.
func (s *Store) Leaf(host string) (*tls.Certificate, error) {
	name, err := Name(host)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	cert, ok := s.pairs[name]
	if !ok {
		cert, err = s.loadLocked(name, "")
		if err != nil {
			if err = s.makeLocked(name, ""); err == nil {
				cert, err = s.loadLocked(name, "")
			}
		}
		if err != nil {
			return nil, err
		}
		s.pairs[name] = cert
	}
	if s.now().After(cert.Leaf.NotAfter) {
		return nil, fmt.Errorf("%s: %w", name, ErrEnded)
	}
	return cert, nil
}

// CAFile is the path of the certificate that clients must trust for host. The file is there once Leaf was called.
func (s *Store) CAFile(host string) string { return s.file(host, "", "ca.pem") }

// NextCAFile is the path of the certificate that takes over with Promote. The file is there once Renew was called.
func (s *Store) NextCAFile(host string) string { return s.file(host, "next", "ca.pem") }

// Due lists the hosts whose pair ends within 60 days (or has ended), sorted. For each the caller calls Renew, has the
// certificate in NextCAFile trusted, and calls Promote.
func (s *Store) Due(now time.Time) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hosts, err := s.hostsLocked()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(hosts, func(host string) bool {
		cert, err := s.loadLocked(host, "")
		return err == nil && now.Before(cert.Leaf.NotAfter.Add(-early))
	}), nil
}

// Renew makes the next pair of host beside the present one, unless there is one with most of its life ahead.
func (s *Store) Renew(host string) error {
	name, err := Name(host)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if next, err := s.loadLocked(name, "next"); err == nil && s.now().Before(next.Leaf.NotAfter.Add(-early)) {
		return nil
	}
	return s.makeLocked(name, "next")
}

// Promote puts the next pair of host in the place of the present one.
func (s *Store) Promote(host string) error {
	name, err := Name(host)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.loadLocked(name, "next"); err != nil {
		return err
	}
	// A crash between two renames leaves a set that does not fit together, which Leaf makes anew.
	for _, kind := range kinds {
		if err := os.Rename(s.file(name, "next", kind), s.file(name, "", kind)); err != nil {
			return fmt.Errorf("promote next certificate: %w", err)
		}
	}
	delete(s.pairs, name)
	return syncDir(s.dir)
}

// Remove deletes everything of host. Removing what is not there is no error.
func (s *Store) Remove(host string) error {
	name, err := Name(host)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pairs, name)
	var errs []error
	for _, turn := range []string{"", "next"} {
		for _, kind := range kinds {
			if err := os.Remove(s.file(name, turn, kind)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, fmt.Errorf("remove certificate: %w", err))
			}
		}
	}
	return errors.Join(errs...)
}

// Hosts lists the hosts that have a pair, sorted.
func (s *Store) Hosts() ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hostsLocked()
}

func (s *Store) hostsLocked() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list certificates: %w", err)
	}
	var hosts []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".ca.pem")
		if ok && !strings.HasSuffix(name, ".next") {
			hosts = append(hosts, name)
		}
	}
	return hosts, nil
}

// kinds are the files of a pair, in the order in which they are written: the certificate to trust comes last.
var kinds = [...]string{"leaf-key.pem", "leaf.pem", "ca.pem"}

// file names one file of a pair; turn is "" or "next".
func (s *Store) file(host, turn, kind string) string {
	name, err := Name(host)
	if err != nil {
		name = "invalid"
	}
	if turn != "" {
		name += "." + turn
	}
	return filepath.Join(s.dir, name+"."+kind)
}

// Name is the name or address that a certificate for host is made for: lower case, without port, brackets and final
// dot. What could not be a file name or a certificate's name is refused.
func Name(host string) (string, error) {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if ip, err := netip.ParseAddr(name); err == nil {
		if ip.Zone() != "" {
			return "", fmt.Errorf("host %q: an address with a zone gets no certificate", host)
		}
		return ip.Unmap().String(), nil
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if len(name) > 253 || name == "" {
		return "", fmt.Errorf("host %q is not a host name", host)
	}
	for label := range strings.SplitSeq(name, ".") {
		if !isLabel(label) {
			return "", fmt.Errorf("host %q is not a host name", host)
		}
	}
	return name, nil
}

func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	})
}
