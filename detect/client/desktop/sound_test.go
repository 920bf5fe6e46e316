package desktop

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestSounds(t *testing.T) {
	const (
		music  = `[{"index":3,"state":"RUNNING","properties":{"application.name":"Firefox","application.process.id":"77","application.process.binary":"firefox-esr"}}]`
		call   = `[{"index":4,"properties":{"application.name":"WEBRTC VoiceEngine","application.process.id":"9","application.process.binary":"dino-im"}}]`
		boxed  = `[{"index":5,"properties":{"application.name":"Dino","application.process.id":"2","application.process.binary":"dino"}}]`
		dumped = `[{"id":30,"type":"PipeWire:Interface:Node","info":{"props":{"media.class":"Audio/Sink","node.name":"speaker"}}},
			{"id":31,"type":"PipeWire:Interface:Node","info":{"props":{"media.class":"Stream/Input/Audio","application.process.id":9}}}]`
		idle = `[{"id":30,"type":"PipeWire:Interface:Node","info":{"props":{"media.class":"Audio/Sink","application.process.id":9}}},
			{"id":33,"type":"PipeWire:Interface:Client","info":{"props":{"application.name":"Dino"}}}]`
	)
	missing := errors.New("is not installed")
	for _, c := range []struct {
		name                 string
		plays, records, dump string // "": the program is missing
		sounds, unknown      bool
	}{
		{"nobody has sound", "[]", "[]", "", false, false},
		{"somebody else plays", music, "[]", "", false, false},
		{"it plays, by its process", call, "[]", "", true, false},
		{"it records", music, call, "", true, false},
		{"it plays in a sandbox, where its process has another number", boxed, "[]", "", true, false},
		{"PipeWire alone: it records", "", "", dumped, true, false},
		{"PipeWire alone: it is connected and silent", "", "", idle, false, false},
		{"nobody can be asked", "", "", "", false, true},
		{"PulseAudio answers nonsense, and there is no PipeWire", "no server", "", "", false, true},
		{"PulseAudio answers half", "[]", "", "", false, true},
		{"PipeWire lists nothing", "", "", "[]", false, true},
		{"PipeWire answers nonsense", "", "", "{", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := sounds(t.Context(), Dino, 9, func(_ context.Context, name string, args ...string) ([]byte, error) {
				out := c.dump
				if name == "pactl" {
					out = map[string]string{"sink-inputs": c.plays, "source-outputs": c.records}[args[len(args)-1]]
				}
				if out == "" {
					return nil, missing
				}
				return []byte(out), nil
			})
			if got != c.sounds || errors.Is(err, ErrSoundUnknown) != c.unknown {
				t.Errorf("sounds %v, error %v", got, err)
			}
		})
	}
}

func TestSoundsAsksTheProgramsInPath(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\n[ \"$1\" = --format=json ] && [ \"$PULSE_SERVER\" = here ] && echo '[{\"properties\":{\"application.process.id\":\"12\"}}]'\n"
	if err := os.WriteFile(filepath.Join(dir, "pactl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	getenv := func(name string) string { return map[string]string{"PATH": dir, "PULSE_SERVER": "here"}[name] }
	if got, err := Sounds(t.Context(), Dino, 12, getenv); err != nil || !got {
		t.Errorf("sounds %v, error %v", got, err)
	}
	if got, err := Sounds(t.Context(), Dino, 13, getenv); err != nil || got {
		t.Errorf("another process: sounds %v, error %v", got, err)
	}
}

func FuzzStreams(f *testing.F) {
	f.Add([]byte(`[{"properties":{"application.process.id":9}}]`))
	f.Add([]byte(`[{"type":"PipeWire:Interface:Node","info":{"props":{"media.class":"Stream/Input/Audio"}}}]`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = sounds(context.Background(), Dino, 9, func(context.Context, string, ...string) ([]byte, error) { return b, nil })
	})
}
