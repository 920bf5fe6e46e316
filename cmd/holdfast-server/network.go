package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/detect/network"
	"holdfast/detect/network/netlink"
)

// lookAgain is the pause before the kernel is asked again after it could not be listened to.
const lookAgain = time.Minute

// ownNetwork tells of changes of this machine's own network: uploads that were cut at the same moment have their reason
// in the log. Nothing is paused because of it.
type ownNetwork struct {
	log     *slog.Logger
	changes prometheus.Counter
	online  prometheus.Gauge
	open    func() (network.Source, error)
}

func newOwnNetwork(log *slog.Logger, reg prometheus.Registerer) *ownNetwork {
	n := &ownNetwork{
		log: log,
		changes: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "holdfast", Name: "network_changes_total", Help: "Changes of this machine's own network that may end connections.",
		}),
		online: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "holdfast", Name: "network_online", Help: "1 while this machine has a default route.",
		}),
		open: func() (network.Source, error) { return netlink.Open() },
	}
	reg.MustRegister(n.changes, n.online)
	return n
}

// run watches until ctx ends. A server where AF_NETLINK is forbidden works all the same.
func (n *ownNetwork) run(ctx context.Context) error {
	told := false
	for ctx.Err() == nil {
		src, err := n.open()
		if err == nil {
			told = false
			first := true
			err = network.Watch(ctx, src, network.Awake{}, func(e network.Event) {
				n.event(e, first)
				first = false
			})
		}
		if ctx.Err() != nil {
			break
		}
		if !told {
			n.log.Warn("own network cannot be watched", "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(lookAgain):
		}
	}
	return nil
}

// event logs and counts a change. What there is at the start is no change.
func (n *ownNetwork) event(e network.Event, first bool) {
	n.online.Set(map[bool]float64{true: 1}[e.Change.New.Online])
	if first {
		n.log.Debug("own network", "network", e.Change.New.String())
		return
	}
	n.log.Info("own network changed", "change", e.Change.String(), "material", e.Change.Material)
	if e.Change.Material {
		n.changes.Inc()
	}
}
