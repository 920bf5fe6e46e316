package route

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// wanted is one file as a way wants it.
type wanted struct {
	path    string
	content []byte
	perm    fs.FileMode
	reason  Reason
	kind    string
	command []string
	undo    string
	bundle  string
	skip    Reason // it cannot be made; why
}

// Make says what installing a way, or removing it, would do. It changes nothing.
func (m Machine) Make(mode Mode, remove bool) (Plan, error) {
	p := Plan{Mode: mode, Remove: remove}
	if !slices.Contains(Modes(), mode) {
		return p, fmt.Errorf("%w %q", ErrUnknownMode, mode)
	}
	l, err := m.load(mode)
	if err != nil {
		return p, err
	}
	if remove {
		p.Steps, err = m.removal(l)
	} else {
		p.Steps, err = m.install(l)
	}
	p.ID = m.id(p)
	return p, err
}

// id names a plan by everything that it depends on.
func (m Machine) id(p Plan) string {
	var b strings.Builder
	for _, s := range p.Steps {
		if s.Action == MakeFolder || s.Action == RemoveFolder {
			continue // they follow from the files, and the record itself needs a folder
		}
		content := hash(s.content)
		if s.undo == "gajim" {
			content = m.Listen // a database is not always written with the same bytes
		}
		fmt.Fprintf(&b, "%q %q %q %q %q %q\n", s.Action, s.Path, s.Mode, s.Value, s.before, content)
	}
	return string(p.Mode) + "-" + direction(p.Remove) + "-" + hash([]byte(b.String()))[:24]
}

func direction(remove bool) string {
	if remove {
		return "remove"
	}
	return "install"
}

// Parse reads mode and direction of a plan's id.
func Parse(id string) (mode Mode, remove bool, err error) {
	parts := strings.Split(id, "-")
	if len(parts) != 3 || parts[1] != "install" && parts[1] != "remove" || !slices.Contains(Modes(), Mode(parts[0])) {
		return "", false, fmt.Errorf("%w: %q is no plan", ErrStale, id)
	}
	return Mode(parts[0]), parts[1] == "remove", nil
}

// install lists what is missing of a way.
func (m Machine) install(l ledger) ([]Step, error) {
	if l.Mode == Gnome {
		return m.setSettings(l)
	}
	want, err := m.want(l)
	if err != nil {
		return nil, err
	}
	var steps []Step
	for _, w := range want {
		if w.skip != "" {
			steps = append(steps, Step{Action: Keep, Path: w.path, Reason: w.skip})
			continue
		}
		now, err := current(w.path)
		if err != nil {
			return nil, err
		}
		s := Step{
			Path: w.path, Reason: w.reason, Mode: fmt.Sprintf("%04o", w.perm), content: w.content, perm: w.perm,
			before: now.hash, command: w.command, kind: w.kind, undo: w.undo,
		}
		f := l.file(w.path)
		known := file{Path: w.path, SHA256: hash(w.content), Undo: w.undo, Kind: w.kind, Command: w.command, Bundle: w.bundle}
		switch {
		case f != nil && bytes.Equal(w.content, now.content) && now.perm == w.perm:
			continue
		case f != nil && now.there && (now.hash == f.SHA256 || f.Kept != "" && now.hash == f.Was):
			// Ours; or it was kept and recorded, and the change itself was cut off.
			s.Action, known.Kept, known.Was = Update, f.Kept, f.Was
		case f != nil && now.there && f.Undo == "":
			// Somebody has edited our copy: it is theirs now, and the script it may mention stays.
			steps = append(steps, Step{Action: Keep, Path: w.path, Reason: WasChanged})
			continue
		case f != nil && now.there:
			s.Action, known.Kept, known.Was = Update, f.Kept, f.Was
		case now.there && ours(now.content):
			s.Action = Update // its record was lost
		case now.there:
			s.Action, known.Was = Replace, now.hash
			known.Kept = keptName(w.path)
		default:
			s.Action = Write
			if f != nil {
				known.Kept, known.Was = f.Kept, f.Was
			}
		}
		if s.Action != Update {
			steps = append(steps, m.missing(steps, filepath.Dir(w.path))...)
		}
		s.file = &known
		steps = append(steps, s)
	}
	// What a way no longer wants goes: a client that was removed, for example.
	for _, f := range slices.Backward(l.Files) {
		if !slices.ContainsFunc(want, func(w wanted) bool { return w.path == f.Path }) {
			s, err := m.remove(f, NoOriginal)
			if err != nil {
				return nil, err
			}
			steps = append(steps, s)
		}
	}
	return steps, nil
}

// keptName is the name under which an original is kept.
func keptName(path string) string { return hash([]byte(path))[:16] + "-" + filepath.Base(path) }

