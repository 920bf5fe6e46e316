package holdfast_test

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const mod = "holdfast"

// arrows is the whole import graph of this module, written by hand. A new arrow is a design change: edit this table
// in the same commit and say why. "." is the root package. Imports of tests are not in it.
var arrows = map[string]string{
	".": "",

	"cmd/holdfast":        ". app app/window app/companion app/control app/words assets",
	"cmd/holdfastctl":     ". app/agent app/companion app/control app/diagnose app/launch app/words relay/authority", // the admin's part of trusting runs in it
	"cmd/holdfast-server": ". relay/dpop relay/server relay/server/device relay/server/admit relay/server/resume relay/server/store relay/server/ledger relay/server/realip relay/token detect/client detect/network detect/network/netlink",

	"cmd/lab":             "", // test support; it drives the programs and knows none of their packages
	"cmd/lab/demo":        "cmd/lab",
	"cmd/lab/bench":       "cmd/lab relay/token",                       // it signs thousands of slots
	"cmd/lab/screenshots": "cmd/lab app/agent app/control relay/token", // real uploads, and a state to show
	"cmd/e2e":             "",
	"cmd/e2e/clients":     "",
	"cmd/e2e/packages":    "",

	"app":           "app/agent app/control app/words assets",
	"app/window":    "app/agent app/control app/words assets",
	"app/companion": "app/agent app/control app/diagnose app/history app/launch app/notify app/words relay relay/route relay/credential relay/enrol relay/authority cache detect/client detect/client/chat detect/client/desktop detect/network detect/network/nm detect/network/netlink detect/network/sleep",
	"app/agent":     "detect/network",
	"app/control":   "app/agent",
	"app/diagnose":  "app/words",
	"app/history":   "app/agent",
	"app/launch":    "relay/route",
	"app/notify":    "",
	"app/words":     "app/agent detect/network", // a change of network is said in words
	"assets":        "",

	"cache":                  "", // a reset asks for a client through an interface of its own
	"detect/client":          "",
	"detect/client/chat":     "detect/client", // only clients of a desktop send a message after an upload
	"detect/client/desktop":  "",
	"detect/network":         "",
	"detect/network/nm":      "detect/network",
	"detect/network/netlink": "detect/network",
	"detect/network/sleep":   "detect/network",

	"relay":            "relay/token relay/credential relay/enrol",
	"relay/authority":  "",
	"relay/credential": "relay/token",
	"relay/dpop":       "relay/jose",
	"relay/enrol":      "relay/dpop",
	"relay/jose":       "",
	"relay/route":      "",
	"relay/token":      "",

	"relay/server":                 "relay/token relay/dpop relay/jose relay/server/device relay/server/admit relay/server/store relay/server/ledger relay/server/realip relay/server/resume detect/client",
	"relay/server/admit":           "relay/token detect/client",
	"relay/server/device":          "relay/jose",
	"relay/server/ledger":          "",
	"relay/server/realip":          "",
	"relay/server/resume":          "relay/server/store",
	"relay/server/store":           "",
	"relay/server/store/storetest": "relay/server/store",
}

// banned lists what a package must never reach, directly or through others.
var banned = []struct{ pkg, dep, why string }{
	{"relay/token", "net/http", "a signature is a function of bytes, not of a request"},
	{"relay/dpop", "net/http", "a proof is a function of bytes, not of a request"},
	{"relay/server/admit", "net/http", "the decision is a function of values"},
	{"relay/server", "github.com/godbus/dbus/v5", "servers have no session bus"},
	{"relay/server", "github.com/zalando/go-keyring", "servers have no keyring"},
	{"app/agent", "fyne.io/fyne/v2", "the decisions must run headless"},
	{"app/agent", "github.com/godbus/dbus/v5", "the decisions need no bus"},
	{"app/agent", "net/http", "the decisions need no network"},
	{"app/words", "fyne.io/fyne/v2", "the shell prints the same sentences"},
	{"cmd/holdfast-server", "github.com/godbus/dbus/v5", "servers have no session bus"},
	{"cmd/holdfast-server", "github.com/zalando/go-keyring", "servers have no keyring"},
	{"cmd/holdfast-server", "fyne.io/fyne/v2", "servers have no display"},
	{"cmd/holdfastctl", "fyne.io/fyne/v2", "headless"},
	{"cmd/lab", "testing", "make demo uses it too, and a program must not carry a test framework"},
}

