// Command holdfast-server is the upload server beside an XMPP server: it takes the files of XEP-0363 slots that Prosody,
// ejabberd, Metronome and others sign, and hands them out again.
//
// This package holds the flags, the configuration file and the wiring; what the server does is in relay/server.
//
// # Invariants
//   - An unknown key, a value that cannot be read or a missing credential stops the start; a weak secret is only said.
//   - SIGHUP never makes a running server worse: a bad configuration is logged and the old one stays.
//   - Secrets are printed by nothing but init, to the admin who made them.
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
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && err.Error() != "" {
		fmt.Fprintln(os.Stderr, "holdfast-server:", err)
	}
	os.Exit(exitCode(err))
}
