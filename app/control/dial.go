package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// socketClient is a Client over control.sock.
type socketClient struct {
	service
	http *http.Client
}

// Dial connects to the companion whose runtime folder is dir. Without one the error is of Kind NotRunning; a socket that
// another user listens on is Denied: where there is no XDG_RUNTIME_DIR, anybody may have made the folder in /tmp first.
func Dial(ctx context.Context, dir string) (Client, error) { return dialOwner(ctx, dir, os.Getuid()) }

// dialOwner is Dial for the companion of uid.
func dialOwner(ctx context.Context, dir string, uid int) (Client, error) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		addr, held, err := reach(dir)
		if err != nil {
			return nil, err
		}
		if held != nil {
			defer func() { _ = held.Close() }() // O_PATH: nothing is written
		}
		c, err := dialer.DialContext(ctx, "unix", addr)
		if err != nil {
			return nil, err
		}
		if err := mustBe(c, uid); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		return c, nil
	}
	// One connection is made now and dropped: whether somebody listens is asked here, once.
	c, err := dial(ctx, "", "")
	if err != nil {
		return nil, gone(err)
	}
	_ = c.Close() // nothing was sent
	k := &socketClient{http: &http.Client{Transport: &http.Transport{DialContext: dial, IdleConnTimeout: 30 * time.Second}}}
	k.service = service{k.invoke}
	return k, nil
}

// Close drops the connections.
func (k *socketClient) Close() error {
	k.http.CloseIdleConnections()
	return nil
}

func (k *socketClient) invoke(ctx context.Context, method string, args ...any) (string, error) {
	if args == nil {
		args = []any{}
	}
	body, err := json.Marshal(args)
	if err != nil {
		return "", fmt.Errorf("write the arguments of %s: %w", method, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://companion/v1/"+method, bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("ask the companion: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := k.http.Do(req)
	if err != nil {
		return "", gone(err)
	}
	defer func() { _ = resp.Body.Close() }() // read only
	doc, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return "", gone(err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return string(bytes.TrimRight(doc, "\n")), nil
	case http.StatusNoContent:
		return "", nil
	}
	var r refusal
	if json.Unmarshal(doc, &r) != nil || r.Error == "" {
		return "", fmt.Errorf("the companion answered %s", resp.Status)
	}
	return "", &Error{r.Error, r.Text}
}

// gone turns a connection that cannot be made any more into NotRunning.
func gone(err error) error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	if absent(err) {
		return &Error{NotRunning, "no companion is running"}
	}
	return fmt.Errorf("ask the companion: %w", err)
}

// Events reads the event stream.
func (k *socketClient) Events(ctx context.Context) (<-chan Event, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://companion/v1/events", nil)
	if err != nil {
		return nil, fmt.Errorf("ask the companion: %w", err)
	}
	resp, err := k.http.Do(req)
	if err != nil {
		return nil, gone(err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("the companion answered %s", resp.Status), resp.Body.Close())
	}
	out := make(chan Event)
	go func() {
		defer close(out)
		defer func() { _ = resp.Body.Close() }() // read only
		lines := bufio.NewReader(resp.Body)
		for {
			raw, err := lines.ReadBytes('\n')
			if err != nil {
				return
			}
			var l line
			if json.Unmarshal(raw, &l) != nil {
				return
			}
			select {
			case out <- Event{l.Kind, string(l.Document)}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}
