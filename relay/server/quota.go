package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"
)

// quotas holds what uploads under way have reserved, and what all files come to. What an identity uses is in the ledger.
// Resumable uploads hold no reservation: they count by what they declared for as long as they are kept.
type quotas struct {
	mu       sync.Mutex // guards all below
	owners   map[string]int64
	reserved int64
	files    int64 // of all files together
	counted  bool  // files is known
	lately   int64 // published since the count that is under way began

	recount chan struct{} // holds one value when the files are to be counted soon
}

func newQuotas() *quotas {
	return &quotas{owners: make(map[string]int64), recount: make(chan struct{}, 1)}
}

// reservation is what an upload under way has of a quota.
type reservation struct {
	owner string // empty: none whose files are limited
	size  int64
}

// reserve keeps room for u in its owner's quota and in that of the whole server, until u is charged or unreserve is called.
// ErrQuota, ErrFull: there is none.
func (s *Server) reserve(ctx context.Context, u *upload) error {
	set := s.set.Load()
	res := s.reservation(set, u)
	if res == nil {
		return nil
	}
	var mine, all int64 // declared by incomplete uploads
	if s.parts != nil {
		mine, all = s.parts.Declared(res.owner)
	}
	q := s.quotas
	q.mu.Lock()
	defer q.mu.Unlock()
	if res.owner != "" {
		used, err := s.ledger.Used(ctx, res.owner) // under the lock, so that no other upload is charged in between
		if err != nil {
			return fmt.Errorf("%w: look up the quota: %w", ErrUnavailable, err)
		}
		mine += q.owners[res.owner]
		if u.size > set.QuotaPerUser-used-mine {
			return fmt.Errorf("%w: %d bytes used, %d in the making", ErrQuota, used, mine)
		}
	}
	all += q.reserved
	if set.QuotaTotal > 0 && q.counted && u.size > set.QuotaTotal-q.files-all {
		return fmt.Errorf("%w: quota_total: %d bytes used, %d in the making", ErrFull, q.files, all)
	}
	q.holdLocked(u, res)
	return nil
}

// reserveAnyway keeps room for an upload that was admitted before, while it counts no more as incomplete and not yet as stored.
func (s *Server) reserveAnyway(u *upload) {
	if res := s.reservation(s.set.Load(), u); res != nil {
		s.quotas.mu.Lock()
		defer s.quotas.mu.Unlock()
		s.quotas.holdLocked(u, res)
	}
}

// reservation is what u would take; nil: no quota is asked.
func (s *Server) reservation(set *active, u *upload) *reservation {
	res := &reservation{owner: u.claims.Owner, size: u.size}
	if set.QuotaPerUser <= 0 {
		res.owner = ""
	}
	if res.owner == "" && set.QuotaTotal <= 0 {
		return nil
	}
	return res
}

func (q *quotas) holdLocked(u *upload, res *reservation) {
	u.reserved = res
	q.owners[res.owner] += res.size
	q.reserved += res.size
}

func (q *quotas) releaseLocked(u *upload) {
	res := u.reserved
	if res == nil {
		return
	}
	u.reserved = nil
	if q.owners[res.owner] -= res.size; q.owners[res.owner] == 0 {
		delete(q.owners, res.owner)
	}
	q.reserved -= res.size
}

// unreserve gives back what u has reserved.
func (s *Server) unreserve(u *upload) {
	s.quotas.mu.Lock()
	defer s.quotas.mu.Unlock()
	s.quotas.releaseLocked(u)
}

// charge counts a published file in the place of its reservation.
func (s *Server) charge(u *upload) {
	s.quotas.mu.Lock()
	defer s.quotas.mu.Unlock()
	if u.claims.Owner != "" {
		s.ledger.Charge(u.path, u.claims.Owner, u.size)
	}
	s.quotas.files += u.size
	s.quotas.lately += u.size
	s.quotas.releaseLocked(u)
}

// settings tells the quotas that the settings have changed.
func (q *quotas) settings(set Settings) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if set.QuotaTotal > 0 && !q.counted {
		select {
		case q.recount <- struct{}{}:
		default:
		}
	}
}

// begin begins a count of all files.
func (q *quotas) begin() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lately = 0
}

// end takes the result of a count. A file that was published meanwhile may count twice until the next one; none is left out.
func (q *quotas) end(files int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.files, q.counted = files+q.lately, true
}

// removed counts a file of that size out.
func (q *quotas) removed(size int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.files = max(0, q.files-size)
}

// count counts all files before the first upload, if that matters.
func (s *Server) count(ctx context.Context) error {
	if s.set.Load().QuotaTotal <= 0 {
		return nil
	}
	var files int64
	err := s.store.Walk(ctx, time.Time{}, func(_ string, size int64, _ time.Time) error {
		files += size
		return nil
	})
	if err == nil {
		s.quotas.end(files)
	}
	return err
}

// releaseDeleted gives back what files counted that somebody deleted by hand.
func (s *Server) releaseDeleted(ctx context.Context) error {
	if s.set.Load().QuotaPerUser <= 0 {
		return nil
	}
	for after := ""; ; {
		paths, err := s.ledger.Charged(ctx, after, sweepBatch)
		if err != nil || len(paths) == 0 {
			return err
		}
		after = paths[len(paths)-1]
		for _, path := range paths {
			f, err := s.store.Open(path)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				err = s.ledger.Release(ctx, path)
			case err == nil:
				err = f.Close()
			}
			if err != nil {
				return err
			}
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}
