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
	"holdfast/detect/network/netlink"
	"holdfast/detect/network/nm"
	"holdfast/detect/network/sleep"
)

// tryAgain is the pause before something that was not there is looked for again.
const tryAgain = 30 * time.Second

// lookAgain is the pause between looks for what is usually there before us, or never: NetworkManager, a session bus.
const lookAgain = 2 * time.Minute

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

// watchNetwork tells the agent of network changes: NetworkManager's, and the kernel's where there is none or it is
// stopped. Without either it says so, and looks again from time to time.
func (c *companion) watchNetwork(ctx context.Context, o Options) error {
	bus := nm.Options{Address: o.Getenv("DBUS_SYSTEM_BUS_ADDRESS"), Log: c.log}
	for ctx.Err() == nil {
		var sources []network.Source
		manager, err := nm.Open(ctx, bus)
		if err == nil {
			sources = append(sources, manager)
		}
		routes, rerr := netlink.Open()
		if rerr == nil {
			sources = append(sources, routes)
		}
		if err = errors.Join(err, rerr); len(sources) > 0 {
			err = c.watchSources(ctx, sources, bus, manager == nil)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			c.agent.Tell(agent.Raised{Issue: agent.Issue{Code: agent.NetworkBlind}})
			c.log.Info("network changes cannot be seen", "error", err)
			pause(ctx, tryAgain, nil)
		}
	}
	return nil
}

// watchSources watches until ctx ends or a source fails. Without NetworkManager it also returns, without an error,
// when there is one now.
func (c *companion) watchSources(ctx context.Context, sources []network.Source, bus nm.Options, without bool) error {
	g, gctx := errgroup.WithContext(ctx)
	wctx, stop := context.WithCancel(gctx)
	defer stop()
	g.Go(func() error {
		defer stop()
		naps := sleep.New(sleep.Options{Address: bus.Address, Log: c.log})
		return network.Watch(wctx, network.First(sources...), naps, func(e network.Event) {
			c.log.Info("network", "change", e.Change.String(), "material", e.Change.Material)
			c.agent.Tell(agent.NetworkChanged{Event: e})
		})
	})
	if without {
		c.log.Info("no NetworkManager: the kernel's routes are watched")
		g.Go(func() error {
			for pause(wctx, lookAgain, nil) {
				if m, err := nm.Open(wctx, bus); err == nil {
					stop()
					return m.Close()
				}
			}
			return nil
		})
	}
	return g.Wait()
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
			pause(ctx, lookAgain, c.look)
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
	found, err := lookAtClients(ctx, session, c.paths.dirs(o.Getenv), c.view())
	if err != nil && ctx.Err() == nil {
		c.log.Warn("clients not all seen", "error", err)
	}
	if ctx.Err() == nil {
		c.agent.Tell(agent.ClientsFound{Clients: found})
	}
}

// serveBus answers on the session bus as long as there is one. It is never the reason to stop: the socket answers too.
func (c *companion) serveBus(ctx context.Context, hub *control.Hub, o Options) error {
	if SessionBus(o.Getenv) == "" {
		c.log.Info("no session bus: control over the socket only")
	}
	for ctx.Err() == nil {
		address := SessionBus(o.Getenv)
		if address == "" {
			pause(ctx, lookAgain, nil)
			continue
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
