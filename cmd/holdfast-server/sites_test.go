package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// sitesConfig is two sites with the same prefix and one with another, and, if auth is not empty, the tables beside them.
func sitesConfig(dir, auth string) string {
	text := fmt.Sprintf(`[server]
listen = "127.0.0.1:0"
metrics_listen = "127.0.0.1:0"
public_url = "http://upload.test/upload/"
[storage]
path = "%s/main/files"
state = "%s/main/state"
%s
[limits]
max_upload_size = 100
`, dir, dir, auth)
	for _, s := range []struct{ name, url, more string }{
		{"one", "http://one.test/files/", ""},
		{"two", "http://two.test/files/", "max_upload_size = 10"},
		{"three", "http://three.test/files/three/", ""},
	} {
		text += fmt.Sprintf(`[[site]]
name = %q
public_url = %q
path = "%s/%s/files"
state = "%s/%s/state"
secrets = ["the secret of site %s, long"]
schemes = ["v2"]
%s
`, s.name, s.url, dir, s.name, dir, s.name, s.name, s.more)
	}
	return text
}

// slotOf signs a slot of a site and returns its path and query.
func slotOf(t *testing.T, config, site, path string, size int) string {
	t.Helper()
	out, errs, err := command(t, "sign", "-config", config, "-site", site, "-scheme", "v2", "-path", path, "-size", fmt.Sprint(size), "-type", "text/plain")
	if err != nil {
		t.Fatalf("sign: %v: %s", err, errs)
	}
	url, _, _ := strings.Cut(out, "\n")
	_, target, _ := strings.Cut(url, ".test")
	return target
}

// ask sends a request with a Host of its choice.
func ask(t *testing.T, method, base, host, target, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, base+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	req.Header.Set("Content-Type", "text/plain")
	resp, err := plain.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(strings.NewReader(string(b)))
	return resp
}

