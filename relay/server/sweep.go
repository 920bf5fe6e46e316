package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"
)

// How often files whose time is over are looked for, and how many at once.
const (
	sweepEvery = time.Minute
	walkEvery  = time.Hour
	sweepBatch = 500
)

// Why files are removed, for the log.
const (
	reasonRetention = "retention"
	reasonAdmin     = "admin"
)

// Run removes files whose time is over until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	var slow sync.WaitGroup
	slow.Go(func() { s.walks(ctx) })
	defer slow.Wait()
	due := time.NewTicker(sweepEvery)
	defer due.Stop()
	for {
		s.Sweep(ctx)
		if s.parts != nil {
			s.parts.Sweep(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-due.C:
		}
	}
}

// walks goes through the whole store now and then, beside everything else.
func (s *Server) walks(ctx context.Context) {
	walk := time.NewTicker(walkEvery)
	defer walk.Stop()
	for {
		s.Walk(ctx)
		select {
		case <-ctx.Done():
			return
		case <-walk.C:
		case <-s.quotas.recount:
		}
	}
}

// Sweep removes every file that is due now. Its slot stays burnt.
func (s *Server) Sweep(ctx context.Context) {
	for ctx.Err() == nil {
		paths, err := s.ledger.Due(ctx, s.now(), sweepBatch)
		if err != nil {
			s.log.Error("expired files not listed", "error", err)
			return
		}
		for _, p := range paths {
			if err := s.remove(ctx, p, reasonRetention); err != nil {
				s.log.Error("expired file not removed", "path", p, "error", err)
				return // the disk has a problem; the file stays due
			}
			s.ledger.Expired(p)
		}
		if len(paths) < sweepBatch {
			return
		}
	}
}

// Walk goes through all files once, without haste: it removes those that are older than [limits] retention, also those that the
// ledger knows nothing of, because they were stored by another server or before the limit was set, and counts the rest.
func (s *Server) Walk(ctx context.Context) {
	set := s.set.Load()
	if set.Retention <= 0 && set.QuotaTotal <= 0 && set.QuotaPerUser <= 0 {
		return
	}
	if err := s.walk(ctx, set.Retention); err != nil && ctx.Err() == nil {
		s.log.Error("old files not removed", "error", err)
	}
	if err := s.releaseDeleted(ctx); err != nil && ctx.Err() == nil {
		s.log.Error("deleted files still count", "error", err)
	}
}

func (s *Server) walk(ctx context.Context, keep time.Duration) error {
	s.quotas.begin()
	end := s.now().Add(-keep)
	var old []string
	var n, files int64
	err := s.store.Walk(ctx, time.Time{}, func(path string, size int64, mod time.Time) error {
		if n++; n%sweepBatch == 0 {
			if err := pause(ctx); err != nil {
				return err
			}
		}
		if keep <= 0 || mod.After(end) {
			files += size
			return nil
		}
		if old = append(old, path); len(old) < sweepBatch {
			return nil
		}
		err := s.retire(ctx, old, reasonRetention)
		old = old[:0]
		return err
	})
	if err == nil {
		err = s.retire(ctx, old, reasonRetention)
	}
	if err == nil {
		s.quotas.end(files)
	}
	return err
}

// retire removes files for good. That their slots are used must be on disk before: afterwards nothing else tells.
func (s *Server) retire(ctx context.Context, paths []string, reason string) error {
	if len(paths) == 0 {
		return nil
	}
	for _, path := range paths {
		s.ledger.Burn(path, time.Time{})
	}
	if err := s.ledger.Sync(); err != nil {
		return fmt.Errorf("%w: burn the slots of old files: %w", ErrUnavailable, err)
	}
	for _, path := range paths {
		if err := s.remove(ctx, path, reason); err != nil {
			return err
		}
		s.ledger.Expired(path)
	}
	return nil
}

// pause lets requests have the disk.
func pause(ctx context.Context) error {
	t := time.NewTimer(5 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// remove removes one file, and what it counts for a quota; that it is gone already is fine.
func (s *Server) remove(ctx context.Context, path, reason string) error {
	size := int64(0)
	if f, err := s.store.Open(path); err == nil {
		if info, err := f.Stat(); err == nil {
			size = info.Size()
		}
		_ = f.Close() // read only
	}
	err := s.store.Remove(path)
	wasGone := errors.Is(err, fs.ErrNotExist)
	if err != nil && !wasGone {
		return err
	}
	if err := s.ledger.Release(ctx, path); err != nil || wasGone {
		return err
	}
	s.quotas.removed(size)
	s.metrics.removed.Inc()
	s.log.Info("file removed", "path", path, "reason", reason)
	return nil
}

// recover burns again the slots of files that were published shortly before an unclean stop.
func (s *Server) recover(ctx context.Context) error {
	since, unclean := s.ledger.Unclean()
	if !unclean {
		return nil
	}
	n := 0
	err := s.store.Walk(ctx, since, func(path string, _ int64, _ time.Time) error {
		n++
		s.ledger.Burn(path, time.Time{})
		f, err := s.store.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("open %q: %w", path, err)
		}
		meta, err := f.Meta()
		if err == nil && !meta.Retain.IsZero() {
			s.ledger.Expire(path, meta.Retain)
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		return err
	})
	if err != nil {
		return err
	}
	s.ledger.Recovered()
	switch {
	case !since.IsZero():
		s.log.Info("ledger recovered after an unclean stop", "files", n)
	case n > 0:
		s.log.Info("ledger made for the files that are there", "files", n)
	}
	return nil
}
