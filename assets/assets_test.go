package assets

import (
	"bytes"
	"image"
	_ "image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"holdfast/cmd/lab"
)

var statuses = []string{"protected", "ready", "working", "waiting", "attention", "paused", "off"}

func TestEveryStatusHasAnIconOfItsOwnThatStandsOnLightAndDark(t *testing.T) {
	seen := map[string]string{}
	for _, s := range statuses {
		b := TrayIcon(s)
		if other := seen[string(b)]; other != "" {
			t.Errorf("%s looks like %s", s, other)
		}
		seen[string(b)] = s
		img, _, err := image.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if img.Bounds().Dx() != 64 || img.Bounds().Dy() != 64 {
			t.Errorf("%s is %v, want 64 x 64", s, img.Bounds())
		}
		// Down the middle of the left edge: first the light outline, then the dark one.
		if r, _, _, a := img.At(1, 32).RGBA(); a < 0x8000 || r < 0x8000 {
			t.Errorf("%s has no light outline", s)
		}
		if r, _, _, a := img.At(3, 32).RGBA(); a < 0xf000 || r > 0x8000 {
			t.Errorf("%s has no dark outline", s)
		}
		if _, _, _, a := img.At(0, 0).RGBA(); a != 0 {
			t.Errorf("%s is not transparent in the corner", s)
		}
	}
	if !bytes.Equal(TrayIcon("no such status"), TrayIcon("off")) {
		t.Error("an unknown status does not show as off")
	}
}

func TestAppIconSizes(t *testing.T) {
	for name, size := range map[string]int{"16": 16, "22": 22, "24": 24, "32": 32, "48": 48, "64": 64, "128": 128, "256": 256, "512": 512} {
		img, _, err := image.Decode(bytes.NewReader(must("icons/holdfast-" + name + ".png")))
		if err != nil {
			t.Fatal(err)
		}
		if img.Bounds().Dx() != size || img.Bounds().Dy() != size {
			t.Errorf("%s is %v", name, img.Bounds())
		}
	}
	if len(AppIcon()) == 0 {
		t.Error("no application icon")
	}
}

func TestDesktopEntryIsValid(t *testing.T) {
	run(t, lab.Need(t, "desktop-file-validate", "desktop-file-utils"), "--warn-kde", "im.holdfast.Holdfast.desktop")
}

func TestMetainfoIsValid(t *testing.T) {
	run(t, lab.Need(t, "appstreamcli", "appstream"), "validate", "--no-net", "--pedantic", "im.holdfast.Holdfast.metainfo.xml")
}

func TestUnitsAreValid(t *testing.T) {
	analyze := lab.Need(t, "systemd-analyze", "systemd")
	dir := t.TempDir()
	for _, name := range []string{"holdfast.service", "holdfast.socket"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		// verify wants the program to exist; which one does not matter.
		b = bytes.ReplaceAll(b, []byte("/usr/bin/holdfastctl"), []byte("/bin/true"))
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(analyze, "verify", "--user", "--man=no", filepath.Join(dir, "holdfast.service"), filepath.Join(dir, "holdfast.socket"))
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir, "HOME="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(out), "holdfast.") {
		t.Errorf("%v: %v\n%s", cmd.Args, err, out)
	}
}

