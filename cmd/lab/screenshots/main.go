// Command screenshots takes the pictures in docs/screenshots: `make screenshots` starts it, as root.
//
// Nothing in them is painted. A private screen has a window manager and a panel; the tray runs with a real companion
// inside; files go from stand-ins for Dino and Gajim through the relay to a real holdfast-server, over a network that
// is slow, cut and partly not there. All of it lives in namespaces of its own and ends with the program.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"holdfast/cmd/lab"
)

// Names in the pictures. Only inside the namespaces do they lead anywhere.
const (
	host     = "upload.example.org"
	deadHost = "share.example.net"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills at once
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("screenshots", flag.ContinueOnError)
	out := flags.String("out", "docs/screenshots", "`folder` for the pictures")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	to, err := filepath.Abs(*out)
	if err != nil {
		return err
	}
	if lab.Isolated() {
		return inside(ctx, to, stdout)
	}
	if os.Geteuid() != 0 {
		return errors.New("it makes a network of its own for the pictures: run it as root")
	}
	for _, p := range []string{"Xvfb", "openbox", "xfce4-panel", "xdotool", "import", "xsetroot", "dbus-daemon"} {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("%s is missing: .ci/install screen", p)
		}
	}
	dir, err := os.MkdirTemp("", "holdfast-pictures-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the pictures are elsewhere
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "Building holdfast and holdfast-server.")
	if err := build(ctx, filepath.Join(dir, "bin")); err != nil {
		return err
	}
	code, err := lab.Isolate(dir, []string{"127.0.0.1 " + host, "127.0.0.9 " + deadHost}, "HOLDFAST_PICTURES_DIR="+dir)
	if err == nil && code != 0 {
		err = errors.New("no pictures were taken")
	}
	return err
}

// build compiles the tray with the flags it is always compiled with; any other would take minutes.
func build(ctx context.Context, bin string) error {
	root, err := lab.Root()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin+"/", "./cmd/holdfast")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build holdfast: %w\n%s", err, out)
	}
	return lab.Build(ctx, bin, "holdfast-server")
}

// inside takes the pictures in the namespaces.
func inside(ctx context.Context, out string, stdout io.Writer) (err error) {
	if err := lab.EnterIsolated(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	s := &stage{ctx: ctx, dir: os.Getenv("HOLDFAST_PICTURES_DIR"), out: out, stdout: stdout}
	defer s.close()
	defer func() { // the test support reports by Fatalf
		if r := recover(); r != nil {
			failed, ok := r.(failure)
			if !ok {
				panic(r)
			}
			err = failed
		}
	}()
	s.network()
	s.desktop()
	s.tray()
	s.transfers()
	return s.pictures()
}
