package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"holdfast/detect/network"
)

// routes is a network.Source whose state a test sets.
type routes struct {
	snap atomic.Pointer[network.Snapshot]
	news chan network.Snapshot
}

func (r *routes) Run(ctx context.Context, notify func()) error {
	notify()
	for {
		select {
		case <-ctx.Done():
			return nil
		case snap := <-r.news:
			r.snap.Store(&snap)
			notify()
		}
	}
}

func (r *routes) Snapshot(context.Context) (network.Snapshot, error) { return *r.snap.Load(), nil }

func TestTheServerTellsOfItsOwnNetworkAndPausesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		reg := prometheus.NewRegistry()
		n := newOwnNetwork(slog.New(slog.NewTextHandler(&out, nil)), reg)
		up := network.Snapshot{Online: true, Link: network.Ethernet, Name: "eth0", Device: "eth0"}
		src := &routes{news: make(chan network.Snapshot)}
		src.snap.Store(&up)
		tries := 0
		n.open = func() (network.Source, error) {
			if tries++; tries == 1 {
				return nil, errors.New("forbidden")
			}
			return src, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- n.run(ctx) }()
		synctest.Wait()
		time.Sleep(2 * lookAgain) // it is tried again
		src.news <- network.Snapshot{}
		time.Sleep(5 * time.Second)
		if got := testutil.ToFloat64(n.online); got != 0 {
			t.Errorf("online is %v", got)
		}
		src.news <- up
		time.Sleep(5 * time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := testutil.ToFloat64(n.changes); got != 2 {
			t.Errorf("%v changes were counted, want 2: the state at the start is none", got)
		}
		if got := testutil.ToFloat64(n.online); got != 1 {
			t.Errorf("online is %v", got)
		}
		for _, want := range []string{"own network cannot be watched", `change="Ethernet \"eth0\" -> offline" material=true`, `change="offline -> Ethernet \"eth0\""`} {
			if strings.Count(out.String(), want) != 1 {
				t.Errorf("the log does not say once %s:\n%s", want, &out)
			}
		}
	})
}
