package desktop

import (
	"context"
	"errors"
	"fmt"
)

// Controller quits one client and starts it again as it was. It is what a cache reset needs of a client.
// It is for one reset: it remembers the instance that it quit. Not safe for concurrent use.
type Controller struct {
	session *Session
	kind    Kind
	install Install
	last    *Launch
}

// Controller binds a client of one kind and install.
func (s *Session) Controller(k Kind, i Install) *Controller {
	return &Controller{session: s, kind: k, install: i}
}

// Running says whether the client runs. A client of the same kind that is installed another way owns the same bus
// name, but has other folders, and does not count.
func (c *Controller) Running(ctx context.Context) (bool, error) {
	in, err := c.session.Running(ctx, c.kind)
	if errors.Is(err, ErrNotRunning) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return in.Install == c.install, nil
}

// Quit asks the client to quit and waits for it. It remembers how to start it again.
func (c *Controller) Quit(ctx context.Context) error {
	in, err := c.session.Running(ctx, c.kind)
	if errors.Is(err, ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	if in.Install != c.install {
		return nil
	}
	l := in.Launch()
	if err := c.session.Quit(ctx, in); err != nil {
		return err
	}
	c.last = &l
	return nil
}

// Start starts the client that Quit ended, and waits until it is there.
func (c *Controller) Start(ctx context.Context) error {
	if c.last == nil {
		return fmt.Errorf("start %s: it was not running before", c.kind)
	}
	_, err := c.session.Start(ctx, c.kind, *c.last)
	return err
}
