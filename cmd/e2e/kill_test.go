package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/cmd/lab"
	"holdfast/relay/token"
)

// The server is killed at random moments under load, 100 times, or 1000 in a long run. After every start: nothing half is
// visible, nothing acknowledged is missing or damaged, no acknowledged offset of a resumable upload went back, no temporary
// file is left.
func TestKilledAgainAndAgainUnderLoad(t *testing.T) {
	rounds := 100
	if os.Getenv("HOLDFAST_SOAK") != "" {
		rounds = 1000
	}
	if n, err := strconv.Atoi(os.Getenv("HOLDFAST_KILLS")); err == nil {
		rounds = n
	}
	k := newKillLoad(t)
	began := time.Now()
	acked, cut := 0, 0
	for round := range rounds {
		proc := k.start()
		k.check(round)
		if round%20 == 19 {
			acked += k.wipe()
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for w := range 6 {
			wg.Go(func() { k.plain(ctx, round, w) })
		}
		for _, r := range k.resumed {
			wg.Go(func() { r.run(ctx) })
		}
		<-time.After(20*time.Millisecond + rand.N(250*time.Millisecond)) // a random moment
		if err := proc.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = proc.Wait(t.Context())
		cancel()
		wg.Wait()
		cut += k.leftovers()
		if t.Failed() {
			t.Fatalf("after kill %d", round+1)
		}
	}
	k.start()
	k.check(rounds)
	acked += k.wipe()
	finished := 0
	for _, r := range k.resumed {
		finished += r.finished
	}
	t.Logf("%d kills in %v: %d uploads acknowledged, %d cut in the middle, %d finished by resuming over %d kills",
		rounds, time.Since(began).Round(time.Second), acked, cut, finished, k.carried)
	if rounds >= 20 && (acked < rounds || cut < rounds/10 || k.carried < rounds/10) {
		t.Error("the kills hit too few uploads to show anything")
	}
}

// killLoad is a server that is killed, and what it has promised.
type killLoad struct {
	t       *testing.T
	dir     string
	addr    string
	config  string
	http    *http.Client
	resumed []*resumedLoad
	carried int // resumable uploads that went on after a kill
	mu      sync.Mutex
	acked   map[string]bool
}

const killSecret = "a secret of the tests, long enough"

func newKillLoad(t *testing.T) *killLoad {
	t.Helper()
	port, err := lab.FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	k := &killLoad{
		t: t, dir: t.TempDir(), addr: fmt.Sprintf("127.0.0.1:%d", port), acked: make(map[string]bool),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 30 * time.Second},
	}
	t.Cleanup(k.http.CloseIdleConnections)
	k.config = plainConfig(t, k.dir, k.addr, "min_free = 0\n")
	for i := range 3 {
		k.resumed = append(k.resumed, &resumedLoad{k: k, worker: i})
	}
	return k
}

// plainConfig writes the configuration of a server without TLS whose folders lie in dir.
func plainConfig(t *testing.T, dir, addr, limits string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "server.toml")
	text := fmt.Sprintf("[server]\nlisten = %q\npublic_url = \"http://%s/upload/\"\n[storage]\npath = %q\nstate = %q\n"+
		"[auth]\nsecrets = [%q]\nschemes = [\"v2\", \"jwt\"]\n[limits]\n%s",
		addr, addr, filepath.Join(dir, "files"), filepath.Join(dir, "state"), killSecret, limits)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (k *killLoad) start() *lab.Process {
	k.t.Helper()
	log := filepath.Join(k.t.TempDir(), "server.log")
	proc := start(k.t, log, nil, program("holdfast-server"), "-config", k.config)
	if err := lab.WaitTCP(k.addr, proc, 20*time.Second); err != nil {
		k.t.Fatalf("holdfast-server: %v\n%s", err, lab.Tail(log, 4<<10))
	}
	return proc
}

// content is what every upload to a path holds, so that a file can be judged by its name alone.
func content(path string) []byte {
	seed := sha256.Sum256([]byte(path))
	n := int(seed[0])<<6 | int(seed[1])>>2 // up to 16 KiB
	if seed[2] < 12 || strings.HasPrefix(path, "resumed") {
		n = n*32 + 1
	}
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(seed).Read(b)
	return b
}

// slot is the URL of a path, signed as Prosody signs.
func slot(t *testing.T, addr, path string, size int) string {
	t.Helper()
	g, err := token.Sign(token.Claims{Scheme: token.V2, Path: path, Size: int64(size), Type: "text/plain"}, "", token.Secret(killSecret))
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + addr + "/upload/" + path + "?" + g.RawQuery
}

// send sends one request. err: the server was killed.
func (k *killLoad) send(ctx context.Context, method, url string, body []byte, headers ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "text/plain")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := k.http.Do(req)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp, err
}

// plain uploads files until the server is gone.
func (k *killLoad) plain(ctx context.Context, round, worker int) {
	for i := 0; ; i++ {
		path := fmt.Sprintf("plain-%d/%d-%d-%d/file", i%3, round, worker, i)
		data := content(path)
		resp, err := k.send(ctx, http.MethodPut, slot(k.t, k.addr, path, len(data)), data)
		if err != nil {
			return
		}
		if resp.StatusCode != http.StatusCreated {
			k.t.Errorf("%s: %s", path, resp.Status)
			return
		}
		k.acknowledge(path)
	}
}

