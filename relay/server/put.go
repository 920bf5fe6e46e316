package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"holdfast/relay/server/resume"
	"holdfast/relay/server/store"
	"holdfast/relay/token"
)

// put fills a slot.
func (s *Server) put(w http.ResponseWriter, r *http.Request) error {
	defer s.counted()()
	u, err := s.judge(w, r)
	if err != nil {
		return err
	}
	defer s.unreserve(u)
	again, err := s.fill(w, r, u)
	if err != nil {
		return u.explain(err)
	}
	s.remember(w, r, u, again)
	s.created(w, u, again)
	return nil
}

// counted counts a request that uploads, until what it returns is called.
func (s *Server) counted() func() {
	s.uploads.Add(1)
	s.metrics.running.Inc()
	return func() {
		s.uploads.Add(-1)
		s.metrics.running.Dec()
	}
}

// created answers that the file is stored.
func (s *Server) created(w http.ResponseWriter, u *upload, again bool) {
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
	s.stored(u, again)
}

// slot is a slot with its credential, wherever a request carries them.
type slot struct {
	path          string // below the prefix, decoded
	fullPath      string // decoded
	rawQuery      string
	authorization string
	several       bool  // more than one Authorization came
	size          int64 // declared; -1: not
	mediaType     string
}

// slotOf is the slot that the URL of r names.
func (s *Server) slotOf(r *http.Request, size int64, mediaType string) (slot, error) {
	path, err := s.path(r)
	if err != nil {
		return slot{}, err
	}
	authorization, several := authorizationOf(r)
	return slot{path, r.URL.Path, r.URL.RawQuery, authorization, several, size, mediaType}, nil
}

// authorizationOf returns the Authorization of r, and whether there is more than one; then the first Bearer counts, for
// a second one must not hide it. A request that shows a device has the one of its slot in a header of its own.
func authorizationOf(r *http.Request) (value string, several bool) {
	values := r.Header.Values("Authorization")
	if len(values) == 1 {
		if _, shown := accessToken(values[0]); shown {
			values = r.Header.Values(slotAuthorization)
		}
	}
	if len(values) == 0 {
		return "", false
	}
	for _, v := range values {
		if name, _, _ := strings.Cut(v, " "); strings.EqualFold(name, "Bearer") {
			return v, len(values) > 1
		}
	}
	return values[0], len(values) > 1
}

// upload is a PUT that was admitted.
type upload struct {
	admission
	path   string
	claims token.Claims
	size   int64
	meta   store.Meta
	began  time.Time
	extra  string // what its door keeps of its first request

	reserved *reservation // in the quotas; nil: nothing
}

// judge asks everything that can refuse a PUT without reading its body.
func (s *Server) judge(w http.ResponseWriter, r *http.Request) (*upload, error) {
	set := s.set.Load()
	u, err := s.verifyPut(set, r)
	if err != nil {
		return nil, err
	}
	if err := s.allow(w, r, set, u); err != nil {
		return nil, err
	}
	if u.meta.Digest, err = declaredDigest(r.Header, reprDigest, contentDigest); err != nil {
		return nil, u.explain(err)
	}
	if err := s.allowed(u.meta.Digest); err != nil {
		return nil, u.explain(err)
	}
	return u, nil
}

