package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

const importHelp = `
holdfast-server import reads a configuration of hmac-file-server (old and new key names) and prints ours. What has no
counterpart is listed with the reason, on standard error and as comments at the end. A file that standard output is
redirected to is made private (mode 0600), since it holds the secret.

Example:
  holdfast-server import /etc/hmac-file-server/config.toml -out /etc/holdfast/server.toml
  holdfast-server check -config /etc/holdfast/server.toml
`

// importConfig translates a configuration of hmac-file-server.
func importConfig(args []string, stdout, stderr io.Writer) error {
	f := flags("import", importHelp, stderr)
	out := f.String("out", "", "`FILE` to write instead of standard output; it must not exist yet")
	rest, help, err := parse(f, args, 1)
	if help || err != nil {
		return err
	}
	if len(rest) == 0 {
		return usageError{errors.New("the hmac-file-server configuration is missing: holdfast-server import FILE")}
	}
	b, err := os.ReadFile(rest[0])
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	im, err := translate(b, rest[0])
	if err != nil {
		return usageError{err}
	}
	text := im.text(rest[0])
	if _, problems := decode([]byte(text), "the imported configuration"); len(problems) > 0 {
		return usageError{problems[0]}
	}
	for _, n := range im.notes {
		fmt.Fprintln(stderr, n)
	}
	if *out != "" {
		return writeNew(*out, text)
	}
	if f, ok := stdout.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			if err := f.Chmod(0o600); err != nil {
				return fmt.Errorf("make the output private: %w", err)
			}
		}
	}
	_, err = io.WriteString(stdout, text)
	return err
}

// imported collects our keys by table, in the order they are set, and what could not be brought over.
type imported struct {
	values map[string][]string // table -> lines "key = value"
	notes  []string
	old    map[string]any // flat: "section.key", folded
	names  map[string]string
	used   map[string]bool
}

// translate reads a configuration of hmac-file-server.
func translate(b []byte, file string) (*imported, error) {
	var doc map[string]any
	if err := toml.Unmarshal(b, &doc); err != nil {
		var bad *toml.DecodeError
		if errors.As(err, &bad) {
			line, _ := bad.Position()
			return nil, problem{file, line, strings.TrimPrefix(bad.Error(), "toml: ")}
		}
		return nil, problem{file, 0, err.Error()}
	}
	im := &imported{values: map[string][]string{}, old: map[string]any{}, names: map[string]string{}, used: map[string]bool{}}
	for _, section := range slices.Sorted(maps.Keys(doc)) { // in order: of two spellings of a key the same one counts each time
		keys, ok := doc[section].(map[string]any)
		if !ok {
			im.put(section, doc[section])
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			im.put(section+"."+key, keys[key])
		}
	}
	im.network()
	im.storage()
	im.auth()
	im.grace()
	im.limits()
	im.logging()
	im.rest()
	return im, nil
}

// fold makes old and new spellings one: listen_port, ListenPort and listenport.
func fold(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
}

func (im *imported) put(name string, v any) {
	k := fold(name)
	im.old[k], im.names[k] = v, name
}

// flat are the tables whose keys stood outside of any table in the first versions.
var flat = [...]string{"server.", "security.", "timeouts.", "uploads."}

// spellings are the folded names a key may have: its own, and for the flat files of the first versions the bare one.
func spellings(name string) []string {
	for _, table := range flat {
		if bare, ok := strings.CutPrefix(name, table); ok {
			return []string{name, bare}
		}
	}
	return []string{name}
}

// take returns the first of the old keys that is set, as text, and marks all of them as dealt with.
func (im *imported) take(names ...string) (string, bool) {
	found, ok := "", false
	for _, name := range names {
		for _, n := range spellings(name) {
			v, have := im.old[n]
			if !have {
				continue
			}
			im.used[n] = true
			if text := strings.TrimSpace(fmt.Sprint(v)); !ok && text != "" {
				found, ok = text, true
			}
		}
	}
	return found, ok
}

// name is how the old file spells the first of the keys that it has.
func (im *imported) name(names ...string) string {
	for _, name := range names {
		for _, n := range spellings(name) {
			if written, ok := im.names[n]; ok {
				return written
			}
		}
	}
	return names[0]
}

// on reports a boolean key.
func (im *imported) on(fallback bool, names ...string) bool {
	v, ok := im.take(names...)
	if !ok {
		return fallback
	}
	return strings.EqualFold(v, "true")
}

func (im *imported) set(table, key, format string, args ...any) {
	im.values[table] = append(im.values[table], fmt.Sprintf("%s = %s", key, fmt.Sprintf(format, args...)))
}

// quote writes a basic string of TOML; Go's own quoting has escapes that TOML lacks.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, "\\u%04X", r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func (im *imported) note(format string, args ...any) {
	im.notes = append(im.notes, fmt.Sprintf(format, args...))
}

