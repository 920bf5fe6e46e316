package server

import (
	"io"
	"maps"
	"net/http"
	"os"

	"holdfast/relay/server/store"
)

// sender is a Store that may hand out a small file from memory.
type sender interface {
	OpenToSend(path string) (store.File, error)
}

func (s *Server) openToSend(path string) (store.File, error) {
	if st, ok := s.store.(sender); ok {
		return st.OpenToSend(path)
	}
	return s.store.Open(path)
}

// fields are header fields that many answers share. Nobody changes the values: Header.Set replaces them, Header.Add copies them.
type fields http.Header

func (f fields) addTo(h http.Header) { maps.Copy(h, f) }

// sendFields keep an uploaded file from acting on the origin it is served from.
var sendFields = fields{
	"X-Content-Type-Options":       {"nosniff"},
	"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'; sandbox"},
	"X-Frame-Options":              {"DENY"},
	"Cross-Origin-Resource-Policy": {"cross-origin"},
	"Cache-Control":                {"public, max-age=31556952, immutable"},
}

// countingWriter counts the bytes of a download and lets sendfile through.
type countingWriter struct {
	http.ResponseWriter
	n int64
}

// Write is io.Writer.
func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	return n, err
}

// ReadFrom is io.ReaderFrom.
func (c *countingWriter) ReadFrom(src io.Reader) (int64, error) {
	if lr, ok := src.(*io.LimitedReader); ok {
		if _, plain := lr.R.(*os.File); !plain { // then there is no sendfile, and the head goes out together with the bytes
			buf := buffers.Get().(*[]byte)
			defer buffers.Put(buf)
			return io.CopyBuffer(onlyWriter{c}, src, *buf)
		}
	}
	n, err := io.Copy(c.ResponseWriter, src)
	c.n += n
	return n, err
}

// Unwrap is for http.ResponseController.
func (c *countingWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }
