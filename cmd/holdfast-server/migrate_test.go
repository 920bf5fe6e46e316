package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/cmd/lab"
)

// oldFiles are paths as XMPP servers hand them out, decoded, with what was stored.
var oldFiles = map[string]string{
	"8b1a9953-c461-4a3e-9a0b-0123456789ab/picture.jpg":                  "jpeg bytes",
	"8b1a9953-c461-4a3e-9a0b-0123456789ac/très cool+&=,'.txt":           "text",
	"0f7b8a2e-0000-4000-8000-0123456789ad/party \U0001F389 100%25.png":  "png bytes",
	"a0436d80399fbe75771925e5c10bfa4ea972d98a/4kzGc9P2WmQ/__voice_.ogg": "three segments, of ejabberd",
	"0f7b8a2e-0000-4000-8000-0123456789ae/empty":                        "",
}

// escape is a path in a URL, as Prosody writes it: everything but unreserved letters.
func escape(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(url.QueryEscape(p), "+", "%20")
	}
	return strings.Join(parts, "/")
}

// takeOver runs holdfast-server on a store that another program has filled and checks that every old URL is what it was, and
// stays so.
func takeOver(t *testing.T, store, storage string) {
	t.Helper()
	dir := t.TempDir()
	config := write(t, "server.toml", fmt.Sprintf(`[server]
listen = "127.0.0.1:0"
public_url = "http://upload.test/upload/"
[storage]
path = %q
state = "%s/state"
%s
[auth]
schemes = ["v2"]
secrets = ["0123456789abcdef-strong"]
`, store, dir, storage))
	before := listing(t, store)
	run := func() (base string, stop func() error) {
		log, stop := begin(t, config)
		return "http://" + log.await(t, `listening addr=(\S+)`), stop
	}
	base, stop := run()
	for path, body := range oldFiles {
		if status, got := fetch(t, plain, base+"/upload/"+escape(path)); status != http.StatusOK || got != body {
			t.Errorf("%s: %d %q, want %q", path, status, got, body)
		}
		if resp := upload(t, plain, config, base, path, body); resp.StatusCode != http.StatusCreated {
			t.Errorf("a repeat to %s: %s", path, resp.Status)
		}
		if resp := upload(t, plain, config, base, path, body+"other"); resp.StatusCode != http.StatusConflict {
			t.Errorf("other bytes to %s: %s", path, resp.Status)
		}
	}
	if after := listing(t, store); after != before {
		t.Errorf("the store was\n%s\nand is\n%s", before, after)
	}
	if resp := upload(t, plain, config, base, "new/file", "new"); resp.StatusCode != http.StatusCreated {
		t.Errorf("a new file: %s", resp.Status)
	}
	const gone = "8b1a9953-c461-4a3e-9a0b-0123456789ab/picture.jpg"
	if _, errs, code := filesVerb(t, config, "rm", "http://upload.test/upload/"+gone); code != 0 {
		t.Fatalf("files rm: %s", errs)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	base, _ = run()
	if status, _ := fetch(t, plain, base+"/upload/"+gone); status != http.StatusNotFound {
		t.Errorf("GET of a removed file: %d", status)
	}
	if resp := upload(t, plain, config, base, gone, oldFiles[gone]); resp.StatusCode != http.StatusConflict {
		t.Errorf("PUT to a removed file: %s", resp.Status)
	}
	if status, got := fetch(t, plain, base+"/upload/new/file"); status != http.StatusOK || got != "new" {
		t.Errorf("the new file: %d %q", status, got)
	}
}

// listing tells names, sizes and times of what is in a store, without what is private to holdfast-server.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == ".holdfast" {
			if err == nil {
				return fs.SkipDir
			}
			return err
		}
		info, err := d.Info()
		if err == nil && !d.IsDir() {
			fmt.Fprintln(&b, strings.TrimPrefix(name, dir), info.Size(), info.ModTime().UnixNano(), info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// prosody-filer and hmac-file-server name a file in their folder as in its URL.
func TestAStoreOfProsodyFilerIsTakenOver(t *testing.T) {
	store := t.TempDir()
	for path, body := range oldFiles {
		name := filepath.Join(store, filepath.FromSlash(path)) // Storedir joined with the path behind UploadSubDir
		if err := os.MkdirAll(filepath.Dir(name), 0o775); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(body), 0o660); err != nil {
			t.Fatal(err)
		}
	}
	takeOver(t, store, "")
}

func TestAStoreOfHmacFileServerIsTakenOver(t *testing.T) {
	store := t.TempDir()
	for path, body := range oldFiles {
		name := filepath.Join(store, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// Its deduplication names the bytes a second time, beside the files.
	name := filepath.Join(store, "8b1a9953-c461-4a3e-9a0b-0123456789ab", "picture.jpg")
	sum := sha256.Sum256([]byte(oldFiles["8b1a9953-c461-4a3e-9a0b-0123456789ab/picture.jpg"]))
	if err := os.MkdirAll(filepath.Join(store, "dedup"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(name, filepath.Join(store, "dedup", hex.EncodeToString(sum[:]))); err != nil {
		t.Fatal(err)
	}
	takeOver(t, store, "")
}

// The store is made by share.php itself, run by PHP as Debian has it.
func TestAStoreOfSharePHPIsTakenOver(t *testing.T) {
	php := lab.Need(t, "php", "php-cli")
	const example = "/usr/share/doc/prosody-modules/examples/share.php"
	script, err := os.ReadFile(example)
	if err != nil {
		if lab.InCI() {
			t.Fatalf("make test installs it (Debian package prosody-modules): %v", err)
		}
		t.Skip(err)
	}
	web, store := t.TempDir(), t.TempDir()
	text := string(script)
	for from, to := range map[string]string{"'/tmp'": "'" + store + "'", "'this is your secret string'": "'php secret'"} {
		if !strings.Contains(text, from) {
			t.Fatalf("share.php has no %s to replace", from)
		}
		text = strings.Replace(text, from, to, 1)
	}
	if err := os.WriteFile(filepath.Join(web, "share.php"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	port, err := lab.FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", fmt.Sprint(port))
	p, err := lab.Start(exec.Command(php, "-S", addr, "-t", web))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	if err := lab.WaitTCP(addr, p, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	for path, body := range oldFiles {
		mac := hmac.New(sha256.New, []byte("php secret"))
		fmt.Fprintf(mac, "%s %d", path, len(body))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+addr+"/share.php/"+escape(path)+"?v="+hex.EncodeToString(mac.Sum(nil)), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body == "" {
			req.Body = http.NoBody
			req.ContentLength = 0
		}
		resp, err := plain.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusCreated {
			t.Fatalf("share.php: %s: %s %s", path, resp.Status, answer)
		}
		if status, got := fetch(t, plain, "http://"+addr+"/share.php/"+escape(path)); status != http.StatusOK || got != body {
			t.Fatalf("share.php itself: %s: %d %q", path, status, got)
		}
	}
	if entries, err := filepath.Glob(filepath.Join(store, "store-*")); err != nil || len(entries) != len(oldFiles) {
		t.Fatalf("share.php stored %q, %v", entries, err)
	}
	takeOver(t, store, "share_php = true")
}