// missing are the folders that are not there, outermost first.
func (m Machine) missing(steps []Step, dir string) []Step {
	var out []Step
	for _, dir := range absent(dir) {
		if slices.ContainsFunc(steps, func(s Step) bool { return s.Action == MakeFolder && s.Path == dir }) {
			continue
		}
		perm := fs.FileMode(0o755)
		if strings.HasPrefix(dir, filepath.Join(m.Data, "holdfast")) || dir == m.Data {
			perm = 0o700
		}
		out = append(out, Step{Action: MakeFolder, Path: dir, Reason: ForFolder, Mode: fmt.Sprintf("%04o", perm), perm: perm})
	}
	return out
}

// state is a file as it is now.
type state struct {
	there   bool
	content []byte
	hash    string
	perm    fs.FileMode
}

// current reads a file. A link is followed for its content: what programs read counts.
func current(path string) (state, error) {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err == nil && st.IsDir() {
		err = errors.New("it is a folder")
	}
	if err != nil {
		return state{}, fmt.Errorf("look at %s: %w", path, err)
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return state{there: true, hash: "dangling link"}, nil
	}
	if err != nil {
		return state{}, fmt.Errorf("look at %s: %w", path, err)
	}
	s := state{there: true, content: data, hash: hash(data), perm: st.Mode().Perm()}
	if st.Mode()&fs.ModeSymlink != 0 {
		s.hash = "link " + s.hash
	}
	return s, nil
}

// want lists the files of a way.
func (m Machine) want(l ledger) ([]wanted, error) {
	switch l.Mode {
	case Launcher:
		return m.wantLauncher(l)
	case Flatpak:
		return m.wantOverrides(l)
	case Gajim:
		return m.wantGajim(l)
	}
	return nil, fmt.Errorf("%w %q", ErrUnknownMode, l.Mode)
}

func (m Machine) wantLauncher(l ledger) ([]wanted, error) {
	var out []wanted
	found := false
	for _, c := range m.Clients {
		if slices.ContainsFunc(out, func(w wanted) bool { return w.kind == c.Kind }) {
			continue // natively and as a Flatpak: one entry of this name is in force, and it was found
		}
		program := filepath.Join(m.Data, "holdfast", "bin", c.Kind)
		entry, err := m.copied(l, "applications", c.ID+".desktop", ForEntry, func(b []byte) ([]byte, []string, error) { return c.entry(b, program) })
		if err != nil {
			return nil, err
		}
		service, err := m.copied(l, filepath.Join("dbus-1", "services"), c.ID+".service", ForService, func(b []byte) ([]byte, []string, error) { return c.service(b, program) })
		if err != nil {
			return nil, err
		}
		command := entry.command
		if command == nil {
			command = service.command
		}
		if command == nil && entry.skip == "" && service.skip == "" {
			continue // not installed
		}
		found = true
		if command != nil {
			out = append(out, wanted{path: program, content: script(c.Kind, command), perm: 0o755, reason: ForScript, kind: c.Kind, command: command})
		}
		for _, w := range []wanted{entry, service} {
			if w.command != nil || w.skip != "" {
				w.kind, w.command = c.Kind, nil
				out = append(out, w)
			}
		}
	}
	if !found && l.empty() {
		return nil, fmt.Errorf("%w: there is no desktop entry of Dino or Gajim", ErrNothingThere)
	}
	return out, nil
}

// copied makes our copy of an entry of a client. No command and no skip: there is no original.
func (m Machine) copied(l ledger, folder, name string, reason Reason, change func([]byte) ([]byte, []string, error)) (wanted, error) {
	w := wanted{path: filepath.Join(m.Data, folder, name), perm: 0o644, reason: reason}
	original, ok, err := m.original(l, folder, name)
	if err != nil || !ok {
		return w, err
	}
	w.content, w.command, err = change(original)
	if errors.Is(err, errUnusual) {
		w.skip, w.command = NotReadable, nil
		return w, nil
	}
	return w, err
}

// original finds the entry that would be in force without us: the person's own, else the first of the folders.
func (m Machine) original(l ledger, folder, name string) (content []byte, ok bool, err error) {
	mine := filepath.Join(m.Data, folder, name)
	if f := l.file(mine); f != nil {
		if f.Kept != "" {
			kept := filepath.Join(m.folder(), f.Kept)
			if to, err := os.Readlink(kept); err == nil { // it led on from where it was
				if kept = to; !filepath.IsAbs(to) {
					kept = filepath.Join(filepath.Dir(mine), to)
				}
			}
			if content, err = os.ReadFile(kept); err != nil {
				return nil, false, fmt.Errorf("look at what was kept: %w", err)
			}
			return content, true, nil
		}
	} else if now, err := current(mine); err != nil {
		return nil, false, err
	} else if now.there && now.content != nil && !ours(now.content) {
		return now.content, true, nil
	}
	for _, dir := range m.DataDirs {
		content, err = os.ReadFile(filepath.Join(dir, folder, name))
		if err == nil {
			return content, true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return nil, false, fmt.Errorf("look at the entries of clients: %w", err)
		}
	}
	return nil, false, nil
}

