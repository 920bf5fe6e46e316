package diagnose

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"holdfast/cmd/lab"
)

// The tests run in namespaces of their own: there they may make interfaces and routes, and speak for port 53, 80 and 443.
func TestMain(m *testing.M) {
	switch {
	case lab.Isolated():
		if err := lab.EnterIsolated(); err != nil {
			fmt.Fprintln(os.Stderr, "enter the namespaces:", err)
			os.Exit(1)
		}
		goleak.VerifyTestMain(m)
	case os.Geteuid() != 0:
		os.Exit(m.Run()) // what needs root is skipped
	default:
		os.Exit(isolate())
	}
}

func isolate() int {
	dir, err := os.MkdirTemp("", "diagnose-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	code, err := lab.Isolate(dir, []string{"10.9.9.9 " + far, "127.0.1.2 " + near})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
