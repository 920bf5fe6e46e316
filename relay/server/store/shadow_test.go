package store

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// shadow is a Hook that follows what the store does and knows what of it a power cut would leave: the bytes and attributes
// of a file as of its last sync, the names in a folder as of the folder's last sync, and nothing else. Nothing is really
// synced, so that many cuts cost little. It also plays the faults.
type shadow struct {
	fail   func(n int, s Step) fault // nil: none; n counts the steps from 1
	cut    func(n int, s Step)       // nil: none; called before step n
	atomic bool                      // a name cannot leave one folder without coming into the other, as in every journal

	mu    sync.Mutex // guards all below, and is held while a step is done
	root  *node
	steps int
}

// fault is what becomes of a step. The zero value lets it happen.
type fault struct {
	err  error
	done bool // it happens, and the store is told of an error all the same
	torn bool // half of a write happens
}

// node is a file or folder in memory, and as far as it is on disk.
type node struct {
	folder        bool
	data, synced  []byte
	attrs, kept   map[string]string
	names, listed map[string]*node
}

func newNode(folder bool) *node {
	return &node{
		folder: folder, attrs: map[string]string{}, kept: map[string]string{},
		names: map[string]*node{}, listed: map[string]*node{},
	}
}

func newShadow() *shadow { return &shadow{root: newNode(true)} }

// Do implements Hook.
func (w *shadow) Do(s Step, do func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps++
	if w.cut != nil {
		w.cut(w.steps, s)
	}
	var f fault
	if w.fail != nil {
		f = w.fail(w.steps, s)
	}
	if f.torn && s.Op == "write" {
		half := s
		half.Data = s.Data[:len(s.Data)/2]
		w.apply(half)
		return Torn{N: len(half.Data), Err: f.err}
	}
	if f.err != nil && !f.done {
		return f.err
	}
	if s.Op != "sync" && s.Op != "syncfs" {
		if err := do(); err != nil {
			return err
		}
	}
	w.apply(s)
	return f.err
}

func (w *shadow) find(name string) *node {
	n := w.root
	if name == "." {
		return n
	}
	for _, part := range strings.Split(name, "/") {
		if n = n.names[part]; n == nil {
			return nil
		}
	}
	return n
}

// apply does in memory what a step did.
func (w *shadow) apply(s Step) {
	parent := func(name string) map[string]*node { return w.find(path.Dir(name)).names }
	n := w.find(s.Path)
	switch s.Op {
	case "create":
		if n == nil {
			parent(s.Path)[path.Base(s.Path)] = newNode(false)
		}
	case "mkdir":
		parent(s.Path)[path.Base(s.Path)] = newNode(true)
	case "remove":
		delete(parent(s.Path), path.Base(s.Path))
	case "rename":
		parent(s.To)[path.Base(s.To)] = n
		delete(parent(s.Path), path.Base(s.Path))
	case "link":
		parent(s.To)[path.Base(s.To)] = n
	case "clone":
		w.find(s.To).data = slices.Clone(n.data)
	case "syncfs":
		w.root.syncAll()
	}
	if n == nil {
		return // removed while it was open
	}
	switch s.Op {
	case "write":
		if end := int(s.Off) + len(s.Data); end > len(n.data) {
			n.data = append(n.data, make([]byte, end-len(n.data))...)
		}
		copy(n.data[s.Off:], s.Data)
	case "truncate":
		n.data = append(n.data, make([]byte, max(0, int(s.Off)-len(n.data)))...)[:s.Off]
	case "attr":
		n.attrs[s.To] = string(s.Data)
	case "sync":
		n.sync()
	}
}

func (n *node) sync() {
	n.synced, n.kept, n.listed = slices.Clone(n.data), maps.Clone(n.attrs), maps.Clone(n.names)
}

func (n *node) syncAll() {
	n.sync()
	for _, child := range n.names {
		child.syncAll()
	}
}

// after writes what is on disk after a power cut now into an empty folder. With luck some of what was not synced is there too.
func (w *shadow) after(t *testing.T, dir string, luck *rand.Rand) {
	t.Helper()
	(&wreck{t: t, luck: luck, atomic: w.atomic, made: make(map[*node]string)}).write(w.root, dir)
}

