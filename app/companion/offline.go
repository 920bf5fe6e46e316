package companion

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"holdfast/app/control"
	"holdfast/app/history"
	"holdfast/app/words"
	"holdfast/relay/authority"
	"holdfast/relay/credential"
)

// Offline is what can be done while no companion runs: edit config.toml, reset a client, read what is on disk.
// Everything else answers NotRunning.
type Offline struct {
	paths  Paths
	words  *words.Words
	getenv func(string) string
	file   configFile
	resets resets
}

var _ control.Service = (*Offline)(nil)

// NewOffline changes nothing.
func NewOffline(p Paths, o Options) *Offline {
	o = o.filled()
	return &Offline{
		paths: p, words: o.Words, getenv: o.Getenv, file: configFile{p.Config, o.Words},
		resets: resets{roots: p.roots(), dirs: p.dirs(o.Getenv), bus: SessionBus(o.Getenv), words: o.Words, log: o.Log},
	}
}

func (f *Offline) notRunning() error {
	return &control.Error{Kind: control.NotRunning, Text: f.words.Ctl.NotRunning}
}

// GetState answers NotRunning: nobody knows.
func (f *Offline) GetState(context.Context) (string, error) { return "", f.notRunning() }

// Reset resets clients directly.
func (f *Offline) Reset(ctx context.Context, clients []string, dryRun bool) (string, error) {
	return f.resets.reset(ctx, clients, dryRun, func(string) {})
}

// ResetWithBackup is Reset, with a copy of the databases of each client made before. It is only done by the person's own
// shell: the copy holds passwords, and no method of the control interface makes one.
func (f *Offline) ResetWithBackup(ctx context.Context, clients []string, dryRun bool) (string, error) {
	r := f.resets
	r.backup = true
	return r.reset(ctx, clients, dryRun, func(string) {})
}

// Undo undoes a reset directly.
func (f *Offline) Undo(ctx context.Context, id string) (string, error) {
	return f.resets.undo(ctx, id, func(string) {})
}

// SetAutoFix edits config.toml.
func (f *Offline) SetAutoFix(_ context.Context, on bool) error {
	if err := f.file.setAutoFix(on); err != nil {
		return &control.Error{Kind: control.Failed, Text: err.Error()}
	}
	return nil
}

// Pause answers NotRunning.
func (f *Offline) Pause(context.Context, time.Duration) error { return f.notRunning() }

// Resume answers NotRunning.
func (f *Offline) Resume(context.Context) error { return f.notRunning() }

// Uploads reads the history; nothing can be running.
func (f *Offline) Uploads(_ context.Context, limit uint32) (string, error) {
	store, _, err := history.Open(filepath.Join(f.paths.State, "uploads.jsonl"))
	if err != nil {
		return "", err
	}
	return listUploads(nil, store.List(0), limit, f.words)
}

// Cancel answers NotRunning.
func (f *Offline) Cancel(context.Context, string) error { return f.notRunning() }

// TryNow answers NotRunning.
func (f *Offline) TryNow(context.Context, string) error { return f.notRunning() }

// Hosts edits config.toml. Certificates that are not there yet are made now.
func (f *Offline) Hosts(_ context.Context, verb, host string) (string, error) {
	if verb == "suggest" {
		config, _, err := f.file.read()
		if err != nil {
			return "", &control.Error{Kind: control.Failed, Text: f.file.path + ": " + err.Error()}
		}
		return suggest(f.paths, config.Hosts, f.words)
	}
	changed, err := f.file.hosts(verb, host)
	if err != nil {
		return "", err
	}
	config, _, err := f.file.read()
	if err != nil {
		return "", &control.Error{Kind: control.Failed, Text: f.file.path + ": " + err.Error()}
	}
	store, err := authority.Open(f.paths.Authority)
	if err != nil {
		return "", err
	}
	lines, err := hostLines(config.Hosts, store, true)
	if err != nil {
		return "", err
	}
	return render(HostsDocument{Schema: 1, Changed: changed, Hosts: lines})
}

// TrustStatus reads what is on disk.
func (f *Offline) TrustStatus(context.Context) (string, error) {
	config, _, err := f.file.read()
	if err != nil {
		return "", &control.Error{Kind: control.Failed, Text: f.file.path + ": " + err.Error()}
	}
	store, err := authority.Open(f.paths.Authority)
	if err != nil {
		return "", err
	}
	return trustStatus(trusts{store: store, hosts: config.Hosts, bundle: f.paths.Bundle()}, f.words)
}

