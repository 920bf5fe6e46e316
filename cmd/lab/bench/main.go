// Command bench measures the programs of this project beside their peers and writes the tables of docs/performance.md.
// `make bench` runs it.
//
// In one run, with the same load generator, on tmpfs and on disk: holdfast-server as it is shipped (plain http, every
// upload fsynced, one log line each), nginx (DAV PUT, static GET with sendfile, no log, no fsync) and a null server
// that reads and drops, as the ceiling of a Go server. Then what the relay adds to an upload over TLS.
// The machine is never quiet, so the peers take turns in short rounds, and what is reported are medians; a ratio is
// the median of the ratios of neighbouring rounds.
//
// As root it runs in namespaces of its own, with its own loopback and a tmpfs of its own; otherwise it uses /dev/shm.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"holdfast/cmd/lab"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "null" {
		if err := null(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench null:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills at once
	code, err := run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		code = 1
	}
	os.Exit(code)
}

// options are the flags.
type options struct {
	bin    string
	dir    string
	doc    string
	short  bool
	disk   bool
	rounds int
	only   string
	peers  string
	relay  bool
}

func parseFlags() options {
	var o options
	flag.StringVar(&o.bin, "bin", "build", "folder of holdfast-server and holdfastctl")
	flag.StringVar(&o.dir, "dir", filepath.Join("build", "bench"), "folder for the disk part and for logs; it is removed first")
	flag.StringVar(&o.doc, "doc", "", "write the tables of a full run into this document, between its marks")
	flag.BoolVar(&o.short, "short", false, "a minute instead of ten: fewer and shorter rounds, no disk")
	flag.BoolVar(&o.disk, "disk", true, "also measure on disk")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of each measurement")
	flag.StringVar(&o.only, "only", "", "only the measurements whose name contains this, for example \"PUT 1 KiB 64\"")
	flag.StringVar(&o.peers, "peers", "holdfast,nginx,null", "which servers to measure")
	flag.BoolVar(&o.relay, "relay", true, "also measure the relay")
	flag.Parse()
	return o
}

func run(ctx context.Context) (int, error) {
	o := parseFlags()
	if o.short {
		o.rounds, o.disk = min(o.rounds, 3), false
	}
	var err error
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return 1, err
	}
	if o.bin, err = filepath.Abs(o.bin); err != nil {
		return 1, err
	}
	if os.Geteuid() == 0 && !lab.Isolated() {
		if err := emptyFolder(o.dir); err != nil {
			return 1, err
		}
		return lab.Isolate(filepath.Join(o.dir, "isolated"), []string{"127.0.0.1 " + relayHost})
	}
	shm, err := memoryFolder(o)
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(shm) }()
	r, err := measureAll(ctx, o, shm)
	if err != nil {
		return 1, err
	}
	text := r.markdown()
	fmt.Print(text)
	if o.doc == "" || o.short || o.only != "" {
		return 0, nil
	}
	return 0, replaceBetweenMarks(o.doc, text)
}

// memoryFolder returns a folder on tmpfs.
func memoryFolder(o options) (string, error) {
	if !lab.Isolated() {
		if err := emptyFolder(o.dir); err != nil {
			return "", err
		}
		return os.MkdirTemp("/dev/shm", "holdfast-bench-")
	}
	if err := lab.EnterIsolated(); err != nil {
		return "", err
	}
	dir := filepath.Join(o.dir, "tmpfs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=80%,nr_inodes=0,mode=755"); err != nil {
		return "", fmt.Errorf("mount tmpfs: %w", err)
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// marker tells a folder that a run made from one that somebody else made.
const marker = ".holdfast-bench"

func emptyFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(dir, marker)); err != nil {
			return fmt.Errorf("%s is not empty and not of an earlier run: choose another folder with -dir", dir)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, marker), nil, 0o644)
}

// The marks between which the tables stand in the document.
const (
	beginMark = "<!-- bench: begin -->\n"
	endMark   = "<!-- bench: end -->\n"
)

func replaceBetweenMarks(doc, text string) error {
	old, err := os.ReadFile(doc)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(old), beginMark)
	_, tail, ok2 := strings.Cut(rest, endMark)
	if !ok || !ok2 {
		return errors.New(doc + " has no marks to put the tables between")
	}
	return os.WriteFile(doc, []byte(head+beginMark+text+endMark+tail), 0o644)
}
