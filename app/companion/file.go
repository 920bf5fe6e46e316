package companion

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"golang.org/x/sys/unix"

	"holdfast/app/control"
	"holdfast/app/words"
)

// configFile is config.toml on disk. Whoever changes it holds the lock beside it, reads it afresh, changes the bytes
// of one key and replaces it, so that neither hand edits nor another program's changes are lost.
type configFile struct {
	path  string
	words *words.Words
}

// read returns the values; a missing file is the defaults.
func (f configFile) read() (Config, []Unknown, error) {
	data, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return defaults(), nil, nil
	}
	if err != nil {
		return defaults(), nil, fmt.Errorf("read the configuration: %w", err)
	}
	return parseConfig(data, f.words)
}

// setAutoFix changes [autofix] enabled.
func (f configFile) setAutoFix(on bool) error {
	return f.change(
		func(data []byte, c Config) ([]byte, error) {
			if c.AutoFix == on {
				return data, nil
			}
			return setKey(data, "autofix", "enabled", strconv.FormatBool(on))
		},
		func(c *Config) { c.AutoFix = on })
}

// addHost adds a canonical host; false: it was there.
func (f configFile) addHost(host string) (added bool, err error) {
	err = f.change(
		func(data []byte, c Config) ([]byte, error) {
			if slices.Contains(c.Hosts, host) {
				return data, nil
			}
			added = true
			return addElement(data, "relay", "hosts", host)
		},
		func(c *Config) {
			if added {
				c.Hosts = append(c.Hosts, host)
			}
		})
	return added, err
}

// removeHost removes a canonical host, however it is spelt in the file; false: it was not there.
func (f configFile) removeHost(host string) (removed bool, err error) {
	err = f.change(
		func(data []byte, c Config) ([]byte, error) {
			if !slices.Contains(c.Hosts, host) {
				return data, nil
			}
			removed = true
			var doc document
			if err := toml.Unmarshal(data, &doc); err != nil {
				return nil, err
			}
			written := doc.Relay.Hosts
			return removeElements(data, "relay", "hosts", func(i int) bool {
				if i >= len(written) {
					return false
				}
				h, err := ParseHost(written[i], f.words)
				return err == nil && h == host
			})
		},
		func(c *Config) {
			c.Hosts = slices.DeleteFunc(c.Hosts, func(h string) bool { return h == host })
		})
	return removed, err
}

// hosts is the verb of Hosts on the file. Its errors are for a person.
func (f configFile) hosts(verb, host string) (changed bool, err error) {
	if verb == "list" {
		return false, nil
	}
	if verb != "add" && verb != "remove" {
		return false, &control.Error{Kind: control.Invalid, Text: fmt.Sprintf(f.words.Ctl.UnknownVerb, "hosts "+verb)}
	}
	name, err := ParseHost(host, f.words)
	if err != nil {
		return false, &control.Error{Kind: control.Invalid, Text: err.Error()}
	}
	if verb == "add" {
		changed, err = f.addHost(name)
	} else {
		changed, err = f.removeHost(name)
	}
	if err != nil {
		return false, &control.Error{Kind: control.Failed, Text: err.Error()}
	}
	return changed, nil
}

// where says in words where a mistake is.
func (f configFile) where(err error) string {
	if m, ok := errors.AsType[*Mistake](err); ok && m.Line > 0 {
		return fmt.Sprintf(f.words.Ctl.AtLine, m.Line, m.Text)
	}
	return err.Error()
}

// keys lists unknown keys with their lines.
func (f configFile) keys(unknown []Unknown) string {
	var out []string
	for _, u := range unknown {
		out = append(out, fmt.Sprintf(f.words.Ctl.UnknownKey, u.Key, u.Line))
	}
	return strings.Join(out, ", ")
}

// roots are the authorities that upload servers are checked against: nil for the system's, else these and those in
// upstream_ca.
func (f configFile) roots(c Config) (*x509.CertPool, error) {
	if c.UpstreamCA == "" {
		return nil, nil
	}
	path := c.UpstreamCA
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(f.path), path)
	}
	bad := func(why string) (*x509.CertPool, error) {
		data, err := os.ReadFile(f.path)
		line := 0
		if err == nil {
			line = lineOf(data, "relay", "upstream_ca", 0)
		}
		return nil, &Mistake{line, fmt.Sprintf(f.words.Ctl.CABad, path, why)}
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return bad(err.Error())
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return bad(f.words.Ctl.CAEmpty)
	}
	return pool, nil
}

// change applies edit to the file. want says what has to be different afterwards; if anything else is, or if edit
// finds no place, nothing is written and the person is asked to do it.
func (f configFile) change(edit func([]byte, Config) ([]byte, error), want func(*Config)) error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return fmt.Errorf("make the configuration folder: %w", err)
	}
	unlock, err := lockConfig(f.path + ".lock")
	if err != nil {
		return err
	}
	defer unlock()
	target, err := resolve(f.path)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o600)
	data, err := os.ReadFile(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("read the configuration: %w", err)
	default:
		st, err := os.Stat(target)
		if err != nil {
			return fmt.Errorf("read the configuration: %w", err)
		}
		mode = st.Mode().Perm()
	}
	mark := []byte("\ufeff")
	marked := bytes.HasPrefix(data, mark)
	body := bytes.TrimPrefix(data, mark)
	before, unknown, err := parseConfig(body, f.words)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	after, err := edit(body, before)
	if err == nil && bytes.Equal(after, body) {
		return nil
	}
	expected := before
	expected.Hosts = slices.Clone(before.Hosts)
	want(&expected)
	got, still, perr := parseConfig(after, f.words)
	if err != nil || perr != nil || !equal(got, expected) || len(still) != len(unknown) {
		return fmt.Errorf(f.words.Ctl.ConfigKept, f.path)
	}
	if marked {
		after = append(mark, after...)
	}
	return replace(target, after, mode)
}

func equal(a, b Config) bool {
	return a.Listen == b.Listen && a.GiveUp == b.GiveUp && a.UpstreamCA == b.UpstreamCA && a.AutoFix == b.AutoFix && slices.Equal(a.Hosts, b.Hosts)
}

// lockConfig waits for the lock that every writer of config.toml takes.
func lockConfig(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the configuration: %w", err)
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the configuration: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil // nothing was written to it
}

// resolve follows links, so that a configuration kept elsewhere stays a link. A link to nothing gives the place
// where the file would be.
func resolve(path string) (string, error) {
	for range 40 {
		target, err := os.Readlink(path)
		if err != nil {
			return path, nil // not a link, or not there yet
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return "", fmt.Errorf("read the configuration: %s is a link in a circle", path)
}

// replace writes a file so that a crash leaves the old or the new one.
func replace(path string, data []byte, mode fs.FileMode) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