// bannedDirect lists what a package must not import itself. The standard library's crypto reaches os and Fyne
// reaches net/http, so these can only be asked of the package's own import block.
var bannedDirect = []struct{ pkg, dep, why string }{
	{"relay/token", "os", "tokens never read the environment or disk"},
	{"app", "net/http", "the tray asks the agent"},
	{"app", "fyne.io/fyne/v2", "the tray menu needs no window toolkit and no cgo"},
}

type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	Deps       []string
	CgoFiles   []string
	Standard   bool
}

func list(t *testing.T, args ...string) map[string]pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,GoFiles,Imports,Deps,CgoFiles,Standard"}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1") // without it the windows would not be listed
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	m := map[string]pkg{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return m
		} else if err != nil {
			t.Fatal(err)
		}
		m[p.ImportPath] = p
	}
}

// rel turns an import path of this module into a key of the table.
func rel(path string) (string, bool) {
	if path == mod {
		return ".", true
	}
	return strings.CutPrefix(path, mod+"/")
}

func full(rel string) string {
	if rel == "." {
		return mod
	}
	return mod + "/" + rel
}

// touch reads every Go file below the module root. The go command notes files a test opens itself, but not what a
// child "go list" reads; without this a broken arrow can hide behind a "(cached)" pass.
func touch(t *testing.T) {
	t.Helper()
	walk(t, func(path string) {
		if strings.HasSuffix(path, ".go") {
			if _, err := os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// walk visits every file of the project, without what is built or ignored.
func walk(t *testing.T, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == ".git" || path == "build"):
			return fs.SkipDir
		case d.Type().IsRegular() && path != ".git": // in a work tree of git, .git is a file
			visit(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestArrows(t *testing.T) {
	touch(t)
	got := list(t, "./...")
	for path, p := range got {
		name, ok := rel(path)
		if !ok {
			continue
		}
		want, known := arrows[name]
		if !known {
			t.Errorf("%s is not in the arrows table", name)
			continue
		}
		allowed := strings.Fields(want)
		for _, imp := range p.Imports {
			if imp, ok := rel(imp); ok && !slices.Contains(allowed, imp) {
				t.Errorf("%s imports %s, an arrow not in the table", name, imp)
			}
		}
		for _, w := range allowed {
			if !slices.Contains(p.Imports, full(w)) {
				t.Errorf("%s does not import %s: take the arrow out of the table", name, w)
			}
		}
	}
	for name := range arrows {
		if _, ok := got[full(name)]; !ok {
			t.Errorf("%s is in the arrows table but not in the tree", name)
		}
	}
	for _, b := range bannedDirect {
		if slices.Contains(got[full(b.pkg)].Imports, b.dep) {
			t.Errorf("%s imports %s: %s", b.pkg, b.dep, b.why)
		}
	}
	for _, b := range banned {
		if slices.Contains(got[full(b.pkg)].Deps, b.dep) {
			t.Errorf("%s reaches %s: %s", b.pkg, b.dep, b.why)
		}
	}
}

func TestHeadlessProgramsNeedNoCgo(t *testing.T) {
	touch(t)
	for path, p := range list(t, "-deps", "./cmd/holdfast-server", "./cmd/holdfastctl") {
		if len(p.CgoFiles) > 0 && !p.Standard {
			t.Errorf("%s needs cgo (%v)", path, p.CgoFiles)
		}
	}
}
