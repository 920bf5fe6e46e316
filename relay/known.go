package relay

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// pieceMemory is how long a server is taken to be behind a proxy that holds requests back. An admin may have mended that.
const pieceMemory = time.Hour

// acquaintance is what answers told of a server.
type acquaintance struct {
	api   string // path of its endpoints, of Holdfast-Api
	ours  bool   // it speaks the protocol, so a cut costs little
	piece int64  // uploads have to come in pieces; 0: they need not
	until time.Time
}

// acquaintances are the servers that this relay has met. The zero value has met none.
type acquaintances struct {
	mu     sync.Mutex // guards the following
	byHost map[string]acquaintance
}

// of returns what is known of host.
func (k *acquaintances) of(host string) acquaintance {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.byHost[host]
	if time.Now().After(a.until) {
		a.piece = 0
	}
	return a
}

// learn notes what an answer of host shows. No header means nothing: a proxy may have answered.
func (k *acquaintances) learn(host string, h http.Header, piece int64) {
	if !ours(h) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.byHost[host]
	a.ours, a.api = true, h.Get("Holdfast-Api")
	if piece > 0 && a.piece == 0 {
		a.until = time.Now().Add(pieceMemory)
	}
	a.piece = max(a.piece, min(piece, firstPiece))
	if k.byHost == nil {
		k.byHost = map[string]acquaintance{}
	}
	k.byHost[host] = a
}

// introduce finds out who the server of an upload is, without touching the upload: it asks for the file as a receiver would.
func (d *delivery) introduce(ctx context.Context) {
	resp, err := d.fetch(ctx, http.MethodHead)
	if err != nil {
		return
	}
	_ = resp.Body.Close()
	d.r.known.learn(d.url.Host, resp.Header, 0)
}

// cheap says whether it costs little to cut the present attempt: the server would go on where it was.
func (d *delivery) cheap() bool {
	switch d.res.can {
	case resumes:
		return d.spool.repeatable()
	case untold:
		return d.r.known.of(d.url.Host).ours && d.spool.repeatable()
	}
	return false
}
