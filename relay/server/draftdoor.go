package server

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"holdfast/relay/server/resume"
)

// This file is the door of draft-ietf-httpbis-resumable-upload, interop versions 6 (draft -04 and -05) and 8 (-09 and
// later): a PUT to the slot that says Upload-Complete is answered at once with 104 and the URL of an upload resource, which
// is the right to go on; draftupload.go is what can be done there. docs/resume-protocols.md lists how the two versions differ.

// interop is the version of the draft that a client speaks.
type interop int

const (
	interop6 interop = 6
	interop8 interop = 8

	interopHeader = "Upload-Draft-Interop-Version"
	partialUpload = "application/partial-upload"
)

// interopOf reads the version; ok is false where it is absent or one that is not spoken here.
func interopOf(h http.Header) (interop, bool) {
	n, ok := fieldInteger(h.Values(interopHeader))
	return interop(n), ok && (interop(n) == interop6 || interop(n) == interop8)
}

// namesComplete reports whether r is a PUT for this door.
func (s *Server) namesComplete(r *http.Request) bool {
	return s.parts != nil && r.Method == http.MethodPut && len(r.Header.Values("Upload-Complete")) > 0
}

// draftDoor is what the door does with the methods at the slot.
func (s *Server) draftDoor() door {
	return door{http.MethodPut: s.draftPut}
}

// draftStart is what a creation says of itself.
type draftStart struct {
	version  interop
	complete bool  // the body ends the upload
	size     int64 // of the whole
	repr     []byte
	check    *resume.Check
}

// draftPut begins an upload.
func (s *Server) draftPut(w http.ResponseWriter, r *http.Request) error {
	v, spoken := interopOf(r.Header)
	complete, ok := fieldBoolean(r.Header.Values("Upload-Complete"))
	if !ok || !spoken && complete { // the whole file, without a promise that it can be resumed
		return s.put(w, r)
	}
	if !spoken {
		return fmt.Errorf("%w: a part of a file, and no %s that is known here", ErrBadRequest, strings.ToLower(interopHeader))
	}
	defer s.counted()()
	st := draftStart{version: v, complete: complete}
	u, err := s.draftVerify(w, r, &st)
	if err != nil {
		return err
	}
	if complete {
		if there, err := s.besideAgain(w, r, newBody(w, r, s.idle), u); err != nil {
			return u.explain(err)
		} else if there {
			draftState(w.Header(), u.size, true)
			s.created(w, u, true)
			return nil
		}
	} else if f, err := s.published(r, u); err != nil {
		return u.explain(err)
	} else if f != nil {
		_ = f.Close() // read only; whether it is the same file is seen at the end
	}
	return s.draftFill(w, r, u, st)
}

