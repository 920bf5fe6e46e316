package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	hftoken "holdfast/relay/token"
)

// build builds the program as it is installed.
func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "holdfast-server")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// launched is a server in a process of its own.
type launched struct {
	cmd  *exec.Cmd
	log  *output
	base string
}

func launch(t *testing.T, bin, config string) *launched {
	t.Helper()
	p := &launched{cmd: exec.Command(bin, "-config", config), log: new(output)}
	p.cmd.Stderr = p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	p.base = "http://" + p.log.await(t, `msg=listening addr=(\S+)`)
	return p
}

// Uploads are killed in the middle, again and again. After each restart: nothing half is visible, nothing acknowledged
// is missing or damaged, nothing is left over, and the cut slots are good again.
func TestKilledInTheMiddleOfAHundredUploads(t *testing.T) {
	bin := build(t)
	dir := t.TempDir()
	config := configFor(t, dir, `listen = "127.0.0.1:0"`, "")
	rounds := 3
	if n, err := strconv.Atoi(os.Getenv("HOLDFAST_KILLS")); err == nil {
		rounds = n
	} else if os.Getenv("HOLDFAST_SOAK") != "" {
		rounds = 50
	}
	bodies := map[string][]byte{} // by path
	acked := map[string]bool{}
	for round := range rounds {
		p := launch(t, bin, config)
		verify(t, p.base, dir, bodies, acked)
		var mu sync.Mutex
		var wg sync.WaitGroup
		first := make(chan struct{})
		var once sync.Once
		for i := range 100 {
			path := fmt.Sprintf("r%d/f%d", round, i)
			body := make([]byte, 1+i*7919%(512<<10))
			_, _ = rand.Read(body)
			bodies[path] = body
			target := signedTarget(t, path, len(body))
			wg.Go(func() {
				req, err := http.NewRequest(http.MethodPut, p.base+target, &trickle{b: body})
				if err != nil {
					t.Error(err)
					return
				}
				req.ContentLength = int64(len(body))
				req.Header.Set("Content-Type", "text/plain")
				resp, err := plain.Do(req)
				if err != nil {
					return // killed
				}
				_ = resp.Body.Close()
				if resp.StatusCode == http.StatusCreated {
					mu.Lock()
					acked[path] = true
					mu.Unlock()
					once.Do(func() { close(first) })
				}
			})
		}
		select {
		case <-first:
		case <-time.After(20 * time.Second):
			t.Fatal("no upload was acknowledged")
		}
		n, err := rand.Int(rand.Reader, big.NewInt(60))
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Duration(n.Int64()) * time.Millisecond) // a kill at a random moment
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = p.cmd.Wait()
		wg.Wait()
	}
	p := launch(t, bin, config)
	verify(t, p.base, dir, bodies, acked)
	t.Logf("%d kills, %d uploads begun, %d acknowledged", rounds, len(bodies), len(acked))
	for path, body := range bodies { // the slots that were cut take their file now; the others answer as before
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.base+signedTarget(t, path, len(body)), bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "text/plain")
		resp, err := plain.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusCreated {
			t.Errorf("%s after the kill: %s", path, resp.Status)
		}
		acked[path] = true
	}
	verify(t, p.base, dir, bodies, acked)
}

// signedTarget is path and query of a slot of configFor's server.
func signedTarget(t *testing.T, path string, size int) string {
	t.Helper()
	g, err := hftoken.Sign(hftoken.Claims{Scheme: hftoken.V2, Path: path, Size: int64(size), Type: "text/plain"}, "", hftoken.Secret("0123456789abcdef-strong"))
	if err != nil {
		t.Fatal(err)
	}
	return "/upload/" + path + "?" + g.RawQuery
}

// verify checks what lies in the store and what the server shows of it.
func verify(t *testing.T, base, dir string, bodies map[string][]byte, acked map[string]bool) {
	t.Helper()
	files := filepath.Join(dir, "files")
	err := filepath.WalkDir(files, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(files, p)
		if err != nil {
			return err
		}
		if strings.HasPrefix(rel, ".holdfast/") {
			if strings.HasPrefix(rel, ".holdfast/tmp/") {
				t.Errorf("left over: %s", rel)
			}
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if sha256.Sum256(b) != sha256.Sum256(bodies[rel]) {
			t.Errorf("%s is visible with %d of %d bytes", rel, len(b), len(bodies[rel]))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path := range acked {
		if st, body := fetch(t, plain, base+"/upload/"+path); st != http.StatusOK || body != string(bodies[path]) {
			t.Errorf("%s was acknowledged and is %d with %d of %d bytes", path, st, len(body), len(bodies[path]))
		}
	}
}

// trickle gives a body in small pieces with breaks, so that a kill finds uploads in the middle.
type trickle struct{ b []byte }

func (r *trickle) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	<-time.After(time.Millisecond)
	n := copy(p[:min(len(p), 16<<10)], r.b)
	r.b = r.b[n:]
	return n, nil
}
