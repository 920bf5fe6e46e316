// Package lab starts the real servers, buses, keyrings and screens that tests and `make demo` run against.
//
// Everything it starts is private (its own folder, loopback addresses, free ports) and ends with the test.
package lab

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Need makes sure that a program is there. Without it a test is skipped on a developer's machine and fails in CI.
func Need(tb testing.TB, program, debianPackage string) string {
	tb.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		tb.Fatalf("%s is missing: make test installs it (Debian package %s)", program, debianPackage)
	}
	tb.Skipf("%s is missing: apt install %s", program, debianPackage)
	return ""
}

// Bus starts a private dbus-daemon of the session type and returns its address.
func Bus(tb testing.TB) string {
	tb.Helper()
	daemon := Need(tb, "dbus-daemon", "dbus-daemon")
	cmd := exec.Command(daemon, "--session", "--nofork", "--nopidfile", "--print-address=1")
	cmd.Env = append(os.Environ(), "DBUS_VERBOSE=")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatalf("start dbus-daemon: %v", err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		tb.Fatalf("dbus-daemon gave no address: %v", err)
	}
	return strings.TrimSpace(line)
}
