package route

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ledger is what one way has changed: MODE.json.
type ledger struct {
	Schema  int      `json:"schema"`
	Mode    Mode     `json:"mode"`
	Listen  string   `json:"listen"`
	Folders []string `json:"folders"` // that were made, outermost first
	Above   []string `json:"above"`   // folders around this record that were made, outermost first
	Files   []file   `json:"files"`
	Keys    []key    `json:"keys"`
}

// file is one file that was written.
type file struct {
	Path    string   `json:"path"`
	SHA256  string   `json:"sha256"`         // of what was written
	Kept    string   `json:"kept,omitempty"` // name of what was there before, beside the ledger
	Was     string   `json:"was,omitempty"`  // hash of that
	Undo    string   `json:"undo,omitempty"` // how our part alone is taken out
	Kind    string   `json:"kind,omitempty"` // of which client
	Command []string `json:"command,omitempty"`
	Bundle  string   `json:"bundle,omitempty"` // of an override
}

// key is one setting that was changed.
type key struct {
	Path   string  `json:"path"`
	Before *string `json:"before"` // null: was not set
	After  string  `json:"after"`
}

func (m Machine) folder() string              { return filepath.Join(m.State, "route") }
func (m Machine) ledgerPath(mode Mode) string { return filepath.Join(m.folder(), string(mode)+".json") }

// load reads what a way has changed; one that is not installed is an empty ledger.
func (m Machine) load(mode Mode) (ledger, error) {
	l := ledger{Schema: 1, Mode: mode}
	data, err := os.ReadFile(m.ledgerPath(mode))
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &l)
	}
	if err == nil && (l.Schema != 1 || l.Mode != mode) {
		err = errors.New("it is of another version")
	}
	if err != nil {
		return l, fmt.Errorf("read what %s changed: %w", m.ledgerPath(mode), err)
	}
	return l, nil
}

func (l ledger) file(path string) *file {
	for i := range l.Files {
		if l.Files[i].Path == path {
			return &l.Files[i]
		}
	}
	return nil
}

func (l ledger) key(path string) *key {
	for i := range l.Keys {
		if l.Keys[i].Path == path {
			return &l.Keys[i]
		}
	}
	return nil
}

func (l ledger) empty() bool { return len(l.Folders)+len(l.Files)+len(l.Keys) == 0 }

// Outdated says whether a way that is installed must be brought up to date: the relay answers elsewhere, or a client's
// own entry has changed, is new, or gone. What the person has changed or removed by hand since is left to them.
func (m Machine) Outdated(mode Mode) (Plan, bool) {
	l, err := m.load(mode)
	if err != nil || l.empty() {
		return Plan{}, false
	}
	p, err := m.Make(mode, false)
	if err != nil || len(p.Steps) == 0 || (mode == Gnome || mode == Gajim) && l.Listen == m.Listen {
		return p, false
	}
	act := false
	for _, s := range p.Steps {
		switch {
		case s.Action == Write && l.file(s.Path) != nil:
			return p, false
		case s.Action == Set && l.key(s.Path) != nil && s.before != l.key(s.Path).After:
			return p, false
		case s.Action != Keep && s.Action != MakeFolder:
			act = true
		}
	}
	return p, act
}

// Installed lists the ways that are installed.
func (m Machine) Installed() []Mode {
	var out []Mode
	for _, mode := range Modes() {
		if _, err := os.Lstat(m.ledgerPath(mode)); err == nil {
			out = append(out, mode)
		}
	}
	return out
}

// Changed lists the files and settings that a way has changed.
func (m Machine) Changed(mode Mode) ([]string, error) {
	l, err := m.load(mode)
	var out []string
	for _, f := range l.Files {
		out = append(out, f.Path)
	}
	for _, k := range l.Keys {
		out = append(out, k.Path)
	}
	return out, err
}

// Command is how a client is started without Holdfast, as its desktop entry has it; nil: not known.
func (m Machine) Command(kind string) []string {
	l, err := m.load(Launcher)
	if err != nil {
		return nil
	}
	for _, f := range l.Files {
		if f.Kind == kind && len(f.Command) > 0 {
			return f.Command
		}
	}
	return nil
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
