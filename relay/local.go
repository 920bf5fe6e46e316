package relay

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// local answers what is asked of the relay itself: two documents that say nothing private.
func (f *front) local(req *http.Request) bool {
	if site := req.Header.Get("Sec-Fetch-Site"); req.Header.Get("Origin") != "" || site != "" && site != "none" && site != "same-origin" {
		return f.refuse(req, http.StatusForbidden, "Web pages get no answer here.")
	}
	if !loopbackHost(req.Host) {
		// A name that was pointed at 127.0.0.1 (DNS rebinding), or a proxy request without its host.
		return f.refuse(req, http.StatusMisdirectedRequest, "This is the upload relay of Holdfast on this computer.")
	}
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		return f.refuse(req, http.StatusMethodNotAllowed, "Only GET is answered here.")
	}
	switch req.URL.Path {
	case "/proxy.pac":
		self := f.r.self.Load()
		return f.document(req, "application/x-ns-proxy-autoconfig", PAC(f.r.hosts.Load().names, self.String()))
	case "/healthz":
		return f.document(req, "application/json", `{"status":"ok","name":"holdfast"}`+"\n")
	}
	return f.refuse(req, http.StatusNotFound, "There is nothing here but /proxy.pac and /healthz.")
}

func (f *front) document(req *http.Request, contentType, body string) bool {
	h := http.Header{"Content-Type": {contentType}, "Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}}
	return f.answer(req, http.StatusOK, "", h, body)
}

// loopbackHost says whether a Host header names this machine.
func loopbackHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil && ip.IsLoopback()
}