// verifyPut verifies the slot of a PUT that sends the whole file.
func (s *Server) verifyPut(set *active, r *http.Request) (*upload, error) {
	sl, err := s.slotOf(r, r.ContentLength, r.Header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	if r.ContentLength < 0 || r.ContentLength == 0 && r.Header.Get("Content-Length") == "" {
		return nil, ErrNoLength // nothing said is not "empty": the length is what was signed
	}
	if r.Header.Get("Content-Range") != "" { // RFC 9110 section 14.5: a part must not become the whole
		u := &upload{path: sl.path, size: sl.size}
		return nil, u.explain(fmt.Errorf("%w: content-range in a put", ErrBadRequest))
	}
	if len(r.Header.Values("Content-Type")) > 1 { // which of them was signed would depend on who reads
		u := &upload{path: sl.path, size: sl.size}
		return nil, u.explain(fmt.Errorf("%w: several content-types", ErrBadRequest))
	}
	return s.verify(set, sl)
}

// verify checks the credential of a slot, not its time.
func (s *Server) verify(set *active, sl slot) (*upload, error) {
	u := &upload{path: sl.path, size: sl.size, began: s.now()}
	var err error
	u.claims, err = set.verifier.Verify(token.Request{
		Path:          sl.path,
		FullPath:      sl.fullPath,
		RawQuery:      sl.rawQuery,
		Authorization: sl.authorization,
		Several:       sl.several,
		Size:          sl.size,
		Type:          sl.mediaType,
	})
	if err != nil {
		return nil, u.explain(err)
	}
	u.meta = store.Meta{Type: declaredType(u.claims, sl.mediaType), Retain: set.retain(u.claims, u.began)}
	return u, nil
}

// allow judges a verified slot: its time, its size, and whether its token was used for another path.
func (s *Server) allow(w http.ResponseWriter, r *http.Request, set *active, u *upload) error {
	if err := s.ledger.Health(); err != nil {
		return u.explain(fmt.Errorf("%w: ledger: %w", ErrUnavailable, err))
	}
	if err := s.admit(w, r, set, u); err != nil {
		return u.explain(err)
	}
	if set.MaxUpload > 0 && u.size > set.MaxUpload {
		return u.explain(ErrTooLarge)
	}
	if err := s.limited(u); err != nil {
		return u.explain(err)
	}
	if u.claims.Scheme == token.Bearer { // its MAC binds only the last segment of the path
		if err := s.ledger.BurnToken(r.Context(), sha256.Sum256(u.claims.MAC[:]), u.path, set.burnUntil(u.claims)); err != nil {
			return u.explain(fmt.Errorf("bind the token to its path: %w", err))
		}
	}
	return nil
}

// beside compares the body with the published file, if there is one. ErrSlotUsed: there was one, or it is another.
func (s *Server) beside(r *http.Request, in *body, u *upload) (there bool, err error) {
	f, err := s.published(r, u)
	if f == nil || err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // read only
	return true, compare(in, f, u.size)
}

// published opens the file of a slot; nil if there never was one. ErrSlotUsed: there was one, or its time is over.
func (s *Server) published(r *http.Request, u *upload) (store.File, error) {
	// Burnt is asked before Open: a file that another request publishes in between is then found by Open.
	burnt, err := s.ledger.Burnt(r.Context(), u.path)
	if err != nil {
		return nil, fmt.Errorf("look up the slot: %w", err)
	}
	f, err := s.store.Open(u.path)
	switch {
	case err == nil:
		return s.unlessEnded(f)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: open the published file: %w", ErrUnavailable, err)
	case burnt:
		return nil, fmt.Errorf("%w: its file is gone", ErrSlotUsed)
	case ended(u.meta, s.now()): // 201 says that the file can be fetched (XEP-0363 section 4)
		return nil, fmt.Errorf("%w: the token keeps the file until %s only", ErrLate, u.meta.Retain.UTC().Format(time.RFC3339))
	}
	return nil, nil //nolint:nilnil // nil: none
}

// unlessEnded closes and refuses a file that get no longer serves, though the sweep has not come by yet.
func (s *Server) unlessEnded(f store.File) (store.File, error) {
	meta, err := f.Meta()
	if err == nil && !ended(meta, s.now()) {
		return f, nil
	}
	if err == nil {
		err = fmt.Errorf("%w: the time of its file is over", ErrSlotUsed)
	} else {
		err = fmt.Errorf("%w: read what rides with the file: %w", ErrUnavailable, err)
	}
	return nil, errors.Join(err, f.Close())
}

// ended reports whether a file is kept no longer.
func ended(m store.Meta, now time.Time) bool { return !m.Retain.IsZero() && !now.Before(m.Retain) }

// fill stores the body, or compares it with the file that is there. again: the file was there, with the same bytes.
func (s *Server) fill(w http.ResponseWriter, r *http.Request, u *upload) (again bool, err error) {
	in := newBody(w, r, s.idle)
	if there, err := s.beside(r, in, u); there || err != nil {
		return there, err
	}
	if err := s.reserve(r.Context(), u); err != nil {
		return false, err
	}
	up, err := s.store.Create(r.Context(), u.path, u.size, u.meta)
	if err != nil {
		return false, fmt.Errorf("begin the file: %w", err)
	}
	defer func() {
		if derr := up.Discard(); derr != nil && err == nil {
			s.log.Warn("temporary file not removed", "path", u.path, "error", derr)
		}
	}()
	if err := s.receive(up, in, u); err != nil {
		return false, err
	}
	// Asked again: another request may have filled the slot while the body came, and its file may be gone already.
	burnt, err := s.ledger.Burnt(r.Context(), u.path)
	if err != nil {
		return false, fmt.Errorf("look up the slot: %w", err)
	}
	if burnt {
		return true, s.lost(up, u.path)
	}
	if err := up.Publish(); err == nil {
		return false, nil
	} else if !errors.Is(err, fs.ErrExist) {
		return false, fmt.Errorf("publish the file: %w", err)
	}
	return true, s.lost(up, u.path)
}

// receive copies the body into the upload and checks what the client said of it, and what an admin did.
func (s *Server) receive(up store.Upload, in *body, u *upload) error {
	var sum hash.Hash
	var src io.Reader = in
	if u.meta.Digest != nil || s.ledger.Blocking() {
		sum = sha256.New()
		src = io.TeeReader(in, sum)
	}
	n, err := up.ReadFrom(src)
	switch {
	case in.err != nil:
		return in.err
	case err != nil:
		return fmt.Errorf("write the file: %w", err)
	case n != u.size:
		return fmt.Errorf("%w: %d of %d bytes came", ErrBadRequest, n, u.size)
	case sum == nil && s.ledger.Blocking(): // the first block of all came meanwhile
		return fmt.Errorf("%w: the bytes were not compared with what is blocked", ErrUnavailable)
	case sum == nil:
		return nil
	}
	got := sum.Sum(nil)
	if u.meta.Digest != nil && !bytes.Equal(got, u.meta.Digest) {
		return ErrDigest
	}
	return s.allowed(got)
}

// lost is the end of an upload that another one to the same slot overtook: the same bytes are as good as first.
func (s *Server) lost(up sameAs, path string) error {
	f, err := s.store.Open(path)
	if errors.Is(err, fs.ErrNotExist) { // a folder, or removed since
		return fmt.Errorf("%w: %w", ErrSlotUsed, err)
	}
	if err != nil { // says nothing of the bytes
		return fmt.Errorf("%w: open the published file: %w", ErrUnavailable, err)
	}
	defer func() { _ = f.Close() }() // read only
	same, err := up.SameAs(f)
	if err != nil {
		return fmt.Errorf("%w: compare with the published file: %w", ErrUnavailable, err)
	}
	if !same {
		return ErrSlotUsed
	}
	return nil
}

// compare reads the body beside the file and stops at the first difference.
func compare(in *body, f store.File, size int64) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%w: stat the published file: %w", ErrUnavailable, err)
	}
	if info.Size() != size {
		return fmt.Errorf("%w: with %d bytes", ErrSlotUsed, info.Size())
	}
	a, b := buffers.Get().(*[]byte), buffers.Get().(*[]byte)
	defer buffers.Put(a)
	defer buffers.Put(b)
	for left := size; left > 0; {
		n, err := in.Read((*a)[:min(left, int64(len(*a)))])
		if n > 0 {
			if _, ferr := io.ReadFull(f, (*b)[:n]); ferr != nil {
				return fmt.Errorf("%w: read the published file: %w", ErrUnavailable, ferr)
			}
			if !bytes.Equal((*a)[:n], (*b)[:n]) {
				return fmt.Errorf("%w: with other bytes", ErrSlotUsed)
			}
			left -= int64(n)
		}
		if left > 0 && err != nil {
			if in.err != nil {
				return in.err
			}
			return fmt.Errorf("%w: the body ended early", ErrBadRequest)
		}
	}
	return nil
}

