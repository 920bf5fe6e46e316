package server

import (
	"errors"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"time"

	"holdfast/relay/server/ledger"
	"holdfast/relay/server/resume"
	"holdfast/relay/server/store"
	"holdfast/relay/token"
)

// Refusal is one way to say no: a stable code for programs, a status, and a plain sentence for people.
// HTTP/1.1 clients see the sentence as the reason phrase, and everybody as the body.
type Refusal struct {
	Code     string        // Holdfast-Error
	Status   int           // HTTP status
	Sentence string        // plain ASCII, one line
	Retry    time.Duration // Retry-After; zero: none
}

// Error returns the code, for logs.
func (r *Refusal) Error() string { return r.Code }

// The one table of refusals. A new one is a change of the wire contract.
var (
	ErrBadPath     = &Refusal{Code: "bad-path", Status: http.StatusBadRequest, Sentence: "This file name or path is not allowed."}
	ErrBadRequest  = &Refusal{Code: "bad-request", Status: http.StatusBadRequest, Sentence: "The request is not complete or not correct."}
	ErrDigest      = &Refusal{Code: "digest-mismatch", Status: http.StatusBadRequest, Sentence: "The file was damaged on its way. Send it again."}
	ErrNoToken     = &Refusal{Code: "token-missing", Status: http.StatusForbidden, Sentence: "This upload has no token. Send the file again."}
	ErrBadToken    = &Refusal{Code: "token-invalid", Status: http.StatusForbidden, Sentence: "The upload token does not belong to this file."}
	ErrLate        = &Refusal{Code: "token-late", Status: http.StatusForbidden, Sentence: "The upload token is too old. Send the file again."}
	ErrNotProof    = &Refusal{Code: "slot-not-proof", Status: http.StatusForbidden, Sentence: "This upload slot does not prove who you are."}
	ErrCode        = &Refusal{Code: "code-invalid", Status: http.StatusForbidden, Sentence: "This code is wrong, was used before, or is too old. Ask for another one."}
	ErrOtherUser   = &Refusal{Code: "device-user-mismatch", Status: http.StatusForbidden, Sentence: "This device belongs to another person than the upload."}
	ErrProof       = &Refusal{Code: "invalid-dpop-proof", Status: http.StatusUnauthorized, Sentence: "The device did not prove who it is."}
	ErrNonce       = &Refusal{Code: "use-dpop-nonce", Status: http.StatusUnauthorized, Sentence: "The device must use the newest number of the server in its proof."}
	ErrRevoked     = &Refusal{Code: "device-revoked", Status: http.StatusUnauthorized, Sentence: "This device is not known here any more."}
	ErrBlocked     = &Refusal{Code: "blocked", Status: http.StatusForbidden, Sentence: "This file is not allowed on this server."}
	ErrNotFound    = &Refusal{Code: "not-found", Status: http.StatusNotFound, Sentence: "There is no such file."}
	ErrMethod      = &Refusal{Code: "method-not-allowed", Status: http.StatusMethodNotAllowed, Sentence: "This method is not allowed here. Files are sent with PUT."}
	ErrStalled     = &Refusal{Code: "stalled", Status: http.StatusRequestTimeout, Sentence: "The upload stopped moving. Send the file again."}
	ErrSlotUsed    = &Refusal{Code: "slot-used", Status: http.StatusConflict, Sentence: "This upload slot was used for another file already."}
	ErrTokenUsed   = &Refusal{Code: "token-used", Status: http.StatusConflict, Sentence: "This upload token was used for another file already."}
	ErrNoUpload    = &Refusal{Code: "no-upload", Status: http.StatusNotFound, Sentence: "There is no such upload. Start it again."}
	ErrOtherUpload = &Refusal{Code: "other-upload", Status: http.StatusConflict, Sentence: "Another upload to this slot is under way."}
	ErrOffset      = &Refusal{Code: "wrong-offset", Status: http.StatusConflict, Sentence: "The upload goes on from another place. Ask for it first."}
	ErrNoLength    = &Refusal{Code: "length-required", Status: http.StatusLengthRequired, Sentence: "The upload does not say how long it is."}
	ErrSize        = &Refusal{Code: "size-mismatch", Status: http.StatusRequestEntityTooLarge, Sentence: "The file is not as long as it was announced."}
	ErrQuota       = &Refusal{Code: "quota", Status: http.StatusRequestEntityTooLarge, Sentence: "Your files use all the room that you have on this server."}
	ErrTooLarge    = &Refusal{Code: "too-large", Status: http.StatusRequestEntityTooLarge, Sentence: "The file is larger than this server allows."}
	ErrTusVersion  = &Refusal{Code: "tus-version", Status: http.StatusPreconditionFailed, Sentence: "This server speaks version 1.0.0 of tus."}
	ErrMediaType   = &Refusal{Code: "media-type", Status: http.StatusUnsupportedMediaType, Sentence: "The content type is not the one for parts of a file."}
	ErrChecksum    = &Refusal{Code: "checksum-mismatch", Status: 460, Sentence: "This part was damaged on its way. Send it again."}
	ErrBusy        = &Refusal{Code: "busy", Status: http.StatusTooManyRequests, Sentence: "Too many uploads in a short time. Try again in a moment.", Retry: time.Minute}
	ErrUnavailable = &Refusal{Code: "unavailable", Status: http.StatusServiceUnavailable, Sentence: "The upload server has a problem. Try again later.", Retry: 30 * time.Second}
	ErrFull        = &Refusal{Code: "storage-full", Status: http.StatusInsufficientStorage, Sentence: "The upload server has no space left. Try again later.", Retry: 5 * time.Minute}
	// The same to a client; the disk is fine, and nobody has to get up at night.
	ErrUnfinished = &Refusal{Code: "storage-full", Status: http.StatusInsufficientStorage, Sentence: "Too many uploads are unfinished. Finish one of them, or try again later.", Retry: 5 * time.Minute}
)

