package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"holdfast/app/control"
)

// Unit is the companion's systemd user unit.
const Unit = "holdfast.service"

// startTime is how long a companion inside this process may take until it answers.
const startTime = 10 * time.Second

// Local finds the companion of this session and starts one: as a systemd user unit where there is one, else inside
// this process. Wait must be called before the process ends.
type Local struct {
	RuntimeDir string                                            // $XDG_RUNTIME_DIR; empty: no systemd to ask
	Connect    func(ctx context.Context) (control.Client, error) // to a running companion
	RunInside  func() error                                      // a companion; blocks until it is stopped or the program ends; nil: none

	mu     sync.Mutex // guards all following fields
	inside chan struct{}
	err    error
}

// Dial connects to a running companion.
func (l *Local) Dial(ctx context.Context) (control.Client, error) { return l.Connect(ctx) }

// Start asks systemd, and runs a companion inside where systemd has none to start.
func (l *Local) Start(ctx context.Context) error {
	err := l.startUnit(ctx)
	if err == nil || l.RunInside == nil {
		return err
	}
	return l.answers(ctx, l.runInside())
}

// runInside starts a companion in this process, unless one runs there, and returns what is closed when it ends.
func (l *Local) runInside() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inside != nil {
		select {
		case <-l.inside: // it ended; a new one may start
		default:
			return l.inside
		}
	}
	ended := make(chan struct{})
	l.inside = ended
	go func() {
		defer close(ended)
		err := l.RunInside()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.err = err
	}()
	return ended
}

// answers waits until a companion can be reached, or until the one inside has ended without.
func (l *Local) answers(ctx context.Context, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := l.Connect(ctx)
		if err == nil {
			return c.Close()
		}
		select {
		case <-tick.C:
		case <-ended:
			if err := l.Wait(); err != nil {
				return err
			}
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		}
	}
}

// startUnit has an error also where there is no systemd user manager.
func (l *Local) startUnit(ctx context.Context) error {
	if l.RuntimeDir == "" {
		return errors.New("no runtime folder")
	}
	if _, err := os.Stat(filepath.Join(l.RuntimeDir, "systemd", "private")); err != nil {
		return fmt.Errorf("find the systemd user manager: %w", err)
	}
	out, err := exec.CommandContext(ctx, "systemctl", "--user", "start", Unit).CombinedOutput()
	if err != nil {
		return fmt.Errorf("start %s: %w: %s", Unit, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Inside says whether a companion runs in this process.
func (l *Local) Inside() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inside == nil {
		return false
	}
	select {
	case <-l.inside:
		return false
	default:
		return true
	}
}

// Wait blocks until the companion inside has ended and returns its error.
func (l *Local) Wait() error {
	l.mu.Lock()
	ended := l.inside
	l.mu.Unlock()
	if ended == nil {
		return nil
	}
	<-ended
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
