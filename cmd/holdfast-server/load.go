package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// problem is one thing that is wrong with a configuration. Its text names the file and, where there is one, the line.
type problem struct {
	file string
	line int // 0: the file as a whole
	text string
}

func (p problem) Error() string {
	if p.line > 0 {
		return fmt.Sprintf("%s:%d: %s", p.file, p.line, p.text)
	}
	return p.file + ": " + p.text
}

// load reads and validates a configuration. The error lists everything that is wrong.
func load(path string) (*config, error) {
	c, problems := inspect(path)
	if len(problems) > 0 {
		errs := make([]error, len(problems))
		for i, p := range problems {
			errs[i] = p
		}
		return nil, errors.Join(errs...)
	}
	return c, nil
}

// inspect is load for somebody who wants to look further: c holds what could be read, nil if nothing could.
func inspect(path string) (*config, []problem) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, []problem{{file: path, text: "read the configuration: " + errors.Unwrap(err).Error()}}
	}
	c, problems := decode(b, path)
	if c == nil {
		return nil, problems
	}
	c.file = path
	slices.SortStableFunc(problems, func(a, b problem) int { return a.line - b.line })
	for _, p := range c.validate() {
		// A value that could not be read is missing now; that was said.
		if !slices.ContainsFunc(problems, func(q problem) bool { return sameKey(p.text, q.text) }) {
			p.line = lineOf(b, p.text)
			problems = append(problems, p)
		}
	}
	return c, problems
}

// decode turns the text into a config. A value that cannot be read is noted and left out, so that one mistake does not
// hide the next; nil: the text is not TOML.
func decode(b []byte, path string) (*config, []problem) {
	var problems []problem
	for {
		c, more, again := decodeOnce(b, path)
		problems = append(problems, more...)
		if !again {
			return c, problems
		}
		line := more[0].line
		lines := bytes.SplitAfter(b, []byte("\n"))
		if line < 1 || line > len(lines) || len(bytes.TrimSpace(lines[line-1])) == 0 {
			return nil, problems
		}
		lines[line-1] = []byte("\n")
		b = bytes.Join(lines, nil)
	}
}

// decodeOnce reports the first value that cannot be read (again: without its line there may be more), or all unknown keys.
func decodeOnce(b []byte, path string) (c *config, problems []problem, again bool) {
	c = defaults()
	d := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields()
	err := d.Decode(c)
	var unknown *toml.StrictMissingError
	var bad *toml.DecodeError
	switch {
	case err == nil:
		return c, bareNumbers(b, path), false
	case errors.As(err, &unknown):
		problems = bareNumbers(b, path)
		for i := range unknown.Errors {
			line, _ := unknown.Errors[i].Position()
			problems = append(problems, problem{path, line, unknownKey(unknown.Errors[i].Key())})
		}
		return c, problems, false
	case errors.As(err, &bad):
		line, _ := bad.Position()
		text := strings.TrimPrefix(bad.Error(), "toml: ")
		key := strings.Join(bad.Key(), ".")
		if i := strings.Index(text, " into struct field "); i > 0 && strings.HasPrefix(text, "cannot decode TOML ") {
			text = "a TOML " + strings.TrimPrefix(text[:i], "cannot decode TOML ") + " does not belong here; docs/config.md shows the form"
		}
		if key != "" {
			text = key + ": " + text
		}
		return nil, []problem{{path, line, text}}, key != ""
	}
	return nil, []problem{{path, 0, strings.TrimPrefix(err.Error(), "toml: ")}}, false
}

// sameKey reports whether two problems begin with the same key.
func sameKey(a, b string) bool {
	word := func(s string) string {
		s, _, _ = strings.Cut(s, " ")
		return strings.TrimSuffix(s, ":")
	}
	return word(a) == word(b)
}

// unknownKey says what is wrong with a key that config does not have, and what may have been meant.
func unknownKey(key toml.Key) string {
	tables := keys()
	if len(key) == 0 {
		return "unknown key"
	}
	name := key[len(key)-1]
	table := strings.Join(key[:len(key)-1], ".")
	where := " in [" + table + "]"
	if table == "" {
		where = " outside of any table"
	}
	text := fmt.Sprintf("unknown key %q%s", name, where)
	if len(key) == 1 && nearest(name, tableNames(tables)) != "" {
		return fmt.Sprintf("unknown table [%s]; did you mean [%s]?", name, nearest(name, tableNames(tables)))
	}
	if known, ok := tables[table]; ok {
		if n := nearest(name, known); n != "" {
			return fmt.Sprintf("%s; did you mean %q?", text, n)
		}
	} else if n := nearest(table, tableNames(tables)); n != "" {
		return fmt.Sprintf("unknown table [%s]; did you mean [%s]?", table, n)
	}
	for _, t := range tableNames(tables) {
		if slices.Contains(tables[t], name) {
			return fmt.Sprintf("%s; it belongs into [%s]", text, t)
		}
	}
	return text
}

