package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// adminSocket is the socket in the state folder by which `holdfast-server files` speaks with the running server.
const adminSocket = "admin.sock"

// listenAdmin opens the socket in dir. Only the server's own user and root can.
func listenAdmin(dir string) (net.Listener, error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("listen for the admin: %w", err)
	}
	defer func() { _ = folder.Close() }() // nothing was written
	name := adminPath(folder)
	if err := removeStale(name); err != nil {
		return nil, fmt.Errorf("listen for the admin: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen for the admin in %s: %w", dir, err)
	}
	l.SetUnlinkOnClose(false) // the name ends with folder; Close below removes it
	if err := os.Chmod(name, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("set the mode of the admin's socket: %w", err), l.Close())
	}
	return adminListener{l, filepath.Join(dir, adminSocket)}, nil
}

// adminPath names the socket through an open folder: the name of a socket may have 107 bytes at most, and folders are longer.
func adminPath(folder *os.File) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), adminSocket)
}

type adminListener struct {
	*net.UnixListener
	name string
}

func (l adminListener) Close() error {
	err := l.UnixListener.Close()
	if rerr := os.Remove(l.name); !errors.Is(rerr, os.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

// serveAdmin answers the admin until ctx ends.
func serveAdmin(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the admin: %w", err)
	}
	return nil
}

// errNoServer: no server runs on a state folder.
var errNoServer = errors.New("no server runs")

// dialAdmin returns a client for the server that runs on the state in dir.
func dialAdmin(ctx context.Context, dir string) (*http.Client, error) {
	dial := func(ctx context.Context) (net.Conn, error) {
		folder, err := os.Open(dir)
		if err != nil {
			return nil, err
		}
		defer func() { _ = folder.Close() }() // nothing was written
		var d net.Dialer
		return d.DialContext(ctx, "unix", adminPath(folder))
	}
	c, err := dial(ctx)
	switch {
	case err == nil:
		_ = c.Close() // that there is somebody was all that was asked
	case notRunning(err):
		return nil, errNoServer
	default:
		return nil, fmt.Errorf("speak with the server (as root, or as its user): %w", err)
	}
	return &http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		DisableKeepAlives: true,
	}}, nil
}