// text is the configuration file.
func (im *imported) text(from string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# holdfast-server, imported from %s. docs/config.md explains every key.\n", oneLine(from))
	for _, table := range []string{"server", "tls", "storage", "auth", "grace", "limits", "log"} {
		if lines := im.values[table]; len(lines) > 0 {
			fmt.Fprintf(&b, "[%s]\n%s\n\n", table, strings.Join(lines, "\n"))
		}
	}
	b.WriteString("# What was not brought over, and why:\n")
	for _, n := range im.notes {
		b.WriteString("# " + oneLine(n) + "\n")
	}
	return b.String()
}

// oneLine makes text fit for a comment, which holds no control character.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// reasons says why a key, or a whole section, has no counterpart.
var reasons = [...]struct{ key, why string }{
	{"uploads.allowedextensions", "files are never run or shown as anything but their declared type, so endings need no list"},
	{"downloads.allowedextensions", "files are never run or shown as anything but their declared type, so endings need no list"},
	{"uploads.", "pieces and pauses are a matter of the transfer, not of the configuration; resuming needs no key"},
	{"downloads.", "ranges (RFC 9110) are always on"},
	{"security.jwt", "that JWT names no file; ours (scheme jwt) is the one of Prosody mod_http_file_share"},
	{"security.enablejwt", "that JWT names no file; ours (scheme jwt) is the one of Prosody mod_http_file_share"},
	{"security.ratelimiting", "limits of requests belong into the reverse proxy"},
	{"security.max", "limits of requests belong into the reverse proxy"},
	{"security.", "nothing here decides on it"},
	{"auth.", "nothing here decides on it"},
	{"timeouts.", "there is no limit on the whole of a transfer, only idle_timeout on its progress"},
	{"networkresilience.", "a changed address never ends an upload; there is nothing to tune"},
	{"clientnetworksupport.", "identities and their addresses are remembered always, for the grace windows only"},
	{"clamav.", "files are not scanned; most of them are encrypted by the client"},
	{"redis.", "the state lies in storage.state; no other service is needed"},
	{"workers.", "there are no workers to size"},
	{"versioning.", "a stored file never changes, so there are no versions"},
	{"deduplication.", "it is off; storage.dedup switches it on"},
	{"iso.", "files lie in plain folders"},
	{"ejabberd.", "set the XMPP server up by `holdfast-server init -issuer ejabberd`"},
	{"logging.", "rotation is done outside (logrotate and SIGHUP)"},
	{"log.", "rotation is done outside (logrotate and SIGHUP)"},
	{"metrics.", "all metrics are on when metrics_listen is set"},
	{"storage.", "nothing here decides on it"},
	{"server.metrics", "all metrics are on when metrics_listen is set"},
	{"server.pidfile", "the service manager keeps the process id"},
	{"server.deduplication", "it is off; storage.dedup switches it on"},
	{"server.networkevents", "a server needs not watch its own network"},
	{"server.filenaming", "files are named as in their URL"},
	{"server.maxheaderbytes", "the head of a request may have 32 KiB"},
	{"server.proxyprotocol", "set server.proxy_protocol and name the proxy in trusted_proxies; version 2 is spoken"},
	{"server.autoadjustworkers", "there are no workers to size"},
	{"server.enabledynamicworkers", "there are no workers to size"},
	{"server.workerscale", "there are no workers to size"},
	{"server.globalextensions", "files are never run or shown as anything but their declared type, so endings need no list"},
	{"server.precach", "the kernel caches files"},
	{"server.cleanup", "leftovers are removed at the start, ended files by themselves"},
	{"server.chunk", "pieces and pauses are a matter of the transfer, not of the configuration; resuming needs no key"},
	{"server.resumable", "pieces and pauses are a matter of the transfer, not of the configuration; resuming needs no key"},
	{"server.maxretries", "the client or the relay tries again, not the server"},
	{"server.retrydelay", "the client or the relay tries again, not the server"},
	{"server.fallback", "the state lies in storage.state; no other service is needed"},
	{"server.enableversioning", "a stored file never changes, so there are no versions"},
	{"server.maxversions", "a stored file never changes, so there are no versions"},
	{"server.throttle", "limits of requests belong into the reverse proxy"},
	{"server.blockafter", "limits of requests belong into the reverse proxy"},
	{"build.", "it describes the other program"},
}

// rest lists every key that nothing took.
func (im *imported) rest() {
	var left []string
	for k := range im.old {
		if !im.used[k] {
			left = append(left, k)
		}
	}
	slices.Sort(left)
	for _, k := range left {
		why := "there is nothing like it"
		for _, r := range reasons {
			bare := !strings.Contains(k, ".")
			if strings.HasPrefix(k, r.key) || bare && (strings.HasPrefix("server."+k, r.key) || strings.HasPrefix(k, strings.TrimSuffix(r.key, "."))) {
				why = r.why
				break
			}
		}
		im.note("no counterpart for %s: %s", im.names[k], why)
	}
}
