package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"time"

	"holdfast/detect/client"
	"holdfast/relay/server/admit"
	"holdfast/relay/server/resume"
	"holdfast/relay/server/store"
	"holdfast/relay/token"
)

// This file is what all doors to resumable uploads share: from a judged slot to a resource, from bytes to a resource, and
// from a complete resource to a published file. A door only speaks its protocol:
//
//	create   slotAt or slotOf, verify, allow, then open
//	go on    Look, recall, take
//	receive  pending.append
//	end      finish, or Hold.Drop

// note is what a resource keeps of the judgement over its first request, so that it is never judged by time again and can
// be completed by requests that carry no slot.
type note struct {
	Scheme  token.Scheme  `json:"scheme"`
	Owner   string        `json:"owner,omitempty"`
	Expires time.Time     `json:"expires,omitzero"`
	Window  admit.Window  `json:"window"`
	Late    time.Duration `json:"late,omitempty"`
	Reason  string        `json:"reason"`
	Changed bool          `json:"changed,omitempty"`
	Kind    client.Kind   `json:"kind"`
	Name    string        `json:"name,omitempty"`
	Version string        `json:"version,omitempty"`
	Addr    string        `json:"addr,omitempty"`
	Session string        `json:"session,omitempty"`
	Known   bool          `json:"known,omitempty"`
	Began   time.Time     `json:"began"`
	Extra   string        `json:"extra,omitempty"`
}

// pending is an upload with the hold of its resource and the body of the request that holds it.
type pending struct {
	*upload
	*resume.Hold
	id   resume.ID
	in   *body
	tell func() // called now and then while append reads; nil: nobody wants to know
}

// open makes a resource for an upload that verify and allow have let through, and holds it. The caller releases it.
func (s *Server) open(w http.ResponseWriter, r *http.Request, id resume.ID, u *upload, door string) (*pending, error) {
	b, err := json.Marshal(note{
		Scheme: u.claims.Scheme, Owner: u.claims.Owner, Expires: u.claims.Expires,
		Window: u.verdict.Window, Late: u.verdict.Late, Reason: u.verdict.Reason, Changed: u.verdict.Changed,
		Kind: u.client.Kind, Name: u.client.Name, Version: u.client.Version,
		Addr: u.addr, Session: u.session, Known: u.known, Began: u.began, Extra: u.extra,
	})
	if err != nil {
		return nil, fmt.Errorf("note of the upload: %w", err)
	}
	source := u.claims.Owner
	if source == "" {
		source = s.ledger.AddrHash(u.peer)
	}
	if err := s.reserve(r.Context(), u); err != nil {
		return nil, err
	}
	defer s.unreserve(u) // from then on the resource counts
	in := newBody(w, r, s.idle)
	hold, err := s.parts.Create(r.Context(), id, resume.Facts{
		Path: u.path, Size: u.size, Meta: u.meta, Source: source, Door: door, Note: b,
	}, in.stop)
	if err != nil {
		return nil, fmt.Errorf("begin the upload: %w", err)
	}
	return &pending{upload: u, Hold: hold, id: id, in: in}, nil
}

// take holds a resource that is there, and ends whoever else holds it. The caller releases it.
func (s *Server) take(w http.ResponseWriter, r *http.Request, id resume.ID, u *upload) (*pending, error) {
	in := newBody(w, r, s.idle)
	hold, err := s.parts.Take(r.Context(), id, in.stop)
	if err != nil {
		return nil, fmt.Errorf("go on with the upload: %w", err)
	}
	return &pending{upload: u, Hold: hold, id: id, in: in}, nil
}

// recall returns the upload as it was judged when its resource was made.
func (s *Server) recall(r *http.Request, f resume.Facts) (*upload, error) {
	var n note
	if err := json.Unmarshal(f.Note, &n); err != nil {
		return nil, fmt.Errorf("%w: read the note of an upload: %w", ErrUnavailable, err)
	}
	u := &upload{
		path: f.Path, size: f.Size, meta: f.Meta, began: n.Began, extra: n.Extra,
		claims: token.Claims{Scheme: n.Scheme, Path: f.Path, Size: f.Size, Owner: n.Owner, Expires: n.Expires, Retain: f.Meta.Retain},
	}
	u.admission = admission{
		verdict: admit.Verdict{OK: true, Window: n.Window, Late: n.Late, Reason: n.Reason, Changed: n.Changed},
		client:  client.Client{Kind: n.Kind, Name: n.Name, Version: n.Version},
		peer:    s.set.Load().Trust.Client(remote(r), r.Header),
		addr:    n.Addr, session: n.Session, known: n.Known, judged: true,
	}
	if err := s.ledger.Health(); err != nil {
		return nil, u.explain(fmt.Errorf("%w: ledger: %w", ErrUnavailable, err))
	}
	return u, nil
}