type wreck struct {
	t      *testing.T
	luck   *rand.Rand // nil: none
	atomic bool
	made   map[*node]string
}

func (k *wreck) lucky() bool { return k.luck != nil && k.luck.IntN(2) == 0 }

func (k *wreck) write(n *node, name string) {
	must := func(err error) {
		if err != nil {
			k.t.Fatal(err)
		}
	}
	if first, ok := k.made[n]; ok && !n.folder {
		must(os.Link(first, name))
		return
	}
	k.made[n] = name
	if !n.folder {
		data, attrs := n.synced, n.kept
		if k.lucky() {
			data = n.data
			if k.lucky() {
				data = make([]byte, len(n.data)) // the length came to disk, the bytes did not
				copy(data, n.synced)
			}
		}
		if k.lucky() {
			attrs = n.attrs
		}
		must(os.WriteFile(name, data, 0o600))
		for attr, value := range attrs {
			must(unix.Setxattr(name, attr, []byte(value), 0))
		}
		return
	}
	if err := os.Mkdir(name, 0o700); err != nil && !os.IsExist(err) {
		k.t.Fatal(err)
	}
	all := maps.Clone(n.listed)
	maps.Copy(all, n.names)
	for _, base := range slices.Sorted(maps.Keys(all)) {
		child := n.listed[base]
		if now := n.names[base]; now != child && !k.atomic && k.lucky() {
			child = now
		}
		if child != nil {
			k.write(child, filepath.Join(name, base))
		}
	}
}

// word is what the store said, and has to keep over every power cut.
type word struct {
	mu     sync.Mutex
	stored map[string][]byte   // acknowledged
	gone   map[string]bool     // acknowledged as removed
	known  map[string][][]byte // all that was ever sent to a path
}

func newWord() *word {
	return &word{stored: make(map[string][]byte), gone: make(map[string]bool), known: make(map[string][][]byte)}
}

func (w *word) sending(path string, data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.gone, path)
	w.known[path] = append(w.known[path], data)
}

func (w *word) acknowledged(path string, data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stored[path] = data
}

func (w *word) removing(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.stored, path)
}

func (w *word) removed(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone[path] = true
}

// heldBy says what is wrong with the files in dir.
func (w *word) heldBy(t *testing.T, d *Disk, dir string) (wrong []string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := make(map[string]bool)
	err := d.Walk(t.Context(), time.Time{}, func(name string, _ int64, _ time.Time) error {
		seen[name] = true
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(w.known[name], func(b []byte) bool { return bytes.Equal(b, data) }) {
			wrong = append(wrong, fmt.Sprintf("%s is visible with %d other bytes", name, len(data)))
		}
		if want, ok := w.stored[name]; ok && !bytes.Equal(want, data) {
			wrong = append(wrong, name+" is not what was acknowledged")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range w.stored {
		if !seen[name] {
			wrong = append(wrong, name+" was acknowledged and is lost")
		}
	}
	for name := range w.gone {
		if seen[name] {
			wrong = append(wrong, name+" was removed and is back")
		}
	}
	return wrong
}

// survives cuts the power now, opens what is left and checks that the word is kept.
func (w *word) survives(t *testing.T, s *shadow, luck *rand.Rand) (wrong []string) {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s.after(t, dir, luck)
	d, err := Open(dir, Options{Hook: unsynced{}})
	if err != nil {
		return []string{"the store does not open: " + err.Error()}
	}
	defer func() { _ = d.Close() }()
	wrong = w.heldBy(t, d, dir)
	if left := tree(t, filepath.Join(dir, tmpDir)); left != nil {
		wrong = append(wrong, fmt.Sprintf("leftovers after the start: %v", left))
	}
	return wrong
}

// unsynced is a Hook that spares the time of syncing.
type unsynced struct{}

// Do implements Hook.
func (unsynced) Do(s Step, do func() error) error {
	if s.Op == "sync" || s.Op == "syncfs" {
		return nil
	}
	return do()
}
