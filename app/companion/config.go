package companion

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"holdfast/app/words"
	"holdfast/relay"
	"holdfast/relay/authority"
)

// Config is config.toml.
type Config struct {
	Listen     string        // address and port of the relay; loopback only
	Hosts      []string      // upload servers, "name" or "name:port", canonical
	UpstreamCA string        // file with more roots for the servers; "": none
	GiveUp     time.Duration // how long an upload without progress is held
	AutoFix    bool
}

// What give_up may be. The longest is what holdfast-server keeps a part of an upload for.
const (
	leastGiveUp = time.Second
	mostGiveUp  = 72 * time.Hour
)

// defaults is a missing config.toml.
func defaults() Config {
	return Config{Listen: "127.0.0.1:5380", GiveUp: 30 * time.Minute, AutoFix: true}
}

// Mistake is what is wrong with config.toml, and where.
type Mistake struct {
	Line int // from 1; 0: not known
	Text string
}

func (m *Mistake) Error() string {
	if m.Line == 0 {
		return m.Text
	}
	return fmt.Sprintf("line %d: %s", m.Line, m.Text)
}

// document is config.toml as TOML has it. Pointers tell a missing key from an empty one.
type document struct {
	Relay struct {
		Listen     *string  `toml:"listen"`
		Hosts      []string `toml:"hosts"`
		UpstreamCA *string  `toml:"upstream_ca"`
		GiveUp     *string  `toml:"give_up"`
	} `toml:"relay"`
	AutoFix struct {
		Enabled *bool `toml:"enabled"`
	} `toml:"autofix"`
}

// Unknown is a key that Holdfast does not know.
type Unknown struct {
	Key  string
	Line int
}

// parseConfig reads config.toml. Unknown keys are no mistake; the error is the first *Mistake, and the Config then
// holds everything else that could be read.
func parseConfig(data []byte, w *words.Words) (Config, []Unknown, error) {
	c := defaults()
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var doc document
	dec := toml.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var unknown []Unknown
	if err := dec.Decode(&doc); err != nil {
		strict, ok := errors.AsType[*toml.StrictMissingError](err)
		if !ok {
			return c, nil, mistakeOf(err)
		}
		for _, e := range strict.Errors {
			line, _ := e.Position()
			unknown = append(unknown, Unknown{strings.Join(e.Key(), "."), line})
		}
	}
	if doc.AutoFix.Enabled != nil {
		c.AutoFix = *doc.AutoFix.Enabled
	}
	if doc.Relay.UpstreamCA != nil {
		c.UpstreamCA = *doc.Relay.UpstreamCA
	}
	var first *Mistake
	mistake := func(key string, element int, err error) {
		if first == nil {
			first = &Mistake{lineOf(data, "relay", key, element), err.Error()}
		}
	}
	if doc.Relay.Listen != nil {
		if listen, err := parseListen(*doc.Relay.Listen, w); err != nil {
			mistake("listen", 0, err)
		} else {
			c.Listen = listen
		}
	}
	if doc.Relay.GiveUp != nil {
		if t, err := time.ParseDuration(*doc.Relay.GiveUp); err != nil || t < leastGiveUp || t > mostGiveUp {
			mistake("give_up", 0, fmt.Errorf(w.Ctl.GiveUpBad, *doc.Relay.GiveUp))
		} else {
			c.GiveUp = t
		}
	}
	for i, h := range doc.Relay.Hosts {
		host, err := ParseHost(h, w)
		if err != nil {
			mistake("hosts", i, err)
		} else if !slices.Contains(c.Hosts, host) {
			c.Hosts = append(c.Hosts, host)
		}
	}
	if first != nil {
		return c, unknown, first
	}
	return c, unknown, nil
}

// lineOf is the line of a value, or of one element of an array; 0: not there.
func lineOf(data []byte, table, key string, element int) int {
	p, err := locate(bytes.TrimPrefix(data, []byte("\ufeff")), table, key)
	if err != nil || !p.found {
		return 0
	}
	from := p.value.start
	if element < len(p.elements) {
		from = p.elements[element].start
	}
	return 1 + bytes.Count(data[:from], []byte("\n"))
}

func mistakeOf(err error) *Mistake {
	if d, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := d.Position()
		text := strings.TrimPrefix(d.Error(), "toml: ")
		if key := strings.Join(d.Key(), "."); key != "" && !strings.Contains(text, key) {
			text = key + ": " + text
		}
		return &Mistake{line, text}
	}
	return &Mistake{0, strings.TrimPrefix(err.Error(), "toml: ")}
}

// parseListen accepts only addresses of this computer: the relay answers its owner's processes, and no network.
func parseListen(s string, w *words.Words) (string, error) {
	if port, ok := strings.CutPrefix(s, "localhost:"); ok {
		s = "127.0.0.1:" + port
	}
	a, err := netip.ParseAddrPort(s)
	switch {
	case err != nil:
		return "", fmt.Errorf(w.Ctl.ListenBad, s)
	case !a.Addr().IsLoopback():
		return "", fmt.Errorf(w.Ctl.ListenOpen, s)
	}
	return a.String(), nil
}

// ParseHost checks the name of an upload server and gives its canonical form: lower case, without the usual port.
func ParseHost(s string, w *words.Words) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", errors.New(w.Ctl.HostEmpty)
	}
	h, err := relay.ParseHost(s)
	if err == nil {
		_, err = authority.Name(h.Name)
	}
	if err != nil {
		return "", fmt.Errorf(w.Ctl.HostBad, s)
	}
	if h.Port == "443" {
		h.Port = ""
	}
	return h.String(), nil
}
