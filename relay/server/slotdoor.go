package server

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"holdfast/relay/server/resume"
)

// This file is the door that is the slot's own URL. It needs no interim answer and no round trip before the bytes, so it
// works through every proxy: a PUT that names an id of the client's choice keeps what it received when it is cut, HEAD
// asks how much that is, and PATCH goes on. Every request carries the slot's credential.

// uploadID is the header that names a resource and turns a request for a slot into one of this door.
const uploadID = "Holdfast-Upload"

// slotDoor is what the door does with the methods; the others are as for every file.
func (s *Server) slotDoor() door {
	return door{http.MethodPut: s.slotPut, http.MethodPatch: s.slotPatch, http.MethodHead: s.slotHead, http.MethodGet: s.get}
}

// namesUpload reports whether r is for this door.
func (s *Server) namesUpload(r *http.Request) bool {
	return s.parts != nil && len(r.Header.Values(uploadID)) > 0
}

// slotID reads the id.
func slotID(r *http.Request) (resume.ID, error) {
	if v := r.Header.Values(uploadID); len(v) == 1 {
		if id, ok := resume.ParseID(v[0]); ok {
			return id, nil
		}
	}
	return "", fmt.Errorf("%w: an upload id has 22 characters of base64url", ErrBadRequest)
}

// known returns the resource of id if it is one for u.
func (s *Server) known(id resume.ID, u *upload) (resume.Status, bool, error) {
	st, ok := s.parts.Look(id)
	switch {
	case ok && (st.Door != doorSlot || st.Piece):
		return st, false, fmt.Errorf("%w: of another door", ErrOtherUpload)
	case ok && st.Path != u.path:
		return st, false, fmt.Errorf("%w: its path is another", ErrOtherUpload)
	case ok && st.Size != u.size: // v3 does not sign the size
		return st, false, fmt.Errorf("%w: the length was declared as another", ErrBadRequest)
	}
	return st, ok, nil
}

// slotPut begins an upload, or sends it again from its start.
func (s *Server) slotPut(w http.ResponseWriter, r *http.Request) error {
	defer s.counted()()
	id, err := slotID(r)
	if err != nil {
		return err
	}
	set := s.set.Load()
	u, err := s.verifyPut(set, r)
	if err != nil {
		return err
	}
	st, known, err := s.known(id, u)
	if err != nil {
		return u.explain(err)
	}
	if u, err = s.judgeOnce(w, r, u, st, known); err != nil {
		return err
	}
	digest, err := declaredDigest(r.Header, reprDigest, contentDigest)
	if err != nil {
		return u.explain(err)
	}
	if !known {
		u.meta.Digest = digest
	}
	again, err := s.slotFill(w, r, id, u, digest)
	if err != nil {
		return u.explain(err)
	}
	s.created(w, u, again)
	return nil
}

// judgeOnce judges an upload, unless that was done when its resource was made: time is judged once.
func (s *Server) judgeOnce(w http.ResponseWriter, r *http.Request, u *upload, st resume.Status, known bool) (*upload, error) {
	if known {
		return s.recall(r, st.Facts)
	}
	return u, s.allow(w, r, s.set.Load(), u)
}

// slotFill receives the whole file: beside the published one if it is there, else into the resource. Of what the resource has
// already the bytes are compared, so that nothing that was acknowledged changes.
func (s *Server) slotFill(w http.ResponseWriter, r *http.Request, id resume.ID, u *upload, digest []byte) (again bool, err error) {
	if there, err := s.besideAgain(w, r, newBody(w, r, s.idle), u); there || err != nil {
		return true, err
	}
	p, err := s.open(w, r, id, u, doorSlot)
	if errors.Is(err, resume.ErrExists) {
		p, err = s.take(w, r, id, u)
	}
	if err != nil {
		return false, err
	}
	defer s.letGo(p)
	if p.Done() { // published since
		there, err := s.besideAgain(w, r, p.in, u)
		if err == nil && !there {
			err = ErrSlotUsed
		}
		return true, err
	}
	if err := p.Match(p.in); err != nil {
		return false, p.matchError(err)
	}
	if err := p.append(nil, true); err != nil {
		return false, err
	}
	if p.Offset() != p.size {
		return false, fmt.Errorf("%w: %d of %d bytes came", ErrBadRequest, p.Offset(), p.size)
	}
	return s.finish(w, r, p, digest)
}

// besideAgain is beside for an upload that changes nothing when its file is there.
func (s *Server) besideAgain(w http.ResponseWriter, r *http.Request, in *body, u *upload) (bool, error) {
	there, err := s.beside(r, in, u)
	if there && err == nil {
		s.remember(w, r, u, true)
	}
	return there, err
}

// matchError says why a body does not begin with the bytes that were received before.
func (p *pending) matchError(err error) error {
	switch {
	case errors.Is(err, resume.ErrSuperseded):
		return fmt.Errorf("%w: %w", err, errCut)
	case p.in.err != nil:
		return p.in.err
	}
	return fmt.Errorf("compare with what was received: %w", err)
}

// resumed verifies a HEAD or PATCH: the credential is that of the PUT, whose length and type two headers repeat.
func (s *Server) resumed(r *http.Request) (resume.ID, *upload, error) {
	id, err := slotID(r)
	if err != nil {
		return "", nil, err
	}
	length, ok := fieldInteger(r.Header.Values("Upload-Length"))
	if !ok && r.Header.Get("Upload-Length") != "" {
		return "", nil, fmt.Errorf("%w: upload-length is not a number", ErrBadRequest)
	}
	if !ok {
		length = -1
	}
	sl, err := s.slotOf(r, length, r.Header.Get("Holdfast-Slot-Type"))
	if err != nil {
		return "", nil, err
	}
	if length < 0 {
		return "", nil, ErrNoLength
	}
	u, err := s.verify(s.set.Load(), sl)
	return id, u, err
}

