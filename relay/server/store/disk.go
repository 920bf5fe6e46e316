package store

import (
	"context"
	"log/slog"
	"time"
)

// Attributes remembers what rides with a file where the file system has no user extended attributes.
// It may write behind. The ledger implements it.
type Attributes interface {
	SetAttributes(path, mediaType string, digest []byte, retain time.Time)
	Attributes(ctx context.Context, path string) (mediaType string, digest []byte, retain time.Time, err error)
	ForgetAttributes(path string)
}

// Options of a Disk. The zero value is good.
type Options struct {
	MinFree uint64       // Create answers ErrFull when less would stay free
	Attrs   Attributes   // nil: without extended attributes type, digest and end are not kept
	Log     *slog.Logger // nil: no log
}

// Disk is a store in a folder. Safe for concurrent use.
type Disk struct{}

// Open opens the store in dir, makes missing folders and removes what a dead process left. ErrInUse: another process has it.
func Open(dir string, opt Options) (*Disk, error) { return &Disk{}, nil }

// Close ends the use of the store. Uploads must have ended before.
func (d *Disk) Close() error { return nil }

// Create begins an upload of size bytes to path. ErrFull: not enough room; fs.ErrExist: a folder is in the place of the file or
// a file in the place of a folder. A file that is there already is found by Publish.
func (d *Disk) Create(ctx context.Context, path string, size int64, meta Meta) (Upload, error) {
	return nil, ErrReadOnly
}

// Open opens the published file at path. fs.ErrNotExist: nothing there, or not a plain file.
func (d *Disk) Open(path string) (File, error) { return nil, ErrReadOnly }

// Remove removes the published file at path, and folders above it that are empty then.
func (d *Disk) Remove(path string) error { return ErrReadOnly }

// Free returns how many bytes the store can still take.
func (d *Disk) Free() (uint64, error) { return 0, nil }

// Walk calls fn for every published file that was published at since or later, in no order; an error of fn ends it.
func (d *Disk) Walk(ctx context.Context, since time.Time, fn func(path string, size int64, mod time.Time) error) error {
	return nil
}
