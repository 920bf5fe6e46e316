package e2e

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/cmd/lab"
)

// A slot whose token is too old when the bytes finally flow is signed again with the secret in the keyring.
func TestLateTokenIsSignedAgain(t *testing.T) {
	ca, err := lab.NewCA(t.TempDir(), "Lab Public CA")
	if err != nil {
		t.Fatal(err)
	}
	// No grace at all, so that only a fresh token passes.
	srv := startServer(t, ca, serverOptions{schemes: []string{"jwt"}, extra: `[grace]
base = "1s"
mobile = "1s"
desktop = "1s"
restore = "1s"
ultra = "1s"
`})
	const size = 100_000
	old := time.Now().Add(-2 * time.Hour).UTC().Format(time.RFC3339)
	late := func(t *testing.T, name string) (url, authorization string) {
		url, headers := srv.sign(t, "-scheme", "jwt", "-path", "late/"+name, "-size", strconv.Itoa(size), "-type", "image/png",
			"-user", "alice@lab.test", "-at", old)
		for _, h := range headers {
			if k, v, ok := strings.Cut(h, ":"); ok && strings.EqualFold(k, "Authorization") {
				return url, "Authorization:" + v
			}
		}
		t.Fatalf("sign printed no Authorization header: %q", headers)
		return "", ""
	}
	file, sum := randomFile(t, "picture.png", size)

	t.Run("without the relay it is refused", func(t *testing.T) {
		url, auth := late(t, "direct.png")
		if status, headers := curlStatus(t, "--cacert", ca.File, "-H", auth, "-H", "Content-Type: image/png", "-T", file, url); status != "403" {
			t.Errorf("%s\n%s", status, headers)
		}
	})
	t.Run("without a keyring it goes on unsigned and is refused with a reason", func(t *testing.T) {
		comp := startCompanion(t, ca)
		url, auth := late(t, "nokey.png")
		if status, headers := curlStatus(t, "-x", comp.proxy(), "--cacert", comp.caFile(t), "-H", auth, "-H", "Content-Type: image/png", "-T", file, url); status != "403" {
			t.Errorf("%s\n%s", status, headers)
		}
	})
	t.Run("with the secret in the keyring it passes, once signed", func(t *testing.T) {
		bus := lab.Bus(t)
		lab.Keyring(t, bus)
		comp := startCompanion(t, ca, "DBUS_SESSION_BUS_ADDRESS="+bus)
		comp.ctl(t, srv.secret+"\n", "secret", "set", uploadHost, "-scheme", "jwt", "-prefix", "/upload/")
		url, auth := late(t, "key.png")
		status, headers := curlStatus(t, "-x", comp.proxy(), "--cacert", comp.caFile(t), "-H", auth, "-H", "Content-Type: image/png", "-T", file, url)
		if status != "201" {
			t.Fatalf("%s\n%s\ncompanion:\n%s\nserver:\n%s", status, headers, lab.Tail(comp.log, 4<<10), lab.Tail(srv.log, 4<<10))
		}
		if got := download(t, ca, url); got != sum {
			t.Error("the file on the server differs")
		}
		if u := comp.uploads(t); len(u) != 1 || u[0].Resigned != 1 {
			t.Errorf("the relay says: %+v", u)
		}
		for _, log := range []string{comp.log, srv.log} {
			if strings.Contains(lab.Tail(log, 1<<20), srv.secret) {
				t.Errorf("the secret is in %s", log)
			}
		}
	})
}
