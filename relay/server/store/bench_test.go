package store

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
)

// Set TMPDIR to a tmpfs to see the cost without that of a disk.
func BenchmarkPublish(b *testing.B) {
	for _, bench := range []struct {
		name string
		size int
	}{{"1KiB", 1 << 10}, {"1MiB", 1 << 20}, {"100MiB", 100 << 20}} {
		for _, parallel := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/%d", bench.name, parallel), func(b *testing.B) {
				d, err := Open(b.TempDir(), Options{})
				if err != nil {
					b.Fatal(err)
				}
				data := bytes.Repeat([]byte("x"), bench.size)
				b.SetBytes(int64(bench.size))
				b.SetParallelism((parallel + 1) / 2) // times GOMAXPROCS
				b.ReportAllocs()
				var n atomic.Int64
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := putErr(b.Context(), d, fmt.Sprintf("slot-%d/file", n.Add(1)), data, Meta{Type: "text/plain"}); err != nil {
							b.Error(err)
						}
					}
				})
				if err := d.Close(); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	d, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := putErr(b.Context(), d, "slot/file", make([]byte, 1<<10), Meta{Type: "text/plain"}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		f, err := d.Open("slot/file")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.Meta(); err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, f); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
}