// routes of a computer without a running companion: the relay will listen where it did last time.
func (f *Offline) routes() (routes, error) {
	config, _, err := f.file.read()
	if err != nil {
		return routes{}, &control.Error{Kind: control.Failed, Text: f.file.path + ": " + err.Error()}
	}
	store, err := authority.Open(f.paths.Authority)
	if err != nil {
		return routes{}, err
	}
	return routes{
		paths: f.paths, words: f.words, getenv: f.getenv, listen: lastListen(config.Listen, f.paths.State),
		trusts: trusts{store: store, hosts: config.Hosts, bundle: f.paths.Bundle()},
	}, nil
}

// RouteStatus reads what is on disk.
func (f *Offline) RouteStatus(context.Context) (string, error) {
	r, err := f.routes()
	if err != nil {
		return "", err
	}
	return r.status()
}

// RoutePlan plans for where the relay listened last.
func (f *Offline) RoutePlan(_ context.Context, mode string, remove bool) (string, error) {
	r, err := f.routes()
	if err != nil {
		return "", err
	}
	return r.plan(mode, remove)
}

// RouteApply changes files and settings directly.
func (f *Offline) RouteApply(ctx context.Context, id string) (string, error) {
	r, err := f.routes()
	if err != nil {
		return "", err
	}
	return r.apply(ctx, id)
}

// ReportClient answers NotRunning.
func (f *Offline) ReportClient(context.Context, string, uint32, string, string) error {
	return f.notRunning()
}

// Stop answers NotRunning.
func (f *Offline) Stop(context.Context) error { return f.notRunning() }

// Listen is where the relay would listen, as configured.
func (f *Offline) Listen() (string, error) {
	config, _, err := f.file.read()
	return config.Listen, err
}

// secretStamp is touched with every change of a secret, so that a running companion reads it again. It holds nothing.
func (p Paths) secretStamp() string { return filepath.Join(p.State, "secret-changed") }

// SetSecret puts the secret that the person's own upload server shares with its issuer into the keyring.
func SetSecret(ctx context.Context, p Paths, host, scheme, prefix string, secret []byte, w *words.Words) error {
	key := credential.Key{Secret: secret, Prefix: prefix}
	switch scheme {
	case "jwt":
		key.Scheme = "jwt"
	case "v2":
		key.Scheme = "v2"
	default:
		return &control.Error{Kind: control.Invalid, Text: fmt.Sprintf(w.Ctl.SchemeBad, scheme)}
	}
	if len(secret) == 0 {
		return &control.Error{Kind: control.Invalid, Text: w.Ctl.SecretEmpty}
	}
	if !strings.HasPrefix(prefix, "/") || !strings.HasSuffix(prefix, "/") {
		return &control.Error{Kind: control.Invalid, Text: fmt.Sprintf(w.Ctl.PrefixBad, prefix)}
	}
	name, err := secretName(host, w)
	if err != nil {
		return err
	}
	if err := credential.New().Set(ctx, name, key); err != nil {
		return &control.Error{Kind: control.Failed, Text: err.Error()}
	}
	return p.touchSecrets()
}

// RemoveSecret takes it out again. One that is not there is no error.
func RemoveSecret(ctx context.Context, p Paths, host string, w *words.Words) error {
	name, err := secretName(host, w)
	if err != nil {
		return err
	}
	if err := credential.New().Delete(ctx, name); err != nil {
		return &control.Error{Kind: control.Failed, Text: err.Error()}
	}
	return p.touchSecrets()
}

// secretName is the host as the relay asks for it: without port.
func secretName(host string, w *words.Words) (string, error) {
	if _, err := ParseHost(host, w); err != nil {
		return "", &control.Error{Kind: control.Invalid, Text: err.Error()}
	}
	name, err := authority.Name(strings.TrimSpace(host))
	if err != nil {
		return "", &control.Error{Kind: control.Invalid, Text: fmt.Sprintf(w.Ctl.HostBad, host)}
	}
	return name, nil
}

func (p Paths) touchSecrets() error {
	if err := os.MkdirAll(p.State, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	// A new file each time: its inode and time tell the companion.
	return replace(p.secretStamp(), []byte(time.Now().UTC().Format(time.RFC3339Nano)+"\n"), 0o600)
}
