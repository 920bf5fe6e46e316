// Package store keeps finished files on disk and never shows an unfinished one.
//
// # Invariants
//   - A file is visible under its path only after its bytes, its attributes and its folder are on disk.
//   - A published file never changes; publishing is exclusive.
//   - Every path goes through os.Root: nothing outside the store can be named, links are not followed.
//
// # On disk
// Finished files lie under the store's folder, named as in the URL. `.holdfast/` in it holds temporary files.
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
	Type   string    // media type as declared; empty: by extension
	Digest []byte    // SHA-256 of the content if known
	Retain time.Time // remove after; zero: keep
}

// Upload is one file in the making. Exactly one of Publish and Discard ends it; Discard after Publish does nothing.
type Upload interface {
	io.Writer
	// ReadFrom copies r with a pooled buffer; it stops with ErrSize after one byte more than declared.
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
	// OSFile gives net/http the file itself, so that downloads leave through sendfile; nil if there is none.
	OSFile() *os.File
}
