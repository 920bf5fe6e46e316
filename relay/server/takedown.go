package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"time"

	"holdfast/relay/server/ledger"
)

// This file is what an admin does to files by hand: look for them, remove one for good, and keep its bytes out.

// Found is a file that Files tells of; a line of GET /files on the admin socket.
type Found struct {
	Path string    `json:"path"`
	Size int64     `json:"size"`
	Time time.Time `json:"time"`
	Type string    `json:"type,omitempty"`
}

// Files calls fn for every published file, in no order. owner: only those charged to that identity (token.Owner), in
// order; empty: all.
func (s *Server) Files(ctx context.Context, owner string, fn func(Found) error) error {
	look := func(path string) error {
		found, err := s.look(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil {
			return err
		}
		return fn(found)
	}
	if owner != "" {
		return s.ledger.Owned(ctx, owner, look)
	}
	return s.store.Walk(ctx, time.Time{}, func(path string, _ int64, _ time.Time) error { return look(path) })
}

func (s *Server) look(path string) (found Found, err error) {
	f, err := s.store.Open(path)
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return found, err
	}
	meta, err := f.Meta()
	return Found{Path: path, Size: info.Size(), Time: info.ModTime(), Type: meta.Type}, err
}

// TakeDown removes the file at path for good: its slot stays used, so that nothing comes back under its URL. An upload to it
// that is under way is not published. fs.ErrNotExist: there is no such file, and nothing was changed.
func (s *Server) TakeDown(ctx context.Context, path string) (Found, error) {
	found, err := s.look(path)
	if err != nil {
		return found, err
	}
	return found, s.retire(ctx, []string{path}, reasonAdmin)
}

// Block keeps files with the bytes of that SHA-256 out from now on, and takes down all that are there. It returns those, also
// when it could not look at all of them. size: what such a file has, so that only those are read; -1: not known.
func (s *Server) Block(ctx context.Context, digest [32]byte, size int64) (down []Found, err error) {
	if err := s.ledger.Block(ctx, digest); err != nil {
		return nil, err
	}
	s.log.Info("bytes blocked", "sha256", hex.EncodeToString(digest[:]))
	err = s.store.Walk(ctx, time.Time{}, func(path string, n int64, _ time.Time) error {
		if size >= 0 && n != size {
			return nil
		}
		sum, _, err := s.Digest(ctx, path)
		if err == nil && sum == digest {
			var found Found
			if found, err = s.TakeDown(ctx, path); err == nil {
				down = append(down, found)
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		return err
	})
	return down, err
}

// Digest returns the SHA-256 and the size of the file at path.
func (s *Server) Digest(ctx context.Context, path string) (sum [32]byte, size int64, err error) {
	f, err := s.store.Open(path)
	if err != nil {
		return sum, 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	meta, err := f.Meta()
	if err != nil {
		return sum, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return sum, 0, err
	}
	if len(meta.Digest) == len(sum) { // it was compared when the file came, and a file never changes
		return [32]byte(meta.Digest), info.Size(), nil
	}
	h := sha256.New()
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		if err := ctx.Err(); err != nil {
			return sum, 0, err
		}
		n, err := f.Read(*buf)
		_, _ = h.Write((*buf)[:n]) // never fails
		if errors.Is(err, io.EOF) {
			return [32]byte(h.Sum(nil)), info.Size(), nil
		}
		if err != nil {
			return sum, 0, err
		}
	}
}

// Unblock takes a Block back. False: there was none.
func (s *Server) Unblock(ctx context.Context, digest [32]byte) (bool, error) {
	had, err := s.ledger.Unblock(ctx, digest)
	if err == nil && had {
		s.log.Info("bytes unblocked", "sha256", hex.EncodeToString(digest[:]))
	}
	return had, err
}

// Blocks lists what is blocked.
func (s *Server) Blocks(ctx context.Context) ([]ledger.Block, error) { return s.ledger.Blocks(ctx) }

// allowed refuses bytes that an admin has blocked.
func (s *Server) allowed(digest []byte) error {
	if len(digest) == sha256.Size && s.ledger.Blocked([32]byte(digest)) {
		return ErrBlocked
	}
	return nil
}
