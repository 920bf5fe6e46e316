package server

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"holdfast/relay/server/resume"
	"holdfast/relay/token"
)

// This file is what the doors share that are not at the slot's own URL: they name the slot in a header, or an upload by an
// id that is the right to go on with it.

// slotHeader names the slot of a request that goes elsewhere: its path and query, as in the PUT URL.
const slotHeader = "Holdfast-Slot"

// The doors by which a resource can have come. An id is good only at the door that gave it out.
const (
	doorSlot    = "slot-url"
	doorDraft   = "draft"
	doorTus     = "tus"
	doorChunked = "chunked"
)

// slotAt is the slot that the header of r names.
func (s *Server) slotAt(r *http.Request, size int64, mediaType string) (slot, error) {
	v := r.Header.Values(slotHeader)
	if len(v) == 0 {
		return slot{}, fmt.Errorf("%w: no %s", ErrNoToken, strings.ToLower(slotHeader))
	}
	if len(v) > 1 {
		return slot{}, fmt.Errorf("%w: more than one slot", ErrBadRequest)
	}
	sl, err := s.slotNamed(v[0], size, mediaType)
	if err != nil {
		return slot{}, err
	}
	sl.authorization, sl.several = authorizationOf(r)
	return sl, nil
}

// slotNamed is the slot with this path and query.
func (s *Server) slotNamed(target string, size int64, mediaType string) (slot, error) {
	u, err := parseSlot(target)
	if err != nil {
		return slot{}, err
	}
	rest, below := strings.CutPrefix(u.EscapedPath(), s.prefix)
	if !below {
		return slot{}, fmt.Errorf("%w: the slot is not below %s", ErrBadPath, s.prefix)
	}
	path, err := token.ParsePath(rest)
	if err != nil {
		return slot{}, err
	}
	return slot{path: path, fullPath: u.Path, rawQuery: u.RawQuery, size: size, mediaType: mediaType}, nil
}

// parseSlot reads the path and query of a slot, as net/http reads those of a request.
func parseSlot(v string) (*url.URL, error) {
	if !strings.HasPrefix(v, "/") || strings.ContainsRune(v, '#') {
		return nil, fmt.Errorf("%w: the slot is not a path", ErrBadPath)
	}
	u, err := url.ParseRequestURI(v)
	if err != nil || u.Host != "" || u.Scheme != "" { // the error would repeat the token
		return nil, fmt.Errorf("%w: the slot is not a path", ErrBadPath)
	}
	return u, nil
}

// capable holds the resource whose id a request for a door knows, and ends whoever else holds it.
func (s *Server) capable(w http.ResponseWriter, r *http.Request, id, door string) (*pending, error) {
	k, ok := resume.ParseID(id)
	if !ok {
		return nil, ErrNoUpload
	}
	st, known := s.parts.Look(k)
	if !known || st.Door != door {
		return nil, ErrNoUpload
	}
	u, err := s.recall(r, st.Facts)
	if err != nil {
		return nil, err
	}
	p, err := s.take(w, r, k, u)
	if err != nil {
		return nil, u.explain(err)
	}
	return p, nil
}

// ended releases the hold before the answer, so that what went wrong can be told.
func (p *pending) ended() error {
	if err := p.Release(); err != nil {
		return p.explain(fmt.Errorf("%w: %w", ErrUnavailable, err))
	}
	return nil
}

// decimal reads a number of digits only. Fifteen of them are more than any file, and no sum overflows.
func decimal(s string) (n int64, ok bool) {
	if s == "" || len(s) > 15 || strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// one returns the value of a header that must not come twice; empty: it is not there.
func one(h http.Header, name string) (string, error) {
	v := h.Values(name)
	switch len(v) {
	case 0:
		return "", nil
	case 1:
		return strings.TrimSpace(v[0]), nil
	}
	return "", fmt.Errorf("%w: more than one %s", ErrBadRequest, strings.ToLower(name))
}

// isMediaType reports whether the Content-Type is want, whatever its parameters.
func isMediaType(h http.Header, want string) bool {
	t, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(t), want)
}
