// Command demo shows the whole way of an upload on this machine: `make run` and `make demo` start it.
//
// It starts a private server and a private companion, uploads a file through the relay while the network between
// them is cut for some seconds, downloads the file directly and compares. It knows nothing of the person's XMPP
// clients: the companion gets folders of its own and no session bus, so it cannot see, quit or reroute one, and
// auto-fix is off.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"holdfast/cmd/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills at once
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	dir := flags.String("dir", "build/run", "all files go below this `folder`; what an earlier demo left there is removed")
	bin := flags.String("bin", "build", "`folder` of holdfast-server, holdfastctl and, for a tray, holdfast")
	stay := flags.Bool("stay", false, "keep running after the upload, until Ctrl-C")
	size := flags.Int64("size", 12<<20, "`bytes` of the file to upload")
	if err := flags.Parse(args); err != nil {
		return err
	}
	say := func(format string, a ...any) { fmt.Fprintf(stdout, format+"\n", a...) }

	d, err := open(*dir, *bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()

	if err := d.startServer(ctx); err != nil {
		return err
	}
	say("1. A private upload server runs at %s. Its files and its certificate authority are in %s.", d.base, filepath.Join(*dir, "server"))
	if err := d.startCompanion(ctx); err != nil {
		return err
	}
	say("2. A private companion runs; its relay listens on %s. It has no session bus and auto-fix is off: it does not touch your Dino or Gajim.", d.relay)
	if text := d.startTray(ctx); text != "" {
		say("   %s", text)
	}

	begun := time.Now()
	up, err := d.upload(ctx, *size, func() { say("   ... the network between relay and server is cut for %s in the middle ...", cutFor) })
	if err != nil {
		return fmt.Errorf("%w\nThe end of the companion's log:\n%s", err, lab.Tail(filepath.Join(d.dir, "holdfastctl.log"), 2<<10))
	}
	say("3. Uploaded %s (%d bytes) through the relay in %s. The uploading client saw one request and one answer: %s.", up.name, *size, time.Since(begun).Round(100*time.Millisecond), up.status)
	sum, err := d.download(ctx, up.url)
	if err != nil {
		return err
	}
	if sum != up.sum {
		return fmt.Errorf("the downloaded file differs: SHA-256 %s, uploaded was %s", sum, up.sum)
	}
	say("4. Downloaded it directly from the server: the bytes are identical (SHA-256 %s).", sum)
	say("READY %s", up.url)
	if !*stay {
		return nil
	}
	say("")
	say("Try it yourself, in another terminal:")
	say("  %s", d.signExample())
	say("  curl -x http://%s --cacert %s -T FILE 'THE URL PRINTED'", d.relay, d.relayCA)
	say("  XDG_RUNTIME_DIR=%s XDG_CONFIG_HOME=%s %s status", d.env("XDG_RUNTIME_DIR"), d.env("XDG_CONFIG_HOME"), d.program("holdfastctl"))
	say("Ctrl-C ends everything. The files stay in %s until the next run.", *dir)
	return d.wait(ctx)
}
