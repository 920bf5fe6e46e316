package server

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"holdfast/relay/server/resume"
)

// This file is the door for clients of numbered chunks: /chunked-upload and /upload-status, with the headers and documents
// that are known from hmac-file-server. The slot and its credential come with every call. Chunks may come in any order,
// at once, and more than once; chunkpieces.go puts them together.

const (
	chunkedRequestHeaders = "Authorization, Content-Type, X-Filename, X-Total-Size, X-Upload-Session-ID, X-Chunk-Number, Holdfast-Slot-Type, " + slotHeader
	sessionHeader         = "X-Upload-Session-ID"
)

func (s *Server) chunkDoor() door {
	h := s.chunked(s.chunkedUpload)
	return door{http.MethodPut: h, http.MethodPost: h, http.MethodOptions: s.chunkedOptions("OPTIONS, POST, PUT")}
}

func (s *Server) statusDoor() door {
	h := s.chunked(s.uploadStatus)
	return door{http.MethodGet: h, http.MethodHead: h, http.MethodOptions: s.chunkedOptions("OPTIONS, HEAD, GET")}
}

// chunked lets scripts of web pages read the answers of h.
func (s *Server) chunked(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Expose-Headers", "Retry-After, Holdfast-Error")
		return h(w, r)
	}
}

func (s *Server) chunkedOptions(methods string) handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		h := w.Header()
		preflight(h)
		h.Set("Allow", methods)
		h.Set("Access-Control-Allow-Methods", methods)
		h.Set("Access-Control-Allow-Headers", chunkedRequestHeaders)
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// What the answers are made of.
type (
	chunkedBegun struct {
		Session   string `json:"session_id"`
		ChunkSize int64  `json:"chunk_size"`
		Chunks    int64  `json:"total_chunks"`
	}
	chunkedKept struct {
		Success   bool    `json:"success"`
		Message   string  `json:"message,omitempty"`
		Chunk     int64   `json:"chunk"`
		Uploaded  int64   `json:"uploaded_bytes"`
		Total     int64   `json:"total_size"`
		Progress  float64 `json:"progress"`
		Completed bool    `json:"completed"`
	}
	chunkedDone struct {
		Success   bool   `json:"success"`
		Filename  string `json:"filename"`
		Size      int64  `json:"size"`
		Duration  string `json:"duration"`
		Completed bool   `json:"completed"`
	}
	chunkedStatus struct {
		Session   string  `json:"session_id"`
		Filename  string  `json:"filename"`
		Total     int64   `json:"total_size"`
		Uploaded  int64   `json:"uploaded_bytes"`
		Progress  float64 `json:"progress"`
		Completed bool    `json:"completed"`
		Last      string  `json:"last_activity"`
		Chunks    int64   `json:"chunks"`
	}
)

// chunkedUpload begins an upload, or takes one chunk of it.
func (s *Server) chunkedUpload(w http.ResponseWriter, r *http.Request) error {
	defer s.counted()()
	id, err := one(r.Header, sessionHeader)
	if err != nil {
		return err
	}
	if id == "" {
		return s.chunkedBegin(w, r)
	}
	c, err := s.chunkedSession(r, id)
	if err != nil {
		return err
	}
	v, err := one(r.Header, "X-Chunk-Number")
	if err != nil {
		return c.explain(err)
	}
	n, ok := decimal(v)
	if !ok || n >= c.chunks() {
		return c.explain(fmt.Errorf("%w: x-chunk-number is not one of 0 to %d", ErrBadRequest, c.chunks()-1))
	}
	return s.chunkedTake(w, r, c, n)
}

// chunkedBegin makes the resource that the chunks are for.
func (s *Server) chunkedBegin(w http.ResponseWriter, r *http.Request) error {
	v, err := one(r.Header, "X-Total-Size")
	if err != nil {
		return err
	}
	size, ok := decimal(v)
	if !ok || size == 0 { // a file of no bytes has no chunks; PUT stores it
		return fmt.Errorf("%w: x-total-size is not the size of a file", ErrBadRequest)
	}
	mediaType := r.Header.Get("Holdfast-Slot-Type")
	if mediaType == "" {
		mediaType = r.Header.Get("Content-Type")
	}
	sl, err := s.slotAt(r, size, mediaType)
	if err != nil {
		return err
	}
	set := s.set.Load()
	u, err := s.verify(set, sl)
	if err != nil {
		return err
	}
	if err := s.allow(w, r, set, u); err != nil {
		return err
	}
	if f, err := s.published(r, u); err != nil {
		return u.explain(err)
	} else if f != nil {
		_ = f.Close() // read only; whether it is the same file is seen at the end
	}
	if u.meta.Digest, err = declaredDigest(r.Header, reprDigest); err != nil {
		return u.explain(err)
	}
	u.extra = mediaType
	id := resume.NewID()
	p, err := s.open(w, r, id, u, doorChunked)
	if err != nil {
		return u.explain(err)
	}
	if err := p.ended(); err != nil {
		return err
	}
	c := &chunks{upload: u, id: id}
	return reply(w, r, http.StatusCreated, chunkedBegun{Session: string(id), ChunkSize: chunkSize, Chunks: c.chunks()})
}

