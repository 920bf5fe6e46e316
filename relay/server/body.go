package server

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// minProgress is how many bytes must come within one idle timeout; fewer is a client that only holds the connection.
const minProgress = 1 << 10

// body reads the body of a PUT under a deadline for progress, never for the whole. Its own errors are kept apart, so
// that a store need not tell a broken connection from a broken disk.
type body struct {
	r     io.Reader
	ctl   *http.ResponseController
	idle  time.Duration
	begun bool
	got   int // bytes since the deadline was set
	err   error

	mu      sync.Mutex // guards all below
	ended   bool       // the connection may be on its way to the next request
	stopped time.Time  // zero: it is not
}

func newBody(w http.ResponseWriter, r *http.Request, idle time.Duration) *body {
	return &body{r: r.Body, ctl: http.NewResponseController(w), idle: idle, ended: r.ContentLength == 0}
}

// A body that is stopped may go on for a moment, to take what the kernel has of it already: that spares the client to send it
// again. It ends when nothing more is there, and soon in any case, because a newer request waits.
const (
	stopIdle  = 3 * time.Millisecond
	stopTotal = 8 * time.Millisecond
)

// stop makes Read end soon. Another goroutine may call it while the request lasts.
func (b *body) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	b.stopped = time.Now()
	_ = b.ctl.SetReadDeadline(b.stopped.Add(stopIdle))
}

// Read is io.Reader. The first call sends 100 Continue to a client that asked for it.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if !b.begun || b.got >= minProgress {
		b.begun, b.got = true, 0
		b.deadline(time.Now().Add(b.idle))
	}
	b.hurry()
	n, err := b.r.Read(p)
	b.got += n
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		b.end()
		return n, io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.err = fmt.Errorf("%w: fewer than %d bytes in %s", ErrStalled, minProgress, b.idle)
	default:
		b.err = fmt.Errorf("%w: the body ended early: %w", errCut, err)
	}
	return n, b.err
}

// deadline sets the read deadline; a handler called without a connection has none.
func (b *body) deadline(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped.IsZero() {
		_ = b.ctl.SetReadDeadline(t)
	}
}

// hurry lets a stopped body go on as long as bytes are there.
func (b *body) hurry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped.IsZero() || b.ended {
		return
	}
	end, limit := time.Now().Add(stopIdle), b.stopped.Add(stopTotal)
	if end.After(limit) {
		end = limit
	}
	_ = b.ctl.SetReadDeadline(end)
}

// end notes that the body was read to its end.
func (b *body) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	_ = b.ctl.SetReadDeadline(time.Time{})
}

// errCut is a body that the client, or the network, ended. Nobody hears the answer.
var errCut = fmt.Errorf("%w: upload cut", ErrBadRequest)

// The fields of RFC 9530 sections 2 and 3. For a body that is the whole file both mean the same bytes; for a part of it
// only the former means the file.
const (
	reprDigest    = "Repr-Digest"
	contentDigest = "Content-Digest"
)

// declaredDigest returns the SHA-256 that the client sent of the file in the first of the fields that has one, or nil.
func declaredDigest(h http.Header, fields ...string) ([]byte, error) {
	for _, name := range fields {
		for _, item := range strings.Split(strings.Join(h.Values(name), ","), ",") {
			v, ok := strings.CutPrefix(strings.TrimSpace(item), "sha-256=:")
			if !ok {
				continue
			}
			v, ok = strings.CutSuffix(v, ":")
			sum, err := base64.StdEncoding.Strict().DecodeString(v)
			if !ok || err != nil || len(sum) != 32 {
				return nil, fmt.Errorf("%w: %s is not a sha-256 digest", ErrBadRequest, strings.ToLower(name))
			}
			return sum, nil
		}
	}
	return nil, nil
}
