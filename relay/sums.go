package relay

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"sync"
)

// summing finds the SHA-256 of an upload that was cut, beside it: the request that ends the upload then says it, and the
// server compares before it publishes what it put together. Nothing waits for it, so an upload may end without.
type summing struct {
	spool *spool
	once  sync.Once
	wg    sync.WaitGroup

	mu     sync.Mutex // guards the following
	digest string
}

// begin starts once; wait is to be called after ctx has ended or the upload has.
func (s *summing) begin(ctx context.Context) {
	s.once.Do(func() {
		s.wg.Go(func() {
			s.spool.await(ctx, s.spool.size)
			sum, err := s.spool.sumWhile(ctx)
			if err != nil {
				return // more than could be kept, or the upload has ended
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.digest = reprDigest(sum)
		})
	})
}

func (s *summing) wait() { s.wg.Wait() }

// get returns the field value for a request that ends the upload; empty: not known yet.
func (s *summing) get(last bool) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !last {
		return ""
	}
	return s.digest
}

// reprDigest is sum as in Repr-Digest (RFC 9530 section 3).
func reprDigest(sum [sha256.Size]byte) string {
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}
