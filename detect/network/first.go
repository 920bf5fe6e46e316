package network

import (
	"context"
	"errors"
	"sync"
)

// First joins sources: news of any of them are passed on, and the state is that of the first one which knows it.
// So NetworkManager goes before the kernel's routes: it knows names and captive portals, and when it is stopped
// the routes still tell. The kernel's news also reach us before NetworkManager's, which waits some seconds before
// it believes in a pulled cable.
//
// A source whose Run fails is not asked again; Run fails when all of them have.
func First(sources ...Source) Source {
	return &first{sources: sources, dead: make([]bool, len(sources))}
}

type first struct {
	sources []Source

	mu   sync.Mutex // guards dead
	dead []bool
}

func (f *first) Run(ctx context.Context, notify func()) error {
	if len(f.sources) == 0 {
		notify()
		<-ctx.Done()
		return nil
	}
	errs := make([]error, len(f.sources))
	var wg sync.WaitGroup
	for i, s := range f.sources {
		wg.Go(func() {
			errs[i] = s.Run(ctx, notify)
			if ctx.Err() == nil {
				f.mu.Lock()
				f.dead[i] = true
				f.mu.Unlock()
				notify()
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(errs...)
}

func (f *first) Snapshot(ctx context.Context) (Snapshot, error) {
	var errs []error
	for i, s := range f.sources {
		f.mu.Lock()
		dead := f.dead[i]
		f.mu.Unlock()
		if dead {
			continue
		}
		snap, err := s.Snapshot(ctx)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !snap.Unknown {
			return snap, nil
		}
	}
	if len(errs) > 0 {
		return Snapshot{}, errors.Join(errs...)
	}
	return Snapshot{Online: true, Unknown: true}, nil
}
