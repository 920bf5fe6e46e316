package relay

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Why an attempt was ended from this side.
var (
	errStalled   = errors.New("the network takes no more bytes")
	errSilent    = errors.New("the server does not answer")
	errRefreshed = errors.New("the network changed")
	errGaveUp    = errors.New("no progress for too long")
	errLoop      = errors.New("the address is the relay's own")
)

// answer is what one attempt came to: a status or an error.
type answer struct {
	status   int
	reason   string // of the status line, without the number; empty over HTTP/2
	header   http.Header
	sentence string // what the server says in plain text
	err      error

	sent   int64  // of the request's body, handed over
	whole  bool   // all of it was
	begun  bool   // some of it was
	secure bool   // the server proved who it is (or plain http connected)
	plain  bool   // over plain http
	host   string // that was asked
	asked  bool   // with Expect: 100-continue
	fresh  bool   // over a connection made for it
}

// past is what happened to the upload before this answer.
type past struct {
	lost       bool // an earlier attempt may have been stored without our hearing of it
	repeatable bool
	canResign  bool // there may be a fresh token for it, and none was tried
	redirects  int
	trusted    bool // the server proved who it is once
	reached    bool // ... and in this attempt, over a new connection
	certWaits  int
	changed    bool // the network changed during this attempt
	asked      bool // Expect: 100-continue is still worth sending
}

// step is what to do next.
type step int

const (
	succeed  step = iota // 201 to the client
	fail                 // status and sentence to the client
	repeat               // after a back-off
	again                // at once
	resign               // with a fresh token, else fail
	compare              // is the stored file ours?
	redirect             // to header Location
	await                // the next change of the network, or a while
	onward               // with the next request of the same attempt
)

// verdict is a step and what goes with it.
type verdict struct {
	step     step
	status   int
	sentence string
	reason   string        // of Upload
	after    time.Duration // the server's Retry-After; 0: none
	noExpect bool          // leave out Expect from now on
}

const (
	maxRedirects  = 5
	maxCertWaits  = 3
	maxRetryAfter = 2 * time.Minute
)

// judge decides what an answer means for an upload.
func judge(a answer, p past, now time.Time) verdict {
	if a.err != nil {
		return judgeError(a.err, p)
	}
	said := a.sentence
	portal, maybe := portalAnswer(a)
	if portal {
		return portalVerdict(p)
	}
	switch a.status {
	case http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent:
		if !a.whole {
			// Nobody can have stored what was not yet sent: a captive portal, or a server that read nothing.
			return cannotRepeat(p, verdict{step: repeat, status: http.StatusBadGateway, reason: ReasonBusy,
				sentence: "The server answered before it had the file"})
		}
		if maybe && p.repeatable {
			return verdict{step: compare, reason: ReasonPortal}
		}
		return verdict{step: succeed, status: http.StatusCreated}
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		if p.redirects >= maxRedirects {
			return verdict{step: fail, status: http.StatusBadGateway, reason: ReasonRefused, sentence: "The server redirects the upload in circles"}
		}
		return cannotRepeatAfter(a, p, verdict{step: redirect})
	case http.StatusConflict:
		if p.lost {
			return verdict{step: compare, status: a.status, reason: ReasonRefused, sentence: said}
		}
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusGone:
		if p.canResign && (p.repeatable || !a.begun) {
			return verdict{step: resign, status: a.status, reason: ReasonRefused, sentence: said}
		}
	case http.StatusExpectationFailed:
		if a.asked && p.asked {
			return verdict{step: again, noExpect: true}
		}
	}
	switch {
	case transient(a.status):
		return cannotRepeatAfter(a, p, verdict{step: repeat, status: http.StatusServiceUnavailable, reason: ReasonBusy,
			sentence: said, after: retryAfter(a.header.Get("Retry-After"), now)})
	case a.status >= 400 && a.status < 600:
		return verdict{step: fail, status: a.status, reason: ReasonRefused, sentence: said}
	case a.status >= 300 && a.status < 400:
		return verdict{step: fail, status: http.StatusBadGateway, reason: ReasonRefused,
			sentence: fmt.Sprintf("The server sends the upload elsewhere (%d), which would lose the file", a.status)}
	}
	return verdict{step: fail, status: http.StatusBadGateway, reason: ReasonRefused,
		sentence: fmt.Sprintf("The server gave an answer that is not one to an upload (%d)", a.status)}
}

// transient says whether a status asks for another try.
func transient(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusInsufficientStorage:
		return true
	}
	return false
}