// draftVerify asks everything that can refuse a creation without reading its body.
func (s *Server) draftVerify(w http.ResponseWriter, r *http.Request, st *draftStart) (*upload, error) {
	length, declared := fieldInteger(r.Header.Values("Upload-Length"))
	switch {
	case declared:
		st.size = length
	case st.complete && r.ContentLength >= 0:
		st.size = r.ContentLength
	default:
		st.size = -1
	}
	sl, err := s.slotOf(r, st.size, r.Header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	if st.size < 0 {
		return nil, fmt.Errorf("%w: of the whole", ErrNoLength)
	}
	if st.complete && r.ContentLength >= 0 && r.ContentLength != st.size || r.ContentLength > st.size {
		return nil, lengthProblem(fmt.Errorf("%w: content-length is %d, upload-length %d", ErrBadRequest, r.ContentLength, st.size))
	}
	if r.Header.Get("Content-Range") != "" || st.version == interop6 && r.Header.Get("Upload-Offset") != "" {
		return nil, fmt.Errorf("%w: an offset in a creation", ErrBadRequest)
	}
	set := s.set.Load()
	u, err := s.verify(set, sl)
	if err != nil {
		return nil, err
	}
	if err := s.allow(w, r, set, u); err != nil {
		return nil, err
	}
	if st.repr, err = declaredDigest(r.Header, reprDigest); err != nil {
		return nil, u.explain(err)
	}
	u.meta.Digest = st.repr
	if st.check, err = contentCheck(r.Header); err != nil {
		return nil, u.explain(err)
	}
	return u, nil
}

// contentCheck is the checksum of the body that the client declared (RFC 9530 section 2); nil: none.
func contentCheck(h http.Header) (*resume.Check, error) {
	sum, err := declaredDigest(h, contentDigest)
	if sum == nil || err != nil {
		return nil, err
	}
	return &resume.Check{Hash: sha256.New(), Sum: sum}, nil
}

// draftFill makes the resource, says where it is, and takes the body.
func (s *Server) draftFill(w http.ResponseWriter, r *http.Request, u *upload, st draftStart) error {
	id := resume.NewID()
	p, err := s.open(w, r, id, u, doorDraft)
	if err != nil {
		return u.explain(err)
	}
	defer s.letGo(p)
	location := s.prefix + apiSegment + doorDraft + "/" + string(id)
	h := w.Header()
	h.Set("Location", location)
	h.Set("Upload-Limit", s.uploadLimit(st.version, p.Facts().Expires))
	interim(w, r, st.version)
	h.Set("Access-Control-Expose-Headers", draftResponseHeaders)
	h.Del("Location") // draft section 4.2.2: in the first interim answer and in the last one, not between
	p.tell = s.progress(w, r, id, st.version)
	err = p.append(st.check, st.complete)
	h.Set("Location", location)
	if err != nil {
		return p.explain(s.draftAppended(w, p, st.version, err))
	}
	if st.complete {
		return s.draftEnd(w, r, p)
	}
	return s.draftKept(w, r, p, http.StatusCreated)
}

// interim sends 104 with the headers that are set.
func interim(w http.ResponseWriter, r *http.Request, v interop) {
	if !r.ProtoAtLeast(1, 1) {
		return // RFC 9110 section 15.2: not to HTTP/1.0
	}
	w.Header().Set(interopHeader, strconv.Itoa(int(v)))
	if c := connOf(r); c != nil {
		c.say(104, "Upload Resumption Supported")
	}
	w.WriteHeader(104)
}

// progressEvery is how often a client is told what is on disk.
const progressEvery = 2 * time.Second

// progress returns what tells the client how far its upload is on disk, so that it need not keep that. It is called
// between two reads of the body, since nothing else may write the answer.
func (s *Server) progress(w http.ResponseWriter, r *http.Request, id resume.ID, v interop) func() {
	last, told := time.Now(), int64(0)
	return func() {
		if time.Since(last) < progressEvery {
			return
		}
		last = time.Now()
		st, ok := s.parts.Look(id)
		if !ok || st.Offset <= told {
			return
		}
		told = st.Offset
		h := w.Header()
		h.Set("Upload-Offset", strconv.FormatInt(told, 10))
		interim(w, r, v)
		h.Del("Upload-Offset")
	}
}

// uploadLimit is the Upload-Limit of a resource that lives until end; the zero time: of those to come.
func (s *Server) uploadLimit(v interop, end time.Time) string {
	var l []string
	if size := s.set.Load().MaxUpload; size > 0 {
		l = append(l, "max-size="+strconv.FormatInt(size, 10))
	}
	if !end.IsZero() {
		key := map[interop]string{interop6: "expires", interop8: "max-age"}[v]
		l = append(l, key+"="+strconv.FormatInt(max(0, int64(end.Sub(s.now())/time.Second)), 10))
	}
	if len(l) == 0 {
		return "min-size=0" // the draft's way to say: none
	}
	return strings.Join(l, ", ")
}

// draftState tells where the upload stands.
func draftState(h http.Header, offset int64, complete bool) {
	h.Set("Upload-Offset", strconv.FormatInt(offset, 10))
	h.Set("Upload-Complete", map[bool]string{false: "?0", true: "?1"}[complete])
}

// draftKept answers that the body was taken and that more must follow.
func (s *Server) draftKept(w http.ResponseWriter, _ *http.Request, p *pending, status int) error {
	offset := p.Offset()
	if err := p.ended(); err != nil {
		return err
	}
	draftState(w.Header(), offset, false)
	if status != http.StatusNoContent {
		w.Header().Set("Content-Length", "0")
	}
	w.WriteHeader(status)
	s.log.Debug("upload part stored", append(p.attrs(), "offset", offset)...)
	return nil
}

// draftEnd publishes an upload that the client called complete, if all of it is here.
func (s *Server) draftEnd(w http.ResponseWriter, r *http.Request, p *pending) error {
	h := w.Header()
	if p.Offset() != p.size {
		h.Set("Upload-Offset", strconv.FormatInt(p.Offset(), 10))
		return p.explain(lengthProblem(fmt.Errorf("%w: complete, but %d of %d bytes", ErrBadRequest, p.Offset(), p.size)))
	}
	again, err := s.finish(w, r, p)
	if errors.Is(err, ErrDigest) || errors.Is(err, ErrSlotUsed) {
		draftState(h, p.size, true) // all of it came, and this is what became of it
	}
	if err != nil {
		return p.explain(err)
	}
	draftState(h, p.size, true)
	s.created(w, p.upload, again)
	return nil
}

// draftAppended is what a body that was not taken as a whole means.
func (s *Server) draftAppended(w http.ResponseWriter, p *pending, v interop, err error) error {
	w.Header().Set("Upload-Offset", strconv.FormatInt(p.Offset(), 10))
	switch {
	case errors.Is(err, resume.ErrChecksum):
		return fmt.Errorf("%w: %w", ErrDigest, err)
	case errors.Is(err, resume.ErrPastEnd) && v >= interop8:
		w.Header().Del("Upload-Offset")
		return lengthProblem(errors.Join(err, p.Drop())) // section 4.4.2: the resource is of no more use
	case errors.Is(err, resume.ErrPastEnd):
		return lengthProblem(err)
	}
	return err
}
