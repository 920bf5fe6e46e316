// Package store keeps finished files on disk and never shows an unfinished one.
//
// # Invariants
//   - A file is visible under its path only after its bytes, its attributes and its folder are on disk:
//     Open waits for a publish of the same path that is under way.
//   - A published file never changes; publishing is exclusive.
//   - Every path goes through os.Root, or openat2(2) with the same rules: nothing outside the store can be named, links are
//     not followed.
//   - A segment that starts with a dot is reserved as the first one and never opened.
//
// # On disk
// Finished files lie under the store's folder, named as in the URL. Media type, SHA-256 and end ride as the extended
// attributes user.holdfast.type, .sha256 (hex) and .retain (RFC 3339); files of other servers have none, and need none.
// With Options.Hashed those of share.php are found too, under the SHA-256 of their path; Walk knows them by that name only.
// `.holdfast/` holds `tmp/` with one file for each upload under way, and `lock`, held by the one process that uses the store.
// `uploads/` holds the parts: uploads that can be resumed, which outlive the process.
// What is in tmp/ when the store is opened was left by a process that died, and is removed.
//
// # Faults
// An error of a sync, a write or a close makes that upload fail, never another one. What happened although the system said that it
// failed is taken back, or never shown. Every step goes through a Hook if there is one; the tests let each of them fail, and cut the
// power before each.
//
// # Concurrency
// A Disk and its Files may be used by many goroutines at once, an Upload by one at a time.
package store

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// Sentinels a caller branches on. A missing file is fs.ErrNotExist, a taken path fs.ErrExist.
var (
	ErrFull     = errors.New("store is full")
	ErrReadOnly = errors.New("store is read-only")
	ErrSize     = errors.New("length differs from the declared length")
	ErrInUse    = errors.New("store is in use by another process")
)

// Meta rides with a file.
type Meta struct {
	Type   string    // media type as declared; empty: by extension. One over 512 bytes is not kept.
	Digest []byte    // SHA-256 of the content if known
	Retain time.Time // remove after (whole seconds); zero: keep
}

// Upload is one file in the making. Exactly one of Publish and Discard ends it; Discard after Publish does nothing.
type Upload interface {
	// Write takes what fits into the declared size; ErrSize: p was longer than that.
	io.Writer
	// ReadFrom copies r with a pooled buffer; it stops with ErrSize after one byte more than declared.
	// Errors of r come back as they are; errors of the store are wrapped, with ErrFull or ErrReadOnly where they fit.
	io.ReaderFrom
	// Publish checks the length, syncs, and makes the file visible under its path if nothing is there yet.
	// fs.ErrExist: something is there; the temporary file is kept, so that SameAs can be asked.
	Publish() error
	// SameAs reports whether the bytes written equal the published file's, byte for byte.
	SameAs(published File) (bool, error)
	Discard() error
}

// File is a published file, open for reading. ModTime and Size never change.
type File interface {
	io.ReadSeekCloser
	io.ReaderAt
	Stat() (fs.FileInfo, error)
	Meta() (Meta, error)
	ETag() string // strong, quoted (RFC 9110 section 8.8.3)
}

// Plain is a File that is a file of the operating system. Handing that to net/http lets downloads leave through sendfile.
type Plain interface {
	// OSFile returns the file behind a File; closing the File closes it.
	OSFile() *os.File
}
