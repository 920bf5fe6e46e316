package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"holdfast/app/companion"
	"holdfast/app/words"
)

func (s *shell) run(ctx context.Context, args []string) error {
	fs := flags("run")
	config := fs.String("config", "", "")
	verbose := fs.Bool("verbose", false, "")
	if _, err := s.parse(fs, args, 0, 0, ""); err != nil {
		return err
	}
	if *config != "" {
		path, err := filepath.Abs(*config)
		if err != nil {
			return fmt.Errorf("find the configuration: %w", err)
		}
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("read the configuration: %w", err)
		}
		s.paths.Config = path
	}
	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	o := s.options()
	o.Log = slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: level}))
	o.Ready = func(listen string) { s.say(s.words.Ctl.Started, listen, s.paths.Config) }
	if err := companion.Run(ctx, s.paths, o); err != nil {
		return err
	}
	s.say("%s", s.words.Ctl.Stopped)
	return nil
}

func (s *shell) autofix(ctx context.Context, args []string) error {
	rest, err := s.parse(flags("autofix"), args, 1, 1, "on|off")
	if err != nil {
		return err
	}
	on := rest[0] == "on"
	if !on && rest[0] != "off" {
		return usageError{"autofix", fmt.Sprintf(s.words.Ctl.UnknownVerb, "autofix "+rest[0])}
	}
	svc, running, done, err := s.service(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := svc.SetAutoFix(ctx, on); err != nil {
		return err
	}
	s.say("%s", map[bool]string{true: s.words.Ctl.AutoFixOn, false: s.words.Ctl.AutoFixOff}[on])
	if !running {
		s.say(s.words.Ctl.AutoFixFile, s.paths.Config)
	}
	return nil
}

func (s *shell) pause(ctx context.Context, args []string) error {
	rest, err := s.parse(flags("pause"), args, 0, 1, "")
	if err != nil {
		return err
	}
	var d time.Duration
	if len(rest) > 0 {
		if d, err = time.ParseDuration(rest[0]); err != nil || d <= 0 {
			return usageError{"pause", fmt.Sprintf(s.words.Ctl.BadDuration, rest[0])}
		}
	}
	c, err := s.companion(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // everything has been answered
	if err := c.Pause(ctx, d); err != nil {
		return err
	}
	if d == 0 {
		s.say("%s", s.words.Ctl.PausedOpen)
		return nil
	}
	now := time.Now()
	s.say(s.words.Ctl.PausedUntil, s.words.Clock(now.Add(d), now))
	return nil
}

// tell runs a verb without an answer on the running companion.
func (s *shell) tell(ctx context.Context, verb string, args []string, missing string, call func(c clientCalls, arg string) error, said string) error {
	most := 0
	if missing != "" {
		most = 1
	}
	rest, err := s.parse(flags(verb), args, most, most, missing)
	if err != nil {
		return err
	}
	c, err := s.companion(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // everything has been answered
	arg := ""
	if len(rest) > 0 {
		arg = rest[0]
	}
	if err := call(c, arg); err != nil {
		return err
	}
	if said != "" {
		s.say("%s", said)
	}
	return nil
}

// clientCalls are the methods that answer nothing.
type clientCalls interface {
	Resume(ctx context.Context) error
	Cancel(ctx context.Context, id string) error
	TryNow(ctx context.Context, id string) error
	Stop(ctx context.Context) error
}

func (s *shell) resume(ctx context.Context, args []string) error {
	return s.tell(ctx, "resume", args, "", func(c clientCalls, _ string) error { return c.Resume(ctx) }, s.words.Ctl.Resumed)
}

func (s *shell) cancel(ctx context.Context, args []string) error {
	return s.tell(ctx, "cancel", args, "ID", func(c clientCalls, id string) error { return c.Cancel(ctx, id) }, "")
}

func (s *shell) try(ctx context.Context, args []string) error {
	return s.tell(ctx, "try", args, "ID", func(c clientCalls, id string) error { return c.TryNow(ctx, id) }, "")
}

func (s *shell) stop(ctx context.Context, args []string) error {
	return s.tell(ctx, "stop", args, "", func(c clientCalls, _ string) error { return c.Stop(ctx) }, s.words.Ctl.StopWhenUploaded)
}

func (s *shell) hosts(ctx context.Context, args []string) error {
	fs := flags("hosts")
	asJSON := fs.Bool("json", false, "")
	rest, err := s.parse(fs, args, 0, 2, "")
	if err != nil {
		return err
	}
	verb, host := "list", ""
	if len(rest) > 0 {
		verb = rest[0]
	}
	switch verb {
	case "list", "suggest":
		if len(rest) > 1 {
			return usageError{"hosts", fmt.Sprintf(s.words.Ctl.TooMany, rest[1])}
		}
	case "add", "remove":
		if len(rest) < 2 {
			return usageError{"hosts", fmt.Sprintf(s.words.Ctl.MissingArgument, "HOST")}
		}
		host = rest[1]
	default:
		return usageError{"hosts", fmt.Sprintf(s.words.Ctl.UnknownVerb, "hosts "+verb)}
	}
	svc, running, done, err := s.service(ctx)
	if err != nil {
		return err
	}
	defer done()
	doc, err := svc.Hosts(ctx, verb, host)
	if err != nil {
		return err
	}
	if *asJSON {
		fmt.Fprintln(s.out, doc)
		return nil
	}
	if verb == "suggest" {
		return s.suggestions(doc)
	}
	var d companion.HostsDocument
	if err := ask(&d)(doc, nil); err != nil {
		return err
	}
	if verb != "list" {
		name, err := companion.ParseHost(host, s.words)
		if err != nil {
			return err
		}
		c := s.words.Ctl
		s.say(map[bool]map[string]string{
			true:  {"add": c.HostAdded, "remove": c.HostRemoved},
			false: {"add": c.HostThere, "remove": c.HostMissing},
		}[d.Changed][verb], name)
		if !running && d.Changed {
			s.say(c.AutoFixFile, s.paths.Config)
		}
		if verb == "remove" && !d.Changed {
			return errTold
		}
		return nil
	}
	if len(d.Hosts) == 0 {
		fmt.Fprintln(s.err, s.words.Ctl.NoHosts)
	}
	for _, h := range d.Hosts {
		file := h.CAFile
		if file == "" {
			file = s.words.Ctl.HostNoCA
		}
		s.say("%s\t%s", words.Plain(h.Host, 0), file)
	}
	return nil
}

// suggestions prints upload servers that files were sent to before. Adding one is left to the person.
func (s *shell) suggestions(doc string) error {
	var d companion.SuggestDocument
	if err := ask(&d)(doc, nil); err != nil {
		return err
	}
	if len(d.Suggestions) == 0 {
		s.say("%s", s.words.Setup.SuggestNone)
	}
	for _, h := range d.Suggestions {
		names := make([]string, len(h.Clients))
		for i, c := range h.Clients {
			names[i] = words.ClientName(c)
		}
		form := s.words.Setup.SuggestNew
		if h.Listed {
			form = s.words.Setup.SuggestListed
		}
		s.say(form, words.Plain(h.Host, 0), h.Files, strings.Join(names, ", "))
	}
	return nil
}
