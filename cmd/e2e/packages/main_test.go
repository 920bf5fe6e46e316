package packages

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"holdfast/cmd/lab"
)

// The folder of the packages, and what TestMain tells its second run.
const (
	packagesEnv = "HOLDFAST_PACKAGES"
	baseEnv     = "HOLDFAST_PACKAGES_BASE"
)

// What the clean Debian holds: what the package depends on, and what an admin has already.
const base = "systemd,libc6,passwd,init-system-helpers,util-linux,ca-certificates,prosody,prosody-modules,nginx-light"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	say := func(err error) int {
		fmt.Fprintln(os.Stderr, "packages:", err)
		return 1
	}
	if lab.Isolated() {
		if err := lab.EnterIsolated(); err != nil {
			return say(err)
		}
		return m.Run()
	}
	dir := os.Getenv(packagesEnv)
	if dir == "" {
		fmt.Println("packages: skipped, make package-test runs these")
		return 0
	}
	if os.Geteuid() != 0 {
		return say(fmt.Errorf("these tests make namespaces and need root"))
	}
	tar, err := debian(dir)
	if err != nil {
		return say(err)
	}
	work, err := os.MkdirTemp("", "holdfast-packages-")
	if err != nil {
		return say(err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	code, err := lab.Isolate(work, []string{"127.0.0.1 upload.example.org example.org"}, packagesEnv+"="+dir, baseEnv+"="+tar)
	if err != nil {
		return say(err)
	}
	return code
}

// debian makes the tree once, as an archive beside the packages: that needs the network, which the tests do not have.
func debian(dir string) (string, error) {
	tar := filepath.Join(dir, "debian.tar")
	if _, err := os.Stat(tar); err == nil {
		return tar, nil
	}
	cmd := exec.Command("mmdebstrap", "--variant=minbase", "--format=tar", "--include="+base, "bookworm", tar+".new")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("make a clean Debian (Debian package mmdebstrap): %w", err)
	}
	return tar, os.Rename(tar+".new", tar)
}
