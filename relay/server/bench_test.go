package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"holdfast/relay/server"
	"holdfast/relay/server/resume"
	"holdfast/relay/token"
)

func BenchmarkPut1KiB(b *testing.B)   { benchmarkPut(b, 1<<10, false) }
func BenchmarkPut1MiB(b *testing.B)   { benchmarkPut(b, 1<<20, false) }
func BenchmarkPut100MiB(b *testing.B) { benchmarkPut(b, 100<<20, false) }

// The same with an id, as the relay sends it.
func BenchmarkResumablePut1KiB(b *testing.B)   { benchmarkPut(b, 1<<10, true) }
func BenchmarkResumablePut1MiB(b *testing.B)   { benchmarkPut(b, 1<<20, true) }
func BenchmarkResumablePut100MiB(b *testing.B) { benchmarkPut(b, 100<<20, true) }

func benchmarkPut(b *testing.B, size int, resumable bool) {
	l := newLab(b, func(c *server.Config) { c.Log = nil; c.Settings.MaxUpload = 0 })
	body := bytes.Repeat([]byte("x"), size)
	var n atomic.Int64
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		tr := &http.Transport{}
		defer tr.CloseIdleConnections()
		for pb.Next() {
			sl := l.sign(token.V2, fmt.Sprintf("bench-%d/file", n.Add(1)), size)
			req, err := http.NewRequestWithContext(b.Context(), http.MethodPut, sl.url, bytes.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Content-Type", "text/plain")
			if resumable {
				req.Header.Set("Holdfast-Upload", string(resume.NewID()))
			}
			resp, err := tr.RoundTrip(req)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusCreated {
				b.Error(resp.Status)
				return
			}
		}
	})
}

func BenchmarkGet1KiB(b *testing.B)  { benchmarkGet(b, 1<<10) }
func BenchmarkGet16MiB(b *testing.B) { benchmarkGet(b, 16<<20) }

func benchmarkGet(b *testing.B, size int) {
	l := newLab(b, func(c *server.Config) { c.Log = nil })
	sl := l.sign(token.V2, "bench/file", size)
	if resp := l.put(sl, string(bytes.Repeat([]byte("x"), size))); resp.StatusCode != http.StatusCreated {
		b.Fatal(resp.Status)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		tr := &http.Transport{}
		defer tr.CloseIdleConnections()
		for pb.Next() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, l.base+"/upload/bench/file", nil)
			if err != nil {
				b.Error(err)
				return
			}
			resp, err := tr.RoundTrip(req)
			if err != nil {
				b.Error(err)
				return
			}
			n, err := io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if err != nil || n != int64(size) {
				b.Error(n, err)
				return
			}
		}
	})
}
