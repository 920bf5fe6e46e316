package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// notify tells systemd how far we are (sd_notify(3)); without systemd it does nothing.
func notify(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	if path[0] == '@' {
		path = "\x00" + path[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	_, err = c.Write([]byte(state))
	return errors.Join(err, c.Close())
}

// watchdogEvery is how often systemd wants to hear from us (sd_watchdog_enabled(3)), twice as often as it must; 0: never.
func watchdogEvery() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 {
		return 0
	}
	return time.Duration(usec) * time.Microsecond / 2
}

// tellSystemd says that we are up, and alive as long as alive returns, until ctx ends. A disk that is full or broken is no
// reason for a restart, so what alive finds does not matter, only that it returns.
func tellSystemd(ctx context.Context, log *slog.Logger, alive func()) error {
	say := func(state string) {
		if err := notify(state); err != nil {
			log.Warn("systemd not told", "state", state, "error", err)
		}
	}
	say("READY=1")
	defer say("STOPPING=1")
	every := watchdogEvery()
	if every == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			alive()
			say("WATCHDOG=1")
		}
	}
}

// credential is where a secret file is read: from the credentials of the unit (LoadCredential=) if they have one of that
// name, since there the server's own user may not read the file itself; else where the configuration says.
func credential(file string) string {
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		name := filepath.Join(dir, filepath.Base(file))
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			return name
		}
	}
	return file
}