// chunkedSession finds the upload of a later call, and judges the slot that came with it: any but the time, which was judged
// when the upload began.
func (s *Server) chunkedSession(r *http.Request, id string) (*chunks, error) {
	if len(r.Header.Values(slotHeader)) == 0 {
		return nil, fmt.Errorf("%w: no %s", ErrNoToken, strings.ToLower(slotHeader))
	}
	k, ok := resume.ParseID(id)
	if !ok {
		return nil, ErrNoUpload
	}
	st, known := s.parts.Look(k)
	if !known || st.Door != doorChunked || st.Piece {
		return nil, ErrNoUpload
	}
	u, err := s.recall(r, st.Facts)
	if err != nil {
		return nil, err
	}
	sl, err := s.slotAt(r, st.Size, u.extra)
	if err != nil {
		return nil, err
	}
	if sl.path != st.Path {
		return nil, fmt.Errorf("%w: its path is another", ErrOtherUpload)
	}
	if _, err := s.verify(s.set.Load(), sl); err != nil {
		return nil, err
	}
	if v := r.Header.Get("X-Total-Size"); v != "" {
		if n, ok := decimal(v); !ok || n != st.Size {
			return nil, u.explain(fmt.Errorf("%w: x-total-size was another before", ErrBadRequest))
		}
	}
	return &chunks{upload: u, id: k, facts: st.Facts}, nil
}

// chunkedTake takes chunk n and publishes the file if it was the last one missing.
func (s *Server) chunkedTake(w http.ResponseWriter, r *http.Request, c *chunks, n int64) error {
	began := time.Now()
	if r.ContentLength < 0 {
		return c.explain(ErrNoLength)
	}
	if want := c.length(n); r.ContentLength != want {
		return c.explain(fmt.Errorf("%w: chunk %d has %d bytes, not %d", ErrBadRequest, n, want, r.ContentLength))
	}
	repeated := s.hasChunk(c, n)
	if repeated {
		if r.Header.Get("Expect") == "" {
			discard(newBody(w, r, s.idle)) // or the client, still sending, would not hear the answer
		}
	} else if err := s.keepChunk(w, r, c, n); err != nil {
		return c.explain(err)
	}
	done, err := s.assemble(w, r, c)
	if err != nil && !errors.Is(err, resume.ErrSuperseded) { // then a newer request goes on, also with this chunk
		return c.explain(err)
	}
	if done && !repeated {
		return reply(w, r, http.StatusOK, chunkedDone{
			Success: true, Filename: path.Base(c.path), Size: c.size, Duration: time.Since(began).Round(time.Millisecond).String(), Completed: true,
		})
	}
	uploaded, _ := s.uploaded(c)
	doc := chunkedKept{
		Success: true, Chunk: n, Uploaded: uploaded, Total: c.size, Progress: float64(uploaded) / float64(c.size), Completed: done,
	}
	if repeated {
		doc.Message = "Chunk already uploaded"
	}
	return reply(w, r, http.StatusOK, doc)
}

// uploadStatus tells how far an upload is.
func (s *Server) uploadStatus(w http.ResponseWriter, r *http.Request) error {
	id := r.URL.Query().Get("session_id")
	if id == "" {
		return fmt.Errorf("%w: no session_id", ErrBadRequest)
	}
	c, err := s.chunkedSession(r, id)
	if err != nil {
		return err
	}
	uploaded, count := s.uploaded(c)
	st, _ := s.parts.Look(c.id)
	done := st.Done
	if !done && uploaded == c.size { // only the last step is missing
		if done, err = s.assemble(w, r, c); err != nil && !errors.Is(err, resume.ErrSuperseded) {
			return c.explain(err)
		}
	}
	return reply(w, r, http.StatusOK, chunkedStatus{
		Session: id, Filename: path.Base(c.path), Total: c.size, Uploaded: uploaded, Progress: float64(uploaded) / float64(c.size),
		Completed: done, Last: s.lastChunk(c).UTC().Format(time.RFC3339), Chunks: count,
	})
}
