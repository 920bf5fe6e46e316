package companion

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"holdfast/app/agent"
	"holdfast/app/control"
	"holdfast/app/words"
	"holdfast/detect/client/desktop"
	"holdfast/relay/authority"
)

// Bundle is the file that single clients are given in place of the system's certificates. It is there when the
// person has said that these clients shall trust Holdfast.
func (p Paths) Bundle() string { return filepath.Join(p.XDG.Data, "holdfast", "trust", "bundle.pem") }

// gnutlsRoots is the file that GnuTLS, and so GLib's programs, read their authorities from on Debian and its family.
const gnutlsRoots = "/etc/ssl/certs/ca-certificates.crt"

// roots is the file itself, or "" where GnuTLS is built in another way (p11-kit).
func roots() string {
	path, err := filepath.EvalSymlinks(gnutlsRoots)
	if err != nil {
		return ""
	}
	return path
}

// probeLimit is how long bubblewrap may take to do nothing.
const probeLimit = 3 * time.Second

// bubblewrap finds bwrap and tries it: where people may make no namespaces it is there and does not work.
func bubblewrap(ctx context.Context, getenv func(string) string) string {
	target := roots()
	if target == "" {
		return ""
	}
	for _, dir := range append(filepath.SplitList(getenv("PATH")), "/usr/bin", "/bin") {
		program := filepath.Join(dir, "bwrap")
		if st, err := os.Stat(program); !filepath.IsAbs(dir) || err != nil || st.Mode().Perm()&0o111 == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, probeLimit)
		defer cancel()
		if exec.CommandContext(ctx, program, "--dev-bind", "/", "/", "--ro-bind", target, target, "--", "/bin/true").Run() == nil {
			return program
		}
		return ""
	}
	return ""
}

// trusts is who trusts the certificates of the upload servers.
type trusts struct {
	store  *authority.Store
	hosts  []string
	bundle string   // see Paths.Bundle
	files  []string // that programs read the system's certificates from; nil: those of this system
}

// system says whether the computer as a whole trusts the certificate of a host.
func (t trusts) system(host string) bool {
	ca, err := os.ReadFile(t.store.CAFile(host))
	if err != nil {
		return false
	}
	return t.inSystem(ca)
}

// inSystem says whether the system's certificates have this one.
func (t trusts) inSystem(ca []byte) bool {
	return slices.ContainsFunc(t.systemFiles(), func(file string) bool {
		data, err := os.ReadFile(file)
		return err == nil && authority.Holds(data, ca)
	})
}

func (t trusts) systemFiles() []string {
	if t.files != nil {
		return t.files
	}
	files := []string{gnutlsRoots}
	if s, err := authority.System(); err == nil && s.Bundle != gnutlsRoots {
		files = append(files, s.Bundle)
	}
	return files
}

// all says whether every host is one that ok holds for. Without a host nothing is intercepted, so nothing is missing.
func (t trusts) all(ok func(host string) bool) bool {
	return !slices.ContainsFunc(t.hosts, func(h string) bool { return !ok(h) })
}

// app says whether single clients are given the certificate of a host.
func (t trusts) app(host string) bool {
	ca, err := os.ReadFile(t.store.CAFile(host))
	if err != nil {
		return false
	}
	data, err := os.ReadFile(t.bundle)
	return err == nil && authority.Holds(data, ca)
}

// refresh writes the bundle afresh if there is one: the system's certificates change, and so do the hosts.
func (t trusts) refresh() error {
	if _, err := os.Stat(t.bundle); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return t.write()
}

func (t trusts) write() error {
	for _, h := range t.hosts {
		if _, err := t.store.Leaf(h); err != nil && !errors.Is(err, authority.ErrEnded) {
			return fmt.Errorf("certificate for %s: %w", h, err)
		}
	}
	system, err := os.ReadFile(gnutlsRoots)
	if errors.Is(err, fs.ErrNotExist) {
		var s authority.SystemStore
		if s, err = authority.System(); err == nil {
			system, err = os.ReadFile(s.Bundle)
		}
	}
	if err != nil {
		return fmt.Errorf("read the system's certificates: %w", err)
	}
	data, err := t.store.Bundle(system, t.hosts)
	if err != nil {
		return err
	}
	return authority.WriteBundle(t.bundle, data)
}

// instance says whether a running client trusts every host: it looks at the very file that the process sees.
func (t trusts) instance(in desktop.Instance, own bool) bool {
	if t.all(t.system) {
		return true
	}
	file := gnutlsRoots
	if own {
		if v, ok := in.Env("SSL_CERT_FILE"); ok && filepath.IsAbs(v) {
			file = v
		}
	}
	data, err := in.ReadFile(file)
	if err != nil {
		return false
	}
	return t.all(func(host string) bool {
		ca, err := os.ReadFile(t.store.CAFile(host))
		return err == nil && authority.Holds(data, ca)
	})
}

// Trust changes who trusts the certificates, for the person who runs this program.
type Trust struct {
	paths  Paths
	words  *words.Words
	getenv func(string) string
}

// NewTrust changes nothing.
func NewTrust(p Paths, o Options) *Trust {
	o = o.filled()
	return &Trust{p, o.Words, o.Getenv}
}

