package authority

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// SystemStore is where a distribution takes further certificates from, and the program that puts them to use.
type SystemStore struct {
	Dir    string   // of the certificates
	Update []string // the program and its arguments after one was added
	Fresh  []string // the same after one was removed
	Bundle string   // the file that programs read
}

// systemStores are the known layouts. The first whose folder and program are there is used.
var systemStores = []SystemStore{
	{"/usr/local/share/ca-certificates", []string{"update-ca-certificates"}, []string{"update-ca-certificates", "--fresh"}, "/etc/ssl/certs/ca-certificates.crt"}, // Debian, Ubuntu, Alpine
	{"/etc/pki/ca-trust/source/anchors", []string{"update-ca-trust", "extract"}, []string{"update-ca-trust", "extract"}, "/etc/pki/tls/certs/ca-bundle.crt"},      // Fedora, RHEL
	{"/etc/ca-certificates/trust-source/anchors", []string{"update-ca-trust"}, []string{"update-ca-trust"}, "/etc/ssl/certs/ca-certificates.crt"},                 // Arch
	{"/etc/pki/trust/anchors", []string{"update-ca-certificates"}, []string{"update-ca-certificates"}, "/var/lib/ca-certificates/ca-bundle.pem"},                  // openSUSE
}

// updaterFolders are searched for the program, not PATH: it runs as root.
var updaterFolders = []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// updateLimit is far more than rebuilding the certificates takes.
const updateLimit = 2 * time.Minute

// System finds the certificate store of this computer.
func System() (SystemStore, error) {
	for _, s := range systemStores {
		st, err := os.Stat(filepath.Dir(s.Dir))
		if err != nil || !st.IsDir() {
			continue
		}
		if _, err := updater(s.Update[0]); err == nil {
			return s, nil
		}
	}
	return SystemStore{}, errors.New("no way is known to add a certificate on this distribution")
}

// File is where the certificate for a host is kept, that the person with this uid asked for.
func (s SystemStore) File(uid int, host string) string {
	return filepath.Join(s.Dir, "holdfast-"+strconv.Itoa(uid)+"-"+host+".crt")
}

// Installed lists the hosts whose certificate is in the store for uid.
func (s SystemStore) Installed(uid int) []string {
	prefix := "holdfast-" + strconv.Itoa(uid) + "-"
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return nil
	}
	var hosts []string
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), prefix)
		if name, crt := strings.CutSuffix(name, ".crt"); ok && crt && e.Type().IsRegular() {
			hosts = append(hosts, name)
		}
	}
	return hosts
}

// Install judges a certificate and has the whole computer trust it. It needs root. If the distribution's program does
// not take it, everything is as before.
func (s SystemStore) Install(ctx context.Context, uid int, data []byte, now time.Time) (host string, err error) {
	host, clean, err := ForSystem(data, now)
	if err != nil {
		return "", err
	}
	path := s.File(uid, host)
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("look at the system's certificates: %w", err)
	}
	made := before == nil && !there(s.Dir)
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return "", fmt.Errorf("make the folder of the system's certificates: %w", err)
	}
	if !bytes.Equal(before, clean) {
		if err := publish(path, clean); err != nil {
			return "", fmt.Errorf("add to the system's certificates: %w", err)
		}
	}
	if err = s.run(ctx, s.Update); err == nil && !bundled(s.Bundle, clean) {
		err = fmt.Errorf("%s has run, and %s does not hold the certificate", s.Update[0], s.Bundle)
	}
	if err == nil {
		return host, nil
	}
	back := os.Remove(path)
	if before != nil {
		back = publish(path, before)
	} else if made {
		back = errors.Join(back, os.Remove(s.Dir))
	}
	return "", errors.Join(err, back, s.run(context.WithoutCancel(ctx), s.Fresh))
}

// Remove takes the certificate for host out again. One that is not there is no error.
func (s SystemStore) Remove(ctx context.Context, uid int, host string) error {
	name, err := Name(host)
	if err != nil || name != host {
		return fmt.Errorf("%w: %q is not a host name", ErrRefused, host)
	}
	path := s.File(uid, host)
	if err := os.Remove(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("take out of the system's certificates: %w", err)
	}
	return s.run(ctx, s.Fresh)
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func bundled(bundle string, ca []byte) bool {
	data, err := os.ReadFile(bundle)
	return err == nil && Holds(data, ca)
}

// publish writes a file that everybody may read, whole or not at all.
func publish(path string, data []byte) error {
	if err := writeFile(path, data); err != nil {
		return err
	}
	return os.Chmod(path, 0o644)
}

func updater(name string) (string, error) {
	for _, dir := range updaterFolders {
		p := filepath.Join(dir, name)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

// run runs the distribution's program with nothing of the caller's environment.
func (s SystemStore) run(ctx context.Context, command []string) error {
	program, err := updater(command[0])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, updateLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, command[1:]...)
	cmd.Env = []string{"PATH=" + strings.Join(updaterFolders, ":"), "LC_ALL=C"}
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w: %s", command[0], err, bytes.TrimSpace(out))
	}
	return nil
}
