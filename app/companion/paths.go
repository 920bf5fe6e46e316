package companion

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Paths are the folders and files of one person's companion.
type Paths struct {
	Home      string // the person's home folder
	Config    string // config.toml itself
	Runtime   string // lock and control socket
	State     string // history, undo, the chosen port
	Cache     string // copies of running uploads
	Authority string // certificates
	XDG       XDG
}

// XDG are the base folders that clients use (XDG Base Directory Specification 0.8).
type XDG struct{ Config, Data, Cache, State string }

// DefaultPaths reads the environment once: XDG_* and HOME. It creates nothing.
func DefaultPaths(getenv func(string) string, uid int) (Paths, error) {
	home := getenv("HOME")
	if !filepath.IsAbs(home) {
		return Paths{}, errors.New("HOME is not set to a folder")
	}
	// Relative values are invalid and to be ignored (same specification).
	base := func(name, def string) string {
		if v := getenv(name); filepath.IsAbs(v) {
			return filepath.Clean(v)
		}
		return filepath.Join(home, def)
	}
	x := XDG{
		Config: base("XDG_CONFIG_HOME", ".config"), Data: base("XDG_DATA_HOME", ".local/share"),
		Cache: base("XDG_CACHE_HOME", ".cache"), State: base("XDG_STATE_HOME", ".local/state"),
	}
	p := Paths{
		Home:      home,
		Config:    filepath.Join(x.Config, "holdfast", "config.toml"),
		State:     filepath.Join(x.State, "holdfast"),
		Cache:     filepath.Join(x.Cache, "holdfast"),
		Authority: filepath.Join(x.Data, "holdfast", "authority"),
		XDG:       x,
	}
	if v := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(v) {
		p.Runtime = filepath.Join(v, "holdfast")
	} else {
		p.Runtime = filepath.Join("/tmp", "holdfast-"+strconv.Itoa(uid))
	}
	return p, nil
}

// SessionBus is the address of the session bus, or "". None is ever started.
func SessionBus(getenv func(string) string) string {
	switch v := getenv("DBUS_SESSION_BUS_ADDRESS"); v {
	case "":
	case "autolaunch:", "disabled:": // ways to say that there is none
		return ""
	default:
		return v
	}
	if dir := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		path := filepath.Join(dir, "bus")
		if st, err := os.Stat(path); err == nil && st.Mode().Type() == os.ModeSocket {
			return "unix:path=" + path
		}
	}
	return ""
}

// prepare makes the folders that a companion writes to.
func (p Paths) prepare(uid int) error {
	if err := private(p.Runtime, uid); err != nil {
		return err
	}
	for _, dir := range []string{filepath.Dir(p.Config), p.State, p.Cache} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
	}
	return nil
}

// private makes sure that dir is a real folder of uid's own with 0700. In /tmp somebody else may have been there
// first.
func private(dir string, uid int) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		if !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("make runtime folder: %w", err)
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make runtime folder: %w", err)
		}
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at runtime folder: %w", err)
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !st.IsDir() || !ok || int(sys.Uid) != uid {
		return fmt.Errorf("%s is not a folder of yours: remove it, or set XDG_RUNTIME_DIR", dir)
	}
	if st.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return fmt.Errorf("close runtime folder to others: %w", err)
		}
	}
	return nil
}
