package companion

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrRunning means that another companion of this person runs. PID is 0 if it has not said yet.
type ErrRunning struct{ PID int }

func (e ErrRunning) Error() string {
	if e.PID == 0 {
		return "a companion is already running"
	}
	return fmt.Sprintf("a companion is already running (process %d)", e.PID)
}

// lockFile is the file whose lock makes a process the companion.
const lockFile = "lock"

// acquire takes the lock of dir; it is held until release or the end of the process, however that comes.
func acquire(dir string) (release func(), err error) {
	// Close-on-exec, so that a client that is started again does not inherit the lock.
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer func() { _ = f.Close() }() // read only here
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("take the lock: %w", err)
		}
		raw := make([]byte, 32)
		n, _ := f.ReadAt(raw, 0) // a short read is the rule
		pid, _ := strconv.Atoi(strings.TrimSpace(string(raw[:n])))
		return nil, ErrRunning{PID: pid}
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write the lock: %w", err), f.Close())
	}
	// The file stays: removing it would let two processes lock two files of one name.
	return func() { _ = f.Close() }, nil
}
