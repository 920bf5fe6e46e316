package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"holdfast/relay/server"
)

// filesVerb runs `files` and returns what it printed and its exit code.
func filesVerb(t *testing.T, config string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	out, errs, err := command(t, append([]string{"files", "-config", config}, args...)...)
	if err != nil && !errors.Is(err, errFailed) {
		errs += err.Error()
	}
	return out, errs, exitCode(err)
}

func TestTheAdminTakesFilesDown(t *testing.T) {
	for _, tt := range []struct {
		name    string
		running bool
	}{{"while the server runs", true}, {"without a server", false}} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30)) // longer than the name of a socket may be
			config := configFor(t, dir, `listen = "127.0.0.1:0"`, "")
			log, stop := begin(t, config)
			base := "http://" + log.await(t, `listening addr=(\S+)`)
			const evil = "evil \u202e.txt"
			for _, p := range []string{"a/one.txt", "a/two.txt", "b/" + evil, "b/copy"} {
				if resp := upload(t, plain, config, base, p, "body of "+p[:1]); resp.StatusCode != http.StatusCreated {
					t.Fatalf("upload %s: %s", p, resp.Status)
				}
			}
			if !tt.running {
				if err := stop(); err != nil {
					t.Fatal(err)
				}
			}
			out, errs, code := filesVerb(t, config, "list")
			if code != 0 || strings.Count(out, "\n") != 4 || !strings.Contains(out, "text/plain  b/evil ?.txt\n") {
				t.Fatalf("list: %d\n%s%s", code, out, errs)
			}
			out, _, code = filesVerb(t, config, "list", "-json", "http://upload.test/upload/a/")
			var first server.Found
			if err := json.Unmarshal([]byte(out[:max(0, strings.Index(out, "\n"))]), &first); err != nil || code != 0 || strings.Count(out, "\n") != 2 || first.Size != 9 {
				t.Fatalf("list -json: %d %v\n%s", code, err, out)
			}

			out, errs, code = filesVerb(t, config, "rm", "http://upload.test/upload/a/one.txt?v2=00", "no/such", "a/two.txt")
			if code != 1 || strings.Count(out, "removed a/") != 2 || !strings.Contains(errs, "no such file: no/such") {
				t.Errorf("rm: %d\n%s%s", code, out, errs)
			}
			sum := sha256.Sum256([]byte("body of b"))
			digest := hex.EncodeToString(sum[:])
			out, errs, code = filesVerb(t, config, "block", "b/"+evil)
			if code != 0 || strings.Count(out, "removed b/") != 2 || !strings.Contains(out, "blocked "+digest) {
				t.Errorf("block: %d\n%s%s", code, out, errs)
			}
			if out, _, code = filesVerb(t, config, "blocked"); code != 0 || !regexp.MustCompile(`^`+digest+` \S+Z\n$`).MatchString(out) {
				t.Errorf("blocked: %d\n%s", code, out)
			}
			if out, errs, code = filesVerb(t, config, "list"); code != 0 || out != "" {
				t.Errorf("list of nothing: %d\n%s%s", code, out, errs)
			}

			if !tt.running {
				log, _ = begin(t, config)
				base = "http://" + log.await(t, `listening addr=(\S+)`)
			}
			for path, status := range map[string]int{"a/one.txt": 409, "b/copy": 409, "c/new": 403} {
				if resp := upload(t, plain, config, base, path, "body of b"); resp.StatusCode != status {
					t.Errorf("upload to %s: %s, want %d", path, resp.Status, status)
				}
			}
			if _, errs, code = filesVerb(t, config, "unblock", strings.ToUpper(digest)); code != 0 {
				t.Errorf("unblock: %d %s", code, errs)
			}
			if resp := upload(t, plain, config, base, "c/new", "body of b"); resp.StatusCode != 201 {
				t.Errorf("upload of what is unblocked: %s", resp.Status)
			}
		})
	}
}

func TestWhatTheFilesVerbRefuses(t *testing.T) {
	dir := t.TempDir()
	config := configFor(t, dir, "", "")
	for _, tt := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"nothing to do", nil, 2, "say what to do"},
		{"an unknown verb", []string{"delete", "x"}, 2, "unknown verb"},
		{"rm of nothing", []string{"rm"}, 2, "name what"},
		{"two prefixes", []string{"list", "a", "b"}, 2, `unexpected argument "b"`},
		{"a state that is not there", []string{"rm", "a/b"}, 1, "none has run"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, errs, code := filesVerb(t, config, tt.args...); code != tt.code || !strings.Contains(errs, tt.says) {
				t.Errorf("exit code %d, %s", code, errs)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "state")); err == nil {
		t.Error("a verb that was refused made the state")
	}
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		says string
	}{
		{"a URL of another place", []string{"rm", "https://other.test/files/a/b"}, "not below"},
		{"a URL that is no file's", []string{"rm", "http://upload.test/upload/../x"}, "not the URL of a file"},
		{"a digest that is none", []string{"unblock", "abc"}, "not a SHA-256"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, errs, code := filesVerb(t, config, tt.args...); code != 2 || !strings.Contains(errs, tt.says) {
				t.Errorf("exit code %d, %s", code, errs)
			}
		})
	}
}

func TestTheAdminsSocketIsForTheOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	log, stop := begin(t, configFor(t, dir, `listen = "127.0.0.1:0"`, ""))
	log.await(t, `listening addr=(\S+)`)
	name := filepath.Join(dir, "state", adminSocket)
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket after the stop: %v", err)
	}
}
