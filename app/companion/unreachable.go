package companion

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"holdfast/app/words"
	"holdfast/detect/client/desktop"
)

// unreachable is a client where there is no session bus: whether it runs can be seen, but it cannot be asked to quit.
type unreachable struct {
	kind  desktop.Kind
	words *words.Words
}

// Running looks for a process of this person with the client's name (proc(5), comm).
func (u unreachable) Running(context.Context) (bool, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return false, fmt.Errorf("look at the processes: %w", err)
	}
	for _, dir := range dirs {
		st, err := os.Stat(dir)
		if err != nil {
			continue // it has ended
		}
		if sys, ok := st.Sys().(*syscall.Stat_t); !ok || int(sys.Uid) != os.Getuid() {
			continue
		}
		comm, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			continue
		}
		switch name := string(bytes.TrimSpace(comm)); {
		case u.kind == desktop.Dino && (name == "dino" || name == "dino-im"), u.kind == desktop.Gajim && name == "gajim":
			return true, nil
		}
	}
	return false, nil
}

// Quit always fails.
func (u unreachable) Quit(context.Context) error {
	return fmt.Errorf(u.words.Ctl.QuitYourself, u.kind)
}

// Start is never reached: nothing was quit.
func (u unreachable) Start(context.Context) error {
	return fmt.Errorf("start %s: there is no session bus", u.kind)
}
