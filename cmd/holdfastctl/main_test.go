package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"holdfast/app/words"
	"holdfast/cmd/lab"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"holdfastctl": main})
}

func TestScripts(t *testing.T) { scripts(t, "testdata/script") }

func TestSocketActivation(t *testing.T) {
	lab.Need(t, "systemd-socket-activate", "systemd")
	scripts(t, "testdata/systemd")
}

// scripts runs the scripts of a folder, each with a home folder of its own and without any bus.
func scripts(t *testing.T, dir string) {
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			home, run := filepath.Join(e.WorkDir, "home"), filepath.Join(e.WorkDir, "run")
			for _, dir := range []string{home, run} {
				if err := os.MkdirAll(dir, 0o700); err != nil {
					return err
				}
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			ctl, err := exec.LookPath("holdfastctl")
			if err != nil {
				return err
			}
			e.Setenv("BIN", filepath.Dir(ctl)) // for a PATH without the programs of this machine
			e.Setenv("FREE", l.Addr().String())
			e.Setenv("HOME", home)
			e.Setenv("XDG_RUNTIME_DIR", run)
			e.Setenv("DBUS_SESSION_BUS_ADDRESS", "disabled:")
			e.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+filepath.Join(e.WorkDir, "no-bus"))
			e.Setenv("LANG", "C")
			return l.Close()
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"retry": retry, "dial": dial,
		},
	})
}

// retry runs a program until it succeeds.
func retry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: retry program args...")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for ts.Exec(args[0], args[1:]...) != nil {
		select {
		case <-ctx.Done():
			ts.Fatalf("%s does not succeed", strings.Join(args, " "))
		case <-tick.C:
		}
	}
}

// dial connects to an address until somebody answers.
func dial(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", args[0])
		if err == nil {
			ts.Check(c.Close())
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("%v", err)
		case <-tick.C:
		}
	}
}

// call runs holdfastctl in this process with a home folder of its own.
func call(t *testing.T, stdin string, args ...string) (code int, out, errs string) {
	t.Helper()
	home := t.TempDir()
	var o, e bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(stdin), &o, &e, func(name string) string {
		return map[string]string{"HOME": home, "XDG_RUNTIME_DIR": home}[name]
	})
	return code, o.String(), e.String()
}

func TestEveryVerbOfTheHelpExistsAndTeaches(t *testing.T) {
	known := verbs()
	for _, lang := range []string{"en", "de"} {
		for _, v := range words.For(lang).Help.Verbs {
			if _, ok := known[v.Name]; !ok && v.Name != "help" {
				t.Errorf("%s: the help knows %q, holdfastctl does not", lang, v.Name)
			}
			if !strings.Contains(v.Example, "holdfastctl "+v.Name) {
				t.Errorf("%s: %s has no example", lang, v.Name)
			}
		}
	}
	for name := range known {
		for _, args := range [][]string{{name, "--help"}, {name, "-h"}, {"help", name}} {
			code, out, errs := call(t, "", args...)
			if code != exitOK || errs != "" || !strings.Contains(out, "holdfastctl "+name) || !strings.Contains(out, "Exit codes: 0") {
				t.Errorf("%q: %d %q %q", args, code, out, errs)
			}
			for line := range strings.Lines(out) {
				if len([]rune(line)) > 121 {
					t.Errorf("%q prints a long line: %q", args, line)
				}
			}
		}
	}
}

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		errs string
	}{
		{nil, exitUsage, "holdfastctl keeps file uploads"},
		{[]string{"explode"}, exitUsage, `no command "explode"`},
		{[]string{"help", "explode"}, exitUsage, `no command "explode"`},
		{[]string{"status", "--yaml"}, exitUsage, "holdfastctl status --help"},
		{[]string{"status", "now"}, exitUsage, `"now" is one argument too many`},
		{[]string{"autofix"}, exitUsage, "on|off is missing"},
		{[]string{"autofix", "maybe"}, exitUsage, "autofix maybe"},
		{[]string{"pause", "soon"}, exitUsage, `"soon" is not a duration`},
		{[]string{"pause", "--", "-5m"}, exitUsage, `"-5m" is not a duration`},
		{[]string{"pause", "5m"}, exitNotRunning, "not running"},
		{[]string{"resume"}, exitNotRunning, "holdfastctl run"},
		{[]string{"cancel"}, exitUsage, "ID is missing"},
		{[]string{"hosts", "add"}, exitUsage, "HOST is missing"},
		{[]string{"hosts", "list", "x"}, exitUsage, "too many"},
		{[]string{"hosts", "add", "https://h/"}, exitUsage, "is not a host name"},
		{[]string{"hosts", "rename", "a"}, exitUsage, "hosts rename"},
		{[]string{"reset", "--client", "pidgin"}, exitUsage, "pidgin"},
		{[]string{"reset", "--undo", "x", "--dry-run"}, exitUsage, "--undo"},
		{[]string{"trust", "install"}, exitFailed, "holdfastctl hosts add"},
		{[]string{"trust", "install", "--system"}, exitFailed, "holdfastctl hosts add"},
		{[]string{"trust", "explode"}, exitUsage, "trust explode"},
		{[]string{"trust"}, exitUsage, "status|install|remove is missing"},
		{[]string{"launch"}, exitUsage, "dino|gajim is missing"},
		{[]string{"launch", "pidgin"}, exitUsage, "pidgin"},
		{[]string{"route", "remove"}, exitOK, ""},
		{[]string{"route", "status"}, exitOK, ""},
		{[]string{"route", "install", "carrier-pigeon"}, exitUsage, "launcher, gnome, gajim and flatpak"},
		{[]string{"route", "install", "gajim", "--mode", "gnome"}, exitUsage, "one argument too many"},
		{[]string{"secret", "set"}, exitUsage, "set HOST"},
		{[]string{"secret", "show", "h.example"}, exitUsage, "secret show"},
		{[]string{"secret", "set", "h.example"}, exitUsage, "no secret was given"},
		{[]string{"run", "-config", "/no/such/file"}, exitFailed, "/no/such/file"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			code, _, errs := call(t, "", c.args...)
			if code != c.code || !strings.Contains(errs, c.errs) {
				t.Errorf("%d %q, want %d with %q", code, errs, c.code, c.errs)
			}
		})
	}
}

func TestSecretIsReadAsOneLine(t *testing.T) {
	long := strings.Repeat("x", maxSecret+1)
	for in, want := range map[string]string{"abc\n": "abc", "abc": "abc", "a b \r\nmore\n": "a b ", "": "", "\n": ""} {
		s := &shell{in: strings.NewReader(in), words: words.For("en")}
		got, err := s.readSecret("Secret: ")
		if err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	s := &shell{in: strings.NewReader(long), words: words.For("en")}
	if _, err := s.readSecret("Secret: "); err == nil {
		t.Error("a file was read as a secret")
	}
}

func TestWrap(t *testing.T) {
	if got := wrap("aaa bbb cccc d", 7); got != "aaa bbb\ncccc d" {
		t.Errorf("%q", got)
	}
}

func TestBuildsWithoutCgo(t *testing.T) {
	cmd := exec.Command("go", "build", "-o", filepath.Join(t.TempDir(), "holdfastctl"), ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
