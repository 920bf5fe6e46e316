package route

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// removal lists how everything becomes as before.
func (m Machine) removal(l ledger) ([]Step, error) {
	var steps []Step
	for i := range slices.Backward(l.Keys) {
		k := l.Keys[i]
		if m.Settings == nil {
			return nil, fmt.Errorf("%w: the desktop's settings cannot be reached", ErrNothingThere)
		}
		value, set, err := m.Settings.Read(k.Path)
		if err != nil {
			return nil, err
		}
		s := Step{Path: k.Path, before: value, key: &k}
		switch {
		case !set || value != k.After:
			s.Action, s.Reason = Keep, WasChanged
		case k.Before == nil:
			s.Action, s.Reason = Reset, AsBefore
		default:
			s.Action, s.Reason, s.Value = Set, AsBefore, *k.Before
		}
		steps = append(steps, s)
	}
	needed := map[string]bool{} // scripts that a changed entry mentions
	for i := range slices.Backward(l.Files) {
		f := l.Files[i]
		s, err := m.remove(f, WasMade)
		if err != nil {
			return nil, err
		}
		if s.Action == Keep {
			if now, err := current(f.Path); err == nil {
				for _, other := range l.Files {
					needed[other.Path] = needed[other.Path] || bytes.Contains(now.content, []byte(other.Path))
				}
			}
		}
		if needed[f.Path] {
			s = Step{Action: Keep, Path: f.Path, Reason: StillNeeded, before: s.before, file: s.file}
		}
		steps = append(steps, s)
	}
	for _, dir := range slices.Backward(l.Folders) {
		if emptied(dir, steps) {
			steps = append(steps, Step{Action: RemoveFolder, Path: dir, Reason: WasMade})
		}
	}
	return steps, nil
}

// remove says how one file becomes as before.
func (m Machine) remove(f file, reason Reason) (Step, error) {
	now, err := current(f.Path)
	if err != nil {
		return Step{}, err
	}
	s := Step{Path: f.Path, before: now.hash, file: &f, kind: f.Kind, undo: f.Undo}
	if f.Undo == "gajim" && m.running("gajim") {
		return s, fmt.Errorf("%w: quit Gajim first", ErrRunning)
	}
	switch {
	case f.Kept != "" && (!now.there || now.hash == f.SHA256):
		s.Action, s.Reason = Restore, AsBefore
	case f.Kept == "" && now.hash == f.SHA256:
		s.Action, s.Reason = Delete, reason
	case !now.there:
		s.Action, s.Reason = Keep, AsBefore
	case f.Undo == "override":
		set := map[string]string{}
		for _, c := range m.Clients {
			if c.ID == filepath.Base(f.Path) {
				l, err := m.load(Flatpak)
				if err != nil {
					return s, err
				}
				set = m.earlier(l, c)
			}
		}
		s.Action, s.Reason, s.content, s.perm = Edit, WasChanged, withoutOverride(now.content, set, f.Bundle), now.perm
		if len(s.content) == 0 && f.Kept == "" {
			s.Action = Delete
		}
	case f.Undo == "gajim":
		data, err := readGajim(f.Path)
		if err == nil {
			s.content, err = withoutGajimProxy(data)
		}
		if err != nil {
			return s, err
		}
		s.Action, s.Reason, s.perm = Edit, WasChanged, now.perm
	default:
		s.Action, s.Reason = Keep, WasChanged
	}
	return s, nil
}

// emptied says whether a folder has nothing but what the steps remove.
func emptied(dir string, steps []Step) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		path := filepath.Join(dir, e.Name())
		return !slices.ContainsFunc(steps, func(s Step) bool {
			return s.Path == path && (s.Action == Delete || s.Action == RemoveFolder)
		})
	})
}
