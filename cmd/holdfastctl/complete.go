package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"holdfast"
	"holdfast/app/words"
)

// choice is what can follow one command, read from its usage line, so that it never differs from the help.
type choice struct {
	verb    string
	summary string
	after   []string // flags and fixed words
}

var (
	flagWord  = regexp.MustCompile(`^--?[a-z][a-z-]*$`)
	fixedWord = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
)

// choices reads the usage lines.
func choices(h words.Help) []choice {
	out := make([]choice, len(h.Verbs))
	for i, v := range h.Verbs {
		c := choice{verb: v.Name, summary: v.Summary}
		tokens := strings.FieldsFunc(v.Usage, func(r rune) bool { return strings.ContainsRune(" []|()", r) })
		for _, t := range tokens {
			if (flagWord.MatchString(t) || fixedWord.MatchString(t)) && t != v.Name && !slices.Contains(c.after, t) {
				c.after = append(c.after, t)
			}
		}
		if v.Name == "help" {
			for _, other := range h.Verbs {
				c.after = append(c.after, other.Name)
			}
		}
		c.after = append(c.after, "--help")
		out[i] = c
	}
	return out
}

// completion prints a script that completes commands in a shell.
func (s *shell) completion(_ context.Context, args []string) error {
	rest, err := s.parse(flags("completion"), args, 1, 1, "bash|zsh|fish")
	if err != nil {
		return err
	}
	write, ok := map[string]func([]choice) string{"bash": bash, "zsh": zsh, "fish": fish}[rest[0]]
	if !ok {
		return usageError{"completion", fmt.Sprintf(s.words.Ctl.UnknownVerb, "completion "+rest[0])}
	}
	s.say("%s", strings.TrimSuffix(write(choices(s.words.Help)), "\n"))
	return nil
}

func names(cs []choice) string {
	list := make([]string, len(cs))
	for i, c := range cs {
		list[i] = c.verb
	}
	return strings.Join(list, " ")
}

func bash(cs []choice) string {
	var b strings.Builder
	b.WriteString(`# bash completion for holdfastctl
_holdfastctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} words=
	if [ "$COMP_CWORD" -eq 1 ]; then
		words="` + names(cs) + `"
	else
		case ${COMP_WORDS[1]} in
`)
	for _, c := range cs {
		fmt.Fprintf(&b, "\t\t%s) words=%q ;;\n", c.verb, strings.Join(c.after, " "))
	}
	b.WriteString(`		esac
	fi
	COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _holdfastctl holdfastctl
`)
	return b.String()
}

func zsh(cs []choice) string {
	var b strings.Builder
	b.WriteString("#compdef holdfastctl\n_holdfastctl() {\n\tlocal -a verbs\n\tverbs=(\n")
	for _, c := range cs {
		fmt.Fprintf(&b, "\t\t%s\n", quoted(c.verb+":"+strings.ReplaceAll(c.summary, ":", `\:`)))
	}
	b.WriteString("\t)\n\tif (( CURRENT == 2 )); then\n\t\t_describe command verbs\n\t\treturn\n\tfi\n\tcase $words[2] in\n")
	for _, c := range cs {
		fmt.Fprintf(&b, "\t%s) compadd -- %s ;;\n", c.verb, strings.Join(c.after, " "))
	}
	b.WriteString("\tesac\n\t_files\n}\ncompdef _holdfastctl holdfastctl\n")
	return b.String()
}

func fish(cs []choice) string {
	var b strings.Builder
	b.WriteString("# fish completion for holdfastctl\n")
	for _, c := range cs {
		fmt.Fprintf(&b, "complete -c holdfastctl -n __fish_use_subcommand -f -a %s -d %s\n", c.verb, quoted(c.summary))
		fmt.Fprintf(&b, "complete -c holdfastctl -n %s -a %s\n", quoted("__fish_seen_subcommand_from "+c.verb), quoted(strings.Join(c.after, " ")))
	}
	return b.String()
}

// quoted is s in single quotes of a shell.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// manual is the page of the manual (man(7)) for all commands.
func manual(h words.Help) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH HOLDFASTCTL 1 \"\" \"Holdfast %s\" \"Holdfast\"\n", roff(holdfast.Version()))
	fmt.Fprintf(&b, ".SH NAME\nholdfastctl \\- %s\n", roff(strings.TrimSuffix(h.Intro, ".")))
	b.WriteString(".SH SYNOPSIS\n")
	for _, v := range h.Verbs {
		fmt.Fprintf(&b, ".B holdfastctl\n%s\n.br\n", roff(v.Usage))
	}
	fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n%s\n", roff(h.Intro), roff(h.More))
	b.WriteString(".SH COMMANDS\n")
	for _, v := range h.Verbs {
		fmt.Fprintf(&b, ".SS %s\n%s.\n", roff(v.Usage), roff(v.Summary))
		if v.Text != "" {
			fmt.Fprintf(&b, ".PP\n%s\n", roff(v.Text))
		}
		fmt.Fprintf(&b, ".PP\n%s:\n.PP\n.nf\n.RS\n%s\n.RE\n.fi\n", roff(h.Sample), roff(v.Example))
	}
	fmt.Fprintf(&b, ".SH \"EXIT STATUS\"\n%s\n", roff(h.Exits))
	b.WriteString(".SH FILES\n.TP\n.I $XDG_CONFIG_HOME/holdfast/config.toml\n.TP\n.I $XDG_STATE_HOME/holdfast\n.TP\n.I $XDG_RUNTIME_DIR/holdfast/control.sock\n")
	b.WriteString(".SH \"SEE ALSO\"\n.BR holdfast (1)\n")
	return b.String()
}

// roff makes text that means itself in a page of the manual.
func roff(s string) string {
	s = strings.ReplaceAll(s, `\`, `\e`)
	s = strings.ReplaceAll(s, "-", `\-`)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
