package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// isolatedEnv tells the second run of a test program that it is inside.
const isolatedEnv = "HOLDFAST_LAB_ISOLATED"

// Isolated says whether this process runs inside the namespaces that Isolate made.
func Isolated() bool { return os.Getenv(isolatedEnv) != "" }

// Isolate runs this very program again, with the same arguments, as the first process of its own network, mount and
// process namespaces: only loopback, hosts as given ("127.0.1.2 upload.lab.test"), and TMPDIR below dir.
// When that process ends the kernel ends everything it started. It returns the exit code.
// It needs root. Call it from TestMain, before m.Run; env is added to the environment of the second run.
func Isolate(dir string, hosts []string, env ...string) (int, error) {
	etc := filepath.Join(dir, "etc")
	for _, d := range []string{etc, filepath.Join(dir, "tmp")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return 1, err
		}
	}
	if err := os.Chmod(filepath.Join(dir, "tmp"), 0o777|os.ModeSticky); err != nil {
		return 1, err
	}
	files := map[string]string{
		"hosts":         "127.0.0.1 localhost\n::1 localhost\n" + strings.Join(hosts, "\n") + "\n",
		"resolv.conf":   "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
		"nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o644); err != nil {
			return 1, err
		}
	}
	exe, err := os.Executable()
	if err != nil {
		return 1, err
	}
	// The parent-death signal is sent when the thread that started the child ends, so this thread must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command(exe, os.Args[1:]...)
	cmd.Env = append(append(os.Environ(), isolatedEnv+"="+dir, "TMPDIR="+filepath.Join(dir, "tmp")), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("make namespaces: %w", err)
	}
	// The first process of a namespace ignores SIGQUIT unless asked otherwise; go test sends it on a time-out.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	err = cmd.Wait()
	signal.Stop(signals)
	close(signals)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// EnterIsolated finishes the namespaces from inside. The second run calls it before m.Run.
func EnterIsolated() error {
	dir := os.Getenv(isolatedEnv)
	if dir == "" {
		return errors.New("not inside the namespaces of Isolate")
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, name := range []string{"hosts", "resolv.conf", "nsswitch.conf"} {
		target, err := filepath.EvalSymlinks("/etc/" + name)
		if err != nil {
			continue // not there on this machine: nothing to hide
		}
		if err := unix.Mount(filepath.Join(dir, "etc", name), target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("replace %s: %w", target, err)
		}
	}
	return upLoopback()
}

// upLoopback does what `ip link set lo up` does.
func upLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, ifr); err != nil {
		return fmt.Errorf("read the state of lo: %w", err)
	}
	ifr.SetUint16(ifr.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}
