package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"holdfast"
	"holdfast/app"
	"holdfast/app/window"
	"holdfast/app/words"
)

const usage = `Holdfast keeps file uploads in Dino and Gajim working when the network changes.

Usage:
  holdfast [-config FILE] [-log LEVEL]   show the tray icon; a second start opens the uploads window
  holdfast window uploads                open a window: uploads, stop, quit
  holdfast version                       print the version

Example, at the start of a session:
  holdfast &

  -config FILE   the configuration, if no companion runs yet ($XDG_CONFIG_HOME/holdfast/config.toml)
  -log LEVEL     debug, info, warn or error, to standard error (warn)

Exit codes: 0 done; 1 something went wrong; 2 wrong arguments; 4 no desktop session, or no screen for a window.
Without a screen, and for scripts, there is holdfastctl.
`

// errUsage has been explained on standard error already.
var errUsage = errors.New("see holdfast --help")

// errPlace says in a sentence that there is no place for a tray icon or a window.
type errPlace struct{ sentence string }

func (e errPlace) Error() string { return e.sentence }

func exitCode(err error) int {
	var place errPlace
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		return 2
	case errors.As(err, &place):
		return 4
	}
	return 1
}

// session is what the program was started in.
type session struct {
	getenv func(string) string
	words  *words.Words
	log    *slog.Logger
	config string // of a companion inside; empty: the usual place
}

// run does what the arguments say.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("holdfast", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	config := flags.String("config", "", "")
	level := slog.LevelWarn
	flags.TextVar(&level, "log", level, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		_, err := io.WriteString(stdout, usage)
		return err
	case err != nil:
		return fmt.Errorf("%w; %w", err, errUsage)
	}
	s := session{
		getenv: getenv, words: words.For(words.Locale(getenv)), config: *config,
		log: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level})),
	}
	switch rest := flags.Args(); {
	case len(rest) == 0:
		return s.tray(ctx)
	case rest[0] == "help" && len(rest) == 1:
		_, err := io.WriteString(stdout, usage)
		return err
	case rest[0] == "version" && len(rest) == 1:
		_, err := fmt.Fprintln(stdout, "holdfast", holdfast.Version())
		return err
	case rest[0] == "window" && len(rest) == 2 && window.Known(rest[1]):
		return s.window(ctx, rest[1])
	case rest[0] == "window":
		return fmt.Errorf("the windows are uploads, stop and quit; %w", errUsage)
	default:
		return fmt.Errorf("%q is not known; %w", rest[0], errUsage)
	}
}

// tray shows the icon until a person quits it.
func (s session) tray(ctx context.Context) error {
	bus, err := app.OpenSession(s.getenv)
	if errors.Is(err, app.ErrNoBus) {
		s.log.Info("no session bus", "error", err)
		return errPlace{s.words.Tray.NoBus}
	}
	if err != nil {
		return err
	}
	defer func() { _ = bus.Close() }()                               // nothing of ours is on the way
	inside, cancel := context.WithCancel(context.WithoutCancel(ctx)) // it ends after the tray, not beside it
	defer cancel()
	local, err := s.local(inside)
	if err != nil {
		return err
	}
	err = app.Run(ctx, app.Config{Session: bus, Token: token(s.getenv), Words: s.words, Companion: local, Windows: newOpener(s.getenv), Log: s.log})
	ran := local.Inside() // what ended before was said in the menu
	cancel()              // a companion inside ends with the tray; the question before "Quit" said so
	if werr := local.Wait(); ran && werr != nil && err == nil {
		err = fmt.Errorf("companion: %w", werr)
	}
	if errors.Is(err, app.ErrRunning) {
		return nil // it has come to the front
	}
	return err
}
