package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Socket is the unix socket transport of a companion. Open it with ListenSocket, run it with Serve.
type Socket struct {
	l    *net.UnixListener
	dir  string
	uid  int
	s    Service
	hub  *Hub
	log  *slog.Logger
	stop chan struct{} // closed when serving ends, so that event streams end too
}

// ListenSocket makes control.sock in dir, which has to be a folder of uid's own with 0700.
func ListenSocket(dir string, uid int, s Service, hub *Hub, log *slog.Logger) (*Socket, error) {
	l, err := bind(dir)
	if err != nil {
		return nil, err
	}
	return &Socket{l: l, dir: dir, uid: uid, s: s, hub: hub, log: log, stop: make(chan struct{})}, nil
}

// Serve answers until ctx ends, then finishes the calls that run (for at most 5 s) and removes the socket.
func (k *Socket) Serve(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/{method}", k.method)
	mux.HandleFunc("GET /v1/events", k.events)
	srv := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(k.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ownersOnly{k.l, k.uid, k.log}) }()
	var err error
	select {
	case err = <-done:
		close(k.stop)
	case <-ctx.Done():
		close(k.stop)
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if srv.Shutdown(late) != nil {
			_ = srv.Close() // calls that do not end are cut
		}
		err = <-done
	}
	if rm := os.Remove(filepath.Join(k.dir, SocketName)); rm != nil && !errors.Is(rm, os.ErrNotExist) {
		k.log.Warn("control socket stays", "error", rm)
	}
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the control socket: %w", err)
	}
	return nil
}

func (k *Socket) method(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		refuse(w, &Error{Invalid, "the arguments are too long"})
		return
	}
	doc, document, err := call(r.Context(), k.s, r.PathValue("method"), body)
	switch {
	case err != nil:
		if KindOf(err) == Failed {
			k.log.Warn("call did not work", "method", r.PathValue("method"), "error", err)
		}
		refuse(w, err)
	case !document:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, strings.TrimRight(doc, "\n")+"\n") // a caller that went away needs no answer
	}
}

// refusal is an error on the socket.
type refusal struct {
	Error Kind   `json:"error"`
	Text  string `json:"text"`
}

func refuse(w http.ResponseWriter, err error) {
	kind := KindOf(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(statusOf(kind))
	_ = json.NewEncoder(w).Encode(refusal{kind, err.Error()})
}

// line is an Event on the socket.
type line struct {
	Kind     string          `json:"kind"`
	Document json.RawMessage `json:"document"`
}

func (k *Socket) events(w http.ResponseWriter, r *http.Request) {
	events, leave := k.hub.listen()
	defer leave()
	w.Header().Set("Content-Type", "application/jsonl")
	out := http.NewResponseController(w)
	w.WriteHeader(http.StatusOK)
	if out.Flush() != nil {
		return
	}
	enc := json.NewEncoder(w)
	for {
		select {
		case <-r.Context().Done():
			return
		case <-k.stop:
			return
		case e, open := <-events:
			if !open || enc.Encode(line{e.Kind, json.RawMessage(e.JSON)}) != nil || out.Flush() != nil {
				return
			}
		}
	}
}
