package server

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"holdfast/relay/server/resume"
)

// chunkSize is how long every chunk but the last one is.
const chunkSize = 5 << 20

// chunks is an upload in numbered chunks. Each chunk is received into a resource of its own, so that any number of them can
// come at once and in any order; what follows on what is here already moves to the resource of the whole. Chunks are on disk
// before they are answered for, in one of the two or, after a crash, in both.
type chunks struct {
	*upload
	id    resume.ID
	facts resume.Facts
}

// chunks is how many there are.
func (c *chunks) chunks() int64 { return (c.size + chunkSize - 1) / chunkSize }

// length is that of chunk n.
func (c *chunks) length(n int64) int64 { return min(chunkSize, c.size-n*chunkSize) }

// piece names the resource of chunk n. Nobody but who knows the id of the whole can know it.
func (c *chunks) piece(n int64) resume.ID {
	sum := sha256.Sum256([]byte("chunk " + strconv.FormatInt(n, 10) + " of " + string(c.id)))
	return resume.ID(base64.RawURLEncoding.EncodeToString(sum[:16]))
}

// parked reports whether chunk n waits in a resource of its own, all of it.
func (s *Server) parked(c *chunks, n int64) bool {
	st, ok := s.parts.Look(c.piece(n))
	return ok && st.Offset == st.Size
}

// hasChunk reports whether chunk n is here.
func (s *Server) hasChunk(c *chunks, n int64) bool {
	st, ok := s.parts.Look(c.id)
	return ok && st.Offset >= n*chunkSize+c.length(n) || s.parked(c, n)
}

// uploaded counts the bytes and the chunks that are here.
func (s *Server) uploaded(c *chunks) (bytes, count int64) {
	st, _ := s.parts.Look(c.id)
	if st.Offset == c.size {
		return c.size, c.chunks()
	}
	count = st.Offset / chunkSize
	bytes = count * chunkSize
	for n := count; n < c.chunks(); n++ {
		switch {
		case s.parked(c, n):
			bytes += c.length(n)
			count++
		case n == st.Offset/chunkSize:
			bytes += st.Offset % chunkSize
		}
	}
	return bytes, count
}

// lastChunk is when something of the upload came to disk.
func (s *Server) lastChunk(c *chunks) time.Time {
	st, _ := s.parts.Look(c.id)
	last := st.Last
	for n := range c.chunks() {
		if st, ok := s.parts.Look(c.piece(n)); ok && st.Last.After(last) {
			last = st.Last
		}
	}
	return last
}

// keepChunk receives chunk n. A newer request for the same chunk ends an older one.
func (s *Server) keepChunk(w http.ResponseWriter, r *http.Request, c *chunks, n int64) error {
	p, err := s.holdChunk(w, r, c, n)
	if err != nil {
		return err
	}
	defer s.letGo(p)
	if err := p.Match(p.in); err != nil { // of a chunk that was cut, its head
		return p.matchError(err)
	}
	if err := p.append(nil, false); err != nil {
		return err
	}
	if got := p.Offset(); got != c.length(n) {
		return fmt.Errorf("%w: %d of %d bytes came", ErrBadRequest, got, c.length(n))
	}
	if err := p.Release(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	s.log.Debug("upload part stored", append(c.attrs(), "chunk", n)...)
	return nil
}

// holdChunk holds the resource of chunk n.
func (s *Server) holdChunk(w http.ResponseWriter, r *http.Request, c *chunks, n int64) (*pending, error) {
	id, in := c.piece(n), newBody(w, r, s.idle)
	hold, err := s.parts.Create(r.Context(), id, resume.Facts{
		Path: c.path, Size: c.length(n), Source: c.facts.Source, Door: doorChunked, Piece: true, Expires: c.facts.Expires,
	}, in.stop)
	if errors.Is(err, resume.ErrExists) {
		hold, err = s.parts.Take(r.Context(), id, in.stop)
	}
	if errors.Is(err, resume.ErrUnknown) { // moved to the whole just now, by another request for it
		err = fmt.Errorf("%w: another request took this chunk", ErrOffset)
	}
	if err != nil {
		return nil, fmt.Errorf("hold the chunk: %w", err)
	}
	return &pending{upload: c.upload, Hold: hold, id: id, in: in}, nil
}

// assemble moves the chunks whose turn has come to the whole, and publishes that when it is complete. ErrSuperseded: a newer
// request does so.
func (s *Server) assemble(w http.ResponseWriter, r *http.Request, c *chunks) (done bool, err error) {
	st, _ := s.parts.Look(c.id)
	if st.Done || st.Offset < st.Size && !s.parked(c, st.Offset/chunkSize) {
		return st.Done, nil
	}
	// Nothing is to be stopped when a newer request comes: this one reads no body, and the newer one waits.
	hold, err := s.parts.Take(r.Context(), c.id, nil)
	if err != nil {
		return false, fmt.Errorf("put the chunks together: %w", err)
	}
	p := &pending{upload: c.upload, Hold: hold, id: c.id}
	defer s.letGo(p)
	for !p.Done() && p.Offset() < p.size {
		moved, err := s.moveChunk(r, p, c)
		if err != nil {
			return false, err
		}
		if !moved {
			return false, nil
		}
	}
	if p.Done() {
		return true, nil
	}
	again, err := s.finish(w, r, p)
	if err != nil {
		return false, err
	}
	s.stored(p.upload, again)
	return true, nil
}

// moveChunk moves the next chunk to the whole, if it is here.
func (s *Server) moveChunk(r *http.Request, p *pending, c *chunks) (bool, error) {
	n := p.Offset() / chunkSize
	if !s.parked(c, n) {
		return false, nil
	}
	hold, err := s.parts.Take(r.Context(), c.piece(n), nil)
	if err != nil {
		return false, fmt.Errorf("open a chunk: %w", err)
	}
	from := &pending{upload: c.upload, Hold: hold, id: c.piece(n)}
	defer s.letGo(from)
	// After a crash part of the chunk may have moved already.
	if _, err := p.Append(from.Reader(p.Offset()-n*chunkSize), nil, false); err != nil && !errors.Is(err, resume.ErrSuperseded) {
		return false, fmt.Errorf("move a chunk: %w", err)
	}
	if p.Offset() < n*chunkSize+c.length(n) {
		return false, nil
	}
	if err := from.Drop(); err != nil {
		s.log.Warn("leftover of an upload not removed", "error", err) // it goes with its time
	}
	return true, nil
}

// discard reads a body that is not needed.
func discard(in *body) { _, _ = io.Copy(io.Discard, in) }
