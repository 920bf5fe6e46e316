package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"holdfast/relay/server"
	"holdfast/relay/token"
)

const filesHelp = `
holdfast-server files looks for stored files and takes them down. It works while the server runs, and without it.

  files list [-user JID] [-json] [PREFIX]   what is there: size, time, media type, path below the public URL
  files rm PATH...                          remove files for good: their URLs answer 404, and their slots 409
  files block PATH|SHA256...                rm, and the same bytes are refused from now on, under every name (403 blocked);
                                            copies of them under other paths go, too
  files unblock SHA256...                   take a block back; files do not come back
  files blocked [-json]                     what is blocked, and since when

A PATH is what follows the public URL, not escaped, or the whole URL as somebody reported it.
-user finds only files whose token named its sender (jwt, bearer, and v of ejabberd).

Examples:
  holdfast-server files list -config /etc/holdfast/server.toml -user mallory@example.org
  holdfast-server files rm -config /etc/holdfast/server.toml https://upload.example.org/upload/8f1c/hello%20world.txt
  sha256sum evil.iso
  holdfast-server files block -config /etc/holdfast/server.toml 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03

Exit codes: 0 done, 1 a file is not there or something went wrong, 2 the command line or the configuration is wrong.
`

// files looks for files and takes them down.
func files(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := flags("files", filesHelp, stderr)
	var (
		file   = f.String("config", "", "configuration `FILE`")
		user   = f.String("user", "", "list: only files of this bare `JID`")
		site   = f.String("site", "", "`NAME` of the [[site]], if there are several")
		asJSON = f.Bool("json", false, "list, blocked: one JSON object a line")
	)
	rest, help, err := parse(f, args, 1<<16)
	if help || err != nil {
		return err
	}
	if len(rest) == 0 {
		return usageError{errors.New("say what to do: files list, rm, block, unblock or blocked")}
	}
	verb, what := rest[0], rest[1:]
	do, known := map[string]func(a *adminCalls) error{
		"list":    func(a *adminCalls) error { return a.list(*user, strings.Join(what, ""), *asJSON) },
		"rm":      func(a *adminCalls) error { return a.remove(what) },
		"block":   func(a *adminCalls) error { return a.block(what) },
		"unblock": func(a *adminCalls) error { return a.unblock(what) },
		"blocked": func(a *adminCalls) error { return a.blocked(*asJSON) },
	}[verb]
	switch {
	case !known:
		return usageError{fmt.Errorf("unknown verb %q: files list, rm, block, unblock or blocked", verb)}
	case verb == "list" && len(what) > 1, verb == "blocked" && len(what) > 0:
		return usageError{fmt.Errorf("unexpected argument %q", what[len(what)-1])}
	case (verb == "rm" || verb == "block" || verb == "unblock") && len(what) == 0:
		return usageError{fmt.Errorf("files %s: name what", verb)}
	}
	c, err := loadFlag(*file)
	if err != nil {
		return err
	}
	if c, err = c.oneSite(*site); err != nil {
		return err
	}
	return withAdmin(ctx, c, stderr, func(client *http.Client) error {
		return do(&adminCalls{ctx, client, c, stdout, stderr})
	})
}

// withAdmin calls fn with a client for the running server, or for one that is started on the same files for that long only.
func withAdmin(ctx context.Context, c *config, stderr io.Writer, fn func(*http.Client) error) (err error) {
	client, err := dialAdmin(ctx, c.Storage.State)
	if err == nil {
		return fn(client)
	}
	if !errors.Is(err, errNoServer) {
		return err
	}
	if _, err := os.Stat(c.Storage.State); err != nil {
		return fmt.Errorf("no server runs, and none has run with this configuration: %w", err)
	}
	p, err := open(c, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelError})), nil, false, false)
	defer func() { err = errors.Join(err, p.close()) }()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- serveAdmin(ctx, p.admin, p.server.AdminHandler()) }()
	if client, err = dialAdmin(ctx, c.Storage.State); err == nil {
		err = fn(client)
	}
	cancel()
	return errors.Join(err, <-served)
}

