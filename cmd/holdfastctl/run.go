package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"holdfast"
	"holdfast/app/companion"
	"holdfast/app/control"
	"holdfast/app/words"
)

// Exit codes, as in --help.
const (
	exitOK = iota
	exitFailed
	exitUsage
	exitNotRunning
	exitRunning
)

// usageError is a mistake in the arguments of a verb.
type usageError struct {
	verb string
	text string
}

func (e usageError) Error() string { return e.text }

// errTold means that everything has been said already; only the exit code is left.
var errTold = errors.New("told")

// shell is one call of holdfastctl.
type shell struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
	words    *words.Words
	paths    companion.Paths
}

// verb runs one command with its arguments.
type verb func(s *shell, ctx context.Context, args []string) error

func verbs() map[string]verb {
	return map[string]verb{
		"run": (*shell).run, "status": (*shell).status, "reset": (*shell).reset, "autofix": (*shell).autofix,
		"pause": (*shell).pause, "resume": (*shell).resume, "uploads": (*shell).uploads, "cancel": (*shell).cancel,
		"try": (*shell).try, "hosts": (*shell).hosts, "pac": (*shell).pac, "trust": (*shell).trust,
		"route": (*shell).route, "diagnose": (*shell).diagnose, "secret": (*shell).secret, "device": (*shell).device, "stop": (*shell).stop,
		"version": (*shell).version, "completion": (*shell).completion, "launch": (*shell).launch, "uninstall": (*shell).uninstall,
	}
}

// run is main without the process around it.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer, getenv func(string) string) int {
	s := &shell{in: in, out: out, err: errs, getenv: getenv, words: words.For(words.Locale(getenv))}
	err := s.dispatch(ctx, args)
	if err == nil {
		return exitOK
	}
	if code, ok := exitOf(err); ok {
		return code // of a client; it has spoken for itself
	}
	code := exitFailed
	usage, isUsage := errors.AsType[usageError](err)
	kind := control.KindOf(err)
	switch {
	case isUsage, kind == control.Invalid, kind == control.UnknownClient:
		code = exitUsage
	case kind == control.NotRunning:
		code = exitNotRunning
	}
	if running, ok := errors.AsType[companion.ErrRunning](err); ok {
		fmt.Fprintf(errs, "holdfastctl: "+s.words.Ctl.AlreadyRunning+"\n", running.PID)
		return exitRunning
	}
	switch {
	case errors.Is(err, errTold):
		return code
	case code == exitNotRunning:
		fmt.Fprintf(errs, "holdfastctl: %s\n%s\n", s.words.Ctl.NotRunning, s.words.Ctl.NotRunningHint)
	default:
		fmt.Fprintf(errs, "holdfastctl: %s\n", err)
	}
	if isUsage {
		fmt.Fprintf(errs, s.words.Ctl.TryHelp+"\n", strings.TrimSpace("holdfastctl "+usage.verb))
	}
	return code
}

func (s *shell) dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		s.overview(s.err)
		return errors.Join(usageError{}, errTold)
	}
	name, rest := args[0], args[1:]
	switch name {
	case "-h", "--help", "-help":
		s.overview(s.out)
		return nil
	case "--version", "-version":
		name = "version"
	case "help":
		return s.help(rest)
	}
	do, ok := verbs()[name]
	if !ok {
		return usageError{"", fmt.Sprintf(s.words.Ctl.UnknownVerb, name)}
	}
	// Everything after "--" is an argument, also if it looks like a flag.
	flags, _, _ := strings.Cut("\n"+strings.Join(rest, "\n")+"\n", "\n--\n")
	for _, h := range []string{"-h", "-help", "--help"} {
		if slices.Contains(strings.Split(flags, "\n"), h) {
			return s.help([]string{name})
		}
	}
	var err error
	if s.paths, err = companion.DefaultPaths(s.getenv, os.Getuid()); err != nil {
		return err
	}
	return do(s, ctx, rest)
}

// parse reads flags wherever they stand and returns the other arguments; there may be from least to most of them.
func (s *shell) parse(fs *flag.FlagSet, args []string, least, most int, missing string) ([]string, error) {
	fs.SetOutput(io.Discard)
	var out []string
	for len(args) > 0 {
		if err := fs.Parse(args); err != nil {
			return nil, usageError{fs.Name(), err.Error()}
		}
		parsed := args[:len(args)-fs.NArg()]
		args = fs.Args()
		if len(parsed) > 0 && parsed[len(parsed)-1] == "--" {
			out = append(out, args...)
			break
		}
		if len(args) > 0 {
			out = append(out, args[0])
			args = args[1:]
		}
	}
	if len(out) < least {
		return nil, usageError{fs.Name(), fmt.Sprintf(s.words.Ctl.MissingArgument, missing)}
	}
	if len(out) > most {
		return nil, usageError{fs.Name(), fmt.Sprintf(s.words.Ctl.TooMany, out[most])}
	}
	return out, nil
}

func flags(verb string) *flag.FlagSet { return flag.NewFlagSet(verb, flag.ContinueOnError) }

// companion connects to the running one; without one the error is of kind NotRunning.
func (s *shell) companion(ctx context.Context) (control.Client, error) {
	return control.Dial(ctx, s.paths.Runtime)
}

// service is the running companion, or what can be done without one. running tells which.
func (s *shell) service(ctx context.Context) (svc control.Service, running bool, done func(), err error) {
	c, err := s.companion(ctx)
	switch {
	case err == nil:
		return c, true, func() { _ = c.Close() }, nil // everything has been answered
	case control.KindOf(err) == control.NotRunning:
		return companion.NewOffline(s.paths, s.options()), false, func() {}, nil
	}
	return nil, false, nil, err
}

func (s *shell) options() companion.Options {
	return companion.Options{Version: holdfast.Version(), Words: s.words, Getenv: s.getenv}
}

// show prints a document or, without asJSON, what text makes of it.
func (s *shell) show(doc string, asJSON bool, text func() error) error {
	if asJSON {
		fmt.Fprintln(s.out, doc)
		return nil
	}
	return text()
}

func (s *shell) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }
