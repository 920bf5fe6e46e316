package relay

import (
	"crypto/sha256"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	keptFor  = 24 * time.Hour // the server keeps the part for 72 h
	keptMost = 256
)

// kept remembers uploads that ended on this side while the server has a part of them: the same client that sends the same
// slot again goes on where the server is. It holds no body and no credential. The zero value remembers none.
type kept struct {
	mu   sync.Mutex // guards the following
	byID map[[sha256.Size]byte]keptUpload
}

type keptUpload struct {
	id          string
	piece, most int64
	until       time.Time
}

// slotID names an upload: the same address, credentials, length and type.
func slotID(req *http.Request) [sha256.Size]byte {
	h := sha256.New()
	for _, part := range []string{req.URL.Scheme, req.URL.Host, req.URL.RequestURI(), strconv.FormatInt(req.ContentLength, 10),
		req.Header.Get("Authorization"), req.Header.Get("Content-Type")} {
		h.Write([]byte(strconv.Itoa(len(part)) + ":" + part))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// keep remembers an upload that ended without the server having it whole.
func (k *kept) keep(slot [sha256.Size]byte, p resumption, now time.Time) {
	if p.id == "" || p.can == repeats || p.most == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byID == nil {
		k.byID = map[[sha256.Size]byte]keptUpload{}
	}
	for s, u := range k.byID {
		if now.After(u.until) {
			delete(k.byID, s)
		}
	}
	if len(k.byID) < keptMost {
		k.byID[slot] = keptUpload{p.id, p.piece, p.most, now.Add(keptFor)}
	}
}

// take gives out what is remembered of slot, once.
func (k *kept) take(slot [sha256.Size]byte, now time.Time) (keptUpload, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	u, ok := k.byID[slot]
	delete(k.byID, slot)
	return u, ok && now.Before(u.until)
}

// inherit begins where an earlier upload of the same slot ended: what the server has is asked for first. Its bytes may be
// another file's, so the whole is compared before it counts.
func (p *resumption) inherit(u keptUpload) {
	if p.can == repeats {
		return
	}
	p.id, p.piece, p.most = u.id, max(p.piece, u.piece), u.most
	p.unsure, p.inherited = true, true
}
