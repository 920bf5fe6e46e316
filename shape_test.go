package holdfast_test

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A package begins by saying what it is for; one that is imported also says what always holds.
func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	touch(t)
	for path, p := range list(t, "./...") {
		name, ok := rel(path)
		if !ok {
			continue
		}
		var doc, pkgName string
		for _, file := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			pkgName = f.Name.Name
			doc += f.Doc.Text()
		}
		if sentences := strings.Count(doc+" ", ".\n") + strings.Count(doc, ". "); sentences < 2 {
			t.Errorf("%s: the package comment has %d sentences; say what the package is for and what one must know", name, sentences)
		}
		if pkgName != "main" && name != "." && !strings.Contains(doc, "# Invariants") {
			t.Errorf("%s: the package comment has no section \"# Invariants\"", name)
		}
	}
}

// A file that grows past the limit usually holds two topics.
func TestFilesStayReadable(t *testing.T) {
	const limit = 500
	walk(t, func(path string) {
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(b, []byte("\n")); n > limit {
			t.Errorf("%s has %d lines, the limit is %d: part it by topic", path, n, limit)
		}
	})
}

// private matches what belongs to one developer's machine or notes and never to the project. The classes keep the
// expression from matching itself.
var private = regexp.MustCompile(`/wor[k]/|/far[m]/|@LA[B]@|farm-(bench|studio)|\.librar[y]/|\.\./share[d]|prox[y]\.gol[a]ng|deb\.deb[i]an|regis[t]ry\.npm|\b[Ii]ssu[e] [1-9]\b`)

// unfinished matches marks that say "not done yet" in code.
var unfinished = regexp.MustCompile(`TOD[O]|FIXM[E]|XX[X]`)

func TestNothingPrivateOrUnfinishedIsInTheTree(t *testing.T) {
	walk(t, func(path string) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(b, 0) >= 0 {
			return // not text
		}
		if m := private.Find(b); m != nil {
			t.Errorf("%s contains %q", path, m)
		}
		if strings.HasSuffix(path, ".go") {
			if m := unfinished.Find(b); m != nil {
				t.Errorf("%s contains %q", path, m)
			}
		}
	})
}

// What a test needs must be something that `make test` installs.
func TestPackagesOfTestsAreInstalled(t *testing.T) {
	listed, err := os.ReadFile(".ci/packages")
	if err != nil {
		t.Fatal(err)
	}
	words := append(strings.Fields(string(listed)), "coreutils", "golang") // there already where make test runs
	need := regexp.MustCompile(`\bNeed\(\w+, [^,]+, "([^"]+)"\)`)
	walk(t, func(path string) {
		if !strings.HasSuffix(path, ".go") {
			return
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range need.FindAllSubmatch(b, -1) {
			for _, p := range strings.Fields(string(m[1])) {
				if !slices.Contains(words, p) {
					t.Errorf("%s needs the Debian package %s, which is not in .ci/packages", path, p)
				}
			}
		}
	})
}
