package store

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const childEnv = "HOLDFAST_STORE_TEST_DIR"

// content is what every upload to a path holds, so that a file can be judged by its name alone.
func content(path string) []byte {
	seed := sha256.Sum256([]byte(path))
	r := rand.New(rand.NewChaCha8(seed)) //nolint:gosec // reproducible on purpose
	b := make([]byte, r.IntN(300<<10))
	_, _ = rand.NewChaCha8(seed).Read(b)
	return b
}

// uploadUntilKilled is the child: it uploads from several goroutines and prints a line for every upload that was acknowledged.
func uploadUntilKilled(dir string) {
	fatal := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	d, err := Open(dir, Options{})
	if err != nil {
		fatal(err)
	}
	fmt.Println("ready")
	for g := range 8 {
		go func() {
			for i := 0; ; i++ {
				path := fmt.Sprintf("user-%d/%d-%d-%d/file", i%3, os.Getpid(), g, i)
				data := content(path)
				if err := putErr(context.Background(), d, path, data, Meta{Type: "a/b"}); err != nil {
					fatal(err)
				}
				sum := sha256.Sum256(data)
				fmt.Printf("%s %s\n", path, hex.EncodeToString(sum[:])) // one write, below PIPE_BUF
			}
		}()
	}
	select {}
}

func TestNothingIsLostAndNothingHalfIsSeenAfterKill(t *testing.T) {
	dir := t.TempDir()
	acknowledged := make(map[string]string)
	rounds, left := 0, 0
	for deadline := time.Now().Add(killTime()); time.Now().Before(deadline); rounds++ {
		pid, latest := killedChild(t, dir)
		maps.Copy(acknowledged, latest)
		entries, err := os.ReadDir(filepath.Join(dir, tmpDir))
		if err != nil {
			t.Fatal(err)
		}
		left += len(entries)
		d, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		checkFiles(t, d, dir, latest, fmt.Sprintf("/%d-", pid))
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	d := open(t, dir, Options{})
	checkFiles(t, d, dir, acknowledged, "") // the earlier ones must have lived through the later kills
	t.Logf("%d kills, %d acknowledged uploads, %d leftovers removed", rounds, len(acknowledged), left)
	if len(acknowledged) == 0 || left == 0 {
		t.Error("the kills did not hit uploads, so the test has shown nothing")
	}
}

func killTime() time.Duration {
	if testing.Short() {
		return 2 * time.Second
	}
	return 10 * time.Second
}

// killedChild runs the child, kills it at a random moment and returns what it acknowledged.
func killedChild(t *testing.T, dir string) (pid int, acknowledged map[string]string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); line != "ready\n" {
		t.Fatalf("child said %q, %v", line, err)
	}
	kill := time.AfterFunc(time.Duration(rand.Int64N(int64(150*time.Millisecond))), func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	acknowledged = make(map[string]string)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break // the rest of a line is not an acknowledgement
		}
		if err != nil {
			t.Fatal(err)
		}
		path, sum, _ := strings.Cut(strings.TrimSpace(line), " ")
		acknowledged[path] = sum
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("child ended by itself: %v", err)
	}
	return cmd.Process.Pid, acknowledged
}

// checkFiles looks at the bytes of every file whose path contains part, not through the store.
func checkFiles(t *testing.T, d *Disk, dir string, acknowledged map[string]string, part string) {
	t.Helper()
	if leftovers := tree(t, filepath.Join(dir, tmpDir)); leftovers != nil {
		t.Fatalf("leftovers after Open: %v", leftovers)
	}
	seen := make(map[string]bool)
	err := d.Walk(t.Context(), time.Time{}, func(path string, _ int64, _ time.Time) error {
		if !strings.Contains(path, part) {
			return nil
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return err
		}
		if string(data) != string(content(path)) {
			t.Errorf("%s is visible and damaged", path)
		}
		if sum := sha256.Sum256(data); acknowledged[path] != "" && acknowledged[path] != hex.EncodeToString(sum[:]) {
			t.Errorf("%s is not what was acknowledged", path)
		}
		seen[path] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path := range acknowledged {
		if !seen[path] {
			t.Errorf("%s was acknowledged and is lost", path)
		}
	}
}
