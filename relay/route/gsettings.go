package route

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// GSettings are the settings of a GNOME-like desktop, through the programs gsettings and dconf.
type GSettings struct {
	Env []string // of the person's session
	// GSettings and DConf are the programs. Without dconf it cannot be told whether a value that is the usual one was set
	// by the person; it then counts as not set.
	GSettings, DConf string
}

// settingsLimit is how long a program may take.
const settingsLimit = 10 * time.Second

// schemas are the paths that are used, with their schemas and the values that they have when nobody set them.
var schemas = map[string]struct{ schema, name, usual string }{
	proxyMode:   {"org.gnome.system.proxy", "mode", "'none'"},
	proxyScript: {"org.gnome.system.proxy", "autoconfig-url", "''"},
	proxyHost:   {"org.gnome.system.proxy.https", "host", "''"},
	proxyPort:   {"org.gnome.system.proxy.https", "port", "0"},
}

// Read implements Settings.
func (g GSettings) Read(path string) (value string, set bool, err error) {
	s := schemas[path]
	if value, err = g.run(g.GSettings, "get", s.schema, s.name); err != nil {
		return "", false, fmt.Errorf("%w: %w", ErrNothingThere, err)
	}
	if g.DConf == "" {
		return value, value != s.usual, nil
	}
	own, err := g.run(g.DConf, "read", path)
	return value, own != "", err
}

// Write implements Settings.
func (g GSettings) Write(path, value string) error {
	s := schemas[path]
	_, err := g.run(g.GSettings, "set", s.schema, s.name, value)
	return err
}

// Reset implements Settings.
func (g GSettings) Reset(path string) error {
	s := schemas[path]
	_, err := g.run(g.GSettings, "reset", s.schema, s.name)
	return err
}

func (g GSettings) run(program string, args ...string) (string, error) {
	if program == "" {
		return "", errors.New("gsettings is not installed")
	}
	ctx, cancel := context.WithTimeout(context.Background(), settingsLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = g.Env
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(out.String()), nil
}
