package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/relay/server/realip"
	"holdfast/relay/token"
)

const checkHelp = `
holdfast-server check proves that a configuration works. It looks at files, folders and addresses, and then runs a
private instance of the same configuration on loopback, with a throw-away store and a clock of its own, and uploads to
it. Every line is PASS or FAIL with what was seen. Nothing of a running server is changed.

Example:
  holdfast-server check -config /etc/holdfast/server.toml

Exit code 1 if anything failed.
`

// report prints the lines of a check.
type report struct {
	w              io.Writer
	site           string // what the lines are about; empty: all
	passed, failed int
}

// each calls fn for every site, and the lines say which it is if there are several.
func (r *report) each(c *config, fn func(site *config)) {
	for _, site := range c.sites() {
		if len(c.Sites) > 0 {
			r.site = site.label()
		}
		fn(site)
	}
	r.site = ""
}

// about is what a line is about.
func (r *report) about(what string) string {
	if r.site == "" {
		return what
	}
	return "site " + r.site + ": " + what
}

func (r *report) pass(what, format string, args ...any) {
	r.passed++
	fmt.Fprintf(r.w, "PASS  %s: %s\n", r.about(what), fmt.Sprintf(format, args...))
}

func (r *report) fail(what, format string, args ...any) {
	r.failed++
	fmt.Fprintf(r.w, "FAIL  %s: %s\n", r.about(what), fmt.Sprintf(format, args...))
}

// verdict prints PASS with the evidence, or FAIL with the error.
func (r *report) verdict(what, evidence string, err error) {
	if err != nil {
		r.fail(what, "%v", err)
		return
	}
	r.pass(what, "%s", evidence)
}

// check prints the proof of a configuration.
func check(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := flags("check", checkHelp, stderr)
	file := f.String("config", "", "configuration `FILE`")
	if _, help, err := parse(f, args, 0); help || err != nil {
		return err
	}
	if *file == "" {
		return usageError{errors.New("-config FILE is missing")}
	}
	r := &report{w: stdout}
	c, problems := inspect(*file)
	for _, p := range problems {
		r.fail("config", "%v", p)
	}
	if len(problems) == 0 {
		r.pass("config", "%s is valid", *file)
	}
	if c != nil {
		issuers := map[string][]token.Issuer{}
		r.each(c, func(site *config) { issuers[site.site] = checkSecrets(r, site) })
		checkGrace(r, c.Grace)
		hello := ""
		if local := netip.MustParseAddr("127.0.0.1"); c.Server.ProxyProtocol && realip.New(prefixes(c.Server.TrustedProxies)).Trusted(local) {
			hello = realip.LocalHeader
		}
		checkListen(ctx, r, "listen", c.Server.Listen, hello, c.TLS.Cert != "")
		if c.Server.MetricsListen != "" {
			checkListen(ctx, r, "metrics listen", c.Server.MetricsListen, "", false)
		}
		checkTLS(r, c, time.Now())
		checkLog(r, c)
		r.each(c, func(site *config) { checkSite(ctx, r, site, issuers[site.site]) })
	}
	fmt.Fprintf(stdout, "%d passed, %d failed\n", r.passed, r.failed)
	if r.failed > 0 {
		return errFailed
	}
	return nil
}

// checkSite checks what each site has of its own.
func checkSite(ctx context.Context, r *report, c *config, issuers []token.Issuer) {
	if checkFolder(r, "storage.path", c.Storage.Path) {
		checkSpace(r, c)
	}
	checkFolder(r, "storage.state", c.Storage.State)
	if len(issuers) > 0 {
		if err := checkInstance(ctx, r, c, issuers); err != nil {
			r.fail("private instance", "%v", err)
		}
	}
	checkProxy(ctx, r, c)
}

