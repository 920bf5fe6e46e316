package ledger

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

const childEnv = "HOLDFAST_LEDGER_TEST_DIR"

// burnUntilKilled is the child: it burns a slot every millisecond, charges its file, and says which and when.
func burnUntilKilled(dir string) {
	l, err := Open(dir, Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	l.Recovered()
	fmt.Println("ready")
	tick := time.NewTicker(time.Millisecond)
	for i := 0; ; i++ {
		now := <-tick.C
		path := fmt.Sprintf("%d/%d", os.Getpid(), i)
		l.Burn(path, time.Time{})
		l.Charge(path, strconv.Itoa(os.Getpid()), 1)
		fmt.Printf("%s %d\n", path, now.UnixNano())
	}
}

func TestAfterAKillOnlyTheLastMomentIsMissingAndUncleanSaysSo(t *testing.T) {
	dir := t.TempDir()
	rounds := 4
	if testing.Short() {
		rounds = 1
	}
	kept := make(map[string]bool)
	for range rounds {
		pid, said := killedChild(t, dir)
		l := openAt(t, dir, Options{})
		since, unclean := l.Unclean()
		if !unclean {
			t.Error("the stop is called clean")
		}
		var last time.Time
		for _, at := range said {
			if at.After(last) {
				last = at
			}
		}
		missing, burntNow := 0, 0
		for path, at := range said {
			switch {
			case burnt(t, l, path):
				kept[path] = true
				burntNow++
			case last.Sub(at) > 2*time.Second: // one is promised, and a busy machine may be late
				t.Errorf("%s is forgotten, %v before the kill", path, last.Sub(at))
			case at.Before(since):
				t.Errorf("%s is forgotten, and Unclean says that nothing before %v is", path, since)
			default:
				missing++
			}
		}
		t.Logf("%d slots burnt, %d of the last moment missing", len(said), missing)
		// A slot and its charge may come to disk in two batches, and one may have come that was not said any more.
		if n := int(used(t, l, strconv.Itoa(pid))); n < burntNow-1 || n > burntNow+1 {
			t.Errorf("%d slots are burnt, %d files are charged", burntNow, n)
		}
		for path := range kept {
			if !burnt(t, l, path) {
				t.Errorf("%s was on disk and is forgotten", path)
			}
		}
		closeIt(t, l)
	}
	if len(kept) == 0 {
		t.Error("nothing was written, so the test has shown nothing")
	}
}

// killedChild runs the child, kills it after one to two seconds and returns what it said that it burnt.
func killedChild(t *testing.T, dir string) (pid int, said map[string]time.Time) {
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
	kill := time.AfterFunc(time.Second+time.Duration(rand.Int64N(int64(time.Second))), func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	said = make(map[string]time.Time)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break // the rest of a line is not a word
		}
		if err != nil {
			t.Fatal(err)
		}
		path, at, _ := strings.Cut(strings.TrimSpace(line), " ")
		var nanos int64
		if _, err := fmt.Sscan(at, &nanos); err != nil {
			t.Fatalf("child said %q: %v", line, err)
		}
		said[path] = time.Unix(0, nanos)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("child ended by itself: %v", err)
	}
	return cmd.Process.Pid, said
}
