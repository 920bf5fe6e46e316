package server

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"holdfast/relay/server/resume"
)

// This file is the door of tus 1.0 (tus.io) with the extensions creation, creation-with-upload, checksum, termination and
// expiration. A creation names the slot in Holdfast-Slot; from then on the URL of the upload is the right to go on. The file is
// published at the slot's URL.

const (
	tusVersion    = "1.0.0"
	tusExtensions = "creation,creation-with-upload,checksum,termination,expiration"
	tusPart       = "application/offset+octet-stream"

	tusRequestHeaders = "Authorization, Content-Type, Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata, Upload-Checksum, " +
		"Upload-Defer-Length, Upload-Concat, X-HTTP-Method-Override, X-Requested-With, X-Request-ID, Repr-Digest, " + slotHeader
	tusResponseHeaders = "Location, Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm, Upload-Offset, " +
		"Upload-Length, Upload-Metadata, Upload-Expires, Retry-After, Holdfast-Error"
)

// tusDoor is the endpoint where uploads begin.
func (s *Server) tusDoor() door {
	return s.tus(door{http.MethodPost: s.tusCreate})
}

// tusUpload is what can be done with an upload.
func (s *Server) tusUpload(id string) door {
	return s.tus(door{
		http.MethodHead:   func(w http.ResponseWriter, r *http.Request) error { return s.tusHead(w, r, id) },
		http.MethodPatch:  func(w http.ResponseWriter, r *http.Request) error { return s.tusPatch(w, r, id) },
		http.MethodDelete: func(w http.ResponseWriter, r *http.Request) error { return s.tusDelete(w, r, id) },
	})
}

// tus puts around d what the protocol wants of every request: the version, and the method that a client could not send.
func (s *Server) tus(d door) door {
	h := func(w http.ResponseWriter, r *http.Request) error {
		method := r.Method
		if m := r.Header.Get("X-HTTP-Method-Override"); m != "" {
			method = strings.ToUpper(m)
		}
		head := w.Header()
		head.Set("Tus-Resumable", tusVersion)
		head.Set("Cache-Control", "no-store")
		head.Set("Access-Control-Expose-Headers", tusResponseHeaders)
		if method == http.MethodOptions {
			return s.tusOptions(w, d)
		}
		if r.Header.Get("Tus-Resumable") != tusVersion {
			head.Set("Tus-Version", tusVersion)
			return ErrTusVersion
		}
		act, ok := d[method]
		if !ok {
			head.Set("Allow", d.allow())
			return ErrMethod
		}
		return act(w, r)
	}
	all := make(door)
	for _, m := range []string{http.MethodOptions, http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		all[m] = h
	}
	return all
}

// tusOptions answers what the server can do.
func (s *Server) tusOptions(w http.ResponseWriter, d door) error {
	h := w.Header()
	h.Set("Allow", d.allow())
	preflight(h)
	h.Set("Access-Control-Allow-Methods", "OPTIONS, POST, HEAD, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", tusRequestHeaders)
	h.Set("Tus-Version", tusVersion)
	h.Set("Tus-Extension", tusExtensions)
	h.Set("Tus-Checksum-Algorithm", tusAlgorithms)
	if size := s.set.Load().MaxUpload; size > 0 {
		h.Set("Tus-Max-Size", strconv.FormatInt(size, 10))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// tusStart is what a creation says.
type tusStart struct {
	body  bool // the first part comes with it
	check *resume.Check
}

// tusCreate begins an upload for a slot.
func (s *Server) tusCreate(w http.ResponseWriter, r *http.Request) error {
	defer s.counted()()
	u, st, err := s.tusVerify(w, r)
	if err != nil {
		return err
	}
	if f, err := s.published(r, u); err != nil {
		return u.explain(err)
	} else if f != nil {
		_ = f.Close() // read only; whether it is the same file is seen at the end
	}
	id := resume.NewID()
	p, err := s.open(w, r, id, u, doorTus)
	if err != nil {
		return u.explain(err)
	}
	defer s.letGo(p)
	if st.body {
		err = s.tusTake(w, p, st.check)
	}
	done := false
	if err == nil {
		done, err = s.tusEnd(w, r, p)
	}
	if err != nil { // the client does not know the URL: nobody could go on
		return p.explain(errors.Join(err, p.Drop()))
	}
	offset, facts := p.Offset(), p.Facts()
	if err := p.ended(); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Location", s.prefix+apiSegment+doorTus+"/"+string(id))
	if st.body || done {
		h.Set("Upload-Offset", strconv.FormatInt(offset, 10))
	}
	if !done {
		h.Set("Upload-Expires", facts.Expires.UTC().Format(http.TimeFormat))
	}
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
	return nil
}

// tusVerify asks everything that can refuse a creation without reading its body.
func (s *Server) tusVerify(w http.ResponseWriter, r *http.Request) (*upload, tusStart, error) {
	st := tusStart{body: isMediaType(r.Header, tusPart)}
	if r.Header.Get("Upload-Concat") != "" {
		return nil, st, fmt.Errorf("%w: concatenation is not offered", ErrBadRequest)
	}
	size, there, err := tusNumber(r.Header, "Upload-Length")
	if err != nil {
		return nil, st, err
	}
	if !there { // Upload-Defer-Length: a slot is for one size, so it is known
		return nil, st, fmt.Errorf("%w: no upload-length", ErrNoLength)
	}
	raw, err := one(r.Header, "Upload-Metadata")
	if err != nil {
		return nil, st, err
	}
	meta, err := tusMetadata(raw)
	if err != nil {
		return nil, st, err
	}
	sl, err := s.slotAt(r, size, meta["filetype"])
	if err != nil {
		return nil, st, err
	}
	set := s.set.Load()
	u, err := s.verify(set, sl)
	if err != nil {
		return nil, st, err
	}
	if err := s.allow(w, r, set, u); err != nil {
		return nil, st, err
	}
	u.extra = raw
	if u.meta.Digest, err = declaredDigest(r.Header, reprDigest); err != nil {
		return nil, st, u.explain(err)
	}
	switch {
	case !st.body && r.ContentLength > 0:
		return nil, st, u.explain(fmt.Errorf("%w: not %s", ErrMediaType, tusPart))
	case st.body && r.ContentLength > size:
		return nil, st, u.explain(fmt.Errorf("%w: the body is longer than the file", ErrSize))
	case st.body:
		if st.check, err = tusChecksum(r.Header); err != nil {
			return nil, st, u.explain(err)
		}
	}
	return u, st, nil
}

// tusTake takes the body.
func (s *Server) tusTake(w http.ResponseWriter, p *pending, check *resume.Check) error {
	err := p.append(check, true)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, resume.ErrChecksum):
		return fmt.Errorf("%w: %w", ErrChecksum, err)
	case errors.Is(err, resume.ErrPastEnd):
		return fmt.Errorf("%w: %w", ErrSize, err)
	}
	w.Header().Set("Upload-Offset", strconv.FormatInt(p.Offset(), 10))
	return err
}

