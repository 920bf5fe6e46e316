package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// partWord is what the store said of the one part of a test.
type partWord struct {
	*word
	data  []byte
	acked int64 // this many bytes are promised
}

const (
	partName = "part"
	partPath = "a/b/file"
)

// resume does what the server does for an upload in pieces, from wherever it stands.
func (w *partWord) resume(d *Disk) error {
	w.sending(partPath, w.data)
	p, err := d.OpenPart(partName)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrDamaged) && w.acked == 0 {
		if err := d.RemovePart(partName); err != nil {
			return err
		}
		p, err = d.NewPart(partName, int64(len(w.data)), []byte("facts"))
	}
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }()
	if p.Mark().Offset < w.acked && !p.Mark().Done {
		return fmt.Errorf("lost: %d acknowledged, %d marked", w.acked, p.Mark().Offset)
	}
	for !p.Mark().Done && p.Size() < int64(len(w.data)) {
		n := min(p.Size()+int64(len(w.data)/3)+1, int64(len(w.data)))
		if _, err := p.Write(w.data[p.Size():n]); err != nil {
			return err
		}
		if err := p.Sync(n); err != nil {
			return err
		}
		w.acked = n
	}
	if !p.Mark().Done {
		if err := p.Publish(partPath, faultMeta); errors.Is(err, fs.ErrExist) {
			f, err := d.Open(partPath)
			if err != nil {
				return err
			}
			defer func() { _ = f.Close() }()
			if same, err := p.SameAs(f); err != nil || !same {
				return errors.Join(err, fs.ErrExist)
			}
			if err := p.Finish(); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
	}
	w.acknowledged(partPath, w.data)
	return nil
}

// survives cuts the power, opens what is left, and goes on to the end.
func (w *partWord) survives(t *testing.T, s *shadow, luck *rand.Rand) (wrong []string) {
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
	if p, err := d.OpenPart(partName); err == nil {
		m := p.Mark()
		got := make([]byte, m.Offset)
		if !m.Done {
			if _, err := p.ReadAt(got, 0); err != nil && m.Offset > 0 || !bytes.Equal(got, w.data[:m.Offset]) {
				wrong = append(wrong, fmt.Sprintf("%d bytes are marked and others are there: %v", m.Offset, err))
			}
		} else if f, err := d.Open(partPath); err != nil {
			wrong = append(wrong, "the part is done and its file is not there")
		} else {
			_ = f.Close()
		}
		_ = p.Close()
	} else if w.acked > 0 {
		wrong = append(wrong, fmt.Sprintf("%d bytes were acknowledged and the part is lost: %v", w.acked, err))
	}
	wrong = append(wrong, w.heldBy(t, d, dir)...)
	again := &partWord{word: newWord(), data: w.data, acked: w.acked}
	if err := again.resume(d); err != nil {
		wrong = append(wrong, "going on: "+err.Error())
	}
	return append(wrong, again.heldBy(t, d, dir)...)
}

func TestThePowerMayGoBeforeEveryStepOfAResumedUpload(t *testing.T) {
	s := newShadow()
	s.atomic = true
	w := &partWord{word: newWord(), data: storeBytes(3000)}
	d := open(t, t.TempDir(), Options{Hook: s})
	s.cut = func(n int, st Step) {
		for luck := range 4 {
			r := rand.New(rand.NewPCG(uint64(n), uint64(luck))) //nolint:gosec // to be repeated
			if luck == 0 {
				r = nil
			}
			for _, wrong := range w.survives(t, s, r) {
				t.Errorf("before step %d (%s %s %s), luck %d: %s", n, st.Op, st.Path, st.To, luck, wrong)
			}
		}
	}
	if err := w.resume(d); err != nil {
		t.Error(err)
	}
	s.cut = nil
}

func TestWhateverStepOfAResumedUploadFailsItGoesOn(t *testing.T) {
	for _, kind := range []struct {
		name  string
		fault fault
	}{
		{"is refused", fault{err: unix.EIO}},
		{"is half done", fault{err: unix.ENOSPC, torn: true}},
		{"is done and said to have failed", fault{err: unix.EIO, done: true}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			for k, hit := 1, true; hit; k++ {
				hit = false
				s := newShadow()
				s.atomic = true
				w := &partWord{word: newWord(), data: storeBytes(3000)}
				dir := t.TempDir()
				d, err := Open(dir, Options{Hook: s})
				if err != nil {
					t.Fatal(err)
				}
				start, what := s.steps, ""
				s.fail = func(n int, st Step) fault {
					if n != start+k {
						return fault{}
					}
					hit, what = true, st.Op+" "+st.Path+" "+st.To
					return kind.fault
				}
				err = w.resume(d)
				s.fail = nil
				problem := func(text string) { t.Errorf("step %d (%s) %s, told %v: %s", k, what, kind.name, err, text) }
				for _, wrong := range w.survives(t, s, nil) {
					problem("after a power cut: " + wrong)
				}
				if err := w.resume(d); err != nil {
					problem("going on: " + err.Error())
				}
				for _, wrong := range append(w.heldBy(t, d, dir), w.survives(t, s, nil)...) {
					problem("at the end: " + wrong)
				}
				if err := d.Close(); err != nil {
					problem(err.Error())
				}
			}
		})
	}
}
