package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"holdfast/app/companion"
	"holdfast/app/control"
	"holdfast/relay/authority"
)

func (s *shell) trust(ctx context.Context, args []string) error {
	fs := flags("trust")
	asJSON := fs.Bool("json", false, "")
	system := fs.Bool("system", false, "")
	dryRun := fs.Bool("dry-run", false, "")
	remove := fs.String("remove", "", "")
	rest, err := s.parse(fs, args, 1, 1, "status|install|remove")
	if err != nil {
		return err
	}
	switch rest[0] {
	case "status":
		return s.trustStatus(ctx, *asJSON)
	case "install":
		return s.trustInstall(ctx, *system, *dryRun)
	case "remove":
		return s.trustRemove(ctx, *dryRun)
	case "helper":
		return s.trustHelper(ctx, *remove)
	}
	return usageError{"trust", fmt.Sprintf(s.words.Ctl.UnknownVerb, "trust "+rest[0])}
}

func (s *shell) trustStatus(ctx context.Context, asJSON bool) error {
	svc, running, done, err := s.service(ctx)
	if err != nil {
		return err
	}
	defer done()
	doc, err := svc.TrustStatus(ctx)
	if err != nil {
		return err
	}
	return s.show(doc, asJSON, func() error {
		var d companion.TrustDocument
		if err := ask(&d)(doc, nil); err != nil {
			return err
		}
		if len(d.Hosts) == 0 {
			s.say("%s", s.words.Ctl.TrustNone)
			return nil
		}
		for _, h := range d.Hosts {
			s.say("%s", h.Text)
		}
		if running && d.Hosts[0].CAFile != "" {
			var route companion.RouteDocument
			if err := ask(&route)(svc.RouteStatus(ctx)); err != nil {
				return err
			}
			s.say(s.words.Ctl.TrustHint, d.Hosts[0].CAFile, route.Listen)
		}
		return nil
	})
}

// tellTrust lets a running companion look at what was changed; without one the next certificates take over here.
func (s *shell) tellTrust(ctx context.Context, t *companion.Trust) error {
	c, err := s.companion(ctx)
	if control.KindOf(err) == control.NotRunning {
		return t.Promote()
	}
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // everything has been answered
	_, err = c.TrustStatus(ctx)
	return err
}

func (s *shell) steps(dryRun bool, steps []companion.TrustStep) {
	if len(steps) == 0 {
		s.say("%s", s.words.Setup.NothingToDo)
		return
	}
	if dryRun {
		s.say("%s", s.words.Setup.WouldDo)
	}
	for _, step := range steps {
		s.say("  "+s.words.Setup.Step, step.Path, step.Reason)
	}
}

func (s *shell) trustInstall(ctx context.Context, system, dryRun bool) error {
	t := companion.NewTrust(s.paths, s.options())
	if !system {
		steps, err := t.InstallApp(ctx, dryRun)
		if err != nil {
			return err
		}
		s.steps(dryRun, steps)
		if dryRun {
			return nil
		}
		s.say("%s\n%s", s.words.Setup.TrustDoneApp, s.words.Setup.RestartClients)
		return s.tellTrust(ctx, t)
	}
	changes, err := t.InstallSystem(os.Getuid())
	if err != nil {
		return err
	}
	if err := s.systemChanges(ctx, changes, dryRun); err != nil || dryRun {
		return err
	}
	s.say("%s\n%s", s.words.Setup.TrustDoneAll, s.words.Setup.RestartClients)
	return s.tellTrust(ctx, t)
}

func (s *shell) trustRemove(ctx context.Context, dryRun bool) error {
	t := companion.NewTrust(s.paths, s.options())
	// What needs the password goes first: if it is not given, nothing has changed.
	changes := t.RemoveSystem(os.Getuid())
	if len(changes) > 0 {
		if err := s.systemChanges(ctx, changes, dryRun); err != nil {
			return err
		}
	}
	steps, err := t.RemoveApp(dryRun)
	if err != nil {
		return err
	}
	if len(steps) > 0 || len(changes) == 0 {
		s.steps(dryRun, steps)
	}
	if dryRun || len(steps)+len(changes) == 0 {
		return nil
	}
	s.say("%s\n%s", s.words.Setup.TrustRemoved, s.words.Setup.RestartClients)
	return s.tellTrust(ctx, t)
}

