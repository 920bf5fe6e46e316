package relay

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/url"
	"path"
	"sync"
	"time"
)

const tellEvery = 250 * time.Millisecond // progress

// upload is what others can see of, and do to, one upload.
type upload struct {
	tell   func(Upload)
	cancel context.CancelCauseFunc
	tryNow chan struct{}

	telling sync.Mutex // held while tell runs, so that snapshots come in order

	mu   sync.Mutex // guards the following
	snap Upload
	told time.Time
}

// begin registers an upload; the caller ends it with finish.
func (r *Relay) begin(req *http.Request, cancel context.CancelCauseFunc) *upload {
	var id [16]byte
	_, _ = rand.Read(id[:])
	receiver := url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: req.URL.Path, RawPath: req.URL.RawPath}
	u := &upload{
		tell: r.c.OnUpload, cancel: cancel, tryNow: make(chan struct{}, 1),
		snap: Upload{
			ID: hex.EncodeToString(id[:]), Host: req.URL.Host, File: path.Base(req.URL.Path), URL: receiver.String(),
			UserAgent: req.UserAgent(), Size: req.ContentLength, State: Receiving, Started: time.Now(),
		},
	}
	r.mu.Lock()
	r.uploads[u.snap.ID] = u
	r.mu.Unlock()
	u.change(func(*Upload) {})
	return u
}

// finish tells of the end and forgets the upload.
func (r *Relay) finish(u *upload, state State, reason, detail string) {
	r.mu.Lock()
	delete(r.uploads, u.snap.ID)
	r.mu.Unlock()
	u.change(func(s *Upload) {
		s.State, s.Reason, s.Detail, s.Ended = state, reason, detail, time.Now()
		if state == Done {
			s.Sent = s.Size
		}
	})
	s := u.snapshot()
	r.c.Log.Info("upload ended", "upload", s.ID, "host", s.Host, "size", s.Size, "state", string(s.State), "reason", s.Reason,
		"detail", s.Detail, "repeats", s.Repeats, "resent", s.Resent, "resigned", s.Resigned, "took", s.Ended.Sub(s.Started).Round(time.Millisecond))
}

func (u *upload) snapshot() Upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.snap
}

// change applies f and tells of it at once.
func (u *upload) change(f func(*Upload)) {
	u.telling.Lock()
	defer u.telling.Unlock()
	u.mu.Lock()
	f(&u.snap)
	u.told = time.Now()
	s := u.snap
	u.mu.Unlock()
	if u.tell != nil {
		u.tell(s)
	}
}

// sent counts bytes of the present attempt and tells of it now and then.
func (u *upload) sent(n int64) {
	u.mu.Lock()
	u.snap.Sent = n
	due := time.Since(u.told) >= tellEvery
	u.mu.Unlock()
	if due {
		u.change(func(*Upload) {})
	}
}
