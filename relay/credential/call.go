package credential

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/zalando/go-keyring"
)

// call runs f, which talks to the keyring, in a goroutine of its own and gives up when ctx or the limit ends.
// The result also sets the State.
func (s *Store) call(ctx context.Context, f func() error) error {
	if !s.bus() {
		s.setState(Absent)
		return ErrAbsent
	}
	limit := asked
	if _, ok := ctx.Deadline(); !ok {
		limit = background
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-s.turn:
	case <-ctx.Done():
		return fmt.Errorf("wait for the keyring: %w", ErrLocked)
	}
	done := make(chan error, 1)
	// Nobody can end a call of the Secret Service that waits for a person, so nobody waits for this goroutine
	// either; the turn that it holds makes sure that there is never more than one.
	go func() {
		err := explain(f())
		switch {
		case err == nil, errors.Is(err, ErrNoKey):
			s.setState(OK)
		case errors.Is(err, ErrLocked):
			s.setState(Locked)
		case errors.Is(err, ErrAbsent):
			s.setState(Absent)
		}
		s.turn <- struct{}{}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			s.setStateUnlessDone(done, Locked)
		}
		return fmt.Errorf("keyring did not answer within %v: %w", limit.Round(time.Second), ErrLocked)
	}
}

// setStateUnlessDone keeps a late verdict of the caller from hiding an answer that came meanwhile.
func (s *Store) setStateUnlessDone(done <-chan error, state State) {
	if len(done) == 0 {
		s.setState(state)
	}
}

func (s *Store) setState(state State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}

// explain turns what a Secret Service says into the errors of this package.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, keyring.ErrNotFound) {
		return ErrNoKey
	}
	text := strings.ToLower(err.Error())
	for _, t := range lockedTexts {
		if strings.Contains(text, t) {
			return fmt.Errorf("%w (%w)", ErrLocked, err)
		}
	}
	for _, t := range absentTexts {
		if strings.Contains(text, t) {
			return fmt.Errorf("%w (%w)", ErrAbsent, err)
		}
	}
	return fmt.Errorf("ask the keyring: %w", err)
}

var (
	lockedTexts = [...]string{"islocked", "is locked", "locked collection", "dismissed", "failed to unlock", "prompt"}
	absentTexts = [...]string{"serviceunknown", "not provided by any", "no such file", "connection refused", "failed to connect", "unsupported platform",
		"spawn.", "object does not exist", "nosuchobject", "unknownmethod", "no such object path", "unknownobject", "closed", "executable file not found"}
)
