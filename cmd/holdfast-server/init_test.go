package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInitKeepsTheSecretInAFileOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	out, secret := filepath.Join(dir, "server.toml"), filepath.Join(dir, "secret")
	args := []string{"init", "-issuer", "prosody-v2", "-out", out, "-secret", secret, "-data", filepath.Join(dir, "data"), "-listen", "unix:" + dir + "/http.sock"}
	shown, errs, err := command(t, args...)
	if err != nil {
		t.Fatalf("%v: %s", err, errs)
	}
	first, err := readSecrets(secret)
	if err != nil || len(first) != 1 || len(first[0]) < 32 {
		t.Fatalf("the secret: %v", err)
	}
	if !strings.Contains(shown, string(first[0])) || !strings.Contains(shown, "proxy_pass http://unix:"+dir+"/http.sock;") {
		t.Errorf("init shows\n%s", shown)
	}
	config := read(t, out)
	if strings.Contains(config, string(first[0])) {
		t.Error("the configuration holds the secret")
	}
	for name, mode := range map[string]os.FileMode{out: 0o644, secret: 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if report, _, err := command(t, "check", "-config", out); err != nil {
		t.Errorf("check: %v\n%s", err, report)
	}
	if _, _, err := command(t, args...); err == nil || read(t, out) != config {
		t.Errorf("a second init: %v", err)
	}
	if err := os.Remove(out); err != nil {
		t.Fatal(err)
	}
	if _, _, err := command(t, args...); err != nil {
		t.Fatal(err)
	}
	if again, err := readSecrets(secret); err != nil || string(again[0]) != string(first[0]) {
		t.Errorf("the secret that was there did not stay: %v", err)
	}
	for _, bad := range [][]string{{"-listen", "here"}, {"-secret", "relative"}} {
		if _, _, err := command(t, append([]string{"init", "-issuer", "ejabberd", "-out", filepath.Join(dir, "other.toml")}, bad...)...); exitCode(err) != 2 {
			t.Errorf("init %q: %v", bad, err)
		}
	}
}