// slotHead ends whoever writes and tells how much is on disk.
func (s *Server) slotHead(w http.ResponseWriter, r *http.Request) error {
	id, u, err := s.resumed(r)
	if err != nil {
		return err
	}
	_, known, err := s.known(id, u)
	if err != nil {
		return u.explain(err)
	}
	if !known {
		return u.explain(s.unknown(id, u))
	}
	p, err := s.take(w, r, id, u)
	if err != nil {
		return u.explain(err)
	}
	offset, done := p.Offset(), p.Done()
	if err := p.Release(); err != nil {
		return u.explain(fmt.Errorf("%w: %w", ErrUnavailable, err))
	}
	uploadHeader(w.Header(), offset, u.size, done)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// unknown says why an id is not known.
func (s *Server) unknown(id resume.ID, u *upload) error {
	if s.parts.Other(u.path, id) {
		return ErrOtherUpload
	}
	return ErrNoUpload
}

// uploadHeader tells where an upload stands.
func uploadHeader(h http.Header, offset, size int64, done bool) {
	h.Set("Upload-Offset", strconv.FormatInt(offset, 10))
	h.Set("Upload-Length", strconv.FormatInt(size, 10))
	h.Set("Upload-Complete", map[bool]string{false: "?0", true: "?1"}[done])
	h.Set("Cache-Control", "no-store")
}

// piece is what a PATCH says of its body.
type piece struct {
	offset int64
	last   bool // it ends the upload
}

// pieceOf reads the headers of a PATCH for an upload of size bytes.
func pieceOf(r *http.Request, size int64) (piece, error) {
	var p piece
	if t, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(t), "application/partial-upload") {
		return p, fmt.Errorf("%w: content-type is not application/partial-upload", ErrBadRequest)
	}
	if r.ContentLength < 0 {
		return p, ErrNoLength
	}
	var ok bool
	if p.offset, ok = fieldInteger(r.Header.Values("Upload-Offset")); !ok {
		return p, fmt.Errorf("%w: upload-offset is not a number", ErrBadRequest)
	}
	if p.last, ok = fieldBoolean(r.Header.Values("Upload-Complete")); !ok {
		return p, fmt.Errorf("%w: upload-complete is not a boolean", ErrBadRequest)
	}
	switch end := p.offset + r.ContentLength; {
	case r.ContentLength > size || end > size:
		return p, fmt.Errorf("%w: past the end", ErrBadRequest)
	case p.last && end != size:
		return p, fmt.Errorf("%w: complete, but %d of %d bytes", ErrBadRequest, end, size)
	case end == size:
		p.last = true
	}
	return p, nil
}

// slotPatch goes on with an upload; at offset 0 it may begin one.
func (s *Server) slotPatch(w http.ResponseWriter, r *http.Request) error {
	defer s.counted()()
	id, u, err := s.resumed(r)
	if err != nil {
		return err
	}
	pc, err := pieceOf(r, u.size)
	if err != nil {
		return u.explain(err)
	}
	digest, err := declaredDigest(r.Header, reprDigest)
	if err != nil {
		return u.explain(err)
	}
	p, err := s.slotGoOn(w, r, id, u, pc, digest)
	if err != nil {
		return err
	}
	defer s.letGo(p)
	if p.Done() && pc.offset == p.size {
		uploadHeader(w.Header(), p.size, p.size, true)
		s.created(w, p.upload, true)
		return nil
	}
	if pc.offset != p.Offset() {
		uploadHeader(w.Header(), p.Offset(), p.size, p.Done())
		return p.explain(fmt.Errorf("%w: %d are here, %d were meant", ErrOffset, p.Offset(), pc.offset))
	}
	if err := p.append(nil, pc.last); err != nil {
		return p.explain(err)
	}
	if !pc.last {
		offset := p.Offset()
		if err := p.Release(); err != nil {
			return p.explain(fmt.Errorf("%w: %w", ErrUnavailable, err))
		}
		uploadHeader(w.Header(), offset, p.size, false)
		w.WriteHeader(http.StatusNoContent)
		s.log.Debug("upload part stored", append(p.attrs(), "offset", offset)...)
		return nil
	}
	again, err := s.finish(w, r, p, digest)
	if err != nil {
		return p.explain(err)
	}
	uploadHeader(w.Header(), p.size, p.size, true)
	s.created(w, p.upload, again)
	return nil
}

// slotGoOn holds the resource that a PATCH is for.
func (s *Server) slotGoOn(w http.ResponseWriter, r *http.Request, id resume.ID, u *upload, pc piece, digest []byte) (*pending, error) {
	st, known, err := s.known(id, u)
	if err != nil {
		return nil, u.explain(err)
	}
	if !known && (pc.offset > 0 || s.parts.Other(u.path, id)) {
		return nil, u.explain(s.unknown(id, u))
	}
	if u, err = s.judgeOnce(w, r, u, st, known); err != nil {
		return nil, err
	}
	if known {
		p, err := s.take(w, r, id, u)
		if err != nil {
			return nil, u.explain(err)
		}
		return p, nil
	}
	u.meta.Digest = digest
	if f, err := s.published(r, u); err != nil {
		return nil, u.explain(err)
	} else if f != nil {
		_ = f.Close() // read only; whether it is the same file is seen at the end
	}
	p, err := s.open(w, r, id, u, doorSlot)
	if err != nil {
		return nil, u.explain(err)
	}
	return p, nil
}
