package server

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// draftUpload is what can be done with an upload that draftdoor.go has begun. The id in the URL is the right to do it.
func (s *Server) draftUpload(id string) door {
	at := func(h func(http.ResponseWriter, *http.Request, string) error) handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Access-Control-Expose-Headers", draftResponseHeaders)
			return h(w, r, id)
		}
	}
	return door{
		http.MethodOptions: s.draftOptions,
		http.MethodHead:    at(s.draftHead), http.MethodPatch: at(s.draftPatch), http.MethodDelete: at(s.draftDelete),
	}
}

// version is the draft's version of a request for an upload. A client that does not say is taken for one of the newest,
// which is the one without rules that depend on it.
func version(h http.Header) interop {
	if v, ok := interopOf(h); ok {
		return v
	}
	return interop8
}

// without refuses headers that interop 6 forbids in a request.
func without(r *http.Request, names ...string) error {
	if version(r.Header) != interop6 {
		return nil
	}
	for _, name := range names {
		if len(r.Header.Values(name)) > 0 {
			return fmt.Errorf("%w: %s in a %s", ErrBadRequest, name, r.Method)
		}
	}
	return nil
}

// draftHead ends whoever writes and tells how much is on disk.
func (s *Server) draftHead(w http.ResponseWriter, r *http.Request, id string) error {
	if err := without(r, "Upload-Offset", "Upload-Complete", "Upload-Length"); err != nil {
		return err
	}
	p, err := s.capable(w, r, id, doorDraft)
	if err != nil {
		return err
	}
	defer s.letGo(p)
	offset, done, end := p.Offset(), p.Done(), p.Facts().Expires
	if err := p.ended(); err != nil {
		return err
	}
	v := version(r.Header)
	h := w.Header()
	uploadHeader(h, offset, p.size, done)
	h.Set("Upload-Limit", s.uploadLimit(v, end))
	h.Set(interopHeader, strconv.Itoa(int(v)))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// draftDelete forgets an upload. A file that it has published stays.
func (s *Server) draftDelete(w http.ResponseWriter, r *http.Request, id string) error {
	if err := without(r, "Upload-Offset", "Upload-Complete"); err != nil {
		return err
	}
	p, err := s.capable(w, r, id, doorDraft)
	if err != nil {
		return err
	}
	return s.forget(w, p)
}

// forget drops an upload at the client's wish.
func (s *Server) forget(w http.ResponseWriter, p *pending) error {
	defer s.letGo(p)
	if err := p.Drop(); err != nil {
		return p.explain(fmt.Errorf("%w: %w", ErrUnavailable, err))
	}
	if err := p.ended(); err != nil {
		return err
	}
	s.log.Debug("upload given up", p.attrs()...)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// draftPatch goes on with an upload.
func (s *Server) draftPatch(w http.ResponseWriter, r *http.Request, id string) error {
	defer s.counted()()
	h := w.Header()
	h.Set("Accept-Patch", partialUpload)
	if !isMediaType(r.Header, partialUpload) {
		return fmt.Errorf("%w: not %s", ErrMediaType, partialUpload)
	}
	offset, ok := fieldInteger(r.Header.Values("Upload-Offset"))
	if !ok {
		return fmt.Errorf("%w: upload-offset is not a number", ErrBadRequest)
	}
	complete, _ := fieldBoolean(r.Header.Values("Upload-Complete")) // absent: more follows, as an example of interop 6 has it
	check, err := contentCheck(r.Header)
	if err != nil {
		return err
	}
	p, err := s.capable(w, r, id, doorDraft)
	if err != nil {
		return err
	}
	defer s.letGo(p)
	v := version(r.Header)
	if err := draftFits(h, r, p, v, offset, complete); err != nil {
		return p.explain(err)
	}
	if repr, err := declaredDigest(r.Header, reprDigest); err != nil {
		return p.explain(err)
	} else if repr != nil && p.meta.Digest == nil {
		p.meta.Digest = repr
	}
	if _, spoken := interopOf(r.Header); spoken {
		p.tell = s.progress(w, r, p.id, v)
	}
	if err := p.append(check, complete); err != nil {
		return p.explain(s.draftAppended(w, p, v, err))
	}
	if complete {
		return s.draftEnd(w, r, p)
	}
	status := http.StatusNoContent
	if v == interop6 {
		status = http.StatusCreated
	}
	return s.draftKept(w, r, p, status)
}

// draftFits checks what a PATCH says of its body against the upload.
func draftFits(h http.Header, r *http.Request, p *pending, v interop, offset int64, complete bool) error {
	h.Set("Upload-Offset", strconv.FormatInt(p.Offset(), 10))
	if p.Done() {
		err := fmt.Errorf("%w: the upload is complete", ErrBadRequest)
		if v >= interop8 && r.ContentLength != 0 {
			return lengthProblem(err)
		}
		return completedProblem(err)
	}
	if offset != p.Offset() {
		draftState(h, p.Offset(), false)
		return offsetProblem(fmt.Errorf("%w: %d are here, %d were meant", ErrOffset, p.Offset(), offset), p.Offset(), offset)
	}
	if length, ok := fieldInteger(r.Header.Values("Upload-Length")); ok && length != p.size {
		return lengthProblem(fmt.Errorf("%w: the length was declared as another", ErrBadRequest))
	}
	end := offset + r.ContentLength
	if r.ContentLength > p.size || r.ContentLength >= 0 && (end > p.size || complete && end != p.size) {
		return lengthProblem(fmt.Errorf("%w: ends at %d of %d bytes", ErrBadRequest, end, p.size))
	}
	h.Del("Upload-Offset")
	return nil
}

// draftRequestHeaders are those that a browser may send to this door.
const draftRequestHeaders = "Authorization, Content-Type, Upload-Complete, Upload-Offset, Upload-Length, " + interopHeader + ", Repr-Digest, Content-Digest"

// draftResponseHeaders are those that a script in a browser may read.
const draftResponseHeaders = "Location, Upload-Offset, Upload-Complete, Upload-Length, Upload-Limit, Holdfast-Error"

// slotOptions answers what can be done with a slot; draft section 4.1.4 has it name uploads that can be resumed. A browser
// that wants to send their headers is told that it may.
func (s *Server) slotOptions(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Allow", s.files().allow())
	preflight(h)
	if s.parts != nil {
		h.Set("Accept-Patch", partialUpload)
		h.Set("Upload-Limit", s.uploadLimit(interop8, time.Time{}))
		if asked := r.Header.Get("Access-Control-Request-Headers"); strings.Contains(strings.ToLower(asked), "upload-") {
			h.Set("Access-Control-Allow-Headers", draftRequestHeaders)
		}
		h.Set("Vary", "Access-Control-Request-Headers")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// draftOptions answers what can be sent here, and how much of it.
func (s *Server) draftOptions(w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	preflight(h)
	h.Set("Access-Control-Allow-Methods", "OPTIONS, HEAD, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", draftRequestHeaders)
	h.Set("Accept-Patch", partialUpload)
	h.Set("Upload-Limit", s.uploadLimit(interop8, time.Time{}))
	w.WriteHeader(http.StatusNoContent)
	return nil
}
