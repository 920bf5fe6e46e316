package launch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Child is how Run speaks to the world around the client.
type Child struct {
	Stdout, Stderr io.Writer
	// Started is told the process of the client itself. It must not block; it may be nil.
	Started func(pid int)
	// Stuck is told each line in which Dino says that it has lost its upload server. It must not block; it may be nil.
	Stuck func(pid int, line string)
}

// forwarded are the signals that the client gets in our place.
var forwarded = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2}

// linger is how long the output of a client that has ended is waited for.
const linger = 200 * time.Millisecond

// Run starts the client as a child, passes signals on, and returns its exit code: 128 and the number of the signal
// if one ended it. An error means that it was not started.
func Run(s Start, c Child) (code int, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("make a pipe: %w", err)
	}
	defer func() { _ = r.Close() }() // read only
	cmd := exec.Command(s.Argv[0], s.Argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = s.Env, c.Stdout, w
	// A group of its own: Ctrl-C at a terminal comes to us, and once to the client.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var info *os.File
	if s.Wrapped {
		var infoW *os.File
		if info, infoW, err = os.Pipe(); err != nil {
			_ = w.Close()
			return 0, fmt.Errorf("make a pipe: %w", err)
		}
		defer func() { _ = info.Close() }() // read only
		cmd.ExtraFiles = []*os.File{infoW}
		defer func() { _ = infoW.Close() }() // the child's end
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, forwarded...)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		_ = w.Close()
		return 0, fmt.Errorf("start the client: %w", err)
	}
	_ = w.Close() // the child's end
	pid := cmd.Process.Pid
	if s.Wrapped {
		_ = cmd.ExtraFiles[0].Close()
		pid = childOf(info, pid)
	}
	if c.Started != nil {
		c.Started(pid)
	}
	said := make(chan struct{})
	go func() {
		defer close(said)
		tee(r, c.Stderr, func(line string) {
			if c.Stuck != nil {
				c.Stuck(pid, line)
			}
		})
	}()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case sig := <-signals:
			if number, ok := sig.(syscall.Signal); ok {
				_ = syscall.Kill(pid, number) // it may have ended just now
			}
			continue
		case err = <-ended:
		}
		break
	}
	t := time.NewTimer(linger)
	defer t.Stop()
	select {
	case <-said:
	case <-t.C:
		// Something that the client started, a browser perhaps, still holds our pipe. It must not lose it.
		_ = r.SetReadDeadline(time.Now()) // ends the goroutine
		<-said
		hand(r, c.Stderr)
	}
	return exitCode(err), nil
}

// childOf reads from bubblewrap which process the client is.
func childOf(info io.Reader, wrapper int) int {
	var doc struct {
		PID int `json:"child-pid"`
	}
	if err := json.NewDecoder(io.LimitReader(info, 4096)).Decode(&doc); err != nil || doc.PID <= 0 {
		return wrapper
	}
	return doc.PID
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return 1
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}

// hand gives the rest of a pipe to a process of its own, which ends with it.
func hand(r *os.File, stderr io.Writer) {
	cmd := exec.Command("cat")
	cmd.Stdin = r
	if f, ok := stderr.(*os.File); ok {
		cmd.Stdout = f
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if cmd.Start() == nil {
		_ = cmd.Process.Release() // nobody waits for it
	}
}

// longestLine is how much of a line is looked at.
const longestLine = 16 << 10

// tee copies what a client says and finds the lines that matter.
func tee(r io.Reader, w io.Writer, stuck func(line string)) {
	var line []byte
	buf := make([]byte, 4096)
	look := func() {
		if IsStuck(string(line)) {
			stuck(strings.TrimSpace(string(line)))
		}
		line = line[:0]
	}
	for {
		n, err := r.Read(buf)
		if n > 0 {
			_, _ = w.Write(buf[:n]) // nobody may be there to read it; the client goes on all the same
			rest := buf[:n]
			for {
				head, tail, end := bytes.Cut(rest, []byte("\n"))
				if len(line) < longestLine {
					line = append(line, head[:min(len(head), longestLine-len(line))]...)
				}
				if !end {
					break
				}
				look()
				rest = tail
			}
		}
		if err != nil {
			look()
			return
		}
	}
}

// IsStuck says whether a line of Dino's standard error means that it has lost its upload server: it then makes no
// request at all, and only a fresh start helps (docs/clients.md).
func IsStuck(line string) bool {
	_, after, ok := strings.Cut(line, "Send file error:")
	return ok && strings.Contains(after, "No flag")
}