func (k *killLoad) acknowledge(path string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.acked[path] = true
}

// resumedLoad sends one file after the other in pieces, and goes on with it after every kill.
type resumedLoad struct {
	k        *killLoad
	worker   int
	finished int

	path  string // empty: none under way
	data  []byte
	id    string
	acked int64
	asked bool // since the last kill
}

func (r *resumedLoad) run(ctx context.Context) {
	r.asked = false
	for r.step(ctx) {
	}
}

// step sends one piece. False: the server is gone, or something is wrong.
func (r *resumedLoad) step(ctx context.Context) bool {
	if r.path == "" {
		r.path = fmt.Sprintf("resumed/%d-%d-%d/file", r.worker, r.finished, rand.Uint32())
		r.data, r.acked, r.asked = content(r.path), 0, true
		id := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, rand.Uint64()), rand.Uint64())
		r.id = base64.RawURLEncoding.EncodeToString(id)
	}
	url := slot(r.k.t, r.k.addr, r.path, len(r.data))
	slotHeaders := []string{"Holdfast-Upload", r.id, "Upload-Length", strconv.Itoa(len(r.data)), "Holdfast-Slot-Type", "text/plain"}
	if !r.asked {
		resp, err := r.k.send(ctx, http.MethodHead, url, nil, slotHeaders...)
		if err != nil {
			return false
		}
		offset, _ := strconv.ParseInt(resp.Header.Get("Upload-Offset"), 10, 64)
		switch {
		case resp.StatusCode == http.StatusNotFound && r.acked == 0:
		case resp.StatusCode != http.StatusNoContent || offset < r.acked:
			r.k.t.Errorf("%s: %d bytes were acknowledged, and after the kill: %s, %d", r.path, r.acked, resp.Status, offset)
			return false
		case resp.Header.Get("Upload-Complete") == "?1": // the answer was lost, not the file
			r.done()
			return true
		}
		if offset > 0 {
			r.k.mu.Lock()
			r.k.carried++
			r.k.mu.Unlock()
		}
		r.acked, r.asked = offset, true
	}
	end := min(r.acked+1+rand.Int64N(100_000), int64(len(r.data)))
	complete := "?0"
	if end == int64(len(r.data)) {
		complete = "?1"
	}
	resp, err := r.k.send(ctx, http.MethodPatch, url, r.data[r.acked:end], append(slotHeaders,
		"Content-Type", "application/partial-upload", "Upload-Offset", strconv.FormatInt(r.acked, 10), "Upload-Complete", complete)...)
	switch {
	case err != nil:
		return false
	case resp.StatusCode == http.StatusCreated && complete == "?1":
		r.done()
	case resp.StatusCode == http.StatusNoContent && complete == "?0":
		r.acked = end
	default:
		r.k.t.Errorf("%s: a piece from %d to %d of %d: %s", r.path, r.acked, end, len(r.data), resp.Status)
		return false
	}
	return true
}

func (r *resumedLoad) done() {
	r.k.acknowledge(r.path)
	r.finished++
	r.path = ""
}

// leftovers counts the temporary files of the server that was killed.
func (k *killLoad) leftovers() int {
	k.t.Helper()
	entries, err := os.ReadDir(filepath.Join(k.dir, "files", ".holdfast", "tmp"))
	if err != nil {
		k.t.Fatal(err)
	}
	return len(entries)
}

// check looks at every file in the store, not through the server.
func (k *killLoad) check(round int) {
	k.t.Helper()
	if n := k.leftovers(); n > 0 {
		k.t.Errorf("start %d: %d temporary files are left", round, n)
	}
	files := filepath.Join(k.dir, "files")
	seen := make(map[string]bool)
	err := filepath.WalkDir(files, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if e.Name() == ".holdfast" {
				return fs.SkipDir
			}
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		path, err := filepath.Rel(files, name)
		if !bytes.Equal(data, content(path)) {
			k.t.Errorf("start %d: %s is visible and damaged", round, path)
		}
		seen[path] = true
		return err
	})
	if err != nil {
		k.t.Fatal(err)
	}
	for path := range k.acked {
		if !seen[path] {
			k.t.Errorf("start %d: %s was acknowledged and is lost", round, path)
		}
	}
}

// wipe fetches what was acknowledged, deletes it by hand, and sees that the slots stay used. It returns how many there were.
func (k *killLoad) wipe() int {
	k.t.Helper()
	n := 0
	for path := range k.acked {
		if n++; n%50 == 0 {
			resp, err := k.send(k.t.Context(), http.MethodGet, "http://"+k.addr+"/upload/"+path, nil)
			if err != nil || resp.StatusCode != http.StatusOK || resp.ContentLength != int64(len(content(path))) {
				k.t.Errorf("GET %s: %v, %v", path, resp, err)
			}
		}
		if err := os.Remove(filepath.Join(k.dir, "files", path)); err != nil {
			k.t.Errorf("delete: %v", err)
		}
		if n%50 == 0 {
			resp, err := k.send(k.t.Context(), http.MethodPut, slot(k.t, k.addr, path, len(content(path))), content(path))
			if err != nil || resp.StatusCode != http.StatusConflict {
				k.t.Errorf("the used slot of a deleted file, %s: %v, %v", path, resp, err)
			}
		}
	}
	clear(k.acked)
	return n
}