func judgeError(err error, p past) verdict {
	switch {
	case errors.Is(err, errNoCopy):
		return verdict{step: fail, status: http.StatusBadGateway, reason: ReasonNoCopy,
			sentence: "The connection broke and the file is too large to keep a copy. Send it again"}
	case errors.Is(err, errGaveUp):
		return verdict{step: fail, status: http.StatusGatewayTimeout, reason: ReasonGaveUp, sentence: "The server takes no more of the file"}
	case errors.Is(err, errLoop):
		return verdict{step: fail, status: http.StatusBadGateway, reason: ReasonRefused, sentence: "The name of the server leads back to Holdfast itself"}
	case errors.Is(err, errRefreshed):
		return cannotRepeat(p, verdict{step: again, status: http.StatusBadGateway, reason: ReasonNetwork, sentence: "The network changed"})
	}
	if f, ok := certificateProblem(err); ok {
		v := verdict{step: fail, status: http.StatusBadGateway, reason: f.reason, sentence: f.sentence}
		// A captive portal shows its own certificate until somebody logs in; the next network may be a better one.
		if p.certWaits < maxCertWaits && p.repeatable {
			if p.changed {
				v.step = again
			} else if p.trusted {
				v.step = await
			}
		}
		return v
	}
	return cannotRepeat(p, verdict{step: repeat, status: http.StatusGatewayTimeout, reason: ReasonNetwork, sentence: sentence(err)})
}

// cannotRepeatAfter turns v into a failure if the attempt used up a body that was not kept.
func cannotRepeatAfter(a answer, p past, v verdict) verdict {
	if a.begun {
		return cannotRepeat(p, v)
	}
	return v
}

func cannotRepeat(p past, v verdict) verdict {
	if p.repeatable {
		return v
	}
	status := v.status
	if status == 0 {
		status = http.StatusBadGateway
	}
	text := v.sentence
	if text == "" {
		text = "The upload has to start over"
	}
	return verdict{step: fail, status: status, reason: ReasonNoCopy, sentence: text + ", and the file is too large to keep a copy. Send it again"}
}

// retryAfter reads Retry-After (RFC 9110 section 10.2.3), capped.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, maxRetryAfter)
	}
	if t, err := http.ParseTime(s); err == nil {
		return min(max(t.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

// backOff is the pause before repeat n (the first is 0): doubling, and a little apart from others' repeats.
func backOff(n int, first, most time.Duration) time.Duration {
	d := most
	if n < 30 {
		d = min(first<<n, most)
	}
	return d - time.Duration(rand.Int64N(int64(d)/4+1))
}

// redirectTarget is where a 307 or 308 leads, if the relay may go there: same host, over https. Else the sentence
// says why not.
func redirectTarget(from *url.URL, location string) (to *url.URL, refused string) {
	if location == "" {
		return nil, "The server redirects the upload, but does not say where"
	}
	to, err := from.Parse(location)
	if err != nil {
		return nil, "The server redirects the upload to an address that is not valid"
	}
	if to.Scheme != "https" {
		return nil, "The server redirects the upload to an address without encryption"
	}
	a, err1 := canonicalTarget(from.Host, "443")
	b, err2 := canonicalTarget(to.Host, "443")
	same := err1 == nil && err2 == nil && a == b
	if from.Scheme == "http" { // from http to https of one host: the port may differ
		same = err1 == nil && err2 == nil && sameName(a, b)
	}
	if !same || to.User != nil {
		return nil, "The server redirects the upload to another host"
	}
	to.Fragment = ""
	return to, ""
}

// sentence says in a few words what a network error means to a person.
func sentence(err error) string {
	var dns *net.DNSError
	var ne net.Error
	switch {
	case errors.Is(err, errLoop):
		return "the name leads back to Holdfast itself"
	case errors.Is(err, errStalled):
		return "The network takes no more bytes"
	case errors.Is(err, errSilent):
		return "The server does not answer"
	case errors.As(err, &dns):
		return "The name of the server cannot be found"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETDOWN):
		return "The network is not reachable"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "The server refuses the connection"
	case errors.As(err, &ne) && ne.Timeout():
		return "The server does not answer"
	}
	return "The connection broke"
}

// refusal is the sentence for a status that the server gave no words for.
func refusal(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "The server refused the upload"
	case http.StatusNotFound:
		return "The server does not know this upload address"
	case http.StatusConflict:
		return "The server already has another file under this address"
	case http.StatusGone:
		return "The permission for this upload is too old"
	case http.StatusLengthRequired:
		return "The server wants to know the length of the file"
	case http.StatusRequestEntityTooLarge:
		return "The file is too large for the server"
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return "The server is busy"
	case http.StatusInsufficientStorage:
		return "The server is full"
	}
	if t := http.StatusText(status); t != "" {
		return "The server refused the upload: " + strings.ToLower(t)
	}
	return "The server refused the upload"
}
