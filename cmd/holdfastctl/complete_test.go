package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast/app/words"
	"holdfast/cmd/lab"
)

func TestChoicesAreReadFromTheUsageLines(t *testing.T) {
	got := map[string][]string{}
	for _, c := range choices(words.For("en").Help) {
		got[c.verb] = c.after
	}
	for verb, want := range map[string][]string{
		"autofix": {"on", "off", "--help"},
		"reset":   {"--client", "dino", "gajim", "--dry-run"},
		"run":     {"-config", "-verbose"},
		"secret":  {"set", "remove", "-scheme", "jwt", "v2", "-prefix"},
	} {
		for _, w := range want {
			if !slices.Contains(got[verb], w) {
				t.Errorf("%s does not offer %s: %v", verb, w, got[verb])
			}
		}
	}
	for verb, after := range got {
		for _, a := range after {
			if strings.ContainsAny(a, "/ ") || a == verb && verb != "help" || a == strings.ToUpper(a) {
				t.Errorf("%s offers %q", verb, a)
			}
		}
	}
}

// The script is asked as bash asks it.
func TestBashCompletes(t *testing.T) {
	lab.Need(t, "bash", "coreutils")
	code, script, errs := call(t, "", "completion", "bash")
	if code != exitOK || errs != "" {
		t.Fatalf("%d %q", code, errs)
	}
	ask := func(line string) []string {
		cmd := exec.Command("bash", "--norc", "-c", script+`
read -ra COMP_WORDS <<<"$1"
[ "${1% }" = "$1" ] || COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]}-1))
_holdfastctl
printf '%s\n' "${COMPREPLY[@]}"`, "bash", line)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return strings.Fields(string(out))
	}
	for line, want := range map[string]string{
		"holdfastctl sta":          "status",
		"holdfastctl autofix o":    "on off",
		"holdfastctl reset --dr":   "--dry-run",
		"holdfastctl completion z": "zsh",
		"holdfastctl help paus":    "pause",
	} {
		if got := strings.Join(ask(line), " "); got != want {
			t.Errorf("%q completes to %q, want %q", line, got, want)
		}
	}
	if got := ask("holdfastctl "); len(got) != len(words.For("en").Help.Verbs) {
		t.Errorf("it offers %v", got)
	}
}

func TestTheOtherShellsReadTheirScripts(t *testing.T) {
	for _, shell := range []string{"zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			lab.Need(t, shell, shell)
			for _, lang := range []string{"C", "de_DE.UTF-8"} {
				_, script, _ := call(t, "", "completion", shell)
				file := filepath.Join(t.TempDir(), "script")
				if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(shell, "-n", file)
				cmd.Env = append(os.Environ(), "LANG="+lang, "HOME="+t.TempDir())
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v\n%s\n%s", err, out, script)
				}
			}
		})
	}
}

func TestTheManualIsAPageOfTheManual(t *testing.T) {
	lab.Need(t, "groff", "groff-base")
	for _, lang := range []string{"en", "de"} {
		h := words.For(lang).Help
		cmd := exec.Command("groff", "-man", "-Tutf8", "-K", "utf8", "-ww", "-P-c")
		cmd.Stdin = strings.NewReader(manual(h))
		var warned strings.Builder
		cmd.Stderr = &warned
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if w := warned.String(); w != "" {
			t.Errorf("%s: %s", lang, w)
		}
		for _, v := range h.Verbs {
			if !strings.Contains(string(out), "holdfastctl "+v.Name) {
				t.Errorf("%s: %s is not in the manual", lang, v.Name)
			}
		}
	}
	if code, out, _ := call(t, "", "help", "--man"); code != exitOK || !strings.HasPrefix(out, ".TH HOLDFASTCTL 1") {
		t.Errorf("%d %.60q", code, out)
	}
}