// checkSecrets reads the secrets and judges them and the files they lie in. nil: there are none to go on with.
func checkSecrets(r *report, c *config) []token.Issuer {
	named := len(c.blocks())
	c = c.withSchemes()
	stand := *c
	var pending []string
	replace := func(file *string, inline *[]secret) {
		if *file == "" || !c.makesSecret(*file) {
			return
		}
		if _, err := os.Stat(*file); errors.Is(err, fs.ErrNotExist) {
			pending = append(pending, *file)
			*inline = append(*inline, secret{token.Secret(freshSecret())})
			*file = ""
		}
	}
	replace(&stand.Auth.SecretFile, &stand.Auth.Secrets)
	stand.Auth.Issuers = append([]issuerConfig(nil), c.Auth.Issuers...)
	for i := range stand.Auth.Issuers {
		replace(&stand.Auth.Issuers[i].SecretFile, &stand.Auth.Issuers[i].Secrets)
	}
	issuers, err := stand.issuers(nil)
	if err != nil {
		r.fail("secrets", "%v", err)
		return nil
	}
	n, shortest := 0, 0
	for _, is := range issuers {
		if len(is.Secrets) == 0 {
			return nil // said by config
		}
		for _, s := range is.Secrets {
			if n++; shortest == 0 || len(s) < shortest {
				shortest = len(s)
			}
		}
	}
	if n == 0 {
		return nil
	}
	warned := c.warnings(issuers)
	for _, w := range warned {
		r.fail("secrets", "%s: %s: %s", w.what, w.file, w.why)
	}
	if len(warned) == 0 {
		text := fmt.Sprintf("%d, the shortest has %d bytes; no file with a secret is readable by others", n, shortest)
		if len(pending) > 0 {
			text += "; made with a random secret at the first start: " + strings.Join(pending, ", ")
		}
		r.pass("secrets", "%s", text)
	}
	if len(issuers) != named {
		return nil // what is signed with some of them is not known; said by config
	}
	return issuers
}

// withSchemes gives every secret a scheme, so that one for which none could be read is judged all the same.
func (c *config) withSchemes() *config {
	stand, any := *c, []scheme{{token.V2}}
	if a := &stand.Auth; len(a.Schemes) == 0 && (len(a.Secrets) > 0 || a.SecretFile != "") {
		a.Schemes = any
	}
	stand.Auth.Issuers = slices.Clone(c.Auth.Issuers)
	for i := range stand.Auth.Issuers {
		if is := &stand.Auth.Issuers[i]; len(is.Schemes) == 0 && (len(is.Secrets) > 0 || is.SecretFile != "") {
			is.Schemes = any
		}
	}
	return &stand
}

// checkGrace compares the windows: one that ends before another that is open to more clients never admits anything.
func checkGrace(r *report, g graceConfig) {
	type window struct {
		name   string
		length duration
	}
	longest, good := window{"base", g.Base}, true
	for _, w := range []window{{"mobile", g.Mobile}, {"desktop", g.Desktop}, {"restore", g.Restore}, {"ultra", g.Ultra}} {
		if w.length < longest.length {
			r.fail("grace", "%s (%s) is shorter than %s (%s), so it never admits anything", w.name, w.length, longest.name, longest.length)
			good = false
			continue
		}
		longest = w
	}
	if good {
		r.pass("grace", "base %s, mobile %s, desktop %s, restore %s, ultra %s", g.Base, g.Mobile, g.Desktop, g.Restore, g.Ultra)
	}
}