// keys lists the keys of every table of config.
func keys() map[string][]string {
	out := map[string][]string{}
	var walk func(table string, t reflect.Type)
	walk = func(table string, t reflect.Type) {
		for i := range t.NumField() {
			f := t.Field(i)
			name := f.Tag.Get("toml")
			if name == "" {
				continue
			}
			full := strings.TrimPrefix(table+"."+name, ".")
			switch {
			case f.Type.Kind() == reflect.Struct && table == "":
				walk(full, f.Type)
			case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct && strings.HasSuffix(f.Type.Elem().Name(), "Config"):
				walk(full, f.Type.Elem())
			default:
				out[table] = append(out[table], name)
			}
		}
	}
	walk("", reflect.TypeFor[config]())
	return out
}

func tableNames(tables map[string][]string) []string {
	var out []string
	for t := range tables {
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}

// nearest returns the candidate that is at most a third of its letters away from word, or the only one of which word is
// the beginning; empty: none.
func nearest(word string, candidates []string) string {
	word = strings.ToLower(word)
	best, least := "", 1<<30
	var begun []string
	for _, c := range candidates {
		if d := distance(word, c); d < least && d <= max(1, len(c)/3) {
			best, least = c, d
		}
		if len(word) > 2 && strings.HasPrefix(c, word) {
			begun = append(begun, c)
		}
	}
	if best == "" && len(begun) == 1 {
		return begun[0]
	}
	return best
}

// distance is how many letters are wrong, missing, too many, or changed places with their neighbour.
func distance(a, b string) int {
	older, old, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		older, old, row = old, row, older
		row[0] = i + 1
		for j := range len(b) {
			cost := old[j]
			if a[i] != b[j] {
				cost++
			}
			row[j+1] = min(cost, row[j]+1, old[j+1]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], older[j-1]+1)
			}
		}
	}
	return row[len(b)]
}

// validate checks what a single value cannot tell, and makes file names absolute.
func (c *config) validate() []problem {
	var out []problem
	say := func(format string, args ...any) {
		out = append(out, problem{file: c.file, text: fmt.Sprintf(format, args...)})
	}
	for _, p := range []*string{&c.TLS.Cert, &c.TLS.Key, &c.Storage.Path, &c.Storage.State, &c.Auth.SecretFile, &c.Log.File} {
		*p = c.abs(*p)
	}
	for i := range c.Auth.Issuers {
		c.Auth.Issuers[i].SecretFile = c.abs(c.Auth.Issuers[i].SecretFile)
	}
	if _, _, err := listenAddr(c.Server.Listen); err != nil {
		say("server.listen: %v", err)
	}
	if c.Server.MetricsListen != "" {
		if _, _, err := listenAddr(c.Server.MetricsListen); err != nil {
			say("server.metrics_listen: %v", err)
		}
	}
	if err := publicURL(c.Server.PublicURL); err != nil {
		say("server.public_url: %v", err)
	}
	if c.Server.ProxyProtocol && len(c.Server.TrustedProxies) == 0 {
		say("server.proxy_protocol needs trusted_proxies: only from them the header is read")
	}
	if c.Server.IdleTimeout <= 0 {
		say("server.idle_timeout must be longer than zero")
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		say("tls.cert and tls.key belong together: set both, or none for plain http")
	}
	if c.Storage.Path == "" || c.Storage.State == "" {
		say("storage.path and storage.state must name folders")
	} else if c.Storage.Path == c.Storage.State || within(c.Storage.State, c.Storage.Path) {
		say("storage.state must lie outside of storage.path, whose files are served")
	}
	if c.Limits.IncompletePerSource < 1 || c.Limits.IncompleteBytes < 1 {
		say("limits.incomplete_per_source and limits.incomplete_bytes must be at least 1")
	}
	if c.Storage.SyncBytes < 1 || c.Storage.SyncEvery <= 0 {
		say("storage.sync_bytes and storage.sync_every must be more than zero")
	}
	if c.servesTables() {
		out = append(out, c.validateAuth()...)
	}
	return append(out, c.validateSites()...)
}

// validateAuth checks that every scheme has a secret and the other way round.
func (c *config) validateAuth() []problem {
	var out []problem
	say := func(format string, args ...any) {
		out = append(out, problem{file: c.file, text: fmt.Sprintf(format, args...)})
	}
	a := c.Auth
	top := len(a.Secrets) > 0 || a.SecretFile != ""
	switch {
	case len(a.Schemes) == 0 && len(a.Issuers) == 0:
		say("auth.schemes is missing: name what your XMPP server signs with, for example [\"v2\"] (v, v2, token, v3, bearer, jwt)")
	case len(a.Schemes) == 0 && top:
		say("auth.schemes is missing for auth.secrets")
	}
	if !top && (len(a.Schemes) > 0 || len(a.Issuers) == 0) {
		say("auth.secrets or auth.secret_file is missing: the secret that the XMPP server signs with")
	}
	for i, is := range a.Issuers {
		if len(is.Schemes) == 0 {
			say("auth.issuer %d: schemes is missing", i+1)
		}
		if len(is.Secrets) == 0 && is.SecretFile == "" {
			say("auth.issuer %d: secrets or secret_file is missing", i+1)
		}
	}
	return out
}

// abs makes a file name absolute; a relative one is meant from the folder of the configuration.
func (c *config) abs(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	p = filepath.Join(filepath.Dir(c.file), p)
	if a, err := filepath.Abs(p); err == nil {
		return a
	}
	return p
}

// within reports whether path lies below dir.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