func TestTheUnitOfTheServerIsValidAndHardened(t *testing.T) {
	analyze := lab.Need(t, "systemd-analyze", "systemd")
	dir := t.TempDir()
	b, err := os.ReadFile("holdfast-server.service")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "holdfast-server.service")
	if err := os.WriteFile(file, bytes.ReplaceAll(b, []byte("/usr/bin/holdfast-server"), []byte("/bin/true")), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(analyze, "verify", "--man=no", file).CombinedOutput()
	if err != nil || strings.Contains(string(out), "holdfast-server.") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	out, err = exec.Command(analyze, "security", "--offline=true", "--no-pager", file).CombinedOutput()
	m := regexp.MustCompile(`exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("security: %v\n%s", err, out)
	}
	if level, err := strconv.ParseFloat(string(m[1]), 64); err != nil || level > 1.5 {
		t.Errorf("the exposure level is %s, more than 1.5\n%s", m[1], out)
	}
}

// With the drop-in of the guide it may listen on port 443, and do nothing else that it could not before.
func TestTheDropInForPort443GivesNoMoreThanThat(t *testing.T) {
	analyze := lab.Need(t, "systemd-analyze", "systemd")
	dir := t.TempDir()
	unit, err := os.ReadFile("holdfast-server.service")
	if err != nil {
		t.Fatal(err)
	}
	dropIn, err := os.ReadFile(filepath.Join("..", "docs", "admin", "files", "holdfast-server-443.conf"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "holdfast-server.service")
	// Settings that come later win, in a drop-in as in one file.
	both := append(bytes.ReplaceAll(unit, []byte("/usr/bin/holdfast-server"), []byte("/bin/true")), dropIn...)
	if err := os.WriteFile(file, both, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", "--man=no", file).CombinedOutput(); err != nil || strings.Contains(string(out), "holdfast-server.") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", "--threshold=20", file).CombinedOutput()
	if err != nil || !regexp.MustCompile(`✗ .*CAP_NET_BIND_SERVICE|✗ .*CAP_NET_\(`).Match(out) {
		t.Errorf("security: %v\n%s", err, out)
	}
}

func TestTheUserAndTheFoldersOfTheServerCanBeMade(t *testing.T) {
	lab.NeedRoot(t)
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][]string{
		{lab.Need(t, "systemd-sysusers", "systemd"), "--root=" + root, "usr/lib/sysusers.d/holdfast-server.conf"},
		{lab.Need(t, "systemd-tmpfiles", "systemd"), "--root=" + root, "--create", "usr/lib/tmpfiles.d/holdfast-server.conf"},
	} {
		kind := "sysusers"
		if len(c) > 3 {
			kind = "tmpfiles"
		}
		b, err := os.ReadFile("holdfast-server." + kind)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(root, "usr/lib", kind+".d", "holdfast-server.conf")
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		c[len(c)-1] = name
		run(t, c[0], c[1:]...)
	}
	for name, mode := range map[string]os.FileMode{"etc/holdfast": 0o755, "var/lib/holdfast": 0o750, "run/holdfast": 0o755} {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestTheLogOfTheServerIsRotated(t *testing.T) {
	rotate := lab.Need(t, "logrotate", "logrotate")
	lab.NeedRoot(t)
	dir := t.TempDir()
	b, err := os.ReadFile("holdfast-server.logrotate")
	if err != nil {
		t.Fatal(err)
	}
	told := filepath.Join(dir, "told")
	text := strings.NewReplacer("/var/log/holdfast/", dir+"/", "su holdfast holdfast", "su root root", "systemctl", "echo >"+told).Replace(string(b))
	for name, content := range map[string]string{"server.log": "a line\n", "conf": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, rotate, "--force", "--state", filepath.Join(dir, "state"), filepath.Join(dir, "conf"))
	if b, err := os.ReadFile(filepath.Join(dir, "server.log.1")); err != nil || string(b) != "a line\n" {
		t.Errorf("the old log: %q, %v", b, err)
	}
	if b, err := os.ReadFile(told); err != nil || !strings.Contains(string(b), "holdfast-server.service") {
		t.Errorf("the server was not told: %q, %v", b, err)
	}
}

func TestServiceFilesNameTheirBusNames(t *testing.T) {
	for _, name := range []string{"im.holdfast.Holdfast", "im.holdfast.Holdfast1"} {
		b, err := os.ReadFile(name + ".service")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), "\nName="+name+"\n") {
			t.Errorf("%s.service does not name %s", name, name)
		}
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
