package server

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"holdfast/relay/token"
)

// This file is what `holdfast-server files` and `devices` speak with a running server. It is served on a socket that only the server's own
// user and root can open, and nowhere else.

// AdminOrder is the body of POST /files/rm, /files/block and /files/unblock: a path below the prefix, decoded, or a SHA-256 in hex.
type AdminOrder struct {
	Path   string `json:"path,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
}

// AdminResult is the answer to an AdminOrder.
type AdminResult struct {
	SHA256  string  `json:"sha256,omitempty"` // what is blocked now, or no longer
	Removed []Found `json:"removed,omitempty"`
	Error   string  `json:"error,omitempty"` // what went wrong after that
	Missing bool    `json:"missing,omitempty"`
}

// AdminBlock is a line of GET /files/blocked.
type AdminBlock struct {
	SHA256 string    `json:"sha256"`
	Since  time.Time `json:"since"`
}

// AdminHandler returns the admin's side for takedowns. Whoever can speak with it can remove every file.
func (s *Server) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /files", s.adminFiles)
	mux.HandleFunc("GET /files/blocked", s.adminBlocked)
	order := func(do func(r *http.Request, o AdminOrder) (AdminResult, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var o AdminOrder
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&o); err != nil {
				http.Error(w, "the order cannot be read", http.StatusBadRequest)
				return
			}
			res, err := do(r, o)
			if errors.Is(err, fs.ErrNotExist) {
				res.Missing = true
			} else if err != nil {
				res.Error = err.Error()
				s.log.Error("order of the admin not carried out", "error", err)
			}
			_ = reply(w, r, http.StatusOK, res) // a client that is gone hears nothing
		}
	}
	mux.Handle("POST /files/rm", order(s.adminRemove))
	mux.Handle("POST /files/block", order(s.adminBlock))
	mux.Handle("POST /files/unblock", order(s.adminUnblock))
	mux.HandleFunc("GET /devices", s.adminListDevices)
	devices := func(do func(r *http.Request, o AdminDeviceOrder) (AdminDeviceResult, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var o AdminDeviceOrder
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&o); err != nil {
				http.Error(w, "the order cannot be read", http.StatusBadRequest)
				return
			}
			res, err := do(r, o)
			if err != nil {
				res.Error = err.Error()
				s.log.Error("order of the admin not carried out", "error", err)
			}
			_ = reply(w, r, http.StatusOK, res) // a client that is gone hears nothing
		}
	}
	mux.Handle("POST /devices/add", devices(s.adminAddDevice))
	mux.Handle("POST /devices/revoke", devices(s.adminRevokeDevice))
	return mux
}

// adminFiles lists files, one JSON object a line. A last line without a path says what went wrong.
func (s *Server) adminFiles(w http.ResponseWriter, r *http.Request) {
	owner := ""
	if jid := r.URL.Query().Get("user"); jid != "" {
		owner = token.Owner(jid)
	}
	w.Header().Set("Content-Type", "application/jsonl")
	out := json.NewEncoder(w)
	if err := s.Files(r.Context(), owner, func(f Found) error { return out.Encode(f) }); err != nil {
		_ = out.Encode(AdminResult{Error: err.Error()}) // a client that is gone hears nothing
	}
}

func (s *Server) adminBlocked(w http.ResponseWriter, r *http.Request) {
	blocks, err := s.ledger.Blocks(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	list := make([]AdminBlock, len(blocks))
	for i, b := range blocks {
		list[i] = AdminBlock{hex.EncodeToString(b.Digest[:]), b.Since}
	}
	_ = reply(w, r, http.StatusOK, list) // a client that is gone hears nothing
}

func (s *Server) adminRemove(r *http.Request, o AdminOrder) (AdminResult, error) {
	found, err := s.TakeDown(r.Context(), o.Path)
	if err != nil {
		return AdminResult{}, err
	}
	return AdminResult{Removed: []Found{found}}, nil
}

func (s *Server) adminBlock(r *http.Request, o AdminOrder) (AdminResult, error) {
	digest, size := [32]byte{}, int64(-1)
	var err error
	if o.Path != "" {
		digest, size, err = s.Digest(r.Context(), o.Path)
	} else {
		digest, err = parseSHA256(o.SHA256)
	}
	if err != nil {
		return AdminResult{}, err
	}
	down, err := s.Block(r.Context(), digest, size)
	return AdminResult{SHA256: hex.EncodeToString(digest[:]), Removed: down}, err
}

func (s *Server) adminUnblock(r *http.Request, o AdminOrder) (AdminResult, error) {
	digest, err := parseSHA256(o.SHA256)
	if err != nil {
		return AdminResult{}, err
	}
	had, err := s.Unblock(r.Context(), digest)
	return AdminResult{SHA256: o.SHA256, Missing: !had && err == nil}, err
}

func parseSHA256(s string) (digest [32]byte, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(digest) {
		return digest, fmt.Errorf("%q is not a SHA-256 of 64 hexadecimal digits", s)
	}
	return [32]byte(b), nil
}
