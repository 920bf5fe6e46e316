package route

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
)

// mark is the first line of every file of ours, so that one whose record was lost is still known.
const mark = "# Made by Holdfast. To take it away: holdfastctl route remove"

// ours says whether we made a file.
func ours(content []byte) bool {
	return strings.HasPrefix(strings.TrimPrefix(string(content), "#!/bin/sh\n"), mark+"\n")
}

// script starts a client with Holdfast, and as ever when Holdfast was removed.
func script(kind string, command []string) []byte {
	return []byte("#!/bin/sh\n" + mark + "\n" +
		"command -v holdfastctl >/dev/null && exec holdfastctl launch " + kind + " -- \"$@\"\n" +
		"exec " + quoteShell(command) + " \"$@\"\n")
}

func quoteShell(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		if w != "" && !strings.ContainsFunc(w, func(r rune) bool { return !plainRune(r) }) {
			out[i] = w
			continue
		}
		out[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(out, " ")
}

// plainRune is a character that no shell and no desktop entry treats in a special way.
func plainRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+,:@", r)
}

// errUnusual: an entry's command is not one that is understood; it is left alone.
var errUnusual = errors.New("the command is not understood")

// command is how a client is started by an entry: the words up to and with its program, or up to and with its id
// where a sandbox's launcher starts it. What follows are arguments.
func (c Client) command(words []string) ([]string, error) {
	for i, w := range words {
		base := filepath.Base(w)
		switch {
		case strings.HasPrefix(w, "%"), strings.HasPrefix(w, "@@"):
			return nil, errUnusual
		case base == c.Program, base == c.Kind, w == c.ID, i > 0 && slices.Contains([]string{"snap", "flatpak"}, filepath.Base(words[0])) && w == c.Kind:
			return words[:i+1], nil
		}
	}
	return nil, errUnusual
}

// entry makes the copy of a desktop entry whose commands begin with the script, and says how the client was started
// by it (Desktop Entry Specification 1.5). Everything else is the original's, byte for byte.
func (c Client) entry(original []byte, script string) (changed []byte, command []string, err error) {
	return c.rewrite(original, script, func(s string) ([]string, error) { return splitExec(unescape(s)) }, func(words []string) string {
		return escape(joinExec(words))
	})
}

// service makes the copy of a session bus service (D-Bus specification, Message Bus Starting Services). A unit of systemd
// in it would be started instead of the command.
func (c Client) service(original []byte, script string) (changed []byte, command []string, err error) {
	var kept []string
	for line := range strings.Lines(string(original)) {
		if k, _, ok := strings.Cut(line, "="); !ok || strings.TrimSpace(k) != "SystemdService" {
			kept = append(kept, line)
		}
	}
	return c.rewrite([]byte(strings.Join(kept, "")), script, splitShell, quoteShell)
}

func (c Client) rewrite(original []byte, script string, split func(string) ([]string, error), join func([]string) string) (changed []byte, command []string, err error) {
	out := []string{mark + "\n"}
	for line := range strings.Lines(string(original)) {
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.TrimSpace(key) != "Exec" {
			out = append(out, line)
			continue
		}
		words, err := split(strings.TrimSpace(value))
		if err != nil {
			return nil, nil, err
		}
		head, err := c.command(words)
		if err != nil {
			return nil, nil, err
		}
		if filepath.Clean(head[0]) == script {
			return nil, nil, errUnusual // a copy of ours that was copied
		}
		if command == nil {
			command = head
		}
		out = append(out, "Exec="+join(append([]string{script}, words[len(head):]...))+"\n")
	}
	if command == nil {
		return nil, nil, errUnusual
	}
	return []byte(strings.Join(out, "")), command, nil
}

// escape and unescape are the escapes of a string value.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 's':
			b.WriteByte(' ')
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
			b.WriteByte('\r')
		case '\\':
			b.WriteByte('\\')
		default:
			b.WriteByte('\\')
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(s)
}

// splitExec cuts an Exec line into words: separated by spaces, or whole in double quotes, in which a backslash stands
// before `"`, “`“, `$` and itself.
func splitExec(s string) ([]string, error) {
	var words []string
	for s = strings.TrimLeft(s, " "); s != ""; s = strings.TrimLeft(s, " ") {
		if s[0] != '"' {
			word, rest, _ := strings.Cut(s, " ")
			if strings.ContainsAny(word, "\"'\\<>~|&;$*?#()`\t\n") {
				return nil, errUnusual
			}
			words, s = append(words, word), rest
			continue
		}
		var b strings.Builder
		i := 1
		for ; i < len(s) && s[i] != '"'; i++ {
			if s[i] == '\\' && i+1 < len(s) {
				i++
			}
			b.WriteByte(s[i])
		}
		if i >= len(s) || i+1 < len(s) && s[i+1] != ' ' {
			return nil, errUnusual
		}
		words, s = append(words, b.String()), s[i+1:]
	}
	if len(words) == 0 {
		return nil, errUnusual
	}
	return words, nil
}

// joinExec is the opposite. The first word is a path, in which a percent sign is no field code.
func joinExec(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		if i == 0 {
			w = strings.ReplaceAll(w, "%", "%%")
		}
		if w != "" && !strings.ContainsFunc(w, func(r rune) bool { return !plainRune(r) && r != '%' && r != '=' }) {
			out[i] = w
			continue
		}
		out[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", `$`, `\$`).Replace(w) + `"`
	}
	return strings.Join(out, " ")
}

// splitShell cuts a service's command into words; of a shell's quoting only quotes and backslashes are known.
func splitShell(s string) ([]string, error) {
	var words []string
	var b strings.Builder
	inWord, quote := false, byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote == '\'' && c != '\'', quote == '"' && c != '"' && c != '\\':
			b.WriteByte(c)
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, inWord = c, true
		case c == '\\':
			if i+1 == len(s) {
				return nil, errUnusual
			}
			i++
			b.WriteByte(s[i])
			inWord = true
		case c == ' ' || c == '\t':
			if inWord {
				words = append(words, b.String())
				b.Reset()
				inWord = false
			}
		case strings.IndexByte("$`;|&<>()#*?~", c) >= 0:
			return nil, errUnusual
		default:
			b.WriteByte(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, errUnusual
	}
	if inWord {
		words = append(words, b.String())
	}
	if len(words) == 0 {
		return nil, errUnusual
	}
	return words, nil
}
