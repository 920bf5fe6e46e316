package relay

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"holdfast/cmd/lab"
)

// TestThirtySecondsWithoutNetwork runs with the relay's own times and a real client: half a minute in the middle of
// an upload in which connections are refused, or in which everything just stops.
func TestThirtySecondsWithoutNetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	curl := lab.Need(t, "curl", "curl")
	for _, tc := range []struct {
		name string
		cut  func(*lab.Cutter)
	}{
		{"connections are refused", (*lab.Cutter).Refuse},
		{"everything stops", (*lab.Cutter).Stall},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *Config) { c.Interim, c.BackOff, c.MaxBackOff, c.Stall, c.GiveUp = 0, 0, 0, 0, 0 })
			k := &keep{}
			s := w.serve(listed, k)
			cutter, err := lab.NewCutter("127.0.0.1:0", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = cutter.Close() }()
			cutter.Limit(4 << 20)
			w.point(listed+":443", cutter.Addr())
			w.relayCA()
			body := sample(16 << 20)
			file := filepath.Join(t.TempDir(), "f.bin")
			if err := os.WriteFile(file, body, 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, curl, "-sS", "-x", "http://"+w.addr, "--cacert", w.ca.CAFile(listed), "-o", os.DevNull, "-w", "%{http_code}",
				"--speed-limit", "1", "--speed-time", "60", "-T", file, "https://"+listed+"/u/s/f")
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
			out := make(chan string, 1)
			go func() {
				b, _ := cmd.Output()
				out <- string(b)
			}()
			if err := cutter.WaitUp(ctx, 2<<20); err != nil {
				t.Fatal(err)
			}
			tc.cut(cutter)
			<-time.After(30 * time.Second) // the outage itself
			cutter.Limit(0)
			cutter.Restore()
			w.r.Refresh()
			if got := <-out; got != "201" {
				t.Errorf("curl says %s", got)
			}
			if !bytes.Equal(k.file("/u/s/f"), body) {
				t.Error("the server has other bytes")
			}
			if u := w.last(); u.State != Done {
				t.Errorf("told %s %s", u.State, u.Reason)
			}
		})
	}
}
