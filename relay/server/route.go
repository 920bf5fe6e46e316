package server

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"holdfast/relay/token"
)

// handler answers a request or says why not; errors become refusals in one place.
type handler func(w http.ResponseWriter, r *http.Request) error

// door is one of our own endpoints: what each method does there.
type door map[string]handler

// doors lists the endpoints below the api. New ways in are rows here.
func (s *Server) doors() map[string]door {
	d := map[string]door{
		"info": {http.MethodGet: s.info, http.MethodHead: s.info},
	}
	if s.devices != nil {
		d["token"] = door{http.MethodPost: s.deviceToken}
	}
	if s.parts != nil {
		d["tus/"], d["tus"] = s.tusDoor(), s.tusDoor()
		d["chunked-upload"], d["upload-status"] = s.chunkDoor(), s.statusDoor()
	}
	return d
}

// endpoint finds what is below the api: an endpoint, or an upload by its id.
func (s *Server) endpoint(name string) (door, bool) {
	if d, ok := s.api[name]; ok {
		return d, true
	}
	kind, id, ok := strings.Cut(name, "/")
	if !ok || s.parts == nil {
		return nil, false
	}
	switch kind {
	case doorDraft:
		return s.draftUpload(id), true
	case doorTus:
		return s.tusUpload(id), true
	}
	return nil, false
}

// aliases are endpoints at the origin that are also known by a fixed path.
func (s *Server) alias(path string) (door, bool) {
	switch path {
	case "/.well-known/holdfast":
		return s.api["info"], true
	case "/chunked-upload", "/upload-status":
		d, ok := s.api[path[1:]]
		return d, ok
	case "/health":
		return door{http.MethodGet: health, http.MethodHead: health}, true
	}
	return nil, false
}

// files is what can be done with a path below the prefix.
func (s *Server) files() door {
	return door{http.MethodPut: s.put, http.MethodGet: s.get, http.MethodHead: s.get, http.MethodOptions: s.slotOptions}
}

// apiSegment begins the reserved part of the prefix.
const apiSegment = ".holdfast/v1/"

// Handler returns the public side of the server. It routes by the escaped path as sent: nothing is cleaned, nothing redirected.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.running.Add(1)
		defer s.running.Done()
		began := time.Now()
		if err := s.route(w, r); err != nil {
			ref := refuse(w, r, err)
			s.refused(r, ref, err)
		}
		s.metrics.took(r.Method, time.Since(began))
	})
}

func (s *Server) route(w http.ResponseWriter, r *http.Request) error {
	path := r.URL.EscapedPath()
	rest, below := strings.CutPrefix(path, s.prefix)
	if below {
		w.Header().Set("Holdfast-Api", s.prefix+apiSegment)
		w.Header().Set("Access-Control-Allow-Origin", "*")
	}
	if d, ok := s.alias(path); ok {
		return d.serve(w, r)
	}
	if !below {
		if r.Method == http.MethodPost && (path == "/upload" || path+"/" == s.prefix) {
			return s.slots.serve(w, r)
		}
		return ErrNotFound
	}
	if name, own := strings.CutPrefix(rest, apiSegment); own {
		if d, ok := s.endpoint(name); ok {
			return d.serve(w, r)
		}
		return ErrNotFound
	}
	switch {
	case s.namesUpload(r):
		return s.slotDoor().serve(w, r)
	case s.namesComplete(r):
		return s.draftDoor().serve(w, r)
	}
	return s.slots.serve(w, r)
}

// serve calls what the door has for the method. OPTIONS is answered for every door, the rest is refused with Allow
// (RFC 9110 section 15.5.6).
func (d door) serve(w http.ResponseWriter, r *http.Request) error {
	if h, ok := d[r.Method]; ok {
		return h(w, r)
	}
	w.Header().Set("Allow", d.allow())
	if r.Method != http.MethodOptions {
		return ErrMethod
	}
	preflight(w.Header())
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// allow lists the methods of the door.
func (d door) allow() string {
	allow := []string{http.MethodOptions}
	for m := range d {
		if m != http.MethodOptions {
			allow = append(allow, m)
		}
	}
	slices.Sort(allow)
	return strings.Join(allow, ", ")
}

// preflight answers a browser's question (XEP-0363 section 7).
func preflight(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "OPTIONS, HEAD, GET, PUT")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	h.Set("Access-Control-Max-Age", "7200")
}

// path returns the file's path of a request below the prefix.
func (s *Server) path(r *http.Request) (string, error) {
	return token.ParsePath(strings.TrimPrefix(r.URL.EscapedPath(), s.prefix))
}
