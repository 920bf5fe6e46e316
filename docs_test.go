package holdfast_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"holdfast/app/words"
)

// documents returns the Markdown files of the project with their text.
func documents(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	walk(t, func(file string) {
		if filepath.Ext(file) != ".md" {
			return
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		docs[file] = string(b)
	})
	if len(docs) < 10 {
		t.Fatalf("only %d documents were found", len(docs))
	}
	return docs
}

var (
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	mentioned = regexp.MustCompile(`\bdocs/[a-z-]+\.md\b`)
	notInName = regexp.MustCompile(`[^\pL\pN _-]`)
	inCode    = regexp.MustCompile("(?s)```.*?```|`[^`]+`")
)

// code is what a document shows as code, a piece a line.
func code(text string) string {
	return strings.ReplaceAll(strings.Join(inCode.FindAllString(text, -1), "\n"), "`", "")
}

// anchor is the fragment under which a heading is found.
func anchor(heading string) string {
	plain := notInName.ReplaceAllString(strings.ToLower(strings.TrimSpace(strings.TrimLeft(heading, "#"))), "")
	return strings.ReplaceAll(plain, " ", "-")
}

func TestLinksLeadSomewhere(t *testing.T) {
	docs := documents(t)
	for file, text := range docs {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			to, fragment, _ := strings.Cut(m[1], "#")
			target := file
			if to != "" {
				target = path.Join(path.Dir(file), to)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", file, m[1], err)
				continue
			}
			found := fragment == ""
			for line := range strings.Lines(docs[target]) {
				found = found || strings.HasPrefix(line, "#") && anchor(line) == fragment
			}
			if !found {
				t.Errorf("%s links to %s, and there is no such heading", file, m[1])
			}
		}
	}
}

// A document is also named in comments, example configurations and messages.
func TestDocumentsThatAreNamedExist(t *testing.T) {
	walk(t, func(file string) {
		if !slices.Contains([]string{".md", ".go", ".toml", ".service", ".socket"}, filepath.Ext(file)) {
			return
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range mentioned.FindAllString(string(b), -1) {
			if _, err := os.Stat(name); err != nil {
				t.Errorf("%s names %s: %v", file, name, err)
			}
		}
	})
}

// What a document tells people to type must be there.
func TestDocumentsNameOnlyCommandsThatExist(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	server, err := os.ReadFile("cmd/holdfast-server/run.go")
	if err != nil {
		t.Fatal(err)
	}
	ctl := []string{"help"}
	for _, v := range words.For("en").Help.Verbs {
		ctl = append(ctl, v.Name)
	}
	known := []struct {
		what   *regexp.Regexp
		exists func(name string) bool
	}{
		{regexp.MustCompile(`(?m)^make ([a-z0-9-]+)`), func(name string) bool {
			return regexp.MustCompile(`(?m)^` + name + `:`).Match(makefile)
		}},
		{regexp.MustCompile(`(?m)(?:^|/)holdfastctl ([a-z]+)`), func(name string) bool { return slices.Contains(ctl, name) }},
		{regexp.MustCompile(`(?m)(?:^|/)holdfast-server ([a-z]+)`), func(name string) bool {
			return strings.Contains(string(server), `case "`+name+`":`)
		}},
	}
	for file, text := range documents(t) {
		for _, k := range known {
			for _, m := range k.what.FindAllStringSubmatch(code(text), -1) {
				if !k.exists(m[1]) {
					t.Errorf("%s names %q, which does not exist", file, m[0])
				}
			}
		}
	}
}

// What the companion logs at info and above is in docs/logs.md, and nothing else is.
func TestTheLogOfTheCompanionIsDocumented(t *testing.T) {
	_, doc, ok := strings.Cut(documents(t)["docs/logs.md"], "\n# What holdfastctl run logs\n")
	if !ok {
		t.Fatal("docs/logs.md has no part about the companion")
	}
	said := regexp.MustCompile(`(?i)\blog\.(?:Info|Warn|Error)\("([^"]+)"`)
	source := map[string]bool{}
	for _, pattern := range []string{"app/agent/*.go", "app/companion/*.go", "app/control/*.go", "app/notify/*.go", "cache/*.go", "detect/*/*.go", "detect/*/*/*.go", "relay/*.go", "relay/authority/*.go", "relay/credential/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range said.FindAllStringSubmatch(string(b), -1) {
				if strings.HasSuffix(file, "_test.go") {
					continue
				}
				source[m[1]] = true
				if !strings.Contains(doc, "`"+m[1]+"`") {
					t.Errorf("docs/logs.md misses %q of %s", m[1], file)
				}
			}
		}
	}
	for line := range strings.Lines(doc) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.Contains(cells[1], "`") {
			continue
		}
		for i, message := range strings.Split(cells[1], "`") {
			if i%2 == 1 && !source[message] {
				t.Errorf("docs/logs.md names %q, which nothing logs", message)
			}
		}
	}
}

// The picture of the folders is complete: docs/design.md names each package.
func TestTheDesignNamesEveryFolder(t *testing.T) {
	design := documents(t)["docs/design.md"]
	for name := range arrows {
		if name == "." || strings.HasPrefix(name, "cmd/lab/") {
			continue
		}
		if !strings.Contains(design, "| `"+name+"` |") && !strings.Contains(design, "`"+path.Base(name)+"`") {
			t.Errorf("docs/design.md does not name %s", name)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9/-]+)` \\|").FindAllStringSubmatch(design, -1) {
		if _, ok := arrows[m[1]]; strings.Contains(m[1], "/") && !ok {
			t.Errorf("docs/design.md names %s, which is no package", m[1])
		}
	}
}
