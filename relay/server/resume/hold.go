package resume

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"sync"

	"holdfast/relay/server/store"
)

// Hold is the right to write to one resource. Release ends it, always.
type Hold struct {
	core   *Core
	r      *resource
	facts  Facts
	part   store.Part // nil: the resource is done
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed by Release

	mu       sync.Mutex // guards stop and released; stop is called under it, so never after Release
	stop     func()
	released bool

	failed  error // a sync went wrong
	dropped bool
}

// Create makes a resource and returns the hold of it. stop, which must not block, is called at most once, from another
// goroutine, when a newer request wants the resource: it makes a read of the body end soon.
// ErrExists, ErrLimit, store.ErrFull.
func (c *Core) Create(ctx context.Context, id ID, f Facts, stop func()) (*Hold, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.Created = c.c.Now().UTC()
	if end := f.Created.Add(c.c.Lifetime); f.Expires.IsZero() || f.Expires.After(end) {
		f.Expires = end
	}
	b, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("facts of the upload: %w", err)
	}
	r := &resource{key: id.key(), status: Status{Facts: f, Last: f.Created}}
	h := newHold(ctx, c, r, stop)
	if err := c.reserve(r, h); err != nil {
		return nil, err
	}
	h.part, err = c.c.Store.NewPart(r.key, f.Size, b)
	if errors.Is(err, fs.ErrExist) { // left by a removal that went wrong: nobody knows it any more
		if err = c.c.Store.RemovePart(r.key); err == nil {
			h.part, err = c.c.Store.NewPart(r.key, f.Size, b)
		}
	}
	if err != nil {
		h.forget()
		h.end()
		return nil, err
	}
	return h, nil
}

// reserve counts r in, if there is room.
func (c *Core) reserve(r *resource, h *Hold) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.byKey[r.key]; c.findLocked(r.key) != nil {
		return ErrExists
	} else if old != nil { // over, and waits for the sweep; NewPart takes its place
		c.dropLocked(old)
	}
	if !r.status.Piece && c.perSource[r.status.Source].resources >= c.limits.PerSource {
		return fmt.Errorf("%w: of one source", ErrLimit)
	}
	if !r.status.Piece && r.status.Size > c.limits.Bytes-c.bytes {
		return fmt.Errorf("%w: in bytes", ErrLimit)
	}
	r.holder = h
	c.addLocked(r)
	return nil
}

// Take returns the hold of a resource, after ending and waiting for an older one. stop: see Create.
// ErrUnknown; ErrSuperseded: while waiting, a newer request came.
func (c *Core) Take(ctx context.Context, id ID, stop func()) (*Hold, error) {
	c.mu.Lock()
	r := c.findLocked(id.key())
	if r == nil {
		c.mu.Unlock()
		return nil, ErrUnknown
	}
	r.turn++
	for turn := r.turn; r.holder != nil; {
		old := r.holder
		c.mu.Unlock()
		old.supersede()
		select {
		case <-old.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		c.mu.Lock()
		if r.gone {
			c.mu.Unlock()
			return nil, ErrUnknown
		}
		if r.turn != turn {
			c.mu.Unlock()
			return nil, ErrSuperseded
		}
	}
	h := newHold(ctx, c, r, stop)
	r.holder = h
	over := r.status.Done
	c.mu.Unlock()
	if over {
		return h, nil
	}
	part, err := c.c.Store.OpenPart(r.key)
	if err != nil {
		if errors.Is(err, store.ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
			h.lose(err)
			err = fmt.Errorf("%w: %w", ErrUnknown, err)
		}
		h.end()
		return nil, err
	}
	h.part = part
	return h, nil
}

func newHold(ctx context.Context, c *Core, r *resource, stop func()) *Hold {
	h := &Hold{core: c, r: r, facts: r.status.Facts, stop: stop, done: make(chan struct{})}
	h.ctx, h.cancel = context.WithCancelCause(ctx)
	return h
}

// Context ends with the request's, or with the cause ErrSuperseded.
func (h *Hold) Context() context.Context { return h.ctx }

// Facts are what was declared.
func (h *Hold) Facts() Facts { return h.facts }

// Done reports whether the resource is published.
func (h *Hold) Done() bool { return h.part == nil }

// Offset is how many bytes were received. It may be told to the client after Append, or after Sync.
func (h *Hold) Offset() int64 {
	if h.part == nil {
		return h.facts.Size
	}
	return h.part.Size()
}

// supersede ends the hold for a newer request.
func (h *Hold) supersede() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.released {
		return
	}
	h.cancel(ErrSuperseded)
	if h.stop != nil {
		h.stop()
		h.stop = nil
	}
}

// Check is a checksum that the bytes of one Append must have, or none of them is kept.
type Check struct {
	Hash hash.Hash
	Sum  []byte
}

// Append takes what src has at the end of the resource and returns how much that was. What it returns is on disk and may be
// told, also when src failed in the middle; with publish, if all bytes came, it is not synced yet, because Publish or
// Release follows and does that. check may be nil; with one nothing is kept unless src ended and the sum is right.
//
// Errors of src come back as they are, unless the hold was superseded. ErrPastEnd: src had more than was declared, the
// bytes up to there are kept. ErrChecksum; errors of the store.
func (h *Hold) Append(src io.Reader, check *Check, publish bool) (int64, error) {
	if h.part == nil {
		return 0, ErrDone
	}
	if h.failed != nil {
		return 0, h.failed
	}
	start := h.part.Size()
	var err error
	if check == nil {
		err = h.stream(src)
	} else {
		err = h.checked(src, check, start)
	}
	if !publish || err != nil || h.part.Size() != h.facts.Size {
		err = errors.Join(err, h.Sync())
	}
	if cause := context.Cause(h.ctx); err != nil && errors.Is(cause, ErrSuperseded) {
		err = ErrSuperseded
	}
	return h.part.Size() - start, err
}

