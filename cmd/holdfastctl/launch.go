package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"holdfast/app/companion"
	"holdfast/app/control"
	"holdfast/app/launch"
	"holdfast/app/words"
)

// exited is the exit code of a client that was started.
type exited int

func (e exited) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func (s *shell) launch(ctx context.Context, args []string) error {
	fs := flags("launch")
	dryRun := fs.Bool("dry-run", false, "")
	rest, err := s.parse(fs, args, 1, 1<<16, "dino|gajim")
	if err != nil {
		return err
	}
	facts, err := companion.Launching(ctx, s.paths, s.options(), rest[0])
	if err != nil {
		return err
	}
	start := s.startCompanion
	if *dryRun {
		start = func(context.Context) {}
	}
	facts.Listen = launch.Relay(ctx, s.listens, start)
	var pid int
	facts.Running, facts.Routed, pid = companion.Instance(ctx, s.paths, s.options(), facts.Client, facts.Listen)
	facts.Args, facts.Env = rest[1:], s.environ()
	if facts.Self, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	what := launch.Decide(facts)
	if *dryRun {
		s.showStart(what, facts.Env)
		return nil
	}
	name := words.ClientName(rest[0])
	switch what.Report {
	case launch.Bypassed:
		fmt.Fprintf(s.err, s.words.Setup.LaunchBypassed+"\n", name)
	case launch.NeedsRestart:
		fmt.Fprintf(s.err, s.words.Setup.LaunchRestart+"\n", name)
	case launch.NotTrusted:
		fmt.Fprintf(s.err, s.words.Setup.LaunchNoTrust+"\n", name)
	}
	// The client's end, not the first Ctrl-C, ends what is told about it.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	var reports sync.WaitGroup
	report := func(pid int, event, detail string) {
		reports.Go(func() { launch.Deliver(life, s.reporter(rest[0], pid, event, detail)) })
	}
	if what.Report == launch.NeedsRestart {
		report(pid, string(what.Report), "")
	}
	code, err := launch.Run(what, launch.Child{
		Stdout: s.out, Stderr: s.err,
		Started: func(pid int) {
			if what.Report == launch.Bypassed {
				report(pid, string(what.Report), "")
			}
		},
		Stuck: func(pid int, line string) { report(pid, "stuck", line) },
	})
	// A report that is on its way gets a moment: bringing a running client to the front takes none.
	t := time.AfterFunc(reportLimit, end)
	if what.Report == launch.NeedsRestart {
		reports.Wait()
	}
	t.Stop()
	end()
	reports.Wait()
	if err != nil {
		return err
	}
	if code != 0 {
		return exited(code)
	}
	return nil
}

// reportLimit is how long a report about a client that was only brought to the front is tried.
const reportLimit = 3 * time.Second

// environ is the environment as a list; tests give one of their own.
func (s *shell) environ() []string {
	env := os.Environ()
	// getenv decides: in a test it is not the process's environment.
	return slices.DeleteFunc(env, func(e string) bool {
		name, value, _ := strings.Cut(e, "=")
		return s.getenv(name) != value
	})
}

// listens asks the companion of this person where its relay is.
func (s *shell) listens(ctx context.Context) string {
	c, err := s.companion(ctx)
	if err != nil {
		return ""
	}
	defer func() { _ = c.Close() }() // everything has been answered
	state, err := control.ReadState(ctx, c)
	if err != nil {
		return ""
	}
	return state.Relay.Listen
}

// reporter tells the companion about a client, and fails while there is none.
func (s *shell) reporter(client string, pid int, event, detail string) func(context.Context) error {
	return func(ctx context.Context) error {
		c, err := s.companion(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }() // everything has been answered
		return c.ReportClient(ctx, client, uint32(pid), event, detail)
	}
}

// startCompanion starts one: the unit where there is one, else this program. It does not wait for it to answer.
func (s *shell) startCompanion(ctx context.Context) {
	if systemctl := s.find("systemctl"); systemctl != "" {
		cmd := exec.CommandContext(ctx, systemctl, "--user", "start", "holdfast.service")
		cmd.Env = s.environ()
		if cmd.Run() == nil {
			return
		}
	}
	self, err := os.Executable()
	if err != nil {
		return
	}
	cmd := exec.Command(self, "run")
	cmd.Env = s.environ()
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives the client and the terminal
	if cmd.Start() == nil {
		go func() { _ = cmd.Wait() }() // it may end before us: no zombie
	}
}

// showStart prints what would be run: the variables that are new, then the command.
func (s *shell) showStart(what launch.Start, before []string) {
	for _, e := range what.Env {
		if !slices.Contains(before, e) && !strings.HasPrefix(e, "HOLDFAST_") {
			s.say("%s", e)
		}
	}
	s.say("%s", strings.Join(what.Argv, " "))
	if what.Report != launch.Fine {
		s.say("(%s)", what.Report)
	}
}

var _ error = exited(0)

// exitOf is the exit code that an error carries.
func exitOf(err error) (int, bool) {
	e, ok := errors.AsType[exited](err)
	return int(e), ok
}
