package packages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The desktop package is built by `make package-check` only: its windows take minutes to compile.
func desktopPackage(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(os.Getenv(packagesEnv), "holdfast_*.deb"))
	if err != nil || len(found) > 1 {
		t.Fatalf("packages of the desktop: %q, %v", found, err)
	}
	if len(found) == 0 {
		t.Skip("there is no desktop package: make package PACKAGES=desktop builds it")
	}
	return found[0]
}

// A person has the menu start Dino with Holdfast. The package goes; Dino starts as before.
func TestAClientStartsWithoutThePackageWhenARouteIsLeft(t *testing.T) {
	deb := desktopPackage(t)
	tr := newTree(t)
	tr.run("useradd", "-m", "alice")
	tr.write("/usr/bin/dino-im", "#!/bin/sh\necho the real dino \"$@\"\n", 0o755)
	tr.write("/usr/share/applications/im.dino.Dino.desktop", `[Desktop Entry]
Type=Application
Name=Dino
Exec=dino-im %U
Icon=im.dino.Dino
Terminal=false
Categories=Network;InstantMessaging;
MimeType=x-scheme-handler/xmpp;
`, 0o644)
	clean := tr.listing()
	alice := func(args ...string) string {
		t.Helper()
		return tr.run(append([]string{"runuser", "-u", "alice", "--", "env", "-i", "PATH=/usr/bin:/bin", "HOME=/home/alice", "LANG=C.UTF-8"}, args...)...)
	}
	// The libraries of the windows are not in this tree, and nothing here opens one.
	install := func() {
		t.Helper()
		b, err := os.ReadFile(deb)
		if err != nil {
			t.Fatal(err)
		}
		tr.write("/tmp/holdfast.deb", string(b), 0o644)
		tr.run("dpkg", "--force-depends", "-i", "/tmp/holdfast.deb")
		if err := os.Remove(tr.at("/tmp/holdfast.deb")); err != nil {
			t.Fatal(err)
		}
	}
	install()
	if out := tr.run("dpkg", "-V", "holdfast"); out != "" {
		t.Errorf("dpkg -V: %s", out)
	}
	alice("holdfastctl", "hosts", "add", "upload.example.org")
	alice("holdfastctl", "route", "install")
	const script = "/home/alice/.local/share/holdfast/bin/dino"
	if _, err := os.Stat(tr.at(script)); err != nil {
		t.Fatal(err)
	}
	entry := tr.read("/home/alice/.local/share/applications/im.dino.Dino.desktop")
	if !strings.Contains(entry, script) {
		t.Errorf("the entry of the menu does not start %s:\n%s", script, entry)
	}

	tr.run("dpkg", "--force-depends", "-r", "holdfast")
	if out := alice(script, "xmpp:bob@example.org"); out != "the real dino xmpp:bob@example.org\n" {
		t.Errorf("without the package Dino says %q", out)
	}
	tr.run("dpkg", "--force-depends", "-P", "holdfast")
	for _, name := range added(clean, tr.listing()) {
		if !strings.HasPrefix(name, "/home/alice/") {
			t.Errorf("after purge there is %s", name)
		}
	}

	// With the package again the route can be taken back, and nothing of it is left.
	install()
	alice("holdfastctl", "route", "remove")
	for _, name := range []string{script, "/home/alice/.local/share/applications/im.dino.Dino.desktop"} {
		if _, err := os.Lstat(tr.at(name)); err == nil {
			t.Errorf("%s is left", name)
		}
	}
}
