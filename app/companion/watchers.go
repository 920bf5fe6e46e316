package companion

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/app/agent"
	"holdfast/app/control"
	"holdfast/detect/client/desktop"
	"holdfast/detect/network"
	"holdfast/detect/network/nm"
)

// tryAgain is the pause before something that was not there is looked for again.
const tryAgain = 30 * time.Second

// pause waits; false: ctx ended.
func pause(ctx context.Context, d time.Duration, kick <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
	case <-kick:
	}
	return true
}

// watchNetwork tells the agent of network changes. Without a source it says so, and looks again from time to time.
func (c *companion) watchNetwork(ctx context.Context, o Options) error {
	for ctx.Err() == nil {
		var sources []network.Source
		source, err := nm.Open(ctx, nm.Options{Address: o.Getenv("DBUS_SYSTEM_BUS_ADDRESS"), Log: c.log})
		if err == nil {
			sources = append(sources, source)
		}
		if len(sources) > 0 {
			err = network.Watch(ctx, network.First(sources...), func(e network.Event) {
				c.log.Info("network", "change", e.Change.String(), "material", e.Change.Material)
				c.agent.Tell(agent.NetworkChanged{Event: e})
			})
		}
		if ctx.Err() != nil {
			return nil
		}
		c.agent.Tell(agent.Raised{Issue: agent.Issue{Code: agent.NetworkBlind}})
		c.log.Info("network changes cannot be seen", "error", err)
		pause(ctx, tryAgain, nil)
	}
	return nil
}

// watchClients tells the agent which clients are installed and how they run.
func (c *companion) watchClients(ctx context.Context, o Options) error {
	for ctx.Err() == nil {
		session, err := desktop.Open(ctx, desktop.Options{Address: SessionBus(o.Getenv), Log: c.log})
		if err != nil {
			if !errors.Is(err, desktop.ErrNoBus) {
				c.log.Warn("clients cannot be seen", "error", err)
			}
			c.lookAt(ctx, nil, o)
			pause(ctx, tryAgain, c.look)
			continue
		}
		g, gctx := errgroup.WithContext(ctx)
		g.Go(func() error { return session.Watch(gctx, func() { wake(c.look) }) })
		g.Go(func() error {
			for {
				select {
				case <-gctx.Done():
					return nil
				case <-c.look:
					c.lookAt(gctx, session, o)
				}
			}
		})
		if err := errors.Join(g.Wait(), session.Close()); err != nil && ctx.Err() == nil {
			c.log.Info("clients cannot be seen for a while", "error", err)
			pause(ctx, tryAgain, nil)
		}
	}
	return nil
}

func (c *companion) lookAt(ctx context.Context, session *desktop.Session, o Options) {
	found, err := lookAtClients(ctx, session, c.paths.dirs(o.Getenv), c.listen)
	if err != nil && ctx.Err() == nil {
		c.log.Warn("clients not all seen", "error", err)
	}
	if ctx.Err() == nil {
		c.agent.Tell(agent.ClientsFound{Clients: found})
	}
}

// serveBus answers on the session bus as long as there is one. It is never the reason to stop: the socket answers too.
func (c *companion) serveBus(ctx context.Context, hub *control.Hub, o Options) error {
	for ctx.Err() == nil {
		address := SessionBus(o.Getenv)
		if address == "" {
			c.log.Info("no session bus: control over the socket only")
			<-ctx.Done()
			return nil
		}
		bus, err := control.ListenBus(ctx, address, c, hub, o.Version, c.log)
		if err == nil {
			err = bus.Serve(ctx)
		}
		if err != nil && ctx.Err() == nil {
			c.log.Warn("not on the session bus", "error", err)
			pause(ctx, tryAgain, nil)
		}
	}
	return nil
}

func anyPort(listen string) bool {
	a, err := netip.ParseAddrPort(listen)
	return err == nil && a.Port() == 0
}