func (m Machine) wantOverrides(l ledger) ([]wanted, error) {
	var out []wanted
	for _, c := range m.Clients {
		if !c.Sandbox {
			continue
		}
		path := filepath.Join(m.Data, "flatpak", "overrides", c.ID)
		now, err := current(path)
		if err != nil {
			return nil, err
		}
		set, readable := m.sandboxed(c)
		content := now.content
		if f := l.file(path); f != nil { // first without what we put there last time
			content = withoutOverride(content, m.earlier(l, c), f.Bundle)
		}
		w := wanted{path: path, content: override(content, set, readable), perm: 0o644, reason: ForSandbox, kind: c.Kind, undo: "override", bundle: readable}
		if now.there {
			w.perm = now.perm
		}
		out = append(out, w)
	}
	if len(out) == 0 && l.empty() {
		return nil, fmt.Errorf("%w: neither Dino nor Gajim is installed as a Flatpak", ErrNothingThere)
	}
	return out, nil
}

// sandboxed is what a sandboxed client is given. GnuTLS in a sandbox asks the host for its certificates.
func (m Machine) sandboxed(c Client) (set map[string]string, readable string) {
	set = c.Environment(m.Listen, false)
	if c.OwnHTTP && m.Bundle != "" {
		set["SSL_CERT_FILE"], readable = m.Bundle, m.Bundle
	}
	return set, readable
}

// earlier is what it was given when the ledger was written.
func (m Machine) earlier(l ledger, c Client) map[string]string {
	set := c.Environment(l.Listen, false)
	if f := l.file(filepath.Join(m.Data, "flatpak", "overrides", c.ID)); f != nil && f.Bundle != "" {
		set["SSL_CERT_FILE"] = f.Bundle
	}
	return set
}

func (m Machine) running(kind string) bool { return m.Running == nil || m.Running(kind) }

func (m Machine) wantGajim(l ledger) ([]wanted, error) {
	if m.running("gajim") {
		return nil, fmt.Errorf("%w: quit Gajim first", ErrRunning)
	}
	path := m.gajimSettings()
	now, err := readGajim(path)
	if err != nil {
		return nil, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("look at Gajim's settings: %w", err)
	}
	w := wanted{path: path, content: now, perm: st.Mode().Perm(), reason: ForGajim, kind: "gajim", undo: "gajim"}
	if f := l.file(path); f != nil && f.SHA256 == hash(now) && l.Listen == m.Listen {
		return []wanted{w}, nil
	}
	if w.content, err = gajimProxy(now, m.Listen); err != nil {
		return nil, err
	}
	return []wanted{w}, nil
}

// setSettings lists the settings of the desktop that change.
func (m Machine) setSettings(l ledger) ([]Step, error) {
	if m.Settings == nil {
		return nil, fmt.Errorf("%w: this desktop has no proxy setting", ErrNothingThere)
	}
	host, port, ok := strings.Cut(m.Listen, ":")
	if n, err := strconv.Atoi(port); !ok || err != nil || n <= 0 {
		return nil, fmt.Errorf("address of the relay %q: %w", m.Listen, ErrNothingThere)
	}
	mode, _, err := m.Settings.Read(proxyMode)
	if err != nil {
		return nil, err
	}
	if k := l.key(proxyMode); mode != "'none'" && (k == nil || k.After != mode) {
		return nil, fmt.Errorf("%w in the desktop's settings (%s)", ErrOwnProxy, mode)
	}
	want := []key{{Path: proxyHost, After: "'" + host + "'"}, {Path: proxyPort, After: port}, {Path: proxyMode, After: "'manual'"}}
	if m.PAC {
		want = []key{{Path: proxyScript, After: "'http://" + m.Listen + "/proxy.pac'"}, {Path: proxyMode, After: "'auto'"}}
	}
	var steps []Step
	for i := range want {
		k := want[i]
		value, set, err := m.Settings.Read(k.Path)
		if err != nil {
			return nil, err
		}
		if old := l.key(k.Path); old != nil {
			k.Before = old.Before
			if set && value == k.After {
				continue
			}
		} else if set {
			k.Before = &value
		}
		steps = append(steps, Step{Action: Set, Path: k.Path, Reason: ForSetting, Value: k.After, before: value, key: &k})
	}
	return steps, nil
}

// The desktop's proxy settings (org.gnome.system.proxy), by their dconf paths.
const (
	proxyMode   = "/system/proxy/mode"
	proxyScript = "/system/proxy/autoconfig-url"
	proxyHost   = "/system/proxy/https/host"
	proxyPort   = "/system/proxy/https/port"
)