// systemChanges has the admin's part done: one call of the helper for each certificate.
func (s *shell) systemChanges(ctx context.Context, changes []companion.SystemChange, dryRun bool) error {
	var steps []companion.TrustStep
	for _, c := range changes {
		form := s.words.Setup.SystemReason
		if c.PEM == nil {
			form = s.words.Setup.SystemGone
		}
		steps = append(steps, companion.TrustStep{Path: c.Path, Reason: fmt.Sprintf(form, c.Host)})
	}
	s.steps(dryRun, steps)
	if dryRun {
		return nil
	}
	for _, c := range changes {
		if err := s.asAdmin(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// asAdmin runs `holdfastctl trust helper` with pkexec, or here if this is root already.
func (s *shell) asAdmin(ctx context.Context, c companion.SystemChange) error {
	self, err := s.ownedByRoot()
	if err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		s.in = bytes.NewReader(c.PEM)
		if c.PEM == nil {
			return s.trustHelper(ctx, c.Host)
		}
		return s.trustHelper(ctx, "")
	}
	args := []string{self, "trust", "helper"}
	if c.PEM == nil {
		args = append(args, "--remove", c.Host)
	}
	pkexec := s.find("pkexec")
	if pkexec == "" {
		command := "sudo " + strings.Join(args, " ")
		if c.PEM != nil {
			command += " < " + authorityFile(s.paths, c.Host)
		}
		return fmt.Errorf(s.words.Setup.NoPkexec, command)
	}
	cmd := exec.CommandContext(ctx, pkexec, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(c.PEM), s.out, s.err
	err = cmd.Run()
	// pkexec(1): 126 dismissed, 127 not allowed.
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && (exit.ExitCode() == 126 || exit.ExitCode() == 127) {
		return errors.New(s.words.Setup.AdminRefused)
	} else if ok {
		return errTold // the helper has said why
	}
	return err
}

func authorityFile(p companion.Paths, host string) string {
	return filepath.Join(p.Authority, host+".ca.pem")
}

// find looks for a program in PATH.
func (s *shell) find(name string) string {
	for _, dir := range filepath.SplitList(s.getenv("PATH")) {
		p := filepath.Join(dir, name)
		if st, err := os.Stat(p); filepath.IsAbs(dir) && err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o111 != 0 {
			return p
		}
	}
	return ""
}

// ownedByRoot finds this program and makes sure that nobody but root can have written it: not the file, not a folder
// above it.
func (s *shell) ownedByRoot() (string, error) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	for path := self; ; path = filepath.Dir(path) {
		st, err := os.Stat(path)
		if err != nil {
			return "", fmt.Errorf("look at this program: %w", err)
		}
		sys, ok := st.Sys().(*syscall.Stat_t)
		if !ok || sys.Uid != 0 || st.Mode().Perm()&0o022 != 0 {
			return "", fmt.Errorf(s.words.Setup.HelperOwner, self)
		}
		if path == "/" {
			return self, nil
		}
	}
}

// inputLimit is far more than one certificate has.
const inputLimit = 64 << 10

// trustHelper is the part that runs as root. It trusts nothing of its caller: the certificate is judged here.
func (s *shell) trustHelper(ctx context.Context, remove string) error {
	if os.Geteuid() != 0 {
		return errors.New(s.words.Setup.HelperRoot)
	}
	if _, err := s.ownedByRoot(); err != nil {
		return err
	}
	uid, err := s.caller()
	if err != nil {
		return err
	}
	system, err := authority.System()
	if err != nil {
		return err
	}
	if remove != "" {
		if err := system.Remove(ctx, uid, remove); err != nil {
			return err
		}
		s.say(s.words.Setup.HelperGone, remove)
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(s.in, inputLimit+1))
	if err == nil && len(data) > inputLimit {
		err = io.ErrShortBuffer
	}
	if err != nil {
		return fmt.Errorf(s.words.Setup.HelperInput, err)
	}
	host, err := system.Install(ctx, uid, data, time.Now())
	if err != nil {
		return err
	}
	s.say(s.words.Setup.HelperDone, host)
	return nil
}

// caller is the person for whom the admin acts: pkexec and sudo say so, and root itself may have no one else.
func (s *shell) caller() (int, error) {
	for _, name := range []string{"PKEXEC_UID", "SUDO_UID"} {
		if v := s.getenv(name); v != "" {
			uid, err := strconv.ParseUint(v, 10, 31)
			if err != nil {
				return 0, errors.New(s.words.Setup.HelperUID)
			}
			return int(uid), nil
		}
	}
	return os.Getuid(), nil
}
