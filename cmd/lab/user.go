package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// User is a throw-away account of the machine that exists only inside of Isolate.
type User struct {
	Name string
	ID   uint32 // of the user and of a group of the same name
	Home string
}

// AddUsers makes the accounts known to every program inside of Isolate and makes their homes. The machine's own
// files stay as they are: copies with more lines are laid over them in this mount namespace.
func AddUsers(users ...User) error {
	dir := os.Getenv(isolatedEnv)
	if dir == "" {
		return errors.New("users are added inside the namespaces of Isolate only")
	}
	var passwd, group strings.Builder
	for _, u := range users {
		fmt.Fprintf(&passwd, "%s:x:%d:%d::%s:/bin/sh\n", u.Name, u.ID, u.ID, u.Home)
		fmt.Fprintf(&group, "%s:x:%d:\n", u.Name, u.ID)
		if err := os.MkdirAll(u.Home, 0o700); err != nil {
			return err
		}
		if err := os.Chown(u.Home, int(u.ID), int(u.ID)); err != nil {
			return err
		}
	}
	for target, lines := range map[string]string{"/etc/passwd": passwd.String(), "/etc/group": group.String()} {
		own, err := os.ReadFile(target)
		if err != nil {
			return err
		}
		if _, err := Overlay(filepath.Join(dir, "etc", filepath.Base(target)), target, append(own, lines...)); err != nil {
			return err
		}
	}
	return nil
}

// Overlay writes data to file and lays it over target, for this mount namespace alone; undo takes it away again.
func Overlay(file, target string, data []byte) (undo func() error, err error) {
	if !Isolated() {
		return nil, errors.New("files are laid over others inside the namespaces of Isolate only")
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		return nil, err
	}
	if err := os.Chmod(file, 0o644); err != nil { // whatever the umask is
		return nil, err
	}
	if err := unix.Mount(file, target, "", unix.MS_BIND, ""); err != nil {
		return nil, fmt.Errorf("replace %s: %w", target, err)
	}
	return func() error { return unix.Unmount(target, unix.MNT_DETACH) }, nil
}

// Command is a program that will run as the user, with env and nothing else in its environment.
func (u User) Command(env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Dir = env, u.Home
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: u.ID, Gid: u.ID}}
	return cmd
}

// Own makes a folder below the user's home, with everything above it up to there, or gives them what is there.
func (u User) Own(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	return u.Chown(path)
}

// Chown gives a path to the user, and every folder between it and the home.
func (u User) Chown(path string) error {
	for ; path != u.Home && strings.HasPrefix(path, u.Home+"/"); path = filepath.Dir(path) {
		if err := os.Lchown(path, int(u.ID), int(u.ID)); err != nil {
			return err
		}
	}
	return nil
}
