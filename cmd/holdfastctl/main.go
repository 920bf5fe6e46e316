// Command holdfastctl is Holdfast in a shell: `run` is the companion without a screen, every other verb speaks to a
// running companion over its socket, or does by itself what can be done without one.
//
// This package holds the flags, the words on the screen and the exit codes; what the companion does is in
// app/companion. Exit codes: 0 done, 1 it did not work, 2 wrong arguments, 3 not running, 4 running already.
//
// # Invariants
//   - Only `run` starts a companion.
//   - A secret is read from standard input, never from the arguments, and printed by nothing.
//   - Documents (--json) are printed as the companion wrote them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}
