package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"holdfast/cmd/lab"
	"holdfast/relay/dpop"
)

// deviceConfig is a server where only a device helps who is late by more than an hour.
func deviceConfig(t *testing.T, enrol string) string {
	t.Helper()
	return configFor(t, t.TempDir(), `listen = "127.0.0.1:0"`, `[devices]
enrol = "`+enrol+`"
[grace]
base = "1h"
mobile = "1h"
desktop = "1h"
restore = "1h"
ultra = "72h"
[limits]
min_free = 0
`)
}

func TestDevicesAreAddedListedAndRevokedWhileTheServerRuns(t *testing.T) {
	file := deviceConfig(t, "code")
	log, stop := begin(t, file)
	base := "http://" + log.await(t, `msg=listening addr=(\S+)`)
	out, said, err := command(t, "devices", "add", "-config", file, "-user", "alice@example.org")
	if err != nil || !regexp.MustCompile(`^[0-9A-Z]{5}(-[0-9A-Z]{5}){3}\n$`).MatchString(out) || !strings.Contains(said, "alice@example.org") {
		t.Fatalf("%q, %q, %v", out, said, err)
	}
	code := strings.TrimSpace(out)
	id := enrolByCode(t, base, code)
	out, _, err = command(t, "devices", "list", "-config", file)
	if err != nil || !regexp.MustCompile(`(?m)^alice@example.org +`+regexp.QuoteMeta(id)+` +\S+Z +\S+Z$`).MatchString(out) {
		t.Errorf("%q, %v", out, err)
	}
	if out, _, err := command(t, "devices", "list", "-config", file, "-user", "bob@example.org", "-json"); err != nil || out != "" {
		t.Errorf("%q, %v", out, err)
	}
	out, _, err = command(t, "devices", "revoke", "-config", file, id)
	if err != nil || out != "revoked "+id+" of alice@example.org\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, said, err := command(t, "devices", "revoke", "-config", file, id); exitCode(err) != 1 || !strings.Contains(said, "there is no such device") {
		t.Errorf("again: %q, %v", said, err)
	}
	if out, _, err := command(t, "devices", "list", "-config", file); err != nil || strings.Contains(out, id) {
		t.Errorf("%q, %v", out, err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// And without a server.
	if out, _, err := command(t, "devices", "list", "-all", "-json", "-config", file); err != nil || !strings.Contains(out, id) || !strings.Contains(out, `"revoked":`) {
		t.Errorf("%q, %v", out, err)
	}
	if s := log.String(); strings.Contains(s, code) || strings.Contains(s, "alice@") || !strings.Contains(s, `msg="device revoked" device=`+id) {
		t.Errorf("the log:\n%s", s)
	}
}

// A device that was written by somebody else, in Python with openssl: base, mobile, desktop and restore are one hour, the
// person was seen from the same address since, and only the own device helps.
func TestADeviceOfAnotherHandIsLetInLate(t *testing.T) {
	python := lab.Need(t, "python3", "python3-slixmpp")
	lab.Need(t, "openssl", "openssl")
	file := deviceConfig(t, "slot")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(b), `["v2", "jwt"]`, `["jwt", "bearer"]`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	log, _ := begin(t, file)
	base := "http://" + log.await(t, `msg=listening addr=(\S+)`)
	type slot struct {
		URL           string `json:"url"`
		Authorization string `json:"authorization"`
	}
	n := 0
	signed := func(scheme, jid string, late time.Duration) slot {
		t.Helper()
		n++
		args := []string{"sign", "-config", file, "-scheme", scheme, "-path", fmt.Sprintf("late/f%d", n), "-size", "5", "-type", "text/plain", "-user", jid}
		life := map[string]time.Duration{"jwt": 5 * time.Minute, "bearer": time.Hour}[scheme]
		if late > 0 {
			args = append(args, "-at", time.Now().Add(-life-late).UTC().Format(time.RFC3339))
		}
		out, said, err := command(t, args...)
		if err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		lines := strings.Split(out, "\n")
		return slot{lines[0], strings.TrimPrefix(lines[1], "Authorization: ")}
	}
	var late []slot
	for _, scheme := range []string{"jwt", "bearer"} {
		for _, hours := range []time.Duration{5, 30, 70} {
			late = append(late, signed(scheme, "alice@example.org", hours*time.Hour))
		}
	}
	seen := signed("jwt", "alice@example.org", 0)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, base+seen.URL[strings.Index(seen.URL, "/upload/"):], strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", seen.Authorization)
	req.Header.Set("Content-Type", "text/plain")
	if resp, err := plain.Do(req); err != nil || resp.StatusCode != 201 {
		t.Fatalf("%v, %v", resp, err)
	} else {
		_ = resp.Body.Close()
	}
	job, err := json.Marshal(map[string]any{
		"base": base, "public": "http://upload.test/upload/", "enrol": signed("jwt", "alice@example.org", 0), "bob": signed("jwt", "bob@example.org", 0),
		"late": late, "last": signed("jwt", "alice@example.org", 5*time.Hour), "revoked": 3,
	})
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	cmd := exec.CommandContext(t.Context(), python, "testdata/device.py")
	out := new(output)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = bytes.NewReader(job), out, out, []*os.File{r}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id := out.await(t, `(?m)^device (\S+)$`)
	if _, said, err := command(t, "devices", "revoke", "-config", file, id); err != nil {
		t.Errorf("%v: %s", err, said)
	}
	if _, err := w.WriteString("x"); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := "enrol 200 -\nenrol 200 -\n" + strings.Repeat("without 403 token-late\nothers 403 device-user-mismatch\nmine 201 -\n", 6) +
		"device " + id + "\nrevoked 401 device-revoked\n"
	if out.String() != want {
		t.Errorf("got:\n%s", out)
	}
}

// enrolByCode enrols a new key and returns the device.
func enrolByCode(t *testing.T, base, code string) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := dpop.Make(key, dpop.Claims{Method: "POST", URL: "http://upload.test/upload/.holdfast/v1/token", IssuedAt: time.Now(), ID: "first"})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/upload/.holdfast/v1/token", strings.NewReader(`{"code":"`+code+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("DPoP", proof)
	resp, err := plain.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	var got struct{ Device string }
	if err := json.Unmarshal(b, &got); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %s", resp.Status, b)
	}
	return got.Device
}

func TestACommandLineOfDevicesThatMakesNoSense(t *testing.T) {
	file := deviceConfig(t, "slot")
	for _, args := range [][]string{
		{}, {"lost"}, {"list", "x"}, {"add"}, {"add", "-user", "alice"}, {"add", "-user", "alice@example.org/phone"},
		{"add", "-user", "alice@example.org", "-for", "0s"}, {"add", "-user", "alice@example.org", "-for", "721h"},
		{"revoke"}, {"revoke", "id", "-user", "alice@example.org"},
	} {
		_, _, err := command(t, append([]string{"devices", "-config", file}, args...)...)
		var u usageError
		if !errors.As(err, &u) {
			t.Errorf("%q: %v", args, err)
		}
	}
}
