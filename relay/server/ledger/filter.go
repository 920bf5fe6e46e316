package ledger

import "encoding/binary"

// filter is a Bloom filter of keys: "no" is certain, "perhaps" is wrong for one key in a hundred. The keys are hashes already,
// so their own bytes choose the bits.
type filter struct {
	bits     []uint64
	count    int
	capacity int
}

// The usual choice for one in a hundred: ten bits for each key, of which seven are looked at.
const (
	bitsPerKey = 10
	probes     = 7
	minKeys    = 1 << 16
)

func newFilter(keys int) *filter {
	keys = max(keys, minKeys)
	return &filter{bits: make([]uint64, keys*bitsPerKey/64+1), capacity: keys}
}

// bit yields the place of the i-th probe (Kirsch and Mitzenmacher: two hashes make as many as are wanted).
func (f *filter) bit(k key, i uint64) (word int, mask uint64) {
	a, b := binary.LittleEndian.Uint64(k[:8]), binary.LittleEndian.Uint64(k[8:16])|1
	n := (a + i*b) % uint64(len(f.bits)*64)
	return int(n / 64), 1 << (n % 64) //nolint:gosec // below len(f.bits)
}

func (f *filter) add(k key) {
	f.count++
	for i := range uint64(probes) {
		word, mask := f.bit(k, i)
		f.bits[word] |= mask
	}
}

func (f *filter) has(k key) bool {
	for i := range uint64(probes) {
		if word, mask := f.bit(k, i); f.bits[word]&mask == 0 {
			return false
		}
	}
	return true
}

func (f *filter) full() bool { return f.count > f.capacity }

// fill adds every key of b to f.
func (b *batch) fill(f *filter) {
	for k := range b.slots {
		f.add(k)
	}
	for k := range b.tokens {
		f.add(k)
	}
}

// useLocked notes k as used in every filter there is.
func (l *Ledger) useLocked(k key) {
	l.used.add(k)
	if l.growing != nil {
		l.growing.add(k)
	}
}
