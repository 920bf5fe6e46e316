package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"holdfast/relay/token"
)

const signHelp = `
holdfast-server sign prints an upload URL as the XMPP server would issue it: the URL on the first line, then the
headers that belong to it, one a line.

Example (upload a file of 5 bytes):
  holdfast-server sign -config server.toml -scheme v2 -path 8f1c/hello.txt -size 5 -type text/plain
  curl -T hello.txt -H 'Content-Type: text/plain' 'https://upload.example.org/upload/8f1c/hello.txt?v2=...'
`

// sign prints a signed slot.
func sign(args []string, stdout, stderr io.Writer) error {
	f := flags("sign", signHelp, stderr)
	var (
		file    = f.String("config", "", "configuration `FILE`")
		name    = f.String("scheme", "", "token `SCHEME`: v, v2, token, v3, bearer, jwt (default: the first one configured)")
		path    = f.String("path", "", "`PATH` below the public URL, as the file is named (not escaped)")
		bytes   = f.Int64("size", -1, "size of the file in `BYTES`")
		typ     = f.String("type", "", "media `TYPE` of the file")
		user    = f.String("user", "", "bare `JID` of the uploader (bearer needs one)")
		form    = f.Int("form", 0, "bearer payload `FORM` 1 to 6 (default 2)")
		at      = f.String("at", "", "sign as if issued at this `TIME` (RFC 3339; default: now)")
		site    = f.String("site", "", "`NAME` of the [[site]], if there are several")
		session = f.String("session", "", "session `ID` (bearer form 6)")
	)
	if _, help, err := parse(f, args, 0); help || err != nil {
		return err
	}
	c, err := loadFlag(*file)
	if err != nil {
		return err
	}
	if c, err = c.oneSite(*site); err != nil {
		return err
	}
	switch {
	case *path == "":
		return usageError{errors.New("-path is missing")}
	case *bytes < 0:
		return usageError{errors.New("-size is missing")}
	}
	when := time.Now()
	if *at != "" {
		if when, err = time.Parse(time.RFC3339, *at); err != nil {
			return usageError{fmt.Errorf("-at %q is not a time like 2026-01-31T12:00:00Z", *at)}
		}
	}
	issuers, err := c.issuers(nil)
	if err != nil {
		return err
	}
	is, s, err := pick(issuers, *name)
	if err != nil {
		return usageError{err}
	}
	if s == token.Bearer {
		if *user == "" {
			return usageError{errors.New("-user is missing: a bearer token names its uploader")}
		}
		if *form < 0 || token.Form(*form) > token.SessionBased {
			return usageError{fmt.Errorf("-form %d: there are forms 1 to 6", *form)}
		}
	}
	slot, err := signed(c, token.Issued(token.Claims{
		Scheme: s, Path: *path, Size: *bytes, Type: *typ, User: *user, Form: token.Form(*form), Session: *session,
	}, when), is)
	if errors.Is(err, token.ErrInvalid) || errors.Is(err, token.ErrPath) { // of what was asked for
		return usageError{fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "sign the slot: "+token.ErrInvalid.Error()+": "))}
	}
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintln(&b, slot.URL)
	if slot.Authorization != "" {
		fmt.Fprintln(&b, "Authorization:", slot.Authorization)
	}
	if *typ != "" {
		fmt.Fprintln(&b, "Content-Type:", *typ)
	}
	_, err = io.WriteString(stdout, b.String())
	return err
}

// slot is a signed URL and its header.
type slot struct {
	URL           string
	Target        string // path and query
	Authorization string
}

// signed signs c with the issuer's first secret for the configured public URL.
func signed(conf *config, c token.Claims, is token.Issuer) (slot, error) {
	base, err := url.Parse(conf.Server.PublicURL)
	if err != nil {
		return slot{}, fmt.Errorf("read public_url: %w", err)
	}
	full := "/" + strings.Trim(base.Path, "/") + "/" + c.Path
	target := "/" + strings.Trim(base.EscapedPath(), "/") + "/" + token.EscapePath(c.Path)
	if strings.Trim(base.Path, "/") == "" {
		full, target = "/"+c.Path, "/"+token.EscapePath(c.Path)
	}
	g, err := token.Sign(c, full, is.Secrets[0])
	if err != nil {
		return slot{}, fmt.Errorf("sign the slot: %w", err)
	}
	if g.RawQuery != "" {
		target += "?" + g.RawQuery
	}
	return slot{base.Scheme + "://" + base.Host + target, target, g.Authorization}, nil
}

// pick finds the issuer of a scheme; without a name the first scheme configured.
func pick(issuers []token.Issuer, name string) (token.Issuer, token.Scheme, error) {
	var have []string
	for _, is := range issuers {
		for _, s := range is.Schemes {
			if name == "" || string(s) == name {
				return is, s, nil
			}
			have = append(have, string(s))
		}
	}
	return token.Issuer{}, "", fmt.Errorf("scheme %q is not configured; there is %s", name, strings.Join(have, ", "))
}
