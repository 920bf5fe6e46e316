package resume

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// bufferSize is the piece in which bytes are taken.
const bufferSize = 64 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// stream copies src into the part, while a goroutine of its own puts it on disk in batches.
func (h *Hold) stream(src io.Reader) error {
	s := &syncer{h: h, quit: make(chan struct{}), kick: make(chan struct{}, 1), written: h.part.Size(), synced: h.part.Mark().Offset}
	var g sync.WaitGroup
	g.Go(s.run)
	err := h.copy(src, s.wrote)
	close(s.quit)
	g.Wait()
	if s.err != nil {
		h.failed = s.err
	}
	return err
}

// syncer writes marks while bytes stream in.
type syncer struct {
	h    *Hold
	quit chan struct{}
	kick chan struct{}
	err  error // read after run has ended

	mu      sync.Mutex // guards all below
	written int64
	synced  int64
	broken  bool
}

// wrote tells the syncer how far the writer is; false: a sync went wrong and there is no use in going on.
func (s *syncer) wrote(size int64) bool {
	s.mu.Lock()
	s.written = size
	due, broken := s.written-s.synced >= s.h.core.c.SyncBytes, s.broken
	s.mu.Unlock()
	if due {
		select {
		case s.kick <- struct{}{}:
		default:
		}
	}
	return !broken
}

func (s *syncer) run() {
	tick := time.NewTicker(s.h.core.c.SyncEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-s.kick:
		case <-tick.C:
		}
		s.mu.Lock()
		size, due := s.written, s.written > s.synced
		s.mu.Unlock()
		if !due {
			continue
		}
		if s.err = s.h.part.Sync(size); s.err != nil {
			s.mu.Lock()
			s.broken = true
			s.mu.Unlock()
			return
		}
		s.h.note()
		s.mu.Lock()
		s.synced = size
		s.mu.Unlock()
	}
}

// errSync ends a copy whose bytes cannot be put on disk.
var errSync = errors.New("upload cannot be put on disk")

// copy appends src, never more than was declared.
func (h *Hold) copy(src io.Reader, wrote func(int64) bool) error {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	for {
		left := h.facts.Size - h.part.Size()
		n, readErr := fill(src, buf[:min(left+1, bufferSize)]) // one byte more tells whether there is more
		past := int64(n) > left
		if past {
			n = int(left)
		}
		if n > 0 {
			if _, err := h.part.Write(buf[:n]); err != nil {
				return err
			}
			if wrote != nil && !wrote(h.part.Size()) {
				return errSync
			}
		}
		switch {
		case past:
			return ErrPastEnd
		case errors.Is(readErr, io.EOF):
			return nil
		case readErr != nil:
			return readErr
		}
	}
}

// checked appends src if its checksum is right, or nothing.
func (h *Hold) checked(src io.Reader, c *Check, start int64) error {
	err := h.copy(io.TeeReader(src, c.Hash), nil)
	if err == nil && !bytes.Equal(c.Hash.Sum(nil), c.Sum) {
		err = ErrChecksum
	}
	if err == nil {
		return nil
	}
	if terr := h.part.Truncate(start); terr != nil {
		h.failed = terr
	}
	return err
}

// fill reads until p is full or r has no more.
func fill(r io.Reader, p []byte) (n int, err error) {
	for empty := 0; n < len(p); {
		m, err := r.Read(p[n:])
		n += m
		if err != nil {
			return n, err
		}
		if m > 0 {
			empty = 0
		} else if empty++; empty == 100 {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}

// matches compares what is stored with the head of src.
func matches(stored, src io.Reader) error {
	a, b := buffers.Get().(*[bufferSize]byte), buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(a)
	defer buffers.Put(b)
	for {
		n, err := fill(stored, a[:])
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the upload: %w", err)
		}
		m, srcErr := fill(src, b[:n])
		if !bytes.Equal(a[:m], b[:m]) {
			return ErrDiffers
		}
		if m < n {
			return srcErr
		}
		if err != nil {
			return nil
		}
	}
}
