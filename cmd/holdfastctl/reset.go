package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"holdfast/app/companion"
	"holdfast/app/words"
)

func (s *shell) reset(ctx context.Context, args []string) error {
	fs := flags("reset")
	var clients []string
	fs.Func("client", "", func(v string) error { clients = append(clients, strings.Split(v, ",")...); return nil })
	dryRun := fs.Bool("dry-run", false, "")
	backup := fs.Bool("backup", false, "")
	undo := fs.String("undo", "", "")
	asJSON := fs.Bool("json", false, "")
	if _, err := s.parse(fs, args, 0, 0, ""); err != nil {
		return err
	}
	if *undo != "" && (len(clients) > 0 || *dryRun || *backup) {
		return usageError{"reset", fmt.Sprintf(s.words.Ctl.TooMany, "--undo")}
	}
	svc, _, done, err := s.service(ctx)
	if err != nil {
		return err
	}
	defer done()
	var doc string
	switch {
	case *undo != "":
		doc, err = svc.Undo(ctx, *undo)
	case *backup: // by this process, also when a companion runs
		doc, err = companion.NewOffline(s.paths, s.options()).ResetWithBackup(ctx, clients, *dryRun)
	default:
		doc, err = svc.Reset(ctx, clients, *dryRun)
	}
	if err != nil {
		return err
	}
	var d companion.ResetDocument
	if err := ask(&d)(doc, nil); err != nil {
		return err
	}
	err = s.show(doc, *asJSON, func() error {
		if *undo != "" {
			s.say(s.words.Ctl.ResetUndone, *undo)
		}
		for _, e := range d.Clients {
			s.resetEntry(e, *undo != "")
		}
		return nil
	})
	for _, e := range d.Clients {
		if e.Error != "" && err == nil {
			err = errTold
		}
	}
	return err
}

// resetEntry prints what was done, or would be, with one client.
func (s *shell) resetEntry(e companion.ResetEntry, undone bool) {
	c := s.words.Ctl
	name := words.ClientName(e.Client)
	if e.Install != "native" {
		name += " (" + e.Install + ")"
	}
	size := s.words.Bytes(e.Bytes)
	switch {
	case e.Error != "":
		s.say(c.ResetFailed, name, e.Error)
	case e.DryRun && len(e.Steps) == 0:
		s.say(c.ResetPlanEmpty, name)
	case e.DryRun:
		s.say(c.ResetPlan, name, size, len(e.Steps))
	case undone:
	case len(e.Steps) == 0:
		s.say(c.ResetNoCache, name)
	default:
		s.say(c.ResetDone, name, size, len(e.Steps))
	}
	if e.DryRun || e.Error == "" && !undone {
		for _, step := range e.Steps {
			s.say("  "+c.ResetStep, words.Plain(step.Path, 0), s.words.Bytes(step.Size), s.words.CachePart(string(step.Reason)))
		}
	}
	if b := e.Backup; b != nil && e.Error == "" {
		if e.DryRun {
			s.say(c.ResetWouldBackUp, len(b.Files), s.words.Bytes(b.Bytes))
			for _, f := range b.Files {
				s.say("  %s  (%s)", words.Plain(f.Path, 0), s.words.Bytes(f.Size))
			}
		} else if b.Dir != "" {
			s.say(c.ResetBackedUp, len(b.Files), s.words.Bytes(b.Bytes), words.Plain(b.Dir, 0))
		}
	}
	if e.Restarted {
		s.say(c.ResetRestarted, name)
	}
	if e.UndoID != "" && !undone && !e.DryRun {
		s.say(c.ResetUndo, e.UndoID)
	}
}

// maxSecret is far more than any shared secret has.
const maxSecret = 4096

func (s *shell) secret(ctx context.Context, args []string) error {
	fs := flags("secret")
	scheme := fs.String("scheme", "jwt", "")
	prefix := fs.String("prefix", "/upload/", "")
	rest, err := s.parse(fs, args, 2, 2, "set HOST | remove HOST")
	if err != nil {
		return err
	}
	host := rest[1]
	switch rest[0] {
	case "set":
		secret, err := s.readSecret(s.words.Ctl.SecretPrompt)
		if err != nil {
			return err
		}
		if err := companion.SetSecret(ctx, s.paths, host, *scheme, *prefix, secret, s.words); err != nil {
			return err
		}
		s.say(s.words.Ctl.SecretStored, host)
	case "remove":
		if err := companion.RemoveSecret(ctx, s.paths, host, s.words); err != nil {
			return err
		}
		s.say(s.words.Ctl.SecretGone, host)
	default:
		return usageError{"secret", fmt.Sprintf(s.words.Ctl.UnknownVerb, "secret "+rest[0])}
	}
	return nil
}

// readSecret reads one line; on a terminal it is not shown.
func (s *shell) readSecret(prompt string) ([]byte, error) {
	if f, ok := s.in.(*os.File); ok {
		if old, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
			quiet := *old
			quiet.Lflag &^= unix.ECHO
			fmt.Fprint(s.err, prompt)
			if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, &quiet); err != nil {
				return nil, fmt.Errorf("hide the secret: %w", err)
			}
			defer func() {
				_ = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, old) // the terminal is gone, then
				fmt.Fprintln(s.err)
			}()
		}
	}
	var line []byte
	one := make([]byte, 1)
	for len(line) <= maxSecret {
		n, err := s.in.Read(one)
		if n == 1 {
			if one[0] == '\n' {
				break
			}
			line = append(line, one[0])
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the secret: %w", err)
		}
	}
	if len(line) > maxSecret {
		return nil, errors.New(s.words.Ctl.SecretLong)
	}
	return []byte(strings.TrimSuffix(string(line), "\r")), nil
}
