package relay

import (
	"bytes"
	"io"
	"net/http"
	"testing"
)

// BenchmarkRelayPut100MiB shows what the relay adds to an upload over TLS on loopback: the same client and server,
// directly and through it.
func BenchmarkRelayPut100MiB(b *testing.B) {
	body := sample(100 << 20)
	w := newWorld(b, nil)
	w.serve(listed, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		_, _ = io.CopyBuffer(io.Discard, req.Body, make([]byte, 256<<10))
		rw.WriteHeader(http.StatusCreated)
	}))
	direct := w.client("bench", w.originCA(listed))
	tr := direct.Transport.(*http.Transport)
	tr.Proxy = nil
	tr.DialContext = w.dialer
	for _, tc := range []struct {
		name string
		c    *http.Client
	}{{"direct", direct}, {"relay", w.client("bench")}} {
		b.Run(tc.name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if got := w.putWith(tc.c, "/u/s/f", bytes.NewReader(body), nil); got.status != http.StatusCreated {
					b.Fatal(got)
				}
			}
		})
	}
}
