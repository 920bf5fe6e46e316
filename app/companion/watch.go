package companion

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// watchPoll is how often the file is looked at where the kernel cannot tell of changes.
	watchPoll = 1500 * time.Millisecond
	// watchSettle lets an editor finish: many write a file in several steps.
	watchSettle = 100 * time.Millisecond
)

// watchFile calls changed after every change of the file at path or of what it links to, until ctx ends. It may
// call it once too often, never once too few.
func watchFile(ctx context.Context, path string, changed func()) error {
	for ctx.Err() == nil {
		again, err := watchOnce(ctx, path, changed)
		if err != nil {
			return pollFile(ctx, path, changed)
		}
		if again {
			changed() // what changed between two watches
		}
	}
	return nil
}

// watchOnce watches the folders of the file and of its target. It returns when a link may lead elsewhere now.
func watchOnce(ctx context.Context, path string, changed func()) (again bool, err error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return false, fmt.Errorf("watch the configuration: %w", err)
	}
	f := os.NewFile(uintptr(fd), "inotify")
	stop := context.AfterFunc(ctx, func() { _ = f.Close() }) // ends the Read below
	defer func() {
		if stop() {
			_ = f.Close() // nothing was written
		}
	}()
	target, err := resolve(path)
	if err != nil {
		return false, err
	}
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(target)} {
		const mask = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_CREATE | unix.IN_DELETE |
			unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
		if _, err := unix.InotifyAddWatch(fd, dir, mask); err != nil {
			return false, fmt.Errorf("watch %s: %w", dir, err)
		}
	}
	was := stamp(path)
	buf := make([]byte, 16<<10)
	for {
		if _, err := f.Read(buf); err != nil {
			if ctx.Err() != nil || errors.Is(err, os.ErrClosed) {
				return false, nil
			}
			return false, fmt.Errorf("watch the configuration: %w", err)
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-time.After(watchSettle):
		}
		if now := stamp(path); now != was {
			was = now
			changed()
		}
		if t, err := resolve(path); err != nil || t != target {
			return true, nil
		}
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return false, err // the folder itself is gone: look from time to time
		}
	}
}

// pollFile looks at the file again and again.
func pollFile(ctx context.Context, path string, changed func()) error {
	tick := time.NewTicker(watchPoll)
	defer tick.Stop()
	was := stamp(path)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if now := stamp(path); now != was {
				was = now
				changed()
			}
		}
	}
}

// version tells two versions of a file apart without reading it.
type version struct {
	size    int64
	changed time.Time
	inode   uint64
}

func stamp(path string) version {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return version{}
	}
	return version{st.Size, time.Unix(st.Mtim.Unix()), st.Ino}
}