func (t *Trust) trusts() (trusts, error) {
	config, _, err := (configFile{t.paths.Config, t.words}).read()
	if err != nil {
		return trusts{}, &control.Error{Kind: control.Failed, Text: t.paths.Config + ": " + err.Error()}
	}
	store, err := authority.Open(t.paths.Authority)
	if err != nil {
		return trusts{}, err
	}
	return trusts{store: store, hosts: config.Hosts, bundle: t.paths.Bundle()}, nil
}

// TrustStep is one thing that is done, or would be.
type TrustStep struct {
	Path   string
	Reason string
}

// InstallApp has Dino and Gajim, and nothing else, trust the upload servers' certificates when Holdfast starts them.
func (t *Trust) InstallApp(ctx context.Context, dryRun bool) ([]TrustStep, error) {
	tr, err := t.trusts()
	if err != nil {
		return nil, err
	}
	if len(tr.hosts) == 0 {
		return nil, &control.Error{Kind: control.Failed, Text: t.words.Ctl.NoHosts}
	}
	if !t.appWorks(ctx) {
		return nil, &control.Error{Kind: control.Failed, Text: t.words.Setup.NoBubblewrap}
	}
	steps := []TrustStep{{tr.bundle, t.words.Setup.BundleReason}}
	if dryRun {
		return steps, nil
	}
	return steps, tr.write()
}

// appWorks says whether a client can be given certificates of its own here.
func (t *Trust) appWorks(ctx context.Context) bool {
	if bubblewrap(ctx, t.getenv) != "" {
		return true
	}
	found := desktop.Find(t.paths.dirs(t.getenv))
	return len(found) > 0 && !slices.ContainsFunc(found, func(c desktop.Client) bool { return !ownHTTP(c) })
}

// RemoveApp undoes InstallApp.
func (t *Trust) RemoveApp(dryRun bool) ([]TrustStep, error) {
	bundle := t.paths.Bundle()
	if _, err := os.Lstat(bundle); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	steps := []TrustStep{{bundle, t.words.Setup.BundleGone}}
	if dryRun {
		return steps, nil
	}
	if err := os.Remove(bundle); err != nil {
		return nil, fmt.Errorf("remove the certificates: %w", err)
	}
	if err := os.Remove(filepath.Dir(bundle)); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return nil, fmt.Errorf("remove the folder of the certificates: %w", err)
	}
	return steps, nil
}

// SystemChange is one certificate that the computer as a whole shall trust, or no longer.
type SystemChange struct {
	Host string
	Path string // in the system's store
	PEM  []byte // nil: remove
}

// InstallSystem lists what is missing in the system's store. A next certificate takes the place of the present one.
func (t *Trust) InstallSystem(uid int) ([]SystemChange, error) {
	tr, err := t.trusts()
	if err != nil {
		return nil, err
	}
	if len(tr.hosts) == 0 {
		return nil, &control.Error{Kind: control.Failed, Text: t.words.Ctl.NoHosts}
	}
	system, err := authority.System()
	if err != nil {
		return nil, &control.Error{Kind: control.Failed, Text: err.Error()}
	}
	if _, err := hostLines(tr.hosts, tr.store, true); err != nil {
		return nil, err
	}
	var out []SystemChange
	for _, h := range tr.hosts {
		file := tr.store.CAFile(h)
		if next := tr.store.NextCAFile(h); exists(next) {
			file = next
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read the certificate for %s: %w", h, err)
		}
		name, _, err := authority.ForSystem(data, time.Now())
		if err != nil {
			return nil, &control.Error{Kind: control.Failed, Text: h + ": " + err.Error()}
		}
		path := system.File(uid, name)
		if was, err := os.ReadFile(path); err == nil && bytes.Equal(was, data) && tr.system(h) {
			continue
		}
		out = append(out, SystemChange{name, path, data})
	}
	return out, nil
}

// RemoveSystem lists what this person has in the system's store.
func (t *Trust) RemoveSystem(uid int) []SystemChange {
	system, err := authority.System()
	if err != nil {
		return nil
	}
	var out []SystemChange
	for _, host := range system.Installed(uid) {
		out = append(out, SystemChange{Host: host, Path: system.File(uid, host)})
	}
	return out
}

// Promote lets the next certificate of each host take over that the system trusts already. A running companion does
// it itself; without one this is called.
func (t *Trust) Promote() error {
	tr, err := t.trusts()
	if err != nil {
		return err
	}
	return tr.promote()
}

func (t trusts) promote() error {
	var errs []error
	for _, h := range t.hosts {
		next, err := os.ReadFile(t.store.NextCAFile(h))
		if err != nil {
			continue // there is none
		}
		if t.inSystem(next) {
			errs = append(errs, t.store.Promote(h))
		}
	}
	return errors.Join(errs...)
}

// askForTrust tells the person once of each certificate that takes over soon where the computer as a whole trusts the
// present one. Clients that are started with the bundle have both in it already.
func (c *companion) askForTrust() {
	c.agent.Tell(agent.Cleared{Code: agent.TrustDue})
	t := c.trusts()
	for _, h := range t.hosts {
		if exists(t.store.NextCAFile(h)) && t.system(h) {
			c.agent.Tell(agent.Raised{Issue: agent.Issue{Code: agent.TrustDue, Args: []string{h}}})
		}
	}
}