// Match reads as many bytes from src as were received, and compares. ErrDiffers; errors of src as they are.
func (h *Hold) Match(src io.Reader) error {
	if h.part == nil {
		return ErrDone
	}
	err := matches(io.NewSectionReader(h.part, 0, h.part.Size()), src)
	if cause := context.Cause(h.ctx); err != nil && errors.Is(cause, ErrSuperseded) {
		return ErrSuperseded
	}
	return err
}

// Reader reads the bytes received from offset on, while the hold lasts.
func (h *Hold) Reader(offset int64) io.Reader {
	if h.part == nil {
		return errReader{ErrDone}
	}
	return io.NewSectionReader(h.part, offset, h.part.Size()-offset)
}

// errReader has nothing to read.
type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// Sum feeds all bytes received to sum.
func (h *Hold) Sum(sum hash.Hash) error {
	if h.part == nil {
		return ErrDone
	}
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	if _, err := io.CopyBuffer(struct{ io.Writer }{sum}, io.NewSectionReader(h.part, 0, h.part.Size()), buf[:]); err != nil {
		return fmt.Errorf("read the upload: %w", err)
	}
	return nil
}

// Sync puts what was received on disk. After an error the resource is cut to what is.
func (h *Hold) Sync() error {
	if h.part == nil {
		return nil
	}
	if h.failed == nil && h.part.Size() > h.part.Mark().Offset {
		h.failed = h.part.Sync(h.part.Size())
	}
	h.note()
	if h.failed == nil {
		return nil
	}
	return errors.Join(h.failed, h.part.Truncate(h.part.Mark().Offset))
}

// note tells the core how far the resource is.
func (h *Hold) note() {
	h.core.mu.Lock()
	if now := h.part.Mark().Offset; now != h.r.status.Offset {
		h.r.status.Offset, h.r.status.Last = now, h.core.c.Now().UTC()
	}
	h.core.mu.Unlock()
}

// Publish makes the file visible under its path, exactly as a plain upload; meta rides with it. fs.ErrExist: something is
// there; see SameAs. Any other error: the resource is as it was, and Publish may be tried again.
func (h *Hold) Publish(meta store.Meta) error {
	switch {
	case h.part == nil:
		return ErrDone
	case h.failed != nil:
		return h.failed
	case h.part.Size() != h.facts.Size:
		return fmt.Errorf("%w: %d of %d bytes came", store.ErrSize, h.part.Size(), h.facts.Size)
	}
	if err := h.part.Publish(h.facts.Path, meta); err != nil {
		if errors.Is(err, store.ErrDamaged) {
			h.lose(err)
		}
		return err
	}
	return h.over()
}

// SameAs reports whether the bytes received equal the published file's.
func (h *Hold) SameAs(f store.File) (bool, error) {
	if h.part == nil {
		return false, ErrDone
	}
	return h.part.SameAs(f)
}

// Finish ends a resource whose bytes were found published: it is done as after Publish.
func (h *Hold) Finish() error {
	if h.part == nil {
		return ErrDone
	}
	if err := h.part.Finish(); err != nil {
		return err
	}
	return h.over()
}

// over notes that the part is done.
func (h *Hold) over() error {
	h.core.mu.Lock()
	h.core.finishLocked(h.r)
	h.core.mu.Unlock()
	p := h.part
	h.part = nil
	if err := p.Close(); err != nil {
		h.core.log.Warn("part not closed", "error", err) // everything is on disk already
	}
	return nil
}

// Drop removes the resource. A published file stays.
func (h *Hold) Drop() error {
	err := h.core.c.Store.RemovePart(h.r.key)
	h.forget() // not before: the id may be used again at once
	if err != nil {
		return fmt.Errorf("remove the upload: %w", err)
	}
	return nil
}

// lose removes a resource whose bytes are lost.
func (h *Hold) lose(why error) {
	h.core.log.Error("resumable upload lost", "path", h.facts.Path, "error", why)
	if err := h.Drop(); err != nil {
		h.core.log.Error("lost upload not removed", "path", h.facts.Path, "error", err)
	}
}

// forget takes the resource out of the core.
func (h *Hold) forget() {
	h.dropped = true
	h.core.mu.Lock()
	h.core.dropLocked(h.r)
	h.core.mu.Unlock()
}

// Release ends the hold; the next request may go on. What was received is on disk then. It may be called twice.
func (h *Hold) Release() error {
	h.mu.Lock()
	was := h.released
	h.released = true
	h.mu.Unlock()
	if was {
		return nil
	}
	var err error
	if h.part != nil {
		if !h.dropped {
			err = h.Sync()
		}
		err = errors.Join(err, h.part.Close())
		h.part = nil
	}
	h.end()
	return err
}

// end lets the next one in.
func (h *Hold) end() {
	h.mu.Lock()
	h.released = true
	h.mu.Unlock()
	h.core.mu.Lock()
	if h.r.holder == h {
		h.r.holder = nil
	}
	h.core.mu.Unlock()
	h.cancel(context.Canceled)
	close(h.done)
}