// checkTLS looks at the certificate.
func checkTLS(r *report, c *config, now time.Time) {
	if c.TLS.Cert == "" || c.TLS.Key == "" {
		if strings.HasPrefix(c.Server.PublicURL, "https:") {
			r.pass("tls", "off; public_url is https, so a reverse proxy in front ends it")
		}
		return
	}
	pair, err := newCertificate(c.TLS.Cert, c.TLS.Key, nil)
	if err != nil {
		r.fail("tls", "%v", err)
		return
	}
	leaf, err := x509.ParseCertificate(pair.current.Certificate[0])
	if err != nil {
		r.fail("tls", "%s: %v", c.TLS.Cert, err)
		return
	}
	host := ""
	if u, err := url.Parse(c.Server.PublicURL); err == nil {
		host = u.Hostname()
	}
	switch err := leaf.VerifyHostname(host); {
	case now.After(leaf.NotAfter):
		r.fail("tls", "%s ended on %s", c.TLS.Cert, leaf.NotAfter.Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		r.fail("tls", "%s begins on %s", c.TLS.Cert, leaf.NotBefore.Format(time.DateOnly))
	case err != nil:
		r.fail("tls", "%s is not for the host of public_url: %v", c.TLS.Cert, err)
	default:
		r.pass("tls", "%s is for %s until %s", c.TLS.Cert, host, leaf.NotAfter.Format(time.DateOnly))
	}
}

// checkFolder proves that files in a folder can be made durable: written, synced, renamed, synced, removed.
func checkFolder(r *report, what, dir string) bool {
	if dir == "" {
		return false // said by config
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		above, err := nearestFolder(dir)
		if err != nil {
			r.fail(what, "%s cannot be made: %v", dir, err)
			return false
		}
		r.pass(what, "%s will be made at the first start; %s can be written", dir, above)
		return true
	}
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a folder", dir)
	}
	if err == nil {
		err = writeDurably(dir)
	}
	r.verdict(what, fmt.Sprintf("%s: a file was written, synced, renamed and removed", dir), err)
	return err == nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// nearestFolder returns the folder below which dir would be made, if this user may write there.
func nearestFolder(dir string) (string, error) {
	for above := filepath.Dir(dir); ; above = filepath.Dir(above) {
		info, err := os.Stat(above)
		if errors.Is(err, fs.ErrNotExist) && above != "/" {
			continue
		}
		if err != nil {
			return "", err
		}
		if !info.IsDir() {
			return "", fmt.Errorf("%s is not a folder", above)
		}
		if err := unix.Access(above, unix.W_OK|unix.X_OK); err != nil {
			return "", fmt.Errorf("%s: %w", above, err)
		}
		var st unix.Statfs_t
		if err := unix.Statfs(above, &st); err == nil && (st.Type == unix.PROC_SUPER_MAGIC || st.Type == unix.SYSFS_MAGIC) {
			return "", fmt.Errorf("%s is not on a disk", above)
		}
		return above, nil
	}
}

func writeDurably(dir string) (err error) {
	f, err := os.CreateTemp(dir, ".holdfast-check-*")
	if err != nil {
		return err
	}
	name := f.Name()
	defer func() { err = errors.Join(err, os.Remove(name)) }()
	_, err = f.WriteString("check\n")
	if serr := f.Sync(); err == nil {
		err = serr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(name, name+".2"); err != nil {
		return err
	}
	name += ".2"
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}

// checkSpace compares the free space with what is kept free.
func checkSpace(r *report, c *config) {
	dir := c.Storage.Path
	for dir != "/" && dir != "." {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		r.fail("disk", "%s: %v", dir, err)
		return
	}
	free := size(st.Bavail * uint64(st.Bsize) >> 20 << 20)
	if free <= c.Limits.MinFree {
		r.fail("disk", "%s has %s free, and limits.min_free keeps %s: every upload would be refused with 507", dir, free, c.Limits.MinFree)
		return
	}
	r.pass("disk", "%s has %s free, %s of it is kept free", dir, free, c.Limits.MinFree)
}

// checkLog looks whether the log file can be written.
func checkLog(r *report, c *config) {
	if c.Log.File == "" {
		return
	}
	if err := unix.Access(c.Log.File, unix.W_OK); err == nil {
		r.pass("log", "%s can be written", c.Log.File)
		return
	} else if !errors.Is(err, fs.ErrNotExist) {
		r.fail("log", "%s: %v", c.Log.File, err)
		return
	}
	_, err := nearestFolder(c.Log.File)
	r.verdict("log", c.Log.File+" will be made", wrap(c.Log.File+" cannot be made", err))
}
