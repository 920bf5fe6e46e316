package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// document is what /.well-known/holdfast says. It names only what this server can do.
type document struct {
	Version   int      `json:"version"`
	API       string   `json:"api"`
	Tus       string   `json:"tus_endpoint,omitempty"`
	MaxUpload int64    `json:"max_upload_size,omitempty"`
	Resume    []string `json:"resume"`
	Resign    []string `json:"resign"`
	Now       int64    `json:"now"`
}

// info answers what a relay wants to know before it chooses how to send.
func (s *Server) info(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	tus := ""
	if s.parts != nil {
		tus = s.prefix + apiSegment + "tus/"
	}
	return reply(w, r, http.StatusOK, document{
		Version:   1,
		API:       s.prefix + apiSegment,
		Tus:       tus,
		MaxUpload: s.set.Load().MaxUpload,
		Resume:    s.resumes(),
		Resign:    s.resigns(),
		Now:       s.now().Unix(),
	})
}

// health answers that the process lives. Whether it is well is told only on the metrics side.
func health(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, "OK\n") // a client that is gone hears nothing
	return nil
}

// condition is /health?verbose.
type condition struct {
	Status  string `json:"status"` // ok or failing
	Store   string `json:"store"`
	Ledger  string `json:"ledger"`
	Free    uint64 `json:"disk_free_bytes"`
	Uploads int64  `json:"uploads_running"`
	Now     string `json:"now"`
}

// condition says what works and what does not.
func (s *Server) condition(ctx context.Context) condition {
	c := condition{Status: "ok", Store: "ok", Ledger: "ok", Uploads: s.uploads.Load(), Now: s.now().UTC().Format(time.RFC3339)}
	var err error
	if c.Free, err = s.store.Free(); err != nil {
		c.Status, c.Store = failing, err.Error()
	}
	if err := s.ledger.Health(); err != nil {
		c.Status, c.Ledger = failing, err.Error()
	} else if _, err := s.ledger.Burnt(ctx, "health/probe"); err != nil {
		c.Status, c.Ledger = failing, err.Error()
	}
	return c
}

const failing = "failing"

// verbose answers /health?verbose: 503 if something does not work. Of several sites it tells each by its host and prefix.
func verbose(w http.ResponseWriter, r *http.Request, sites []Site) error {
	status := http.StatusOK
	all := struct {
		Status string               `json:"status"`
		Sites  map[string]condition `json:"sites"`
	}{"ok", make(map[string]condition, len(sites))}
	for _, s := range sites {
		c := s.Server.condition(r.Context())
		if c.Status == failing {
			all.Status, status = failing, http.StatusServiceUnavailable
		}
		if len(sites) == 1 {
			return reply(w, r, status, c)
		}
		all.Sites[s.Host+s.Server.prefix] = c
	}
	return reply(w, r, status, all)
}

// reply writes a JSON document.
func reply(w http.ResponseWriter, r *http.Request, status int, doc any) error {
	b, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(append(b, '\n')) // a client that is gone hears nothing
	}
	return nil
}

// MetricsHandler returns the side for the admin's own network: /metrics and /health, with ?verbose.
func (s *Server) MetricsHandler() http.Handler { return MetricsHandler(Site{Server: s}) }

// MetricsHandler is that of several sites, which share one registry.
func MetricsHandler(sites ...Site) http.Handler {
	mux := http.NewServeMux()
	if reg := sites[0].Server.registry; reg != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	}
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) {
		var err error
		if r.URL.Query().Has("verbose") {
			err = verbose(w, r, sites)
		} else {
			err = health(w, r)
		}
		if err != nil {
			_ = refuse(w, r, err) // the answer is all there is to it
		}
	})
	return mux
}
