package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/cmd/lab"
)

// tusEnv names the folder with tus-js-client installed; what is missing otherwise.
const tusEnv = "HOLDFAST_E2E_TUS"

// installTus installs the npm project of testdata/tus below dir, before the network is gone. Without node or npm the tests
// that need it are skipped, and fail in CI.
func installTus(dir string) (string, error) {
	for _, p := range []string{"node", "npm"} {
		if _, err := exec.LookPath(p); err != nil {
			return "", nil //nolint:nilerr // lab.Need says so in the tests
		}
	}
	to := filepath.Join(dir, "tus")
	if err := os.CopyFS(to, os.DirFS("testdata/tus")); err != nil {
		return "", fmt.Errorf("copy the npm project: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir = to
	if out, err := cmd.CombinedOutput(); err != nil {
		if !lab.InCI() { // somebody without a registry still has all the other tests
			fmt.Printf("e2e: no tus-js-client: npm ci: %v\n%s", err, out)
			return "", nil
		}
		return "", fmt.Errorf("npm ci in a copy of cmd/e2e/testdata/tus: %w\n%s", err, out)
	}
	return to, nil
}

// tusJob is what upload.mjs is asked to do.
type tusJob struct {
	Do        string            `json:"do"`
	Endpoint  string            `json:"endpoint"`
	File      string            `json:"file"`
	Filetype  string            `json:"filetype"`
	Headers   map[string]string `json:"headers"`
	URLs      string            `json:"urls,omitempty"`
	ChunkSize int               `json:"chunkSize,omitempty"`
}

// tusResult is what it says.
type tusResult struct {
	URL      string   `json:"url"`
	Requests []string `json:"requests"`
	Ended    string   `json:"ended"`
	Error    string   `json:"error"`
}

func (r tusResult) count(request string) (n int) {
	for _, s := range r.Requests {
		if s == request {
			n++
		}
	}
	return n
}

// tusJS runs tus-js-client.
func tusJS(t *testing.T, ca *lab.CA, job tusJob) tusResult {
	t.Helper()
	node := lab.Need(t, "node", "nodejs")
	lab.Need(t, "npm", "npm")
	dir := os.Getenv(tusEnv)
	if dir == "" {
		t.Skip("tus-js-client could not be installed; the reason is at the start of the output")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	arg, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, node, filepath.Join(dir, "upload.mjs"), string(arg))
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "NODE_EXTRA_CA_CERTS=" + ca.File}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var r tusResult
	if err := cmd.Run(); err != nil {
		t.Fatalf("upload.mjs: %v\n%s%s", err, out.String(), errs.String())
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("upload.mjs: %v\n%s%s", err, out.String(), errs.String())
	}
	return r
}

// tusSlot signs a slot for a file and describes its upload.
func (s *server) tusSlot(t *testing.T, do, file, path string) (url string, job tusJob) {
	t.Helper()
	fi, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	url, _ = s.sign(t, "-scheme", "v2", "-path", path, "-size", strconv.FormatInt(fi.Size(), 10), "-type", "video/mp4")
	return url, tusJob{
		Do: do, Endpoint: s.base + ".holdfast/v1/tus/", File: file, Filetype: "video/mp4",
		Headers: map[string]string{"Holdfast-Slot": strings.TrimPrefix(url, "https://"+uploadHost)},
	}
}

// The tus client that everybody uses, unchanged, over a network that breaks ten times.
func TestTusClientUploadsOverCuts(t *testing.T) {
	ca, err := lab.NewCA(t.TempDir(), "Lab Public CA")
	if err != nil {
		t.Fatal(err)
	}
	srv, cutter := behindCutter(t, ca, serverOptions{})
	const size = 50_000_000
	file, sum := randomFile(t, "film.mp4", size)
	url, job := srv.tusSlot(t, "upload", file, "tus/film.mp4")
	cutter.CutAfter(4_200_000)
	r := tusJS(t, ca, job)
	cutter.CutAfter(0)
	if r.Ended != "success" {
		t.Fatalf("%+v", r)
	}
	cuts := r.count("HEAD 200") // the client asks after each
	t.Logf("%d cuts, %d bytes passed for %d, requests %v", cuts, cutter.Up(), size, r.Requests)
	if cuts < 10 {
		t.Errorf("only %d cuts", cuts)
	}
	if extra := cutter.Up() - size; extra > size/10 {
		t.Errorf("%d bytes were sent again", extra)
	}
	if got := download(t, ca, url); got != sum {
		t.Errorf("the stored file has SHA-256 %s, want %s", got, sum)
	}
}

func TestTusClient(t *testing.T) {
	ca, err := lab.NewCA(t.TempDir(), "Lab Public CA")
	if err != nil {
		t.Fatal(err)
	}
	srv := startServer(t, ca, serverOptions{})
	const size = 3 << 20
	file, sum := randomFile(t, "film.mp4", size)
	for _, tt := range []struct {
		name, do string
		chunk    int
		requests []string
	}{
		{"creates and uploads", "upload", 0, []string{"POST 201", "PATCH 204"}},
		{"uploads in chunks", "upload", 1 << 20, []string{"POST 201", "PATCH 204", "PATCH 204", "PATCH 204"}},
		{"uploads with the creation", "with-creation", 0, []string{"POST 201"}},
		{"cannot send PATCH", "override-method", 0, []string{"POST 201", "POST 204"}},
		{"sends a wrong offset and finds back", "wrong-offset", 0, []string{"POST 201", "PATCH 409", "HEAD 200", "PATCH 204"}},
		{"sends a wrong checksum and sends again", "wrong-checksum", 0, []string{"POST 201", "PATCH 460", "HEAD 200", "PATCH 204"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url, job := srv.tusSlot(t, tt.do, file, "tus/"+strings.ReplaceAll(tt.name, " ", "-")+".mp4")
			job.ChunkSize = tt.chunk
			r := tusJS(t, ca, job)
			if diff := cmp.Diff(tusResult{URL: r.URL, Requests: tt.requests, Ended: "success"}, r); diff != "" {
				t.Fatal(diff)
			}
			if got := download(t, ca, url); got != sum {
				t.Errorf("the stored file has SHA-256 %s, want %s", got, sum)
			}
		})
	}
	t.Run("pauses, and another process goes on", func(t *testing.T) {
		url, job := srv.tusSlot(t, "pause", file, "tus/pause.mp4")
		job.URLs, job.ChunkSize = filepath.Join(t.TempDir(), "urls.json"), 1<<20
		if r := tusJS(t, ca, job); r.Ended != "pause" {
			t.Fatalf("%+v", r)
		}
		job.Do = "resume"
		r := tusJS(t, ca, job)
		if r.Ended != "success" || !slices.Equal(r.Requests, []string{"HEAD 200", "PATCH 204", "PATCH 204"}) {
			t.Fatalf("%+v", r)
		}
		if got := download(t, ca, url); got != sum {
			t.Errorf("the stored file has SHA-256 %s, want %s", got, sum)
		}
	})
	t.Run("gives up, and the server forgets the upload", func(t *testing.T) {
		url, job := srv.tusSlot(t, "abort", file, "tus/abort.mp4")
		job.ChunkSize = 1 << 20
		r := tusJS(t, ca, job)
		if r.Ended != "abort" || !slices.Contains(r.Requests, "DELETE 204") {
			t.Fatalf("%+v", r)
		}
		c := directClient(ca)
		defer c.CloseIdleConnections()
		for _, u := range []string{r.URL, url} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, u, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Tus-Resumable", "1.0.0")
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusNotFound {
				t.Errorf("%s after the end: %s", resp.Request.URL.Path, resp.Status)
			}
		}
	})
	t.Run("a slot that is not right", func(t *testing.T) {
		_, job := srv.tusSlot(t, "upload", file, "tus/wrong.mp4")
		job.Headers["Holdfast-Slot"] += "0"
		if r := tusJS(t, ca, job); r.Error == "" || !slices.Equal(r.Requests, []string{"POST 403"}) {
			t.Errorf("%+v", r)
		}
	})
}