func TestSitesShareNothing(t *testing.T) {
	dir := t.TempDir()
	config := write(t, "server.toml", sitesConfig(dir, "[auth]\nschemes = [\"v2\"]\nsecrets = [\"the secret of the tables, long\"]"))
	if report, _, err := command(t, "check", "-config", config); err != nil {
		t.Fatalf("check: %v\n%s", err, report)
	} else if !strings.Contains(report, "site two: ") || !strings.Contains(report, "site main: ") {
		t.Errorf("check does not name the sites:\n%s", report)
	}
	log, stop := begin(t, config)
	log.await(t, `listening site=three addr=(\S+)`)
	base := "http://" + log.await(t, `listening site=main addr=(\S+)`)
	admin := "http://" + log.await(t, `metrics listening" addr=(\S+)`)
	for _, tt := range []struct {
		name, site, host string
		status           int
	}{
		{"its own host", "one", "one.test", 201},
		{"another site's host: its secret is not known there", "one", "two.test", 403},
		{"a host of nobody, where two have the prefix", "one", "other.test", 404},
		{"the second site, with a port", "two", "TWO.test:8443", 201},
		{"a prefix of its own needs no host", "three", "127.0.0.1", 201},
		{"nor do the tables", "main", "whatever", 201},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := strings.Replace(tt.site, "main", "", 1)
			target := slotOf(t, config, site, "a/"+tt.site, 5)
			resp := ask(t, http.MethodPut, base, tt.host, target, "hello")
			if resp.StatusCode != tt.status {
				t.Fatalf("PUT: %s %s, want %d", resp.Status, resp.Header.Get("Holdfast-Error"), tt.status)
			}
			path, _, _ := strings.Cut(target, "?")
			if got := ask(t, http.MethodGet, base, tt.host, path, "").StatusCode; tt.status == 201 && got != 200 || tt.status != 201 && got == 200 {
				t.Errorf("GET: %d", got)
			}
		})
	}
	for name, found := range map[string]bool{"one/files/a/one": true, "two/files/a/two": true, "three/files/a/three": true, "main/files/a/main": true, "two/files/a/one": false} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != found {
			t.Errorf("%s: %v", name, err)
		}
	}
	if resp := ask(t, http.MethodPut, base, "two.test", slotOf(t, config, "two", "a/large", 11), "hello world"); resp.StatusCode != 413 {
		t.Errorf("more than the site's limit: %s", resp.Status)
	}
	// One site's takedown is nobody else's.
	if _, errs, code := filesVerb(t, config, "rm", "-site", "one", "http://one.test/files/a/one"); code != 0 {
		t.Errorf("files rm: %s", errs)
	}
	if _, errs, code := filesVerb(t, config, "list", "-site", "four"); code != 2 || !strings.Contains(errs, "one, two, three") {
		t.Errorf("an unknown site: %d %s", code, errs)
	}
	if got := ask(t, http.MethodGet, base, "one.test", "/files/a/one", "").StatusCode; got != 404 {
		t.Errorf("after rm: %d", got)
	}
	if got := ask(t, http.MethodGet, base, "two.test", "/files/a/two", "").StatusCode; got != 200 {
		t.Errorf("the other site after rm: %d", got)
	}
	if _, got := fetch(t, plain, admin+"/metrics"); !strings.Contains(got, `holdfast_uploads_total{result="stored",scheme="v2",site="two"} 1`) || !strings.Contains(got, `site="main"`) {
		t.Errorf("the metrics do not name the sites:\n%s", got)
	}
	if status, got := fetch(t, plain, admin+"/health?verbose"); status != 200 || !strings.Contains(got, `"three.test/files/three/":{"status":"ok"`) {
		t.Errorf("health: %d %s", status, got)
	}
	if got := ask(t, http.MethodGet, base, "two.test", "/.well-known/holdfast", ""); !strings.Contains(string(must(t, got.Body)), `"max_upload_size":10,`) {
		t.Error("the document of the second site is not its own")
	}

	// A reload takes secrets of a site over, and refuses other sites.
	replace(t, config, strings.Replace(read(t, config), "the secret of site one, long", "a new secret of site one, long", 1))
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	log.await(t, `(configuration reloaded)`)
	if resp := ask(t, http.MethodPut, base, "one.test", slotOf(t, config, "one", "b/new", 5), "hello"); resp.StatusCode != 201 {
		t.Errorf("after the reload: %s", resp.Status)
	}
	replace(t, config, strings.Replace(read(t, config), `name = "one"`, `name = "four"`, 1))
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	log.await(t, `(configuration not reloaded)`)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, r io.Reader) []byte {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSitesAloneNeedNoTables(t *testing.T) {
	dir := t.TempDir()
	config := write(t, "server.toml", sitesConfig(dir, ""))
	log, _ := begin(t, config)
	base := "http://" + log.await(t, `listening site=one addr=(\S+)`)
	if resp := ask(t, http.MethodPut, base, "one.test", slotOf(t, config, "one", "a/b", 5), "hello"); resp.StatusCode != 201 {
		t.Errorf("PUT: %s", resp.Status)
	}
	if got := ask(t, http.MethodGet, base, "one.test", "/upload/a/b", "").StatusCode; got != 404 {
		t.Errorf("the prefix of the tables: %d", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "main")); err == nil {
		t.Error("the folders of the tables were made")
	}
}

func TestWhatSitesMustNotShare(t *testing.T) {
	good := sitesConfig("/srv", "")
	for _, tt := range []struct{ name, from, to, says string }{
		{"a name twice", `name = "two"`, `name = "one"`, "two of that name"},
		{"no name", `name = "two"`, ``, "site 2: name"},
		{"the same URL", "http://two.test/files/", "http://ONE.test/files/", "same public_url"},
		{"the same files", "/srv/two/files", "/srv/one/files", "must lie outside"},
		{"files within files", "/srv/two/files", "/srv/one/files/two", "must lie outside"},
		{"the same state", "/srv/two/state", "/srv/one/state", "must lie outside"},
		{"state within another's files", "/srv/two/state", "/srv/one/files/x", "must lie outside"},
		{"state within its own files", "/srv/two/state", "/srv/two/files/x", "state must lie outside of path"},
		{"no secret", `secrets = ["the secret of site two, long"]`, "", "secrets or secret_file is missing"},
		{"no scheme", `schemes = ["v2"]`, "", "schemes is missing"},
		{"no URL", `public_url = "http://two.test/files/"`, "", "public_url"},
		{"an unknown key", `name = "two"`, "name = \"two\"\nsecret = \"x\"", `did you mean "secrets"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(good, tt.from) {
				t.Fatalf("%q is not there", tt.from)
			}
			_, err := load(write(t, "server.toml", strings.Replace(good, tt.from, tt.to, 1)))
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := load(write(t, "server.toml", good)); err != nil {
		t.Error(err)
	}
}
