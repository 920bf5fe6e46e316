package companion

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"holdfast/relay/credential"
)

// Login lists what starts Holdfast at login for this person alone: the autostart entry and the links of the units. An
// entry that says Hidden is the person's word against one for everybody, and stays.
func (p Paths) Login() []string {
	var out []string
	entry := filepath.Join(p.XDG.Config, "autostart", "im.holdfast.Holdfast.desktop")
	if data, err := os.ReadFile(entry); err == nil && !bytes.Contains(data, []byte("\nHidden=true")) {
		out = append(out, entry)
	}
	for _, glob := range []string{"*.wants/holdfast.service", "*.wants/holdfast.socket"} {
		links, err := filepath.Glob(filepath.Join(p.XDG.Config, "systemd", "user", glob))
		if err == nil {
			out = append(out, links...)
		}
	}
	return out
}

// RemoveLogin removes them.
func (p Paths) RemoveLogin() error {
	for _, path := range p.Login() {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the start at login: %w", err)
		}
	}
	return nil
}

// Secrets says whether there is a keyring that may hold secrets of Holdfast.
func Secrets(ctx context.Context, getenv func(string) string) bool {
	return SessionBus(getenv) != "" && credential.New().Probe(ctx) != credential.Absent
}

// RemoveSecrets removes everything that Holdfast has in the keyring.
func RemoveSecrets(ctx context.Context, p Paths) error {
	if err := credential.New().DeleteAll(ctx); err != nil {
		return err
	}
	if exists(p.State) {
		return p.touchSecrets()
	}
	return nil
}
