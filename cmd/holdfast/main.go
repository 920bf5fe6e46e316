// Command holdfast is the tray for a person at a Linux desktop, and its windows.
//
// It is a view: the work is done by a companion (holdfastctl run), which it starts as a systemd user unit, or runs
// inside itself where there is none. `holdfast window NAME` is a window in a process of its own.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills at once
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "holdfast:", err)
	}
	os.Exit(exitCode(err))
}
