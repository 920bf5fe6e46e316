package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"holdfast"
)

// overview prints all commands.
func (s *shell) overview(to io.Writer) {
	h := s.words.Help
	fmt.Fprintf(to, "%s\n\n", h.Intro)
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, v := range h.Verbs {
		fmt.Fprintf(w, "  %s\t%s\n", v.Name, v.Summary)
	}
	_ = w.Flush() // what cannot be printed cannot be complained about either
	fmt.Fprintf(to, "\n%s\n%s\n", h.More, h.Exits)
}

// help explains one command, or lists all.
func (s *shell) help(args []string) error {
	if len(args) == 0 {
		s.overview(s.out)
		return nil
	}
	h := s.words.Help
	if args[0] == "--man" {
		s.say("%s", strings.TrimSuffix(manual(h), "\n"))
		return nil
	}
	v, ok := h.Verb(args[0])
	if !ok {
		return usageError{"", fmt.Sprintf(s.words.Ctl.UnknownVerb, args[0])}
	}
	s.say("%s: holdfastctl %s\n", h.Usage, v.Usage)
	if v.Text != "" {
		s.say("%s\n", wrap(v.Text, 78))
	} else {
		s.say("%s.\n", strings.ToUpper(v.Summary[:1])+v.Summary[1:])
	}
	s.say("%s:\n  %s\n", h.Sample, strings.ReplaceAll(v.Example, "\n", "\n  "))
	s.say("%s", h.Exits)
	return nil
}

// wrap breaks a paragraph into lines.
func wrap(text string, width int) string {
	var out strings.Builder
	column := 0
	for i, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case i == 0:
		case column+1+n > width:
			out.WriteByte('\n')
			column = 0
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += n
	}
	return out.String()
}

func (s *shell) version(_ context.Context, args []string) error {
	if _, err := s.parse(flags("version"), args, 0, 0, ""); err != nil {
		return err
	}
	s.say("holdfastctl %s", holdfast.Version())
	return nil
}
