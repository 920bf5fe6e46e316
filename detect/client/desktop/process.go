package desktop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Instance is a running client.
type Instance struct {
	Kind    Kind
	Install Install
	PID     int

	argv    []string
	env     []string
	dir     string
	started string // start time in clock ticks since boot: with the PID it names one process for ever
}

// LogValue leaves out arguments and environment.
func (in Instance) LogValue() slog.Value {
	return slog.GroupValue(slog.String("client", string(in.Kind)), slog.String("install", string(in.Install)), slog.Int("pid", in.PID))
}

// String leaves out arguments and environment.
func (in Instance) String() string {
	return fmt.Sprintf("%s (%s, process %d)", in.Kind, in.Install, in.PID)
}

// Env returns a variable of the environment the client was started with.
func (in Instance) Env(name string) (string, bool) {
	for _, e := range in.env {
		if k, v, ok := strings.Cut(e, "="); ok && k == name {
			return v, true
		}
	}
	return "", false
}

// errForeign: the process belongs to somebody else.
var errForeign = errors.New("it belongs to another user")

// readInstance reads what is needed to recognise a process, and to start it again.
func readInstance(proc string, k Kind, pid int) (Instance, error) {
	if pid <= 0 {
		return Instance{}, errors.New("the bus does not know its process")
	}
	dir := filepath.Join(proc, strconv.Itoa(pid))
	st, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Instance{}, ErrNotRunning
	} else if err != nil {
		return Instance{}, err
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && int(sys.Uid) != os.Geteuid() {
		return Instance{}, errForeign
	}
	started, err := startTime(proc, pid)
	if err != nil {
		return Instance{}, err
	}
	in := Instance{Kind: k, Install: Native, PID: pid, started: started}
	cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		return Instance{}, err
	}
	environ, err := os.ReadFile(filepath.Join(dir, "environ"))
	if err != nil {
		return Instance{}, err
	}
	in.argv, in.env = split(cmdline), split(environ)
	in.dir, _ = os.Readlink(filepath.Join(dir, "cwd")) // unreadable: started again in the home folder
	if _, err := os.Stat(filepath.Join(dir, "root", ".flatpak-info")); err == nil {
		in.Install = Flatpak
	} else if name, ok := in.Env("SNAP_NAME"); ok && name != "" {
		in.Install = Snap
	}
	return in, nil
}

// split cuts the NUL-terminated lists of proc(5).
func split(b []byte) []string {
	b = bytes.TrimRight(b, "\x00")
	if len(b) == 0 {
		return nil
	}
	return strings.Split(string(b), "\x00")
}

// startTime is field 22 of /proc/PID/stat (proc_pid_stat(5)); the name in field 2 may hold spaces and brackets.
func startTime(proc string, pid int) (string, error) {
	b, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			return "", ErrNotRunning
		}
		return "", err
	}
	i := bytes.LastIndexByte(b, ')')
	f := strings.Fields(string(b[i+1:]))
	if i < 0 || len(f) < 20 {
		return "", errors.New("the kernel's process status cannot be read")
	}
	return f[19], nil
}

// exit waits for the end of one process.
type exit struct{ fd int }

// watchExit takes hold of a process, so that its number cannot be mistaken for a later process.
func watchExit(proc string, pid int, started string) (*exit, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		if errors.Is(err, unix.ESRCH) {
			return &exit{fd: -1}, nil // gone already
		}
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	now, err := startTime(proc, pid)
	if errors.Is(err, ErrNotRunning) || err == nil && now != started {
		_ = unix.Close(fd) // a pidfd holds no data
		return &exit{fd: -1}, nil
	}
	if err != nil {
		_ = unix.Close(fd) // as above
		return nil, err
	}
	return &exit{fd: fd}, nil
}

func (e *exit) close() {
	if e.fd >= 0 {
		_ = unix.Close(e.fd) // a pidfd holds no data
	}
}

// wait returns nil when the process has ended, or the error of ctx.
func (e *exit) wait(ctx context.Context) error {
	if e.fd < 0 {
		return nil
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		// A pidfd becomes readable when its process ends (pidfd_open(2)).
		fds := []unix.PollFd{{Fd: int32(e.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int((100 * time.Millisecond).Milliseconds()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for the process: %w", err)
		}
		if n > 0 {
			return nil
		}
	}
}

// fileLimit is more than the certificates of a system take.
const fileLimit = 8 << 20

// ReadFile reads a file as the process sees it, in its own mounts (proc(5), root).
func (in Instance) ReadFile(path string) ([]byte, error) {
	f, err := os.Open(filepath.Join("/proc", strconv.Itoa(in.PID), "root", path))
	if err != nil {
		return nil, fmt.Errorf("look into %s: %w", in.Kind, err)
	}
	defer func() { _ = f.Close() }() // read only
	data, err := io.ReadAll(io.LimitReader(f, fileLimit))
	if err != nil {
		return nil, fmt.Errorf("look into %s: %w", in.Kind, err)
	}
	return data, nil
}
