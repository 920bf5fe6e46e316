package relay

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
)

// This file decides how an upload goes on after a cut, at the slot's own URL (docs/resume.md). It is a function of values:
// which request comes next, and what the answer to it teaches. A server that knows nothing of it gets plain repeats.

// leg is one request of an upload.
type leg struct {
	kind     legKind
	from, to int64 // the bytes of the file that it carries
}

type legKind int

const (
	whole legKind = iota // PUT: all of it
	ask                  // HEAD: how much is there?
	part                 // PATCH: what is missing, or a piece of it
)

func (l leg) size() int64 { return l.to - l.from }

// ability is what the server of an upload can do after a cut.
type ability int

const (
	untold  ability = iota // nobody has asked yet
	resumes                // it goes on where the cut was
	repeats                // an ordinary server: every attempt starts over
)

const (
	maxPiece   = 1 << 20   // of a PATCH, once the path is known to hold back what it was given
	minPiece   = 128 << 10 //
	firstPiece = 256 << 10 //
	inFlight   = 512 << 10 // what a cut may cost on a path that holds nothing back: buffers of both kernels
	steadiness = 32        // a piece is at most this part of what got through between two cuts

	// Where nothing is held back a cut still costs what is in buffers along the way. If that is more than this part of what
	// got through, and cuts are near to each other, pieces cost less; they end once so much got through without a cut.
	dear = 64
	near = 32 << 20

	maxOddities = 3 // answers in a row that do not fit
	maxRestarts = 3 // of an upload that the server lost
)

// resumption is what is known of an upload's resource on the server.
type resumption struct {
	id     string // chosen here; empty: this upload is sent plainly
	can    ability
	unsure bool  // how much the server has must be asked for
	offset int64 // what the server said it has
	from   int64 // of the leg that was cut
	most   int64 // of the bytes that were ever handed over

	piece     int64 // the bound of a PATCH; 0: none
	held      bool  // something on the way keeps bytes back until it has all of a request
	steady    int64 // acknowledged since the last cut
	begun     int64 // where the upload stood after the last cut
	taken     bool  // another upload has a resource for this slot: only PUT makes a second one
	full      bool  // the server keeps no more resources
	odd       int   // answers in a row that do not fit
	inherited bool  // begun for an earlier request of the same slot, whose bytes nobody here has seen
	starts    int   // resources that were lost
}

// newResumption begins an upload of size bytes. piece is the bound that is known for the server; 0: none.
func newResumption(h http.Header, size, piece int64) resumption {
	p := resumption{piece: piece, held: piece > 0}
	// A client that speaks the protocol itself is left alone, and nothing can be cut in two.
	if size == 0 || h["Holdfast-Upload"] != nil || h["Upload-Offset"] != nil || h["Upload-Complete"] != nil || h["Content-Range"] != nil {
		p.can = repeats
		return p
	}
	p.id = newUploadID()
	return p
}

// newUploadID is 128 random bits. Whoever knows it may go on with the upload, so it is never logged.
func newUploadID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// next is the request that an upload of size bytes needs now.
func (p *resumption) next(size int64) leg {
	switch {
	case p.can == repeats:
		return leg{whole, 0, size}
	case p.unsure:
		return leg{ask, p.offset, p.offset}
	case p.offset == 0 && (p.piece == 0 || p.taken || size <= p.piece):
		return leg{whole, 0, size}
	case p.piece == 0:
		return leg{part, p.offset, size}
	}
	return leg{part, p.offset, min(p.offset+p.piece, size)}
}

// mark gives a request for leg l of an upload of size bytes the headers of the protocol.
func (p *resumption) mark(h http.Header, l leg, size int64) {
	if p.can == repeats {
		return
	}
	h.Set("Holdfast-Upload", p.id)
	if l.kind == whole {
		return
	}
	h.Set("Upload-Length", strconv.FormatInt(size, 10))
	if t := h["Content-Type"]; len(t) > 0 {
		h["Holdfast-Slot-Type"] = t[:1]
	}
	for _, name := range []string{"Content-Type", "Content-Digest", "Content-Md5", "Digest"} { // of the whole body
		h.Del(name)
	}
	if l.kind == ask {
		return
	}
	h.Set("Content-Type", "application/partial-upload")
	h.Set("Upload-Offset", strconv.FormatInt(l.from, 10))
	h.Set("Upload-Complete", map[bool]string{false: "?0", true: "?1"}[l.to == size])
}

// learn takes the answer to leg l. False: it means what it would mean for a plain upload, and judge decides.
func (p *resumption) learn(l leg, a answer, size int64) (verdict, bool) {
	if p.can == repeats {
		return verdict{}, false
	}
	p.most = max(p.most, l.from+a.sent)
	switch l.kind {
	case ask:
		if a.err != nil {
			if p.can == untold && errors.Is(a.err, errSilent) { // it may be the question that is not liked
				if p.odd++; p.odd > 1 {
					p.can = repeats
				}
			}
			return verdict{}, false
		}
		return p.told(a, size)
	case part:
		if a.err != nil {
			p.cut(l)
			return verdict{}, false
		}
		return p.answered(l, a, size)
	}
	if a.begun && (a.err != nil || transient(a.status) || a.status/100 == 2 && !a.whole) {
		p.cut(l)
		p.full = a.status == http.StatusInsufficientStorage && ours(a.header)
	}
	return verdict{}, false
}