// Refusals lists the table, ordered by code.
func Refusals() []Refusal {
	all := []*Refusal{
		ErrBadPath, ErrBadRequest, ErrDigest, ErrNoToken, ErrBadToken, ErrLate, ErrNotProof, ErrCode, ErrOtherUser, ErrProof, ErrNonce, ErrRevoked, ErrBlocked, ErrNotFound, ErrMethod, ErrStalled,
		ErrSlotUsed, ErrTokenUsed, ErrNoUpload, ErrOtherUpload, ErrOffset, ErrNoLength, ErrSize, ErrQuota, ErrTooLarge, ErrTusVersion, ErrMediaType, ErrChecksum,
		ErrBusy, ErrUnavailable, ErrFull, ErrUnfinished,
	}
	out := make([]Refusal, len(all))
	for i, r := range all {
		out[i] = *r
	}
	slices.SortFunc(out, func(a, b Refusal) int {
		if a.Code < b.Code {
			return -1
		}
		return 1
	})
	return out
}

// refusalOf turns any error into a row of the table. What is not known is unavailable to the client and full to the log.
func refusalOf(err error) *Refusal {
	var r *Refusal
	switch {
	case errors.Is(err, resume.ErrSuperseded): // whatever else ended the request
		return ErrOffset
	case errors.As(err, &r):
		return r
	case errors.Is(err, token.ErrMissing):
		return ErrNoToken
	case errors.Is(err, token.ErrInvalid):
		return ErrBadToken
	case errors.Is(err, token.ErrSize):
		return ErrSize
	case errors.Is(err, token.ErrNoSize):
		return ErrNoLength
	case errors.Is(err, token.ErrPath):
		return ErrBadPath
	case errors.Is(err, ledger.ErrTokenUsed):
		return ErrTokenUsed
	case errors.Is(err, resume.ErrUnknown):
		return ErrNoUpload
	case errors.Is(err, resume.ErrExists), errors.Is(err, resume.ErrDiffers):
		return ErrOtherUpload
	case errors.Is(err, resume.ErrPastEnd):
		return ErrBadRequest
	case errors.Is(err, store.ErrFull):
		return ErrFull
	case errors.Is(err, resume.ErrLimit):
		return ErrUnfinished
	case errors.Is(err, fs.ErrExist):
		return ErrSlotUsed
	case errors.Is(err, fs.ErrNotExist):
		return ErrNotFound
	}
	return ErrUnavailable
}

// refuse answers with the refusal of err: the sentence as reason phrase and body, and the code.
func refuse(w http.ResponseWriter, r *http.Request, err error) *Refusal {
	ref := refusalOf(err)
	h := w.Header()
	for _, k := range []string{"Etag", "Last-Modified", "Content-Disposition", "Content-Encoding"} {
		h.Del(k)
	}
	h.Set("Cache-Control", "no-store")
	body, mediaType := []byte(ref.Sentence+"\n"), "text/plain; charset=utf-8"
	if p := (problem{}); errors.As(err, &p) {
		body, mediaType = p.body(ref), "application/problem+json"
	}
	h.Set("Content-Type", mediaType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Holdfast-Error", ref.Code)
	if ref.Status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" { // RFC 9110 section 15.5.2
		challenge(w, "invalid_token")
	}
	retry := ref.Retry
	if b := (busy{}); errors.As(err, &b) {
		retry = b.wait + time.Second - 1 // rounded up
	}
	if retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(retry/time.Second)))
	}
	if c := connOf(r); c != nil {
		c.say(ref.Status, ref.Sentence)
		if r.ContentLength != 0 {
			// net/http reads the rest of a short body before it answers; a client that holds it back must not hold the answer.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(min(c.idle, lingerIdle)))
			c.lingers()
		}
	}
	w.WriteHeader(ref.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that is gone hears nothing
	}
	if r.ProtoMajor >= 2 && r.ContentLength != 0 && r.Header.Get("Expect") == "" {
		drain(w, r)
	}
	return ref
}

// drain reads what an HTTP/2 client still sends after its refusal. Ending the stream at once would reset it, and curl
// then drops the answer that it has already.
func drain(w http.ResponseWriter, r *http.Request) {
	ctl := http.NewResponseController(w)
	if ctl.Flush() != nil {
		return
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for end := time.Now().Add(lingerTotal); time.Now().Before(end); {
		if ctl.SetReadDeadline(time.Now().Add(lingerIdle)) != nil {
			return
		}
		if _, err := r.Body.Read(*buf); err != nil {
			return
		}
	}
}