// remember notes what an answered upload means for later ones. A repeat changes nothing but may have to burn what an
// unclean stop forgot.
func (s *Server) remember(w http.ResponseWriter, r *http.Request, u *upload, again bool) {
	set := s.set.Load()
	s.ledger.Burn(u.path, set.burnUntil(u.claims))
	if again {
		return
	}
	s.charge(u)
	if !u.meta.Retain.IsZero() {
		s.ledger.Expire(u.path, u.meta.Retain)
	}
	if !u.makesSession() {
		return
	}
	if sess, ok, err := s.ledger.Session(r.Context(), u.claims.Owner); err == nil && ok && sess.LastFresh.After(u.began) {
		w.Header().Set("X-Session-ID", sess.ID) // a resumed upload began before the one that was the last
		return
	}
	id, err := s.ledger.Fresh(context.WithoutCancel(r.Context()), u.claims.Owner, u.addr, u.client.Name, u.began)
	if err != nil { // the file is stored; only the grace of later uploads suffers
		s.log.Error("session not kept", "error", err)
		return
	}
	w.Header().Set("X-Session-ID", id)
}

// burnUntil is how long a used slot is remembered: for ever where the token has no time, else until no window is left, and
// no upload that was begun in one.
func (a *active) burnUntil(c token.Claims) time.Time {
	if c.Expires.IsZero() {
		return time.Time{}
	}
	return c.Expires.Add(max(a.Windows.Base, a.Windows.Mobile, a.Windows.Desktop, a.Windows.Restore, a.Windows.Ultra) + resume.Lifetime)
}

// retain is when the file ends: what the token says or what the configuration says, whichever comes first; zero: never.
func (a *active) retain(c token.Claims, now time.Time) time.Time {
	if a.Retention <= 0 {
		return c.Retain
	}
	if end := now.Add(a.Retention); c.Retain.IsZero() || end.Before(c.Retain) {
		return end
	}
	return c.Retain
}