// tusEnd publishes the upload if all of it is here.
func (s *Server) tusEnd(w http.ResponseWriter, r *http.Request, p *pending) (done bool, err error) {
	if p.Done() {
		return true, nil
	}
	if p.Offset() != p.size {
		return false, nil
	}
	again, err := s.finish(w, r, p)
	if err != nil {
		return false, err
	}
	s.stored(p.upload, again)
	return true, nil
}

// tusHead ends whoever writes and tells how much is on disk. An offset at the end means to the client that its file is
// stored, so where only the publishing was missing, that is done first.
func (s *Server) tusHead(w http.ResponseWriter, r *http.Request, id string) error {
	p, err := s.capable(w, r, id, doorTus)
	if err != nil {
		return err
	}
	defer s.letGo(p)
	done, err := s.tusEnd(w, r, p)
	if err != nil {
		return p.explain(err)
	}
	offset, facts := p.Offset(), p.Facts()
	if err := p.ended(); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Upload-Offset", strconv.FormatInt(offset, 10))
	h.Set("Upload-Length", strconv.FormatInt(p.size, 10))
	if p.extra != "" {
		h.Set("Upload-Metadata", p.extra)
	}
	if !done {
		h.Set("Upload-Expires", facts.Expires.UTC().Format(http.TimeFormat))
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// tusPatch goes on with an upload.
func (s *Server) tusPatch(w http.ResponseWriter, r *http.Request, id string) error {
	defer s.counted()()
	if !isMediaType(r.Header, tusPart) {
		return fmt.Errorf("%w: not %s", ErrMediaType, tusPart)
	}
	offset, there, err := tusNumber(r.Header, "Upload-Offset")
	if err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("%w: no upload-offset", ErrBadRequest)
	}
	check, err := tusChecksum(r.Header)
	if err != nil {
		return err
	}
	p, err := s.capable(w, r, id, doorTus)
	if err != nil {
		return err
	}
	defer s.letGo(p)
	h := w.Header()
	switch {
	case offset != p.Offset():
		h.Set("Upload-Offset", strconv.FormatInt(p.Offset(), 10))
		return p.explain(fmt.Errorf("%w: %d are here, %d were meant", ErrOffset, p.Offset(), offset))
	case r.ContentLength > p.size-offset:
		return p.explain(fmt.Errorf("%w: past the end", ErrSize))
	}
	if !p.Done() {
		if err := s.tusTake(w, p, check); err != nil {
			return p.explain(err)
		}
	}
	done, err := s.tusEnd(w, r, p)
	if err != nil {
		return p.explain(err)
	}
	if !done {
		s.kept(p)
		h.Set("Upload-Expires", p.Facts().Expires.UTC().Format(http.TimeFormat))
	}
	offset = p.Offset()
	if err := p.ended(); err != nil {
		return err
	}
	h.Set("Upload-Offset", strconv.FormatInt(offset, 10))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// tusDelete forgets an upload. A file that it has published stays.
func (s *Server) tusDelete(w http.ResponseWriter, r *http.Request, id string) error {
	p, err := s.capable(w, r, id, doorTus)
	if err != nil {
		return err
	}
	return s.forget(w, p)
}
