package main

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// siteConfig is a [[site]]: another upload server on the same sockets, with files, state and secrets of its own. What it does
// not have is that of the tables.
type siteConfig struct {
	Name           string   `toml:"name"`
	PublicURL      string   `toml:"public_url"`
	Path           string   `toml:"path"`
	State          string   `toml:"state"`
	Secrets        []secret `toml:"secrets"`
	SecretFile     string   `toml:"secret_file"`
	Schemes        []scheme `toml:"schemes"`
	LegacyFullPath bool     `toml:"legacy_full_path"`
	MaxUploadSize  size     `toml:"max_upload_size"`
	QuotaTotal     size     `toml:"quota_total"`
}

var siteName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// servesTables reports whether the tables describe a server of their own beside the sites.
func (c *config) servesTables() bool {
	a := c.Auth
	return len(c.Sites) == 0 || len(a.Schemes) > 0 || len(a.Secrets) > 0 || a.SecretFile != "" || len(a.Issuers) > 0
}

// sites is what is served, each as a configuration without [[site]]: first the tables, if they have [auth], then the sites.
func (c *config) sites() []*config {
	var out []*config
	if c.servesTables() {
		main := *c
		main.Sites = nil
		out = append(out, &main)
	}
	for _, s := range c.Sites {
		one := *c
		one.Sites, one.site = nil, s.Name
		one.Server.PublicURL, one.Storage.Path, one.Storage.State = s.PublicURL, s.Path, s.State
		one.Auth = authConfig{Secrets: s.Secrets, SecretFile: s.SecretFile, Schemes: s.Schemes, LegacyFullPath: s.LegacyFullPath}
		if s.MaxUploadSize > 0 {
			one.Limits.MaxUploadSize = s.MaxUploadSize
		}
		if s.QuotaTotal > 0 {
			one.Limits.QuotaTotal = s.QuotaTotal
		}
		out = append(out, &one)
	}
	return out
}

// oneSite is the site that an admin names; empty: the only one, or that of the tables.
func (c *config) oneSite(name string) (*config, error) {
	all := c.sites()
	var names []string
	for _, s := range all {
		if s.site == name {
			return s, nil
		}
		names = append(names, s.site)
	}
	if name == "" && len(all) == 1 {
		return all[0], nil
	}
	return nil, usageError{fmt.Errorf("-site must be one of %s", strings.Join(names, ", "))}
}

// host is the name under which a site is asked for.
func (c *config) host() string {
	u, err := url.Parse(c.Server.PublicURL)
	if err != nil {
		return "" // validate has refused such a URL
	}
	return strings.ToLower(u.Hostname())
}

// label is the site's name in metrics and logs; the tables have none.
func (c *config) label() string {
	if c.site == "" {
		return "main"
	}
	return c.site
}

// validateSites checks what the sites have to themselves, and what they must not share.
func (c *config) validateSites() []problem {
	var out []problem
	say := func(format string, args ...any) {
		out = append(out, problem{file: c.file, text: fmt.Sprintf(format, args...)})
	}
	for i := range c.Sites {
		s := &c.Sites[i]
		for _, p := range []*string{&s.Path, &s.State, &s.SecretFile} {
			*p = c.abs(*p)
		}
		who := fmt.Sprintf("site %q", s.Name)
		if !siteName.MatchString(s.Name) || s.Name == "main" {
			who = fmt.Sprintf("site %d", i+1)
			say("%s: name %q must be small letters, digits, dots and dashes, and not \"main\"", who, s.Name)
		}
		if slices.ContainsFunc(c.Sites[:i], func(o siteConfig) bool { return o.Name == s.Name }) {
			say("%s: there are two of that name", who)
		}
		if s.Path == "" || s.State == "" {
			say("%s: path and state must name folders", who)
		}
		if len(s.Schemes) == 0 {
			say("%s: schemes is missing", who)
		}
		if len(s.Secrets) == 0 && s.SecretFile == "" {
			say("%s: secrets or secret_file is missing", who)
		}
		if err := publicURL(s.PublicURL); err != nil {
			say("%s: public_url: %v", who, err)
		}
	}
	if len(out) > 0 {
		return out
	}
	all := c.sites()
	for i, a := range all {
		for _, b := range all[:i] {
			if a.host() == b.host() && prefix(a.Server.PublicURL) == prefix(b.Server.PublicURL) {
				say("site %q: site %q has the same public_url", a.label(), b.label())
			}
			if overlap(a.Storage.Path, b.Storage.Path) || overlap(a.Storage.State, b.Storage.State) || within(a.Storage.State, b.Storage.Path) || within(b.Storage.State, a.Storage.Path) {
				say("site %q: path and state must lie outside of those of site %q", a.label(), b.label())
			}
		}
		if a.site != "" && (a.Storage.Path == a.Storage.State || within(a.Storage.State, a.Storage.Path)) {
			say("site %q: state must lie outside of path, whose files are served", a.label())
		}
	}
	return out
}

func overlap(a, b string) bool { return within(a, b) || within(b, a) }

// publicURL says what is wrong with a public URL.
func publicURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "":
		return fmt.Errorf("%q is not a URL like \"https://upload.example.org/upload/\"", s)
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%q must end with its path", s)
	}
	return nil
}

var errSitesChanged = errors.New("sites were added, removed or renamed")

// match pairs the running parts with the sites of a new configuration.
func match(running []*parts, c *config) ([]*config, error) {
	sites := c.sites()
	if len(sites) != len(running) {
		return nil, errSitesChanged
	}
	for i, p := range running {
		if p.config.site != sites[i].site {
			return nil, errSitesChanged
		}
	}
	return sites, nil
}