// Read reads the body, for append.
func (p *pending) Read(b []byte) (int, error) {
	n, err := p.in.Read(b)
	if p.tell != nil && err == nil {
		p.tell()
	}
	return n, err
}

// append takes the body at the end of the resource. What came is kept and on disk, whatever ended the body. publish: finish
// follows if all came. check may be nil.
func (p *pending) append(check *resume.Check, publish bool) error {
	n, err := p.Append(p, check, publish)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, resume.ErrSuperseded):
		return fmt.Errorf("%w: %w: %d bytes kept", resume.ErrSuperseded, errCut, p.Offset())
	case p.in.err != nil:
		return fmt.Errorf("%w: %d bytes came, %d kept", p.in.err, n, p.Offset())
	}
	return fmt.Errorf("write the upload: %w", err)
}

// finish publishes a resource of which every byte came, exactly as a plain PUT would be. digests are SHA-256 sums that the
// bytes must have; nil ones do not count. again: the file was there, with the same bytes.
//
// The caller answers with 201 and calls stored. On ErrDigest, ErrBlocked and ErrSlotUsed the resource is gone; on any other error it
// stays, and finish may be tried again.
func (s *Server) finish(w http.ResponseWriter, r *http.Request, p *pending, digests ...[]byte) (again bool, err error) {
	if err := s.confirm(p, digests); err != nil {
		if errors.Is(err, ErrDigest) || errors.Is(err, ErrBlocked) {
			return false, errors.Join(err, p.Drop())
		}
		return false, err
	}
	// As in fill, burnt is asked before Open.
	burnt, err := s.ledger.Burnt(r.Context(), p.path)
	if err != nil {
		return false, fmt.Errorf("look up the slot: %w", err)
	}
	there := burnt
	s.reserveAnyway(p.upload)
	defer s.unreserve(p.upload)
	if !burnt {
		err := p.Publish(p.meta)
		there = errors.Is(err, fs.ErrExist)
		if err != nil && !there {
			return false, fmt.Errorf("publish the file: %w", err)
		}
	}
	if there {
		if err := s.settle(p); err != nil {
			return false, err
		}
	}
	s.remember(w, r, p.upload, there)
	return there, nil
}

// confirm compares the bytes of the resource with what the client said of them, and with what an admin has blocked.
func (s *Server) confirm(p *pending, digests [][]byte) error {
	digests = slices.DeleteFunc(append(digests, p.meta.Digest), func(d []byte) bool { return d == nil })
	if len(digests) == 0 && !s.ledger.Blocking() {
		return nil
	}
	h := sha256.New()
	if err := p.Sum(h); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	sum := h.Sum(nil)
	for _, want := range digests {
		if !bytes.Equal(sum, want) {
			return ErrDigest
		}
		p.meta.Digest = sum
	}
	return s.allowed(sum)
}

// settle ends a resource whose path is taken: the same bytes are as good as first.
func (s *Server) settle(p *pending) error {
	err := s.lost(p, p.path)
	switch {
	case errors.Is(err, ErrSlotUsed):
		return errors.Join(err, p.Drop())
	case err != nil:
		return err
	}
	if err := p.Finish(); err != nil {
		return fmt.Errorf("%w: finish the upload: %w", ErrUnavailable, err)
	}
	return nil
}

// kept tells the log of a piece that was received and acknowledged.
func (s *Server) kept(p *pending) {
	s.log.Debug("upload part stored", append(p.attrs(), "offset", p.Offset())...)
}

// letGo releases a hold at the end of a request; what goes wrong then has no other way to be heard of.
func (s *Server) letGo(p *pending) {
	if err := p.Release(); err != nil {
		s.log.Error("upload not kept", "path", p.path, "error", err)
	}
}

// openParts reads the resources that are there, if the store can keep any.
func (s *Server) openParts(ctx context.Context, c Config) error {
	keeps, ok := c.Store.(resume.Store)
	if !ok {
		return nil
	}
	var err error
	s.parts, err = resume.Open(ctx, resume.Config{
		Store: keeps, Limits: c.Settings.Incomplete, SyncBytes: c.SyncBytes, SyncEvery: c.SyncEvery, Log: s.log, Now: s.now,
	})
	if err != nil {
		return fmt.Errorf("read the incomplete uploads: %w", err)
	}
	return nil
}

// resumes lists the ways in which an upload can be resumed here.
func (s *Server) resumes() []string {
	if s.parts == nil {
		return []string{}
	}
	return []string{doorSlot, "draft-8", "draft-6", "tus-1.0"}
}

// sameAs is what lost asks of an upload.
type sameAs interface {
	SameAs(published store.File) (bool, error)
}
