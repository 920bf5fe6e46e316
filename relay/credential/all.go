package credential

import (
	"context"
	"errors"
	"fmt"

	"github.com/zalando/go-keyring"
)

// sweeper is a keyring that can forget everything of one program.
type sweeper interface {
	DeleteAll(service string) error
}

// DeleteAll removes everything of a program from the keyring of the session.
func (desktop) DeleteAll(service string) error { return keyring.DeleteAll(service) }

// DeleteAll removes everything that Holdfast has in the keyring, of whatever host and kind. Nothing there is no error.
func (s *Store) DeleteAll(ctx context.Context) error {
	ring, ok := s.ring.(sweeper)
	if !ok {
		return errors.New("remove secrets: this keyring cannot do it")
	}
	err := s.call(ctx, func() error { return ring.DeleteAll(service) })
	if err != nil && !errors.Is(err, keyring.ErrNotFound) {
		return fmt.Errorf("remove secrets: %w", err)
	}
	s.Forget()
	return nil
}
