package app_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/app"
	"holdfast/app/control"
)

var errNone = errors.New("no companion is running")

// closer is a connection to a companion that is only closed.
type closer struct{ control.Client }

func (closer) Close() error { return nil }

// systemctl puts a program in PATH that notes its arguments and ends with that code.
func systemctl(t *testing.T, code string) (runtimeDir, notes string) {
	t.Helper()
	dir := t.TempDir()
	notes = filepath.Join(dir, "notes")
	script := "#!/bin/sh\necho \"$@\" >> " + notes + "\nexit " + code + "\n"
	if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "run", "systemd", "private"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return filepath.Join(dir, "run"), notes
}

func TestStart(t *testing.T) {
	inside := func(answers *bool, ran *int) func() error {
		return func() error { *answers = true; *ran++; return nil }
	}
	tests := []struct {
		name       string
		code       string // of systemctl
		noSystemd  bool
		noInside   bool
		wantInside int
		wantErr    bool
	}{
		{name: "a unit is preferred", code: "0"},
		{name: "without a unit the companion runs inside", code: "5", wantInside: 1},
		{name: "without systemd it runs inside, and systemctl is not asked", noSystemd: true, wantInside: 1},
		{name: "where it cannot run inside, a missing unit is an error", code: "5", noInside: true, wantErr: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, notes := systemctl(t, tt.code)
			answers, ran := false, 0
			l := &app.Local{RuntimeDir: dir, RunInside: inside(&answers, &ran)}
			if tt.noSystemd {
				l.RuntimeDir = t.TempDir()
			}
			if tt.noInside {
				l.RunInside = nil
			}
			l.Connect = func(context.Context) (control.Client, error) {
				if err := l.Wait(); err != nil || !answers {
					return nil, errNone
				}
				return closer{}, nil
			}
			err := l.Start(t.Context())
			if (err != nil) != tt.wantErr || ran != tt.wantInside {
				t.Errorf("Start: %v, ran inside %d times", err, ran)
			}
			asked, _ := os.ReadFile(notes) // none: not asked
			if want := "--user start holdfast.service\n"; !tt.noSystemd && string(asked) != want {
				t.Errorf("systemctl was asked %q", asked)
			}
			if tt.noSystemd && len(asked) > 0 {
				t.Errorf("systemctl was asked %q", asked)
			}
		})
	}
}

func TestACompanionInsideThatFailsSaysWhy(t *testing.T) {
	l := &app.Local{
		Connect:   func(context.Context) (control.Client, error) { return nil, errNone },
		RunInside: func() error { return errors.New("port 5380 is not yours") },
	}
	if err := l.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "port 5380") {
		t.Errorf("Start: %v", err)
	}
	if l.Inside() {
		t.Error("it says that it runs inside")
	}
}
