package desktop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// ErrSoundUnknown: neither PulseAudio nor PipeWire could be asked.
var ErrSoundUnknown = errors.New("it cannot be told who plays or records sound")

// soundLimit is how long a sound server may take to answer.
const soundLimit = 5 * time.Second

// Sounds says whether a client plays or records sound at present: it may be in a call. PulseAudio is asked, also as PipeWire
// speaks it (pactl), else PipeWire itself (pw-dump). It fails with ErrSoundUnknown where neither answers.
//
// A stream counts by process, by program or by name: in a sandbox the number of the process is another one.
func Sounds(ctx context.Context, k Kind, pid int, getenv func(string) string) (bool, error) {
	return sounds(ctx, k, pid, func(ctx context.Context, name string, args ...string) ([]byte, error) {
		path, err := lookPath(name, pathOf([]string{"PATH=" + getenv("PATH")}))
		if err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.Env = []string{"LC_ALL=C", "PATH=" + getenv("PATH")}
		for _, name := range []string{"HOME", "XDG_RUNTIME_DIR", "PULSE_SERVER", "PULSE_COOKIE", "PULSE_RUNTIME_PATH", "PIPEWIRE_REMOTE", "PIPEWIRE_RUNTIME_DIR"} {
			if v := getenv(name); v != "" {
				cmd.Env = append(cmd.Env, name+"="+v)
			}
		}
		return cmd.Output()
	})
}

// asker runs a program and returns what it printed.
type asker func(ctx context.Context, name string, args ...string) ([]byte, error)

func sounds(ctx context.Context, k Kind, pid int, ask asker) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, soundLimit)
	defer cancel()
	found, perr := pulse(ctx, k, pid, ask)
	if perr == nil {
		return found, nil
	}
	found, werr := pipewire(ctx, k, pid, ask)
	if werr == nil {
		return found, nil
	}
	return false, fmt.Errorf("%w: %w", ErrSoundUnknown, errors.Join(perr, werr))
}

// pulse asks for what plays (sink inputs) and what records (source outputs), pactl(1) 15 and later.
func pulse(ctx context.Context, k Kind, pid int, ask asker) (bool, error) {
	for _, list := range []string{"sink-inputs", "source-outputs"} {
		out, err := ask(ctx, "pactl", "--format=json", "list", list)
		if err != nil {
			return false, fmt.Errorf("ask PulseAudio: %w", err)
		}
		var streams []struct {
			Properties map[string]any `json:"properties"`
		}
		if err := json.Unmarshal(out, &streams); err != nil {
			return false, fmt.Errorf("read the answer of PulseAudio: %w", err)
		}
		for _, s := range streams {
			if streamOf(s.Properties, k, pid) {
				return true, nil
			}
		}
	}
	return false, nil
}

// pipewire asks for all nodes, pw-dump(1); streams of programs have a media.class that begins with Stream/.
func pipewire(ctx context.Context, k Kind, pid int, ask asker) (bool, error) {
	out, err := ask(ctx, "pw-dump", "--no-colors")
	if err != nil {
		return false, fmt.Errorf("ask PipeWire: %w", err)
	}
	var objects []struct {
		Type string `json:"type"`
		Info struct {
			Props map[string]any `json:"props"`
		} `json:"info"`
	}
	if err := json.Unmarshal(out, &objects); err != nil {
		return false, fmt.Errorf("read the answer of PipeWire: %w", err)
	}
	if len(objects) == 0 {
		return false, errors.New("PipeWire lists nothing, not even itself")
	}
	for _, o := range objects {
		class, _ := o.Info.Props["media.class"].(string)
		if o.Type == "PipeWire:Interface:Node" && strings.HasPrefix(class, "Stream/") && streamOf(o.Info.Props, k, pid) {
			return true, nil
		}
	}
	return false, nil
}

// streamOf says whether a stream belongs to a client.
func streamOf(p map[string]any, k Kind, pid int) bool {
	text := func(name string) string {
		switch v := p[name].(type) {
		case string:
			return v
		case float64:
			return strconv.FormatInt(int64(v), 10)
		}
		return ""
	}
	if text("application.process.id") == strconv.Itoa(pid) {
		return true
	}
	for _, name := range []string{"application.name", "application.id", "application.process.binary", "pipewire.access.portal.app_id", "node.name"} {
		v := strings.ToLower(text(name))
		if v == string(k) || v == k.Program() || strings.EqualFold(v, k.BusName()) {
			return true
		}
	}
	return false
}
