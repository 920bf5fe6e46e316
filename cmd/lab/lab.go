// Package lab starts the real servers, buses, keyrings and screens that tests and `make demo` run against.
//
// Functions that take a TB end what they start with the test. The others return a handle with Close, so that
// a program can use them too; for that reason the package does not import testing.
//
// # Invariants
//   - Everything is private: a folder of its own, loopback addresses, free ports, a bus without activation.
//   - Every process is ended by its own process group, never by name.
//   - Nothing in /etc, in the home or on the session bus of the person who runs a test is touched.
package lab

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// TB is the part of testing.TB that this package needs.
type TB interface {
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Cleanup(func())
	TempDir() string
}

// InCI says whether a missing tool must fail a test instead of skipping it.
func InCI() bool { return os.Getenv("CI") != "" }

// Need makes sure that a program is there. Without it a test is skipped on a developer's machine and fails in CI.
func Need(tb TB, program, debianPackage string) string {
	tb.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if InCI() {
		tb.Fatalf("%s is missing: make test installs it (Debian package %s)", program, debianPackage)
	}
	tb.Skipf("%s is missing: apt install %s", program, debianPackage)
	return ""
}

// NeedRoot skips a test that makes namespaces or switches users when it does not run as root; in CI it fails.
func NeedRoot(tb TB) {
	tb.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if InCI() {
		tb.Fatalf("this test needs root; CI runs as root")
	}
	tb.Skipf("this test needs root")
}

// busConfig is a bus that starts no service by itself, so that no test wakes a program of the desktop.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>%s</type>
  <listen>unix:tmpdir=/tmp</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
`

// Bus starts a private dbus-daemon of the session type and returns its address.
func Bus(tb TB) string {
	tb.Helper()
	return bus(tb, "session")
}

// SystemBus starts a private dbus-daemon of the system type and returns its address.
func SystemBus(tb TB) string {
	tb.Helper()
	return bus(tb, "system")
}

func bus(tb TB, kind string) string {
	tb.Helper()
	daemon := Need(tb, "dbus-daemon", "dbus-daemon")
	config := filepath.Join(tb.TempDir(), "bus.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, busConfig, kind), 0o600); err != nil {
		tb.Fatalf("write the bus configuration: %v", err)
	}
	cmd := exec.Command(daemon, "--config-file="+config, "--nofork", "--nopidfile", "--print-address=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatalf("make a pipe: %v", err)
	}
	p, err := Start(cmd)
	if err != nil {
		tb.Fatalf("start dbus-daemon: %v", err)
	}
	tb.Cleanup(func() { _ = p.Close() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		tb.Fatalf("dbus-daemon gave no address: %v", err)
	}
	return strings.TrimSpace(line)
}

// Soak says whether the long variants of tests are asked for (`make soak`).
func Soak() bool { return os.Getenv("HOLDFAST_SOAK") != "" }
