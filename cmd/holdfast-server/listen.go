package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// listenAddr splits a listen value into network and address: "[::]:8080", "127.0.0.1:0", ":8080", "unix:/path".
func listenAddr(s string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return "", "", fmt.Errorf("%q must name an absolute path, like \"unix:/run/holdfast/http.sock\"", s)
		}
		return "unix", path, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return "", "", fmt.Errorf("%q is not an address; write it like \"0.0.0.0:8080\", \"[::]:8080\" or \"unix:/run/holdfast/http.sock\"", s)
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Is4() {
		return "tcp4", s, nil // net takes 0.0.0.0 for IPv6, too
	}
	return "tcp", s, nil
}

// listen opens the socket. A unix socket that a dead server left is replaced, and the group may use it (a reverse proxy);
// its folder is made, since /run is empty after every boot.
func listen(s string) (net.Listener, error) {
	network, address, err := listenAddr(s)
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		if err := os.MkdirAll(filepath.Dir(address), 0o755); err != nil {
			return nil, fmt.Errorf("make the folder of the socket: %w", err)
		}
		if err := removeStale(address); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", s, err)
	}
	if network == "unix" {
		if err := os.Chmod(address, 0o660); err != nil {
			return nil, errors.Join(fmt.Errorf("set the mode of %s: %w", address, err), l.Close())
		}
	}
	return l, nil
}

// removeStale removes a socket on which nobody listens.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there and is not a socket; remove it or listen elsewhere", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("%s is in use by another server", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("try %s: %w", path, err)
	}
	return os.Remove(path)
}
