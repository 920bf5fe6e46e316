package control

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// SocketName is the file in the runtime folder.
const SocketName = "control.sock"

// ownersOnly lets through only connections of processes that run as uid.
type ownersOnly struct {
	*net.UnixListener
	uid int
	log *slog.Logger
}

func (l ownersOnly) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, err := peer(c)
		if err == nil && uid == l.uid {
			return c, nil
		}
		l.log.Warn("control connection refused", "uid", uid, "error", err)
		_ = c.Close() // refused
	}
}

// peer asks the kernel who is at the other end (unix(7), SO_PEERCRED). An error means: nobody we know.
func peer(c *net.UnixConn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("ask for the peer: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return -1, fmt.Errorf("ask for the peer: %w", err)
	}
	if credErr != nil {
		return -1, fmt.Errorf("ask for the peer: %w", credErr)
	}
	return int(cred.Uid), nil
}

// mustBe refuses a socket that was not opened by uid.
func mustBe(c net.Conn, uid int) error {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return &Error{Denied, "the control socket is no socket"}
	}
	got, err := peer(u)
	if err != nil {
		return err
	}
	if got != uid {
		return &Error{Denied, fmt.Sprintf("the control socket belongs to user %d: set XDG_RUNTIME_DIR to a folder of your own", got)}
	}
	return nil
}

// maxSocketPath is what fits into sockaddr_un with its closing NUL.
const maxSocketPath = 107

// reach gives an address for the socket in dir that fits the kernel's limit: long paths go through /proc/self/fd.
// The file has to stay open while the address is used; it may be nil.
func reach(dir string) (string, *os.File, error) {
	path := filepath.Join(dir, SocketName)
	if len(path) <= maxSocketPath {
		return path, nil, nil
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, fmt.Errorf("open %s: %w", dir, err)
	}
	return filepath.Join("/proc/self/fd", strconv.Itoa(fd), SocketName), os.NewFile(uintptr(fd), dir), nil
}

// bind makes the socket in dir, with 0600 from its first moment. A leftover of a companion that died is replaced:
// the caller holds the lock that says there is no other.
func bind(dir string) (*net.UnixListener, error) {
	if err := os.Remove(filepath.Join(dir, SocketName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the old control socket: %w", err)
	}
	addr, held, err := reach(dir)
	if err != nil {
		return nil, err
	}
	if held != nil {
		defer func() { _ = held.Close() }() // O_PATH: nothing is written
	}
	// The folder is 0700, so nobody else gets at the socket between bind and chmod.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: addr, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	l.SetUnlinkOnClose(false) // by its long name, below
	if err := os.Chmod(filepath.Join(dir, SocketName), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect the control socket: %w", err), l.Close())
	}
	return l, nil
}

// absent says whether a dial failed because nobody listens.
func absent(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}
