// Package history keeps the uploads that have ended, for the list a person sees.
//
// # Invariants
//   - At most Limit uploads are kept, the newest.
//   - No query, fragment, user or password of an address is ever kept: links carry permissions there.
//   - The file is replaced as a whole, so a crash leaves the old list or the new one.
//   - A line that cannot be read costs that line, never the list.
//
// # On disk
//
// JSON lines, oldest first, each an agent.Upload; 0600. Fields a reader does not know are dropped at the next write.
//
// # Concurrency
//
// Safe for concurrent use in one process. Only the companion opens it.
package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"holdfast/app/agent"
)

// Limit is how many uploads are kept.
const Limit = 200

// Store is the list and its file.
type Store struct {
	path string

	mu      sync.Mutex     // guards all following fields
	uploads []agent.Upload // oldest first
}

// Open reads the list; a missing file is an empty list. damaged counts lines that could not be read.
func Open(path string) (s *Store, damaged int, err error) {
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("read past uploads: %w", err)
	}
	uploads, damaged := parse(raw)
	return &Store{path: path, uploads: uploads}, damaged, nil
}

// parse reads lines; what is no upload is counted.
func parse(raw []byte) (uploads []agent.Upload, damaged int) {
	for line := range bytes.Lines(raw) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		var u agent.Upload
		if json.Unmarshal(line, &u) != nil || u.ID == "" {
			damaged++
			continue
		}
		uploads = append(uploads, clean(u))
	}
	return uploads[max(0, len(uploads)-Limit):], damaged
}

// Keep adds an upload that has ended. One with the same ID is replaced.
func (s *Store) Keep(u agent.Upload) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := slices.DeleteFunc(slices.Clone(s.uploads), func(old agent.Upload) bool { return old.ID == u.ID })
	next = append(next, clean(u))
	s.uploads = next[max(0, len(next)-Limit):] // shown even if it cannot be written
	return s.write()
}

// List returns the newest first, at most limit; 0 means all.
func (s *Store) List(limit int) []agent.Upload {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.uploads)
	slices.Reverse(out)
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out
}

// Last is the upload that ended last, or nil.
func (s *Store) Last() *agent.Upload {
	if l := s.List(1); len(l) > 0 {
		return &l[0]
	}
	return nil
}

// write is called with mu held.
func (s *Store) write() (err error) {
	dir := filepath.Dir(s.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keep past uploads: %w", err)
	}
	f, err := os.CreateTemp(dir, ".uploads-*") // 0600
	if err != nil {
		return fmt.Errorf("keep past uploads: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("keep past uploads: %w", err)
			_ = os.Remove(f.Name()) // the error that matters is err
		}
	}()
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	for _, u := range s.uploads {
		if err := enc.Encode(u); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	if err := errors.Join(w.Flush(), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), s.path)
}

// address finds web addresses in a sentence.
var address = regexp.MustCompile(`https?://[^\s"'<>]+`)

// clean removes from an upload whatever could carry a permission.
func clean(u agent.Upload) agent.Upload {
	u.URL = Public(u.URL)
	u.Error = address.ReplaceAllStringFunc(u.Error, Public)
	return u
}

// Public is an address without user, query and fragment. What is no address is cut at the first '?' or '#'.
func Public(raw string) string {
	cut, _, _ := strings.Cut(raw, "#")
	cut, _, _ = strings.Cut(cut, "?")
	u, err := url.Parse(cut)
	if err != nil || u.User == nil {
		if err != nil && strings.Contains(cut, "@") {
			return "" // nobody knows what stands before the @
		}
		return cut
	}
	u.User = nil
	return u.String()
}
