package relay

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"time"
)

// forward passes a request and its answer through: downloads from a listed host, and plain http to any other.
func (f *front) forward(ctx context.Context, req *http.Request) bool {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := (&http.Request{
		Method: req.Method, URL: target(req.URL), Host: req.Host, Header: endToEnd(req.Header),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	out.Header.Del("Expect")
	out.Header.Del("Content-Length")
	stop := func() {}
	if req.ContentLength != 0 {
		if hasToken(req.Header, "Expect", "100-continue") {
			if err := f.interim(req, http.StatusContinue); err != nil {
				return false
			}
			req.Header.Del("Expect")
		}
		out.Body, out.ContentLength = io.NopCloser(bodyOf(ctx, f, req)), req.ContentLength
	} else {
		stop = f.watch(ctx, cancel, func() error { return nil }).stop
	}
	resp, err := f.r.up.roundTrip(out)
	if err != nil {
		stop()
		if errors.Is(context.Cause(ctx), errClientGone) {
			return false
		}
		if req.ContentLength != 0 {
			req.Close = true
		}
		return f.unreachable(req, err)
	}
	defer func() { _ = resp.Body.Close() }()
	keep := f.pass(req, resp)
	stop()
	return keep
}

func target(u *url.URL) *url.URL {
	to := *u
	to.User, to.Fragment = nil, ""
	return &to
}

func (f *front) unreachable(req *http.Request, err error) bool {
	f.r.c.Log.Debug("request failed", "host", req.URL.Host, "method", req.Method, "error", err)
	if flaw, ok := certificateProblem(err); ok {
		return f.refuse(req, http.StatusBadGateway, flaw.sentence)
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return f.refuse(req, http.StatusGatewayTimeout, sentence(err))
	}
	return f.refuse(req, http.StatusBadGateway, sentence(err))
}

// pass writes an answer on, its body untouched. Only its framing may change (RFC 9112 section 6).
func (f *front) pass(req *http.Request, resp *http.Response) bool {
	h := endToEnd(resp.Header)
	h.Del("User-Agent")
	h.Del("Content-Length")
	keep := keepsAlive(req) && req.ContentLength == 0
	body := req.Method != http.MethodHead && resp.StatusCode >= 200 && resp.StatusCode != http.StatusNoContent && resp.StatusCode != http.StatusNotModified
	chunked := false
	switch {
	case resp.ContentLength >= 0 && (body || req.Method == http.MethodHead || resp.StatusCode == http.StatusNotModified && resp.ContentLength > 0):
		h.Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
	case !body:
	case req.ProtoAtLeast(1, 1):
		chunked = true
		h.Set("Transfer-Encoding", "chunked")
	default:
		keep = false // HTTP/1.0: the end of the connection is the end of the body
	}
	setConnection(h, req, keep)
	w := bufio.NewWriterSize(&patientWriter{f.conn}, 4<<10)
	writeStatus(w, resp.StatusCode, reasonOf(resp))
	_ = h.Write(w)
	_, _ = w.WriteString("\r\n")
	if err := w.Flush(); err != nil {
		return false
	}
	if !body {
		return f.through(keep)
	}
	to := io.Writer(&patientWriter{f.conn})
	if chunked {
		cw := httputil.NewChunkedWriter(to)
		if _, err := io.CopyBuffer(cw, resp.Body, make([]byte, 64<<10)); err != nil {
			return false // without the last chunk: the client sees that it was cut
		}
		if err := cw.Close(); err != nil {
			return false
		}
		if _, err := io.WriteString(to, "\r\n"); err != nil {
			return false
		}
		return f.through(keep)
	}
	n, err := io.CopyBuffer(to, onlyReader{resp.Body}, make([]byte, 64<<10))
	if err != nil || resp.ContentLength >= 0 && n != resp.ContentLength {
		return false
	}
	return f.through(keep)
}

// through ends an answer.
func (f *front) through(keep bool) bool {
	if !keep {
		f.linger()
	}
	return keep
}

type onlyReader struct{ io.Reader }

// patientWriter allows a client that reads slowly, but not one that does not read at all.
type patientWriter struct{ net.Conn }

func (w *patientWriter) Write(p []byte) (int, error) {
	_ = w.SetWriteDeadline(time.Now().Add(bodyLimit))
	return w.Conn.Write(p)
}

var _ io.Writer = (*patientWriter)(nil)
