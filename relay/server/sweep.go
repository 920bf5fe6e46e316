package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// How often files whose time is over are looked for, and how many at once.
const (
	sweepEvery = time.Minute
	walkEvery  = time.Hour
	sweepBatch = 500
)

// Run removes files whose time is over until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	due, walk := time.NewTicker(sweepEvery), time.NewTicker(walkEvery)
	defer due.Stop()
	defer walk.Stop()
	for {
		s.Sweep(ctx)
		if s.parts != nil {
			s.parts.Sweep(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-due.C:
		case <-walk.C:
			s.retire(ctx)
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
			if err := s.remove(p); err != nil {
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

// retire removes files older than [limits] retention that the ledger knows nothing of: those of a store that was taken
// over, or stored before the limit was set.
func (s *Server) retire(ctx context.Context) {
	keep := s.set.Load().Retention
	if keep <= 0 {
		return
	}
	end := s.now().Add(-keep)
	var old []string
	err := s.store.Walk(ctx, time.Time{}, func(path string, _ int64, mod time.Time) error {
		if !mod.After(end) {
			old = append(old, path)
		}
		return nil
	})
	for _, path := range old {
		if err != nil {
			break
		}
		s.ledger.Burn(path, time.Time{})
		err = s.remove(path)
	}
	if err != nil && ctx.Err() == nil {
		s.log.Error("old files not removed", "error", err)
	}
}

// remove removes one file; that it is gone already is fine.
func (s *Server) remove(path string) error {
	err := s.store.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	s.metrics.removed.Inc()
	s.log.Info("file removed", "path", path, "reason", "retention")
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
	s.log.Info("ledger recovered after an unclean stop", "files", n)
	return nil
}
