package launch_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"holdfast/app/launch"
	"holdfast/cmd/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// buffer is written by one goroutine and read after it.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func shell(script string) launch.Start {
	return launch.Start{Argv: []string{"/bin/sh", "-c", script}, Env: os.Environ()}
}

func TestOutputAndExitCodeArePassedOn(t *testing.T) {
	var out, errs buffer
	code, err := launch.Run(shell("echo out; echo err >&2; printf last >&2; exit 7"), launch.Child{Stdout: &out, Stderr: &errs})
	if err != nil || code != 7 || out.String() != "out\n" || errs.String() != "err\nlast" {
		t.Errorf("%d, %v, %q, %q", code, err, out.String(), errs.String())
	}
	if _, err := launch.Run(launch.Start{Argv: []string{"/no/such/client"}}, launch.Child{Stderr: &errs}); err == nil {
		t.Error("what is not there was started")
	}
}

func TestSignalsReachTheClient(t *testing.T) {
	for _, c := range []struct {
		name, script string
		code         int
	}{
		{"one that ends by itself keeps its exit code", `trap 'echo asked >&2; exit 3' TERM; echo ready >&2; while :; do sleep 0.1; done`, 3},
		{"one that dies of it has 128 and the number", `echo ready >&2; exec sleep 60`, 128 + int(syscall.SIGTERM)},
	} {
		t.Run(c.name, func(t *testing.T) {
			said := &waiter{word: "ready", met: make(chan struct{})}
			done := make(chan int, 1)
			go func() {
				code, err := launch.Run(shell(c.script), launch.Child{Stderr: said})
				if err != nil {
					t.Error(err)
				}
				done <- code
			}()
			<-said.met
			if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			select {
			case code := <-done:
				if code != c.code {
					t.Errorf("exit code %d, want %d", code, c.code)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it goes on")
			}
		})
	}
}

// waiter tells when a word was written.
type waiter struct {
	word string
	met  chan struct{}
	once sync.Once
}

func (w *waiter) Write(p []byte) (int, error) {
	if strings.Contains(string(p), w.word) {
		w.once.Do(func() { close(w.met) })
	}
	return len(p), nil
}

func TestTheLineOfAStuckClientIsToldOnceWithItsProcess(t *testing.T) {
	type told struct {
		pid  int
		line string
	}
	lines := make(chan told, 4)
	var pid int
	var errs buffer
	long := strings.Repeat("x", 70_000)
	_, err := launch.Run(shell("echo harmless >&2; echo $LONG >&2; echo ' Send file error: Http file upload XMPP error: No flag' >&2"), launch.Child{
		Stderr:  &errs,
		Started: func(p int) { pid = p },
		Stuck:   func(p int, line string) { lines <- told{p, line} },
	})
	if err != nil {
		t.Fatal(err)
	}
	close(lines)
	got, more := <-lines
	if !more || got.pid != pid || got.line != "Send file error: Http file upload XMPP error: No flag" {
		t.Errorf("told %+v, the client is %d", got, pid)
	}
	if extra, more := <-lines; more {
		t.Errorf("told again: %+v", extra)
	}
	t.Setenv("LONG", long)
	errs = buffer{}
	if _, err := launch.Run(shell("echo $LONG >&2; echo end >&2"), launch.Child{Stderr: &errs}); err != nil {
		t.Fatal(err)
	}
	if errs.String() != long+"\nend\n" {
		t.Errorf("a long line came out with %d bytes", len(errs.String()))
	}
}

func TestInBubblewrapTheClientItselfIsKnownAndSeesTheBundle(t *testing.T) {
	bwrap := lab.Need(t, "bwrap", "bubblewrap")
	dir := t.TempDir()
	bundle, roots := filepath.Join(dir, "bundle.pem"), filepath.Join(dir, "roots.pem")
	for path, text := range map[string]string{bundle: "ours", roots: "system"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := launch.Decide(facts(func(f *launch.Facts) {
		f.Command, f.Args = []string{"/bin/sh", "-c", "cat " + roots + "; echo; echo $$; exit 5"}, nil
		f.Bundle, f.Roots, f.Bwrap, f.Env = bundle, roots, bwrap, os.Environ()
	}))
	var out, errs buffer
	pid := 0
	code, err := launch.Run(s, launch.Child{Stdout: &out, Stderr: &errs, Started: func(p int) { pid = p }})
	if err == nil && strings.Contains(errs.String(), "namespace") {
		t.Skipf("no namespaces here: %s", errs.String())
	}
	if err != nil || code != 5 || out.String() != "ours\n"+strconv.Itoa(pid)+"\n" {
		t.Errorf("%d, %v, %q, process %d, %q", code, err, out.String(), pid, errs.String())
	}
	if got, err := os.ReadFile(roots); err != nil || string(got) != "system" {
		t.Errorf("outside it is %q, %v", got, err)
	}
}

func TestWhatTheClientStartedKeepsItsOutput(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	go_ := filepath.Join(t.TempDir(), "go")
	if err := syscall.Mkfifo(go_, 0o600); err != nil {
		t.Fatal(err)
	}
	// The grandchild, like a browser opened from a chat, writes only after the client has gone.
	code, err := launch.Run(shell("(read x <"+go_+"; echo later >&2) & echo first >&2"), launch.Child{Stderr: f})
	if err != nil || code != 0 {
		t.Fatalf("%d, %v", code, err)
	}
	if err := os.WriteFile(go_, []byte("now\n"), 0); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		got, err := os.ReadFile(log)
		if err == nil && string(got) == "first\nlater\n" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the log is %q, %v", got, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestTheRelayIsAskedAndStartedOnce(t *testing.T) {
	health := `{"status":"ok","name":"holdfast"}`
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(health))
	}))
	defer srv.Close()
	address := srv.Listener.Addr().String()
	starts, up := 0, false
	listen := func(context.Context) string {
		if up {
			return address
		}
		return ""
	}
	if got := launch.Relay(t.Context(), listen, func(context.Context) { starts++; up = true }); got != address || starts != 1 {
		t.Errorf("%q after %d starts", got, starts)
	}
	if got := launch.Relay(t.Context(), listen, func(context.Context) { starts++ }); got != address || starts != 1 {
		t.Errorf("%q after %d starts", got, starts)
	}
	health = `{"status":"ok","name":"another"}`
	begun := time.Now()
	if got := launch.Relay(t.Context(), listen, func(context.Context) {}); got != "" {
		t.Errorf("another program counts as the relay: %q", got)
	}
	if d := time.Since(begun); d < 2*time.Second || d > 10*time.Second {
		t.Errorf("it was waited for %v", d)
	}
}

func TestAReportWaitsForACompanionThatComesLater(t *testing.T) {
	tries := 0
	launch.Deliver(t.Context(), func(context.Context) error {
		if tries++; tries < 2 {
			return errors.New("nobody there")
		}
		return nil
	})
	if tries != 2 {
		t.Errorf("%d tries", tries)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	launch.Deliver(ctx, func(context.Context) error { return errors.New("nobody there") }) // returns
}
