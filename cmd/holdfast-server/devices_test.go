package main

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

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
