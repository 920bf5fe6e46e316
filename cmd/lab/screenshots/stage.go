package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"holdfast/app/control"
	"holdfast/cmd/lab"
)

// stage is everything the pictures need. It is a lab.TB, so that the test support works for it too.
type stage struct {
	ctx      context.Context
	dir, out string
	stdout   io.Writer
	env      []string // of everything on the private desktop
	cleanups []func()
	folders  int

	ca     *lab.CA
	cutter *lab.Cutter
	config string // of the server
	relay  string

	companion control.Client
}

// failure is what Fatalf says.
type failure string

func (f failure) Error() string { return string(f) }

func (s *stage) Helper()                      {}
func (s *stage) Logf(format string, a ...any) { fmt.Fprintf(s.stdout, format+"\n", a...) }
func (s *stage) Fatalf(format string, a ...any) {
	panic(failure(fmt.Sprintf(format, a...)))
}
func (s *stage) Skipf(format string, a ...any) { s.Fatalf(format, a...) }
func (s *stage) Cleanup(f func())              { s.cleanups = append(s.cleanups, f) }

func (s *stage) TempDir() string {
	s.folders++
	dir := filepath.Join(s.dir, fmt.Sprintf("t%d", s.folders))
	s.must(os.MkdirAll(dir, 0o700), "make a folder")
	return dir
}

func (s *stage) close() {
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		s.cleanups[i]()
	}
	s.cleanups = nil
}

func (s *stage) must(err error, doing string) {
	if err != nil {
		s.Fatalf("%s: %v", doing, err)
	}
}

// start runs a program until the end; what it says goes to a file.
func (s *stage) start(env []string, name string, args ...string) *lab.Process {
	log, err := os.Create(filepath.Join(s.TempDir(), filepath.Base(name)+".log"))
	s.must(err, "make a log")
	defer func() { _ = log.Close() }()
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, log, log
	p, err := lab.Start(cmd)
	s.must(err, "start "+name)
	s.Cleanup(func() { _ = p.Close() })
	return p
}

// do runs a program of the private desktop to its end and returns what it printed.
func (s *stage) do(name string, args ...string) string {
	cmd := exec.CommandContext(s.ctx, name, args...)
	cmd.Env = s.env
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		s.Fatalf("%s %s: %v %s", name, strings.Join(args, " "), err, said.String())
	}
	return strings.TrimSpace(string(out))
}

// until waits for something to become true.
func (s *stage) until(what string, ok func() bool) {
	late := time.After(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			if s.companion != nil {
				list, err := s.companion.Uploads(s.ctx, 20)
				s.Logf("the companion lists %s (%v)", list, err)
			}
			s.Fatalf("waited in vain for: %s", what)
		case <-s.ctx.Done():
			s.Fatalf("%v", context.Cause(s.ctx))
		}
	}
}

// rest lets a picture settle: animations and hover colours have no event to wait for.
func (s *stage) rest(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
		s.Fatalf("%v", context.Cause(s.ctx))
	}
}

func (s *stage) bin(name string) string { return filepath.Join(s.dir, "bin", name) }

func (s *stage) write(path, text string, mode os.FileMode) {
	s.must(os.MkdirAll(filepath.Dir(path), 0o700), "make a folder")
	s.must(os.WriteFile(path, []byte(text), mode), "write "+path)
}
