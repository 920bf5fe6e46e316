package relay

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	spoolMax  = 4 << 30   // bytes on disk, all uploads together
	pieceSize = 256 << 10 // of reading from the client
	sumStep   = 4 << 20   // between two looks at whether the sum is still wanted
)

// errNoCopy says that the beginning of a body is gone, so that it cannot be sent once more.
var errNoCopy = errors.New("the upload is too large to keep a copy, and cannot be repeated")

// spool holds the body of one upload: a file without a name that grows while the client sends, and can be read from
// the start while it grows. What the file may not hold passes through memory, one piece at a time, to the reader at hand.
type spool struct {
	size int64 // of the whole body
	room int64 // what the file may hold
	file *os.File

	holding sync.WaitGroup

	mu     sync.Mutex    // guards the following
	wake   chan struct{} // closed and replaced when something below changes
	have   int64         // received from the client
	kept   int64         // of those, the first bytes that are in the file
	piece  []byte        // bytes [at, at+len(piece)), past the file's end
	at     int64
	err    error       // why no more will come
	reader *bodyReader // of the running attempt; nil between attempts
	held   bool        // the last byte is not given out yet
}

// newSpool makes a spool for size bytes in dir, of which room may be on disk. Without a file it still works as a pipe;
// the error then says why there is none.
func newSpool(dir string, size, room int64) (*spool, error) {
	s := &spool{size: size, room: min(size, room), wake: make(chan struct{})}
	if s.room <= 0 {
		s.room = 0
		return s, nil
	}
	f, err := unnamedFile(dir)
	if err != nil {
		s.room = 0
		return s, fmt.Errorf("make spool file: %w", err)
	}
	s.file = f
	return s, nil
}

// unnamedFile opens a file that nobody else can open and that is gone when it is closed.
func unnamedFile(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), "spool"), nil
	}
	f, err := os.CreateTemp(dir, "spool-*") // 0600; some file systems know no O_TMPFILE
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// spoolRoom is how much of a body may go to disk: at most 4 GiB and half of the free space, for all uploads together.
func spoolRoom(size, free, reserved int64) int64 {
	return max(0, min(size, spoolMax-reserved, (free-reserved)/2))
}

// freeSpace is what this user may still write to the file system of dir.
func freeSpace(dir string) int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0
	}
	return int64(st.Bavail) * st.Bsize
}

// reserve gives out room for a spool; release takes it back.
func (r *Relay) reserve(size int64) int64 {
	free := r.free(r.c.SpoolDir)
	r.mu.Lock()
	defer r.mu.Unlock()
	room := spoolRoom(size, free, r.reserved)
	r.reserved += room
	return room
}

func (r *Relay) release(room int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reserved -= room
}

func (s *spool) close() {
	s.holding.Wait()
	if s.file != nil {
		_ = s.file.Close()
	}
}

// wakeLocked tells all who wait to look again.
func (s *spool) wakeLocked() {
	close(s.wake)
	s.wake = make(chan struct{})
}

// fill takes the body from src until it is whole. It is called once, by the goroutine that reads the client.
func (s *spool) fill(ctx context.Context, src io.Reader) error {
	buf := make([]byte, min(pieceSize, max(s.size, 1)))
	for left := s.size; left > 0; {
		n, err := src.Read(buf[:min(int64(len(buf)), left)])
		left -= int64(n)
		if n > 0 {
			if err := s.add(ctx, buf[:n]); err != nil {
				return s.end(err)
			}
		}
		if err != nil && left > 0 {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return s.end(fmt.Errorf("read upload from client: %w", err))
		}
	}
	return nil
}

// end says that no more will come.
func (s *spool) end(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	s.wakeLocked()
	return err
}

// add keeps p: in the file while there is room, else in memory once the reader has taken what was there before.
func (s *spool) add(ctx context.Context, p []byte) error {
	s.mu.Lock()
	have, kept, room := s.have, s.kept, s.room
	s.mu.Unlock()
	if n := min(int64(len(p)), room-kept); kept == have && n > 0 {
		written, err := s.file.WriteAt(p[:n], kept)
		s.mu.Lock()
		s.kept += int64(written)
		s.have = s.kept
		if err != nil {
			s.room = s.kept // the disk is full: what is there stays good
		}
		s.wakeLocked()
		s.mu.Unlock()
		if p = p[written:]; len(p) == 0 {
			return nil
		}
	}
	for {
		s.mu.Lock()
		taken := len(s.piece) == 0 || s.reader != nil && s.reader.at() >= s.at+int64(len(s.piece))
		if taken {
			s.piece = append(s.piece[:0], p...)
			s.at = s.have
			s.have += int64(len(p))
			s.wakeLocked()
			s.mu.Unlock()
			return nil
		}
		wake := s.wake
		s.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// holdLast keeps the last byte back until done is closed, for limit at most: as long as an upload is not whole its slot is not
// used. It returns at once.
func (s *spool) holdLast(ctx context.Context, done <-chan struct{}, limit time.Duration) {
	if s.size == 0 {
		return
	}
	s.mu.Lock()
	s.held = true
	s.mu.Unlock()
	s.holding.Go(func() {
		t := time.NewTimer(limit)
		defer t.Stop()
		select {
		case <-done:
		case <-t.C:
		case <-ctx.Done():
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.held = false
		s.wakeLocked()
	})
}

// await waits until the first n bytes are in the file. It does not wait for bytes that will never be there.
func (s *spool) await(ctx context.Context, n int64) {
	for {
		s.mu.Lock()
		kept, over, wake := s.kept, s.err != nil || n > s.room, s.wake
		s.mu.Unlock()
		if kept >= n || over {
			return
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return
		}
	}
}

// complete says whether the whole body was received.
func (s *spool) complete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.have == s.size
}

// blocked says whether the client waits for the upstream to take bytes that cannot be kept.
func (s *spool) blocked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.have < s.size && len(s.piece) > 0
}

// overflown says whether part of the body did not get into the file.
func (s *spool) overflown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.room < s.size && s.have > s.kept
}

