package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/cmd/lab"
)

// system runs a script in mounts of its own: what it does to /etc/ssl, /usr/local/share and /opt is seen by nobody else.
const system = `set -eu
mount --make-rprivate /
for d in /etc/ssl /usr/local/share; do
	mkdir -p "$WORK/copy$d"; cp -a "$d/." "$WORK/copy$d/"; mount --bind "$WORK/copy$d" "$d"
done
mount -t tmpfs -o mode=0755 none /opt
cp "$WORK/holdfastctl" /opt/holdfastctl; chmod 755 /opt/holdfastctl
mkdir -p /usr/local/share/ca-certificates
as() { setpriv --reuid 4711 --regid 4711 --clear-groups env -i HOME="$WORK/home" XDG_RUNTIME_DIR="$WORK/run" PATH="$WORK/shim:/usr/bin:/bin" LANG=C RECORD="$WORK/record" "$@"; }
picture() { (cd /; find etc/ssl usr/local/share/ca-certificates -printf '%p %M %u %l\n'; find etc/ssl usr/local/share/ca-certificates -type f -exec sha256sum {} +) | sort; }
# What the distribution's own program makes of this machine; Java's file holds the time of each run.
rm -rf /etc/ssl/certs/java
update-ca-certificates --fresh >/dev/null 2>&1
rm -rf /etc/ssl/certs/java
picture >"$WORK/before"

as /opt/holdfastctl hosts add upload.example.org >/dev/null
as /opt/holdfastctl trust install --system --dry-run
test ! -e "$WORK/record/args"
as /opt/holdfastctl trust install --system
cat "$WORK/record/args"
picture | diff "$WORK/before" -

PKEXEC_UID=4711 /opt/holdfastctl trust helper <"$WORK/record/stdin"
stat -c '%n %a %u' /usr/local/share/ca-certificates/holdfast-4711-upload.example.org.crt
as /opt/holdfastctl trust status
as /opt/holdfastctl trust install --system

echo -- refused
tail -n 30 /etc/ssl/certs/ca-certificates.crt | sed -n '/BEGIN/,$p' >"$WORK/other.pem"
PKEXEC_UID=4711 /opt/holdfastctl trust helper <"$WORK/other.pem" 2>&1 && exit 1
PKEXEC_UID=x /opt/holdfastctl trust helper <"$WORK/record/stdin" 2>&1 && exit 1
PKEXEC_UID=4711 /opt/holdfastctl trust helper --remove ../../../etc/passwd 2>&1 && exit 1
as /opt/holdfastctl trust helper <"$WORK/record/stdin" 2>&1 && exit 1
cp /opt/holdfastctl /opt/theirs; chown 4711 /opt/theirs
PKEXEC_UID=4711 /opt/theirs trust helper <"$WORK/record/stdin" 2>&1 && exit 1
chown 0 /opt/theirs; chmod 775 /opt/theirs
PKEXEC_UID=4711 /opt/theirs trust helper <"$WORK/record/stdin" 2>&1 && exit 1
cp /opt/holdfastctl "$WORK/home/mine"; chown 4711 "$WORK/home/mine"
rm "$WORK/record/args"; as "$WORK/home/mine" trust remove 2>&1 && exit 1
test ! -e "$WORK/record/args"

echo -- removed
as /opt/holdfastctl trust remove
cat "$WORK/record/args"
PKEXEC_UID=4711 /opt/holdfastctl trust helper --remove upload.example.org
rm -rf /etc/ssl/certs/java
picture | diff "$WORK/before" -
as /opt/holdfastctl trust remove
`

const shim = `#!/bin/sh
[ "$1" = /opt/holdfastctl ] || exit 127
echo "$@" >"$RECORD/args"
exec cat >"$RECORD/stdin"
`

func TestTheWholeComputerTrustsAndForgets(t *testing.T) {
	lab.NeedRoot(t)
	lab.Need(t, "unshare", "util-linux")
	lab.Need(t, "setpriv", "util-linux")
	lab.Need(t, "update-ca-certificates", "ca-certificates")
	work, err := os.MkdirTemp("", "trust-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(work) })
	if err := os.Chmod(work, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"home", "run", "record", "shim"} {
		path := filepath.Join(work, dir)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, 4711, 4711); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(work, "shim", "pkexec"), []byte(shim), 0o755); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(work, "holdfastctl"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command("unshare", "--mount", "sh", "-c", system)
	cmd.Env = []string{"WORK=" + work, "HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C"}
	raw, err := cmd.CombinedOutput()
	out := string(raw)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rest := out
	for _, want := range []string{
		"This would be done:", "/usr/local/share/ca-certificates/holdfast-4711-upload.example.org.crt",
		"/opt/holdfastctl trust helper\n", // with the certificate on standard input, never in the arguments
		"upload.example.org is trusted by this computer.", "holdfast-4711-upload.example.org.crt 644 0\n",
		"trusted by all programs of this computer", "There is nothing to do.",
		"-- refused", "certificate refused", "not known for whom", "certificate refused", "this command is for the admin",
		"can be changed by others than the admin", "can be changed by others than the admin", "can be changed by others than the admin",
		"-- removed", "trust helper --remove upload.example.org\n", "no longer trusted by this computer", "There is nothing to do.",
	} {
		i := strings.Index(rest, want)
		if i < 0 {
			t.Fatalf("%q is missing in what follows; all of it:\n%s", want, out)
		}
		rest = rest[i+len(want):]
	}
	if _, err := os.Stat("/usr/local/share/ca-certificates/holdfast-4711-upload.example.org.crt"); err == nil {
		t.Error("this computer was changed")
	}
}
