package main

import (
	"context"
	"fmt"
	"os"

	"holdfast"
	"holdfast/app"
	"holdfast/app/companion"
	"holdfast/app/control"
)

// dialer finds the companion of this session; where there is none it can only ask systemd for one.
func (s session) dialer() (*app.Local, companion.Paths, error) {
	paths, err := companion.DefaultPaths(s.getenv, os.Getuid())
	if err != nil {
		return nil, paths, fmt.Errorf("find your folders: %w", err)
	}
	if s.config != "" {
		paths.Config = s.config
	}
	return &app.Local{
		RuntimeDir: s.getenv("XDG_RUNTIME_DIR"),
		Connect:    func(ctx context.Context) (control.Client, error) { return control.Dial(ctx, paths.Runtime) },
	}, paths, nil
}

// local is dialer for the tray: without systemd it runs a companion in this process, until ctx ends.
func (s session) local(ctx context.Context) (*app.Local, error) {
	l, paths, err := s.dialer()
	if err != nil {
		return nil, err
	}
	l.RunInside = func() error {
		return companion.Run(ctx, paths, companion.Options{Version: holdfast.Version(), Words: s.words, Log: s.log, Getenv: s.getenv})
	}
	return l, nil
}
