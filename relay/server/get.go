package server

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"

	"holdfast/relay/server/store"
	"holdfast/relay/token"
)

// get answers GET and HEAD: ranges, conditions and validators as RFC 9110 has them.
func (s *Server) get(w http.ResponseWriter, r *http.Request) error {
	path, err := s.path(r)
	if err != nil {
		return s.folder(r, err)
	}
	f, err := s.openToSend(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("%w: open the file: %w", ErrUnavailable, err)
	}
	defer func() { _ = f.Close() }() // read only
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%w: stat the file: %w", ErrUnavailable, err)
	}
	meta, err := f.Meta()
	if err != nil {
		return fmt.Errorf("%w: read what rides with the file: %w", ErrUnavailable, err)
	}
	if ended(meta, s.now()) { // the sweep has not come by yet
		return ErrNotFound
	}
	fileHeader(w.Header(), path, meta)
	w.Header().Set("ETag", f.ETag())
	tidyRange(r, info.Size())
	counted := &countingWriter{ResponseWriter: w}
	http.ServeContent(counted, r, "", info.ModTime(), content(f))
	s.metrics.downloaded.Add(float64(counted.n))
	return nil
}

// tidyRange leaves net/http the ranges that it reads as RFC 9110 does. It knows no other unit than "bytes", spelt like
// this, and answers 416 where the field has to be ignored (section 14.2); it takes a suffix of no bytes for
// satisfiable (section 14.1.2) and answers HEAD with 206, though ranges are defined for GET alone (section 14.2).
func tidyRange(r *http.Request, size int64) {
	v := r.Header.Get("Range")
	unit, specs, ok := strings.Cut(v, "=")
	if v == "" {
		return
	}
	if !ok || r.Method != http.MethodGet || !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		r.Header.Del("Range")
		return
	}
	var kept []string
	for spec := range strings.SplitSeq(specs, ",") {
		if n, suffix := strings.CutPrefix(strings.TrimSpace(spec), "-"); !suffix || n == "" || strings.Trim(n, "0") != "" {
			kept = append(kept, spec)
		}
	}
	if kept == nil {
		kept = []string{strconv.FormatInt(size, 10) + "-"} // none of it can be had
	}
	r.Header.Set("Range", "bytes="+strings.Join(kept, ","))
}

// folder decides what a path that is no file path is for a reader: a folder's name is not found, the rest is a bad path.
func (s *Server) folder(r *http.Request, bad error) error {
	rest := strings.TrimSuffix(strings.TrimPrefix(r.URL.EscapedPath(), s.prefix), "/")
	if rest == "" {
		return ErrNotFound
	}
	if _, err := token.ParsePath(rest + "/x"); err == nil {
		return ErrNotFound
	}
	return bad
}

// content returns what net/http can hand to sendfile, if the file has it.
func content(f store.File) io.ReadSeeker {
	if o, ok := f.(interface{ OSFile() *os.File }); ok {
		return o.OSFile()
	}
	return f
}

// fileHeader sets what keeps an uploaded file from acting on the origin it is served from.
func fileHeader(h http.Header, path string, meta store.Meta) {
	name := path[strings.LastIndexByte(path, '/')+1:]
	mediaType := meta.Type
	if mediaType == "" {
		mediaType = typeByName(name)
	}
	h["Content-Type"] = []string{mediaType}
	h["Content-Disposition"] = []string{disposition(mediaType, name)}
	sendFields.addTo(h)
	if len(meta.Digest) == 32 {
		h.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(meta.Digest)+":")
	}
}
