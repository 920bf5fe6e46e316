package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A state file is two places for a mark, then the facts. Marks are written in turn, so that a torn write leaves the one
// before it; the valid one with the higher number counts. Integers are big-endian.
//
//	mark:  "HFM1" | number 8 | offset 8 | phase 1 | zero 3 | CRC-32C of the 24 bytes before; at 0 and at 64
//	facts: "HFF1" | length 4 | CRC-32C of the bytes | the bytes; at 128
const (
	markMagic   = "HFM1"
	factsMagic  = "HFF1"
	markSize    = 28
	markStride  = 64
	factsAt     = 2 * markStride
	factsHeader = 12
	maxFacts    = 64 << 10
)

// phase is how far a part is.
type phase byte

const (
	growing phase = iota
	moving        // its bytes are all there; if they are here no more, they were published
	done
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stateFile is the state of a part, open for writing.
type stateFile struct {
	file   *handle
	facts  []byte
	offset int64
	phase  phase
	number uint64
}

func createState(folder *tmpFolder, name string, facts []byte) (*stateFile, error) {
	if len(facts) > maxFacts {
		return nil, fmt.Errorf("facts of %d bytes are too long", len(facts))
	}
	f, err := folder.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NONBLOCK, fileMode)
	if err != nil {
		return nil, err
	}
	s := &stateFile{file: f, facts: facts, number: 2}
	b := make([]byte, factsAt, factsAt+factsHeader+len(facts))
	copy(b, appendMark(nil, s.number, 0, growing))
	if _, err := f.Write(appendFacts(b, facts)); err != nil {
		return nil, errors.Join(err, f.Close(), folder.remove(name))
	}
	return s, nil
}

func openState(folder *tmpFolder, name string) (*stateFile, error) {
	f, err := folder.root.OpenFile(name, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, factsAt+factsHeader+maxFacts+1))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s, err := parseState(b)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s.file = f
	return s, nil
}

// save writes the next mark; durable: and waits until it is on disk.
func (s *stateFile) save(offset int64, ph phase, durable bool) error {
	number := s.number + 1
	if _, err := s.file.WriteAt(appendMark(nil, number, offset, ph), int64(number%2)*markStride); err != nil {
		return err
	}
	s.number, s.offset, s.phase = number, offset, ph
	if !durable {
		return nil
	}
	return s.file.Datasync()
}

func appendMark(b []byte, number uint64, offset int64, ph phase) []byte {
	start := len(b)
	b = append(b, markMagic...)
	b = binary.BigEndian.AppendUint64(b, number)
	b = binary.BigEndian.AppendUint64(b, uint64(offset)) //nolint:gosec // an offset is not negative
	b = append(b, byte(ph), 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func appendFacts(b, facts []byte) []byte {
	b = append(b, factsMagic...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(facts))) //nolint:gosec // at most maxFacts
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(facts, castagnoli))
	return append(b, facts...)
}

// parseState reads a state file. ErrDamaged: it was not written to its end, or is not one.
func parseState(b []byte) (*stateFile, error) {
	s := &stateFile{}
	if len(b) < factsAt+factsHeader {
		return nil, fmt.Errorf("%w: its state is cut short", ErrDamaged)
	}
	for i := range 2 {
		number, offset, ph, ok := parseMark(b[i*markStride:][:markSize])
		if ok && number > s.number {
			s.number, s.offset, s.phase = number, offset, ph
		}
	}
	if s.number == 0 {
		return nil, fmt.Errorf("%w: it has no mark", ErrDamaged)
	}
	h := b[factsAt:]
	facts := h[factsHeader:]
	if string(h[:4]) != factsMagic || uint64(binary.BigEndian.Uint32(h[4:])) != uint64(len(facts)) ||
		binary.BigEndian.Uint32(h[8:]) != crc32.Checksum(facts, castagnoli) {
		return nil, fmt.Errorf("%w: its facts cannot be read", ErrDamaged)
	}
	s.facts = facts
	return s, nil
}

func parseMark(b []byte) (number uint64, offset int64, ph phase, ok bool) {
	if string(b[:4]) != markMagic || binary.BigEndian.Uint32(b[24:]) != crc32.Checksum(b[:24], castagnoli) {
		return 0, 0, 0, false
	}
	offset, ph = int64(binary.BigEndian.Uint64(b[12:])), phase(b[20]) //nolint:gosec // checked below
	return binary.BigEndian.Uint64(b[4:]), offset, ph, offset >= 0 && ph <= done
}