// cut notes that leg l ended without a word about what it brought.
func (p *resumption) cut(l leg) {
	p.unsure, p.from = true, l.from
}

// ours says whether an answer comes from a server that knows this protocol.
func ours(h http.Header) bool { return h.Get("Holdfast-Api") != "" }

// onwardVerdict goes on with the next leg at once.
var onwardVerdict = verdict{step: onward}

// told learns from the answer to HEAD.
func (p *resumption) told(a answer, size int64) (verdict, bool) {
	code := a.header.Get("Holdfast-Error")
	offset, complete, ok := standing(a.header, size)
	switch {
	case a.status/100 == 2 && ok:
		p.can = resumes
		if complete {
			if p.inherited {
				return verdict{step: compare, status: http.StatusConflict, reason: ReasonRefused}, true
			}
			return verdict{step: succeed, status: http.StatusCreated}, true
		}
		if offset > p.most { // more than was ever sent cannot be ours
			p.restart()
			break
		}
		p.found(offset)
	case a.status == http.StatusNotFound && code == "no-upload":
		p.can = resumes
		if p.full { // nor can it keep this one: send it as something that need not be kept
			p.can = repeats
			break
		}
		p.found(0)
	case a.status == http.StatusConflict && code == "other-upload":
		p.can, p.taken = resumes, true
		p.found(0)
	case transient(a.status) && (ours(a.header) || a.status != http.StatusInternalServerError),
		ours(a.header) && (a.status == http.StatusUnauthorized || a.status == http.StatusForbidden || a.status == http.StatusGone):
		return verdict{}, false
	default:
		p.can = repeats
	}
	return onwardVerdict, true
}

// answered learns from the answer to PATCH.
func (p *resumption) answered(l leg, a answer, size int64) (verdict, bool) {
	code := a.header.Get("Holdfast-Error")
	offset, complete, ok := standing(a.header, size)
	switch {
	case a.status == http.StatusCreated && l.to == size && a.whole, a.status/100 == 2 && ok && complete:
		return verdict{step: succeed, status: http.StatusCreated}, true
	case a.status/100 == 2 && ok && offset == l.to && a.whole:
		p.acknowledged(l)
	case a.status/100 == 2, a.status == http.StatusConflict && code == "wrong-offset":
		p.cut(l)
		if p.odd++; p.odd > maxOddities {
			p.can = repeats
		}
	case a.status == http.StatusConflict && code == "other-upload":
		p.taken, p.offset = true, 0
	case a.status == http.StatusNotFound && code == "no-upload", a.status == http.StatusBadRequest && code == "digest-mismatch":
		p.restart()
	case transient(a.status):
		p.cut(l)
		p.full = a.status == http.StatusInsufficientStorage
		return verdict{}, false
	case ours(a.header) && a.status != http.StatusBadRequest && a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed && a.status != http.StatusNotImplemented:
		return verdict{}, false
	default: // a proxy that lets no PATCH through, or not its headers
		p.can = repeats
	}
	return onwardVerdict, true
}

// acknowledged notes that the server has all of leg l. Pieces grow while nothing is cut.
func (p *resumption) acknowledged(l leg) {
	p.offset, p.odd = l.to, 0
	p.most = max(p.most, l.to)
	if p.steady += l.size(); p.piece > 0 && p.steady >= steadiness*p.piece {
		p.piece = min(2*p.piece, maxPiece)
	}
	if !p.held && p.steady >= near {
		p.piece = 0
	}
}

// found notes what the server has after a cut. If that cost more than buffers explain, something on the way keeps bytes back
// until it has all of a request: from now on requests are bounded. They are for a while if the cut was dear.
func (p *resumption) found(offset int64) {
	lost, through := p.most-offset, offset-p.begun
	heldBack := lost > maxPiece || lost > inFlight && offset <= p.from
	switch {
	case p.piece > 0:
		p.piece = max(p.piece/2, minPiece)
	case heldBack:
		p.piece, p.held = firstPiece, true
	case through > 0 && through < near && lost > through/dear:
		p.piece = firstPiece
	}
	if offset < p.offset {
		if p.starts++; p.starts > maxRestarts {
			p.can = repeats
		}
	}
	p.offset, p.most, p.begun, p.unsure, p.full, p.steady = offset, offset, offset, false, false, 0
}

// restart begins with a new resource; after too many of them it gives up resuming.
func (p *resumption) restart() {
	p.id, p.offset, p.most, p.begun, p.unsure, p.inherited = newUploadID(), 0, 0, 0, false, false
	if p.starts++; p.starts > maxRestarts {
		p.can = repeats
	}
}

// bound is what is worth knowing for the next upload to the same server: the size of pieces that have to be; 0: none.
func (p *resumption) bound() int64 {
	if !p.held {
		return 0
	}
	return p.piece
}

// standing reads Upload-Offset, Upload-Length and Upload-Complete of an upload of size bytes.
func standing(h http.Header, size int64) (offset int64, complete, ok bool) {
	offset, err := strconv.ParseInt(h.Get("Upload-Offset"), 10, 64)
	if err != nil || offset < 0 || offset > size {
		return 0, false, false
	}
	if l := h.Get("Upload-Length"); l != "" && l != strconv.FormatInt(size, 10) {
		return 0, false, false
	}
	complete = h.Get("Upload-Complete") == "?1"
	return offset, complete, !complete || offset == size
}

func (k legKind) method() string {
	return [...]string{http.MethodPut, http.MethodHead, http.MethodPatch}[k]
}
