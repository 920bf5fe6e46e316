package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Process is a program that runs in a process group of its own.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // set before done is closed
}

// Start starts cmd in a new process group. Close ends it with all its children.
// Its output must go to files or pipes; a plain io.Writer is not waited for.
func Start(cmd *exec.Cmd) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	// The process is waited for, not the command: cmd.Wait would close a StdoutPipe before it was read.
	go func() {
		defer close(p.done)
		p.err = p.wait()
	}()
	return p, nil
}

func (p *Process) wait() error {
	state, err := p.cmd.Process.Wait()
	if err != nil {
		return err
	}
	if !state.Success() {
		return fmt.Errorf("%s: %s", p.cmd.Path, state)
	}
	return nil
}

// PID of the program.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits until the program has ended or ctx has.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Signal sends sig to the program alone.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Close asks the process group to end, gives it five seconds and kills what is left.
func (p *Process) Close() error {
	group := -p.PID()
	_ = syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
	}
	if err := syscall.Kill(group, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill process group %d: %w", -group, err)
	}
	<-p.done
	return nil
}

// FreePort returns a TCP port of ip that nobody listens on now.
func FreePort(ip string) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// WaitTCP waits until somebody listens on addr. It gives up when p (may be nil) ends or after the time given.
func WaitTCP(addr string, p *Process, limit time.Duration) error {
	var ended <-chan struct{}
	if p != nil {
		ended = p.Done()
	}
	return poll(limit, ended, "listen on "+addr, func() bool {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		_ = c.Close()
		return true
	})
}

// WaitFile waits until path exists and is not empty.
func WaitFile(path string, p *Process, limit time.Duration) error {
	var ended <-chan struct{}
	if p != nil {
		ended = p.Done()
	}
	return poll(limit, ended, "write "+path, func() bool {
		fi, err := os.Stat(path)
		return err == nil && fi.Size() > 0
	})
}

// poll asks ok every 50 ms until it says yes.
func poll(limit time.Duration, ended <-chan struct{}, what string, ok func() bool) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok() {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("the program ended before it could %s", what)
		case <-deadline.C:
			return fmt.Errorf("the program did not %s within %s", what, limit)
		case <-tick.C:
		}
	}
}
