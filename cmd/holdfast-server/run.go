package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"holdfast"
)

const usage = `holdfast-server takes the uploads of XMPP clients (XEP-0363) beside Prosody, ejabberd, Metronome and others.

Usage:
  holdfast-server -config FILE            run the server (also: serve -config FILE)
  holdfast-server init -issuer NAME       write a configuration with a fresh secret and show what the XMPP server needs
  holdfast-server check -config FILE      prove that the configuration works, one PASS or FAIL a line
  holdfast-server sign -config FILE ...   print an upload URL as the XMPP server would
  holdfast-server files VERB -config FILE  list stored files, remove them for good, block their bytes
  holdfast-server devices VERB -config FILE  list, add and revoke the devices of people
  holdfast-server import FILE             turn an hmac-file-server configuration into ours
  holdfast-server version

holdfast-server VERB --help explains a verb with an example.

Signals: SIGHUP reads the configuration again (secrets, schemes, grace, limits, TLS, log). SIGTERM stops accepting and
lets running uploads finish; a second one ends at once.
Exit codes: 0 done, 1 something went wrong or a check failed, 2 the command line or the configuration is wrong.
`

// usageError is a mistake in the command line or in the configuration.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// errFailed ends a verb that has said everything already.
var errFailed = errors.New("")

func exitCode(err error) int {
	var u usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &u):
		return 2
	}
	return 1
}

// run is the program. It returns when all it started has ended.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	verb := "serve"
	switch {
	case len(args) == 1 && (args[0] == "-h" || args[0] == "--help" || args[0] == "-help"):
		verb = "help"
	case len(args) > 0 && !strings.HasPrefix(args[0], "-"):
		verb, args = args[0], args[1:]
	}
	switch verb {
	case "serve":
		return serve(ctx, args, stderr)
	case "init":
		return initialise(args, stdout, stderr)
	case "check":
		return check(ctx, args, stdout, stderr)
	case "sign":
		return sign(args, stdout, stderr)
	case "files":
		return files(ctx, args, stdout, stderr)
	case "devices":
		return devices(ctx, args, stdout, stderr)
	case "import":
		return importConfig(args, stdout, stderr)
	case "version":
		_, err := fmt.Fprintln(stdout, "holdfast-server", holdfast.Version())
		return err
	case "help":
		_, err := io.WriteString(stdout, usage)
		return err
	}
	return usageError{fmt.Errorf("unknown verb %q; holdfast-server --help lists them", verb)}
}

// flags returns a flag set whose --help is the text and the flags.
func flags(verb, text string, stderr io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet("holdfast-server "+verb, flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprintln(stderr, strings.TrimSpace(text)+"\n\nFlags:")
		f.PrintDefaults()
	}
	return f
}

// parse parses args; help: the person asked for help and has got it. Arguments beside flags are returned.
func parse(f *flag.FlagSet, args []string, most int) (rest []string, help bool, err error) {
	for len(args) > 0 {
		if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
			return nil, true, nil
		} else if err != nil {
			return nil, false, usageError{errors.New("see --help")}
		}
		args = f.Args()
		if len(args) > 0 {
			rest, args = append(rest, args[0]), args[1:]
		}
	}
	if len(rest) > most {
		return nil, false, usageError{fmt.Errorf("unexpected argument %q", rest[most])}
	}
	return rest, false, nil
}

// loadFlag reads the configuration named by -config.
func loadFlag(path string) (*config, error) {
	if path == "" {
		return nil, usageError{errors.New("-config FILE is missing; holdfast-server init writes one")}
	}
	c, err := load(path)
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}
