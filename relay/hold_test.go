package relay

import (
	"bufio"
	"crypto/tls"
	"io"
	"sync"
	"testing"
	"time"
)

// Around a sleep the relay waits for a word also where it would otherwise repeat at once: it was just cut from a server
// that it reached.
func TestAHeldRelayRepeatsNothingUntilItIsReleased(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.BackOff, c.MaxBackOff = time.Millisecond, time.Millisecond })
	var got []byte
	var mu sync.Mutex
	cut := make(chan struct{})
	w.raw(listed, func(c *tls.Conn, br *bufio.Reader) {
		_, _ = io.CopyN(io.Discard, br, 100_000)
		<-cut
		_ = c.Close()
	}, store(&got, &mu, created))
	body := sample(5 << 20)
	done := make(chan result, 1)
	go func() { done <- w.put("/u/s/f", body) }()
	w.await("sending", func(u Upload) bool { return u.State == Sending })
	w.r.Hold(true)
	close(cut)
	held := w.await("held", func(u Upload) bool { return u.State == Waiting && u.Reason == ReasonOffline })
	w.r.Hold(false)
	if r := <-done; !r.stored() || sumOf(got) != sumOf(body) {
		t.Fatal(r)
	}
	if held.Repeats != 0 {
		t.Errorf("%d repeats while it was held", held.Repeats)
	}
}
