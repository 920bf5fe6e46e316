package server

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
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
}

func newBody(w http.ResponseWriter, r *http.Request, idle time.Duration) *body {
	return &body{r: r.Body, ctl: http.NewResponseController(w), idle: idle}
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
	n, err := b.r.Read(p)
	b.got += n
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		b.deadline(time.Time{})
		return n, io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.err = fmt.Errorf("%w: fewer than %d bytes in %s", ErrStalled, minProgress, b.idle)
	default:
		b.err = fmt.Errorf("%w: the body ended early: %w", errCut, err)
	}
	return n, b.err
}

// deadline sets the read deadline; a handler called without a connection has none.
func (b *body) deadline(t time.Time) { _ = b.ctl.SetReadDeadline(t) }

// errCut is a body that the client, or the network, ended. Nobody hears the answer.
var errCut = fmt.Errorf("%w: upload cut", ErrBadRequest)

// declaredDigest returns the SHA-256 that the client sent of the file, or nil (RFC 9530 sections 2 and 3). For a body
// without content coding both fields mean the same bytes.
func declaredDigest(h http.Header) ([]byte, error) {
	for _, name := range []string{"Repr-Digest", "Content-Digest"} {
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
