package relay

import (
	"context"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// This file tells the sign-in page of a network (a captive portal) from the server of an upload. Such a page answers in the
// server's place: over plain http with a redirect or a page of HTML, over https with a certificate of its own. It ends when the
// person has signed in, so the upload waits.

const portalSentence = "The network wants you to sign in first"

// portalLimit is for the one question that is asked to find out.
const portalLimit = 5 * time.Second

// portalAnswer says whether an answer to an upload over plain http, or 511 over either, is a sign-in page; maybe says that it is
// only likely, and that the stored file will tell.
func portalAnswer(a answer) (yes, maybe bool) {
	if a.status == http.StatusNetworkAuthenticationRequired { // RFC 6585 section 6
		return true, false
	}
	if !a.plain || ours(a.header) {
		return false, false
	}
	switch {
	case a.status >= 300 && a.status < 400:
		return elsewhere(a.host, a.header.Get("Location")), false
	case a.status/100 == 2:
		return false, isHTML(a.header)
	}
	return false, false
}

func isHTML(h http.Header) bool {
	t, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return t == "text/html" || t == "application/xhtml+xml"
}

// elsewhere says whether location leads away from host and everything that belongs to it.
func elsewhere(host, location string) bool {
	to, err := url.Parse(location)
	if err != nil || to.Host == "" {
		return false
	}
	return family(to.Hostname()) != family(host)
}

// family is the last two labels of a name, or the address itself.
func family(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if net.ParseIP(host) != nil {
		return host
	}
	labels := strings.Split(host, ".")
	return strings.Join(labels[max(0, len(labels)-2):], ".")
}

// portalVerdict waits for the sign-in.
func portalVerdict(p past) verdict {
	return cannotRepeat(p, verdict{step: await, status: http.StatusBadGateway, reason: ReasonPortal, sentence: portalSentence})
}

// behindPortal finds out whether a bad certificate is that of a sign-in page. It asks the host over plain http, with nothing
// that is private, for a document that only our server has: a page of HTML or a way to somebody else's host comes from a portal.
func (d *delivery) behindPortal(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, portalLimit)
	defer cancel()
	host := d.url.Hostname()
	name := host
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	req := (&http.Request{
		Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: name, Path: wellKnown}, Host: name,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"User-Agent": {""}, "Cache-Control": {"no-cache"}},
	}).WithContext(ctx)
	resp, err := d.r.up.roundTrip(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNetworkAuthenticationRequired:
		return true
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return elsewhere(host, resp.Header.Get("Location"))
	}
	return resp.StatusCode == http.StatusOK && isHTML(resp.Header)
}

const wellKnown = "/.well-known/holdfast"
