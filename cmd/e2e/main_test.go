package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/cmd/lab"
)

// The names of the tests' own network, all on loopback.
const (
	uploadHost = "upload.lab.test" // what slots name; the tests put a server or a cutter there
	uploadIP   = "10.99.0.1"       // on lo, so that it can be taken away
	otherHost  = "other.lab.test"  // an origin that is not listed
	otherIP    = "127.0.1.21"
	serverIP   = "127.0.1.30" // the server, where a cutter stands before it
	xmppIP     = "127.0.1.40"
)

// binEnv names the folder of the programs under test. Set from outside, those are used and none is built.
const binEnv = "HOLDFAST_E2E_BIN"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if lab.Isolated() {
		if err := lab.EnterIsolated(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			return 1
		}
		if err := uploadAddress("add"); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			return 1
		}
		return m.Run()
	}
	if os.Geteuid() != 0 {
		if lab.InCI() {
			fmt.Fprintln(os.Stderr, "e2e: these tests make namespaces and need root; CI runs as root")
			return 1
		}
		fmt.Println("e2e: skipped, these tests make namespaces and need root")
		return 0
	}
	// Not t.TempDir: the folder outlives the second run of this program, which lives in it.
	dir, err := os.MkdirTemp("", "holdfast-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bin := os.Getenv(binEnv)
	if bin == "" {
		bin = filepath.Join(dir, "bin")
		// Modules may have to be fetched, so the programs are built before the network is gone.
		if err := lab.Build(context.Background(), bin, "holdfast-server", "holdfastctl"); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			return 1
		}
	}
	tus, err := installTus(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	if err := os.Chmod(dir, 0o711); err != nil { // ejabberd runs as a user of its own
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	hosts := []string{
		uploadIP + " " + uploadHost,
		otherIP + " " + otherHost + " wrong.lab.test",
		xmppIP + " " + strings.Join([]string{lab.ProsodyV1, lab.ProsodyV2, lab.ProsodyShare, lab.EjabberdHost}, " "),
	}
	code, err := lab.Isolate(dir, hosts, binEnv+"="+bin, tusEnv+"="+tus)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	return code
}

// uploadAddress adds the address of the upload server to this namespace, or deletes it.
func uploadAddress(verb string) error {
	if out, err := exec.Command("ip", "address", verb, uploadIP+"/32", "dev", "lo").CombinedOutput(); err != nil {
		return fmt.Errorf("ip address %s (Debian package iproute2): %w\n%s", verb, err, out)
	}
	return nil
}

// program returns the path of one of our programs.
func program(name string) string { return filepath.Join(os.Getenv(binEnv), name) }

// openDir is a folder that other users may pass through.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "x")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// randomFile writes n random bytes and returns the path and their SHA-256 in hex.
func randomFile(t *testing.T, name string, n int64) (path, sum string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, h), rand.Reader, n); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path, hex.EncodeToString(h.Sum(nil))
}

// download fetches url without a proxy and returns the SHA-256 of what came.
func download(t *testing.T, ca *lab.CA, url string) string {
	t.Helper()
	c := directClient(ca)
	defer c.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatalf("download: %v", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("download %s: %s", url, resp.Status)
	}
	h := sha256.New()
	if _, err := io.Copy(h, resp.Body); err != nil {
		t.Fatalf("download: %v", err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// curl runs curl with the environment cleaned and returns what it printed.
func curl(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	lab.Need(t, "curl", "curl")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "curl", args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// asNobody runs a program as another user of the machine.
func asNobody(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "setpriv", append([]string{"--reuid=65534", "--regid=65534", "--clear-groups", "--"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
