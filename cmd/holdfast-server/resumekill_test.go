package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/relay/server/resume"
)

// resumer uploads one file to a server that is killed again and again, as the relay does: it asks for the offset, and goes
// on from there with a piece of some length.
type resumer struct {
	t      *testing.T
	base   *atomic.Pointer[string]
	rng    *rand.Rand
	id     string
	target string
	body   []byte
	told   int64 // the highest offset that the server has said
	cuts   int
}

// run ends when the server has said that the file is complete.
func (u *resumer) run() {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		at, done, ok := u.ask()
		switch {
		case done:
			return
		case ok && u.send(at):
			return
		}
	}
	u.t.Errorf("%s: not complete after a minute, at %d of %d", u.target, u.told, len(u.body))
}

func (u *resumer) do(method string, body io.Reader, length int64, headers ...string) *http.Response {
	if length == 0 {
		body = http.NoBody // else it would be chunked
	}
	req, err := http.NewRequest(method, *u.base.Load()+u.target, body)
	if err != nil {
		u.t.Error(err)
		return nil
	}
	req.ContentLength = length
	req.Header.Set("Holdfast-Upload", u.id)
	req.Header.Set("Upload-Length", strconv.Itoa(len(u.body)))
	req.Header.Set("Holdfast-Slot-Type", "text/plain")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := plain.Do(req)
	if err != nil {
		u.cuts++
		<-time.After(5 * time.Millisecond) // the server is away
		return nil
	}
	_ = resp.Body.Close()
	return resp
}

// ask asks where the upload stands.
func (u *resumer) ask() (at int64, done, ok bool) {
	resp := u.do(http.MethodHead, nil, 0)
	switch {
	case resp == nil:
		return 0, false, false
	case resp.StatusCode == http.StatusNotFound && u.told == 0:
		return 0, false, true
	case resp.StatusCode != http.StatusNoContent:
		u.t.Errorf("%s: HEAD is %s after %d bytes were acknowledged", u.target, resp.Status, u.told)
		return 0, true, false
	}
	at, err := strconv.ParseInt(resp.Header.Get("Upload-Offset"), 10, 64)
	if err != nil || at < u.told {
		u.t.Errorf("%s: offset %d after %d, %v", u.target, at, u.told, err)
		return 0, true, false
	}
	u.told = at
	return at, resp.Header.Get("Upload-Complete") == "?1", true
}

// send sends a piece, or everything with a PUT; true: the file is stored.
func (u *resumer) send(at int64) bool {
	rest := u.body[at:]
	if at == 0 && u.rng.IntN(2) == 0 {
		resp := u.do(http.MethodPut, &trickle{b: u.body}, int64(len(u.body)), "Content-Type", "text/plain")
		return resp != nil && u.stored(resp)
	}
	complete := "?1"
	if u.rng.IntN(3) > 0 && len(rest) > 1 {
		rest, complete = rest[:1+u.rng.IntN(len(rest)-1)], "?0"
	}
	resp := u.do(http.MethodPatch, &trickle{b: rest}, int64(len(rest)),
		"Content-Type", "application/partial-upload", "Upload-Offset", strconv.FormatInt(at, 10), "Upload-Complete", complete)
	if resp == nil {
		return false
	}
	if resp.StatusCode == http.StatusNoContent {
		n, err := strconv.ParseInt(resp.Header.Get("Upload-Offset"), 10, 64)
		if err != nil || n != at+int64(len(rest)) {
			u.t.Errorf("%s: %d bytes at %d make %d, %v", u.target, len(rest), at, n, err)
		}
		u.told = n
		return false
	}
	return u.stored(resp)
}

func (u *resumer) stored(resp *http.Response) bool {
	if resp.StatusCode != http.StatusCreated {
		u.t.Errorf("%s: %s", u.target, resp.Status)
	}
	return true
}

// The server is killed while uploads resume: no offset that it told goes back, and every file that it called stored has
// the bytes that were sent.
func TestKilledWhileUploadsResume(t *testing.T) {
	bin := build(t)
	dir := t.TempDir()
	config := configFor(t, dir, `listen = "127.0.0.1:0"`, "[limits]\nincomplete_per_source = 1000\n")
	kills := 12
	if os.Getenv("HOLDFAST_SOAK") != "" {
		kills = 200
	}
	var base atomic.Pointer[string]
	p := launch(t, bin, config)
	base.Store(&p.base)

	var mu sync.Mutex
	bodies, acked := map[string][]byte{}, map[string]bool{}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var cuts atomic.Int64
	for g := range 10 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 7))
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				path := fmt.Sprintf("g%d/f%d", g, i)
				body := make([]byte, rng.IntN(3<<20))
				for j := range body {
					body[j] = byte(j>>10) ^ byte(rng.Uint32())
				}
				mu.Lock()
				bodies[path] = body
				mu.Unlock()
				u := &resumer{t: t, base: &base, rng: rng, id: string(resume.NewID()), target: signedTarget(t, path, len(body)), body: body}
				u.run()
				cuts.Add(int64(u.cuts))
				mu.Lock()
				acked[path] = true
				mu.Unlock()
			}
		})
	}
	for i := range kills {
		<-time.After(time.Duration(50+rand.IntN(250)) * time.Millisecond) // a kill at a random moment
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = p.cmd.Wait()
		if i%4 == 3 { // what a power cut can leave behind the marks
			scribble(t, dir)
		}
		p = launch(t, bin, config)
		base.Store(&p.base)
	}
	close(stop)
	wg.Wait()
	t.Logf("%d kills, %d files stored, %d requests cut", kills, len(acked), cuts.Load())
	verify(t, p.base, dir, bodies, acked)
}

// scribble adds bytes that nobody sent behind everything that is incomplete.
func scribble(t *testing.T, dir string) {
	t.Helper()
	folder := dir + "/files/.holdfast/uploads"
	list, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if len(e.Name()) != 64 {
			continue // a state
		}
		f, err := os.OpenFile(folder+"/"+e.Name(), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(bytes.Repeat([]byte{0}, 5000)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
