package network

import (
	"context"
	"time"
)

// Sleep is news of the machine's sleep.
type Sleep struct {
	Asleep bool          // it is about to sleep; false: it is awake again
	Slept  time.Duration // with Asleep false: how long it slept
}

// Sleeper tells when the machine goes to sleep and wakes. It never decides.
type Sleeper interface {
	// Run calls tell before each sleep that it knows of, and once after each, until ctx ends; then it returns nil. It
	// blocks, and returns only when all it started is gone. tell may wait for the network to be read.
	Run(ctx context.Context, tell func(Sleep)) error
}

// Awake is a Sleeper for a machine that never sleeps.
type Awake struct{}

// Run waits for the end of ctx.
func (Awake) Run(ctx context.Context, _ func(Sleep)) error {
	<-ctx.Done()
	return nil
}
