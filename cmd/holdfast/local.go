package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"holdfast/app"
	"holdfast/app/control"
)

// dialer finds the companion of this session; where there is none it can only ask systemd for one.
func (s session) dialer() *app.Local {
	dir := s.runtimeDir()
	return &app.Local{
		RuntimeDir: s.getenv("XDG_RUNTIME_DIR"),
		Connect:    func(ctx context.Context) (control.Client, error) { return control.Dial(ctx, dir) },
	}
}

// local is dialer for the tray: without systemd it runs a companion in this process, until ctx ends.
func (s session) local(ctx context.Context) *app.Local {
	return s.dialer()
}

// runtimeDir is where the companion has its lock and its socket.
func (s session) runtimeDir() string {
	if dir := s.getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "holdfast")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("holdfast-%d", os.Getuid()))
}
