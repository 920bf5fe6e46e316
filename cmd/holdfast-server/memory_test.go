package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"sync"
	"testing"
)

// Sixty-four uploads at once need no more memory than their buffers. A body kept in memory would show: all of them
// together are a quarter of a gigabyte.
func TestMemoryStaysFlatUnderManyUploads(t *testing.T) {
	const uploads, size, most = 64, 4 << 20, 32 << 10 // most in KiB
	p := launch(t, build(t), configFor(t, t.TempDir(), `listen = "127.0.0.1:0"`, ""))
	block := make([]byte, size)
	_, _ = rand.Read(block)
	var ready, wg sync.WaitGroup
	ready.Add(uploads)
	for i := range uploads {
		target := signedTarget(t, fmt.Sprintf("flat/%d", i), size)
		wg.Go(func() {
			// The first half, then wait until every upload is there, then the rest.
			body, feed := io.Pipe()
			go func() {
				_, err := feed.Write(block[:size/2])
				ready.Done()
				ready.Wait()
				if err == nil {
					_, err = feed.Write(block[size/2:])
				}
				_ = feed.CloseWithError(err)
			}()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.base+target, body)
			if err != nil {
				t.Error(err)
				return
			}
			req.ContentLength = size
			req.Header.Set("Content-Type", "text/plain")
			resp, err := plain.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusCreated {
				t.Error(resp.Status)
			}
		})
	}
	wg.Wait()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("no VmHWM in %s", status)
	}
	if peak, err := strconv.Atoi(string(m[1])); err != nil || peak > most {
		t.Errorf("the peak was %s KiB, more than %d", m[1], most)
	}
}
