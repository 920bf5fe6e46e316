package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// tunnel answers CONNECT for a host that is not listed: bytes pass untouched, any port.
func (f *front) tunnel(ctx context.Context, req *http.Request, target string) {
	up, err := f.r.up.tunnel(ctx, target)
	if err != nil {
		f.r.c.Log.Debug("tunnel failed", logTarget(target), "error", err)
		status := http.StatusBadGateway
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
			status = http.StatusGatewayTimeout
		}
		f.refuse(req, status, "Cannot connect to "+target+": "+sentence(err)+".")
		return
	}
	defer func() { _ = up.Close() }()
	if err := f.write(established); err != nil {
		return
	}
	f.pump(ctx, up, nil)
}

// splice tunnels to target after the client was already told that the way is open; seen is what it has sent.
func (f *front) splice(ctx context.Context, target string, seen []byte) {
	up, err := f.r.up.tunnel(ctx, target)
	if err != nil {
		f.r.c.Log.Debug("tunnel failed", logTarget(target), "error", err)
		return
	}
	defer func() { _ = up.Close() }()
	f.pump(ctx, up, seen)
}

// pump copies both ways until both ends are through. The end of one way is passed on as a half-close.
func (f *front) pump(ctx context.Context, up net.Conn, seen []byte) {
	defer context.AfterFunc(ctx, func() {
		_ = f.raw.SetDeadline(time.Unix(1, 0))
		_ = up.SetDeadline(time.Unix(1, 0))
	})()
	var both errgroup.Group
	both.Go(func() error {
		if buffered, err := f.br.Peek(f.br.Buffered()); err == nil {
			seen = append(seen, buffered...)
		}
		if len(seen) > 0 {
			if _, err := up.Write(seen); err != nil {
				return abort(f.raw, up, err)
			}
		}
		return oneWay(up, f.raw)
	})
	both.Go(func() error { return oneWay(f.raw, up) })
	_ = both.Wait()
}

// oneWay copies src to dst. Between two TCP sockets the kernel does it (splice).
func oneWay(dst, src net.Conn) error {
	if _, err := io.Copy(dst, src); err != nil {
		return abort(dst, src, err)
	}
	if c, ok := dst.(interface{ CloseWrite() error }); ok {
		if err := c.CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
			return abort(dst, src, err)
		}
		return nil
	}
	return abort(dst, src, nil)
}

// abort ends both connections: after an error on one way the other has nothing left to say.
func abort(a, b net.Conn, err error) error {
	past := time.Unix(1, 0)
	_ = a.SetDeadline(past)
	_ = b.SetDeadline(past)
	return err
}
