package relay

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answer writes a whole answer with its length and says whether the connection may be used again.
// A request of nil could not be read. An empty reason means the standard one.
func (f *front) answer(req *http.Request, status int, reason string, h http.Header, body string) bool {
	keep := req != nil && keepsAlive(req) && f.finishBody(req)
	w := bufio.NewWriter(f.conn)
	writeStatus(w, status, reason)
	if h == nil {
		h = http.Header{}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	setConnection(h, req, keep)
	_ = h.Write(w)
	_, _ = w.WriteString("\r\n")
	if req == nil || req.Method != http.MethodHead {
		_, _ = w.WriteString(body)
	}
	_ = f.conn.SetWriteDeadline(time.Now().Add(sendLimit))
	if err := w.Flush(); err != nil {
		return false
	}
	if !keep {
		f.linger()
	}
	return keep
}

// refuse answers with a plain sentence, as reason phrase (Gajim shows that) and as body.
func (f *front) refuse(req *http.Request, status int, sentence string) bool {
	return f.answer(req, status, sentence, http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, sentence+"\n")
}

// interim writes a 1xx answer; HTTP/1.0 knows none (RFC 9110 section 15.2).
func (f *front) interim(req *http.Request, status int) error {
	if !req.ProtoAtLeast(1, 1) {
		return nil
	}
	_ = f.conn.SetWriteDeadline(time.Now().Add(sendLimit))
	_, err := fmt.Fprintf(f.conn, "HTTP/1.1 %d %s\r\n\r\n", status, http.StatusText(status))
	return err
}

func writeStatus(w *bufio.Writer, status int, reason string) {
	if reason = cleanReason(reason); reason == "" {
		reason = http.StatusText(status)
	}
	_, _ = fmt.Fprintf(w, "HTTP/1.1 %03d %s\r\n", status, reason)
}

// cleanReason makes text fit for a reason phrase: one line, no control characters, at most 200 bytes
// (RFC 9112 section 4).
func cleanReason(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), func(c rune) bool { return c <= ' ' || c == 0x7f }), " ")
	if len(s) > 200 {
		cut := 200
		for cut > 0 && s[cut]&0xc0 == 0x80 {
			cut--
		}
		s = s[:cut]
	}
	return s
}

// keepsAlive says whether the client wants to send another request (RFC 9112 section 9.3).
func keepsAlive(req *http.Request) bool {
	if req.Close {
		return false
	}
	if req.ProtoAtLeast(1, 1) {
		return true
	}
	return hasToken(req.Header, "Connection", "keep-alive") || hasToken(req.Header, "Proxy-Connection", "keep-alive")
}

func hasToken(h http.Header, name, token string) bool {
	for _, line := range h[name] {
		for t := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

func setConnection(h http.Header, req *http.Request, keep bool) {
	switch {
	case !keep:
		h.Set("Connection", "close")
	case !req.ProtoAtLeast(1, 1):
		h.Set("Connection", "keep-alive")
	}
}

// finishBody reads what is left of a small body, so that the next request can be found behind it.
func (f *front) finishBody(req *http.Request) bool {
	if req.Body == nil || req.Body == http.NoBody {
		return true
	}
	if req.ContentLength > 256<<10 || req.ContentLength < 0 || hasToken(req.Header, "Expect", "100-continue") {
		return false
	}
	_ = f.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, err := io.Copy(io.Discard, req.Body)
	return err == nil
}

// linger lets the client read the answer before the connection ends: closing with unread bytes would reset it.
func (f *front) linger() {
	if c, ok := f.conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	if c, ok := f.raw.(*net.TCPConn); ok && f.raw != f.conn {
		_ = c.CloseWrite()
	}
	_ = f.raw.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.CopyN(io.Discard, f.raw, 64<<20)
}
