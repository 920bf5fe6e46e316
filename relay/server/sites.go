package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
)

// Site is a Server beside others on the same sockets, and the name of the host under which it is asked for.
type Site struct {
	Host   string
	Server *Server
}

// Serve answers connections on l for one site or several until ctx ends, over TLS if tc is not nil. Then it accepts no more
// and lets uploads finish as long as they move; downloads get a few seconds. It closes l. What belongs to a connection, such
// as its time limits, is that of the first site.
func Serve(ctx context.Context, l net.Listener, tc *tls.Config, sites ...Site) error {
	return serve(ctx, l, tc, sites)
}

// Serve is Serve for one server.
func (s *Server) Serve(ctx context.Context, l net.Listener, tc *tls.Config) error {
	return serve(ctx, l, tc, []Site{{Server: s}})
}

// sitesHandler routes to the site that a request is for.
func sitesHandler(sites []Site) http.Handler {
	if len(sites) == 1 {
		return sites[0].Server.Handler()
	}
	handlers := make(map[*Server]http.Handler, len(sites))
	for _, s := range sites {
		handlers[s.Server] = s.Server.Handler()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		if slot := r.Header.Get(slotHeader); slot != "" { // at /chunked-upload and /upload-status only this tells
			if u, err := parseSlot(slot); err == nil {
				path = u.EscapedPath()
			}
		}
		if s := siteFor(sites, r.Host, path); s != nil {
			handlers[s].ServeHTTP(w, r)
			return
		}
		first := sites[0].Server
		first.refused(r, refuse(w, r, ErrNotFound), ErrNotFound)
	})
}

// siteFor finds the site of a request: by the longest prefix of its path, and by the host only between sites with the same
// prefix, since a proxy may not pass the host on. A path at the origin that belongs to none is that of the host's site, or
// of the first. nil: several have the prefix, and none of them the host.
func siteFor(sites []Site, host, path string) *Server {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	longest := 0
	for _, s := range sites {
		if strings.HasPrefix(path, s.Server.prefix) {
			longest = max(longest, len(s.Server.prefix))
		}
	}
	var candidates []Site
	for _, s := range sites {
		if longest == 0 || len(s.Server.prefix) == longest && strings.HasPrefix(path, s.Server.prefix) {
			candidates = append(candidates, s)
		}
	}
	for _, s := range candidates {
		if s.Host == host {
			return s.Server
		}
	}
	if longest == 0 || len(candidates) == 1 {
		return candidates[0].Server
	}
	return nil
}
