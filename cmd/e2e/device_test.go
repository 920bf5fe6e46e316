package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/cmd/lab"
)

// oneHour leaves a late slot nothing but the window of a device.
const oneHour = `[grace]
base = "1h"
mobile = "1h"
desktop = "1h"
restore = "1h"
ultra = "72h"
`

// lateSlot is a slot of user that ended late ago; negative: it is still good.
func (s *server) lateSlot(t *testing.T, scheme, user, name string, size int64, late time.Duration) (address string, args []string) {
	t.Helper()
	life := 5 * time.Minute
	if scheme == "bearer" {
		life = time.Hour
	}
	address, headers := s.sign(t, "-scheme", scheme, "-path", "slot/"+name, "-size", strconv.FormatInt(size, 10), "-type", "image/png",
		"-user", user, "-at", time.Now().Add(-late-life).UTC().Format(time.RFC3339))
	if u, err := url.Parse(address); err != nil {
		t.Fatal(err)
	} else if e := u.Query().Get("expiry"); scheme == "bearer" {
		if ends, err := strconv.ParseInt(e, 10, 64); err != nil || time.Since(time.Unix(ends, 0)).Round(time.Minute) != late.Round(time.Minute) {
			t.Fatalf("the slot ends at %s, and not %v ago", e, late)
		}
	}
	for _, h := range headers {
		args = append(args, "-H", h)
	}
	return address, args
}

// admin runs a verb of holdfast-server on the running server's configuration.
func (s *server) admin(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, program("holdfast-server"), append(args, "-config", s.config)...).Output()
	if err != nil {
		t.Fatalf("holdfast-server %s: %v\n%s", strings.Join(args, " "), err, stderrOf(err))
	}
	return string(out)
}

// Slots that are hours too late pass with the device that this computer became by itself, and with nothing else.
func TestLateSlotsPassWithTheDevice(t *testing.T) {
	for _, scheme := range []string{"jwt", "bearer"} {
		t.Run(scheme, func(t *testing.T) { lateSlotsPass(t, scheme) })
	}
}

func lateSlotsPass(t *testing.T, scheme string) {
	ca, err := lab.NewCA(t.TempDir(), "Lab Public CA")
	if err != nil {
		t.Fatal(err)
	}
	srv := startServer(t, ca, serverOptions{schemes: []string{scheme}, extra: oneHour})
	bus := lab.Bus(t)
	lab.Keyring(t, bus)
	alice := startCompanion(t, ca, "DBUS_SESSION_BUS_ADDRESS="+bus)
	without := startCompanion(t, ca)
	const size = 100_000
	file, sum := randomFile(t, "picture.png", size)
	direct := []string{"--cacert", ca.File}
	through := func(c *companion) []string { return []string{"-x", c.proxy(), "--cacert", c.caFile(t)} }
	n := 0
	// put sends the file with a slot that is late by so much, and says what came back.
	put := func(t *testing.T, way []string, user string, late time.Duration) (status, address, said string) {
		t.Helper()
		n++
		address, slot := srv.lateSlot(t, scheme, user, fmt.Sprintf("f%d.png", n), size, late)
		args := append(append([]string{"-A", "Gajim 1.7.3"}, way...), slot...)
		status, said = curlStatus(t, append(args, "-T", file, address)...)
		return status, address, said
	}
	logs := func() string {
		return "companion:\n" + lab.Tail(alice.log, 6<<10) + "\nserver:\n" + lab.Tail(srv.log, 6<<10)
	}

	// Everybody is known here, from this very address, and was seen just now.
	if status, _, said := put(t, through(alice), "alice@lab.test", -time.Minute); status != "201" {
		t.Fatalf("a fresh slot: %s\n%s\n%s", status, said, logs())
	}
	if status, _, said := put(t, direct, "bob@lab.test", -time.Minute); status != "201" {
		t.Fatalf("a fresh slot of bob's: %s\n%s", status, said)
	}
	if said := alice.ctl(t, "", "device", "status"); !strings.Contains(said, "alice@lab.test") {
		t.Fatalf("not enrolled: %s\n%s", said, logs())
	}
	list := srv.admin(t, "devices", "list")
	if !strings.Contains(list, "alice@lab.test") || strings.Contains(list, "bob@lab.test") {
		t.Errorf("the server lists\n%s", list)
	}

	for _, late := range []time.Duration{5 * time.Hour, 30 * time.Hour, 70 * time.Hour} {
		t.Run(fmt.Sprintf("%v late", late), func(t *testing.T) {
			if status, _, said := put(t, direct, "alice@lab.test", late); status != "403" {
				t.Errorf("without the relay: %s\n%s", status, said)
			}
			if status, _, said := put(t, through(without), "alice@lab.test", late); status != "403" {
				t.Errorf("through a relay without a device: %s\n%s", status, said)
			}
			if status, _, said := put(t, through(alice), "bob@lab.test", late); status != "403" {
				t.Errorf("another user's: %s\n%s", status, said)
			}
			status, address, said := put(t, through(alice), "alice@lab.test", late)
			if status != "201" {
				t.Fatalf("with the device: %s\n%s\n%s", status, said, logs())
			}
			if got := download(t, ca, address); got != sum {
				t.Error("the file on the server differs")
			}
			if u := alice.uploads(t); len(u) == 0 || u[0].Resigned != 1 {
				t.Errorf("the relay says: %+v", u)
			}
		})
	}
	if status, _, said := put(t, through(alice), "alice@lab.test", 73*time.Hour); status != "403" {
		t.Errorf("past the widest window: %s\n%s", status, said)
	}

	t.Run("a revoked device opens nothing, and that is told", func(t *testing.T) {
		srv.admin(t, "devices", "revoke", "-user", "alice@lab.test")
		if status, _, said := put(t, through(alice), "alice@lab.test", 5*time.Hour); status != "403" {
			t.Errorf("%s\n%s", status, said)
		}
		if said := alice.ctl(t, "", "device", "status"); !strings.Contains(said, "revoked") {
			t.Errorf("status says %s\n%s", said, logs())
		}
		if said := alice.ctl(t, "", "status", "--json"); !strings.Contains(said, `"device-revoked"`) {
			t.Errorf("status says %s", said)
		}
		if status, _, said := put(t, through(alice), "alice@lab.test", -time.Minute); status != "201" {
			t.Errorf("a fresh slot: %s\n%s", status, said)
		}
		if status, _, said := put(t, through(alice), "alice@lab.test", 5*time.Hour); status != "403" {
			t.Errorf("it enrolled again by itself: %s\n%s", status, said)
		}
	})
	t.Run("a code of the admin makes it good again", func(t *testing.T) {
		code := strings.Fields(srv.admin(t, "devices", "add", "-user", "alice@lab.test"))
		if said := alice.ctl(t, code[len(code)-1]+"\n", "device", "add", uploadHost); !strings.Contains(said, "alice@lab.test") {
			t.Errorf("device add says %s", said)
		}
		if status, _, said := put(t, through(alice), "alice@lab.test", 30*time.Hour); status != "201" {
			t.Errorf("%s\n%s\n%s", status, said, logs())
		}
		alice.ctl(t, "", "device", "remove", uploadHost)
		if status, _, said := put(t, through(alice), "alice@lab.test", 30*time.Hour); status != "403" {
			t.Errorf("after it was removed: %s\n%s", status, said)
		}
	})
	for _, log := range []string{alice.log, srv.log} {
		b, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(b); strings.Contains(text, "eyJ") || strings.Contains(text, "DPoP ") {
			t.Errorf("a token is in %s", log)
		}
	}
}