// repeatable says whether the body can be sent from the start once more.
func (s *spool) repeatable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.have == s.kept || s.at == s.kept
}

// sum is the SHA-256 of the body, if all of it was kept.
func (s *spool) sum() ([sha256.Size]byte, error) { return s.sumWhile(context.Background()) }

// sumWhile is sum, unless ctx ends before.
func (s *spool) sumWhile(ctx context.Context) ([sha256.Size]byte, error) {
	var sum [sha256.Size]byte
	s.mu.Lock()
	whole := s.kept == s.size
	s.mu.Unlock()
	if !whole {
		return sum, errNoCopy
	}
	h := sha256.New()
	for at := int64(0); at < s.size; at += sumStep {
		if ctx.Err() != nil {
			return sum, context.Cause(ctx)
		}
		if _, err := io.Copy(h, io.NewSectionReader(s.file, at, min(sumStep, s.size-at))); err != nil {
			return sum, fmt.Errorf("read spool: %w", err)
		}
	}
	h.Sum(sum[:0])
	return sum, nil
}

// bodyReader reads a spool in order, waiting for what is not there yet (like tail).
type bodyReader struct {
	s    *spool
	ctx  context.Context
	end  int64
	took func(n int) // told of every byte that is read; may be nil

	mu      sync.Mutex // guards the following
	off     int64
	waiting bool // for the client
}

// open starts to read bytes [from, to). Only the newest reader counts as having taken a piece out of memory.
func (s *spool) open(ctx context.Context, from, to int64, took func(int)) *bodyReader {
	b := &bodyReader{s: s, ctx: ctx, off: from, end: to, took: took}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reader = b
	s.wakeLocked()
	return b
}

// leave says that the attempt of the newest reader is over.
func (s *spool) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reader = nil
}

// current is the reader of the running attempt; nil between attempts.
func (s *spool) current() *bodyReader {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reader
}

func (b *bodyReader) at() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.off
}

// starved says whether the reader waits for the client rather than for the network.
func (b *bodyReader) starved() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting
}

func (b *bodyReader) Read(p []byte) (int, error) {
	for {
		if b.ctx.Err() != nil {
			return 0, context.Cause(b.ctx)
		}
		n, wake, err := b.take(p)
		if n > 0 && b.took != nil {
			b.took(n)
		}
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		b.wait(true)
		select {
		case <-wake:
		case <-b.ctx.Done():
		}
		b.wait(false)
	}
}

func (b *bodyReader) wait(w bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = w
}

// take reads what is there; with nothing there it returns the channel to wait on.
func (b *bodyReader) take(p []byte) (int, <-chan struct{}, error) {
	off := b.at()
	s := b.s
	p = p[:min(int64(len(p)), b.end-off)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held && off < b.end {
		if off == s.size-1 {
			return 0, s.wake, nil
		}
		p = p[:min(int64(len(p)), s.size-1-off)]
	}
	switch {
	case off == b.end:
		return 0, nil, io.EOF
	case off < s.kept:
		p = p[:min(int64(len(p)), s.kept-off)]
		s.mu.Unlock()
		n, err := s.file.ReadAt(p, off)
		s.mu.Lock()
		if n > 0 {
			b.advanceLocked(n)
			return n, nil, nil
		}
		return 0, nil, fmt.Errorf("read spool: %w", err)
	case off < s.at:
		return 0, nil, errNoCopy
	case off < s.at+int64(len(s.piece)):
		n := copy(p, s.piece[off-s.at:])
		b.advanceLocked(n)
		s.wakeLocked()
		return n, nil, nil
	case s.err != nil:
		return 0, nil, s.err
	}
	return 0, s.wake, nil
}

func (b *bodyReader) advanceLocked(n int) {
	b.mu.Lock()
	b.off += int64(n)
	b.mu.Unlock()
}

// Close is called by the transport; the spool outlives it.
func (b *bodyReader) Close() error { return nil }
