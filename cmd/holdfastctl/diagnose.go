package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"holdfast"
	"holdfast/app/agent"
	"holdfast/app/companion"
	"holdfast/app/control"
	"holdfast/app/diagnose"
)

func (s *shell) diagnose(ctx context.Context, args []string) error {
	fs := flags("diagnose")
	asJSON := fs.Bool("json", false, "")
	out := fs.String("out", "", "")
	if _, err := s.parse(fs, args, 0, 0, ""); err != nil {
		return err
	}
	svc, _, done, err := s.service(ctx)
	if err != nil {
		return err
	}
	defer done()
	doc, err := svc.Diagnose(ctx)
	if err != nil {
		return err
	}
	var d diagnose.Document
	if err := ask(&d)(doc, nil); err != nil {
		return err
	}
	err = s.show(doc, *asJSON, func() error {
		for _, check := range d.Checks {
			mark := map[diagnose.Verdict]string{diagnose.Pass: "ok", diagnose.Warn: s.words.Diagnose.Warning}[check.Verdict]
			if mark == "" {
				mark = "--"
			}
			s.say("%-4s%s", mark, check.Text)
			if check.Remedy != "" {
				s.say("    %s", check.Remedy)
			}
		}
		return nil
	})
	if err == nil && *out != "" {
		if err = s.report(ctx, svc, d, *out); err == nil && !*asJSON {
			s.say("\n"+s.words.Diagnose.Written, *out)
		}
	}
	if err == nil && !d.OK {
		return errTold
	}
	return err
}

// report writes the file for a bug report. Only its owner can read it.
func (s *shell) report(ctx context.Context, svc control.Service, d diagnose.Document, file string) error {
	var state agent.State
	if doc, err := svc.GetState(ctx); err == nil {
		if err := json.Unmarshal([]byte(doc), &state); err != nil {
			return fmt.Errorf("read the state: %w", err)
		}
	}
	var list agent.UploadList
	if err := ask(&list)(svc.Uploads(ctx, 0)); err != nil {
		return err
	}
	b, err := diagnose.Report(d, diagnose.About{
		Version: holdfast.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Distro: distribution("/etc/os-release"), Desktop: s.getenv("XDG_CURRENT_DESKTOP"),
	}, companion.PrivateWords(s.paths, state, list.Uploads), time.Now())
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".holdfast-report-*") // 0600
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error is the one to tell
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// distribution is the name in os-release(5).
func distribution(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(v, `"'`)
		}
	}
	return ""
}