// notRunning reports whether err means that nobody listens.
func notRunning(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// adminCalls are the verbs.
type adminCalls struct {
	ctx            context.Context // for one verb
	client         *http.Client
	config         *config
	stdout, stderr io.Writer
}

// call sends a request and returns the body of the answer.
func (a *adminCalls) call(method, target string, body any) (io.ReadCloser, error) {
	var b []byte
	if body != nil {
		var err error
		if b, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(a.ctx, method, "http://admin"+target, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		return nil, errors.Join(fmt.Errorf("the server says %s: %s", resp.Status, bytes.TrimSpace(text)), resp.Body.Close())
	}
	return resp.Body, nil
}

// order sends an order. missing: there was nothing to carry it out on.
func (a *adminCalls) order(verb string, o server.AdminOrder) (res server.AdminResult, err error) {
	body, err := a.call(http.MethodPost, "/files/"+verb, o)
	if err != nil {
		return res, err
	}
	if err := errors.Join(json.NewDecoder(body).Decode(&res), body.Close()); err != nil {
		return res, fmt.Errorf("read the server's answer: %w", err)
	}
	for _, f := range res.Removed {
		fmt.Fprintf(a.stdout, "removed %s (%d bytes, of %s)\n", f.Path, f.Size, f.Time.UTC().Format(time.RFC3339))
	}
	if res.Error != "" {
		return res, errors.New(res.Error)
	}
	return res, nil
}

func (a *adminCalls) list(user, prefix string, asJSON bool) (err error) {
	if prefix, err = a.path(prefix, true); err != nil {
		return usageError{err}
	}
	body, err := a.call(http.MethodGet, "/files?user="+url.QueryEscape(user), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	out := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer func() { err = errors.Join(err, out.Flush()) }()
	lines := json.NewEncoder(a.stdout)
	for d := json.NewDecoder(body); ; {
		var line struct {
			server.Found
			Error string `json:"error"`
		}
		switch err := d.Decode(&line); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the server's answer: %w", err)
		case line.Error != "":
			return errors.New(line.Error)
		case !strings.HasPrefix(line.Path, prefix):
			continue
		}
		if asJSON {
			if err := lines.Encode(line.Found); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(out, "%d\t  %s  %s  %s\n", line.Size, line.Time.UTC().Format(time.RFC3339), printable(line.Type), printable(line.Path))
	}
}

func (a *adminCalls) remove(what []string) error {
	return a.each(what, func(name string) (string, bool, error) {
		path, err := a.path(name, false)
		if err != nil {
			return "", false, usageError{err}
		}
		res, err := a.order("rm", server.AdminOrder{Path: path})
		return "there is no such file: " + name, res.Missing, err
	})
}

var isSHA256 = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

func (a *adminCalls) block(what []string) error {
	return a.each(what, func(name string) (string, bool, error) {
		var o server.AdminOrder
		if isSHA256.MatchString(name) {
			o.SHA256 = strings.ToLower(name)
		} else {
			path, err := a.path(name, false)
			if err != nil {
				return "", false, usageError{err}
			}
			o.Path = path
		}
		res, err := a.order("block", o)
		if res.SHA256 != "" {
			fmt.Fprintln(a.stdout, "blocked", res.SHA256)
		}
		return "there is no such file: " + name + "; if you have its bytes, block their SHA-256 (sha256sum FILE)", res.Missing, err
	})
}

func (a *adminCalls) unblock(what []string) error {
	return a.each(what, func(name string) (string, bool, error) {
		if !isSHA256.MatchString(name) {
			return "", false, usageError{fmt.Errorf("%q is not a SHA-256 of 64 hexadecimal digits", name)}
		}
		res, err := a.order("unblock", server.AdminOrder{SHA256: strings.ToLower(name)})
		if err == nil && !res.Missing {
			fmt.Fprintln(a.stdout, "unblocked", strings.ToLower(name))
		}
		return name + " is not blocked", res.Missing, err
	})
}

// each does something for every name, also after one was missing.
func (a *adminCalls) each(names []string, do func(name string) (missing string, isMissing bool, err error)) error {
	failed := false
	for _, name := range names {
		text, missing, err := do(name)
		if err != nil {
			return err
		}
		if missing {
			failed = true
			fmt.Fprintln(a.stderr, "holdfast-server:", text)
		}
	}
	if failed {
		return errFailed
	}
	return nil
}

func (a *adminCalls) blocked(asJSON bool) error {
	body, err := a.call(http.MethodGet, "/files/blocked", nil)
	if err != nil {
		return err
	}
	var blocks []server.AdminBlock
	if err := errors.Join(json.NewDecoder(body).Decode(&blocks), body.Close()); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	lines := json.NewEncoder(a.stdout)
	for _, b := range blocks {
		if asJSON {
			if err := lines.Encode(b); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintln(a.stdout, b.SHA256, b.Since.UTC().Format(time.RFC3339))
	}
	return nil
}

// path is the path of a file that the admin named: as it is, or by its URL, with or without a token.
func (a *adminCalls) path(name string, isPrefix bool) (string, error) {
	if !strings.HasPrefix(name, "https://") && !strings.HasPrefix(name, "http://") {
		return name, nil
	}
	u, err := url.Parse(name)
	if err != nil {
		return "", fmt.Errorf("%q is not a URL", name)
	}
	rest, below := strings.CutPrefix(u.EscapedPath(), strings.TrimSuffix(prefix(a.config.Server.PublicURL), "/")+"/")
	if !below {
		return "", fmt.Errorf("%q is not below %s", name, a.config.Server.PublicURL)
	}
	if isPrefix {
		return url.PathUnescape(rest)
	}
	path, err := token.ParsePath(rest)
	if err != nil {
		return "", fmt.Errorf("%q is not the URL of a file", name)
	}
	return path, nil
}

// printable keeps what people name their files from acting on the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '?'
		}
		return r
	}, s)
}
