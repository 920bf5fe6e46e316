package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"holdfast/relay/server"
)

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTheDocumentNamesEveryKeyWithItsDefault(t *testing.T) {
	doc := read(t, "../../docs/config.md")
	d := reflect.ValueOf(*defaults())
	for i := range d.NumField() {
		table := d.Type().Field(i).Tag.Get("toml")
		if table == "" {
			continue
		}
		field := d.Field(i)
		heading := "\n## [" + table + "]\n"
		if field.Kind() == reflect.Slice { // of tables, which have no defaults
			field, heading = reflect.Zero(field.Type().Elem()), "\n## [["+table+"]]\n"
		}
		_, section, ok := strings.Cut(doc, heading)
		if !ok {
			t.Errorf("no section [%s]", table)
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		for j := range field.NumField() {
			key := field.Type().Field(j).Tag.Get("toml")
			row := ""
			for line := range strings.Lines(section) {
				if strings.HasPrefix(line, "| `"+key+"` |") {
					row = line
				}
			}
			if row == "" {
				t.Errorf("[%s] does not name %s", table, key)
				continue
			}
			if want := written(field.Field(j)); d.Field(i).Kind() != reflect.Slice && want != "" && !strings.Contains(row, "`"+want+"`") {
				t.Errorf("%s.%s: the default is %s, the document says: %s", table, key, want, row)
			}
		}
	}
}

// written is a default as TOML has it; empty: none.
func written(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case string:
		return strconv.Quote(x)
	case bool:
		return strconv.FormatBool(x)
	case int:
		return strconv.Itoa(x)
	case []subnet:
		return "[]"
	case duration:
		if x == 0 {
			return `""`
		}
		// The document writes whole minutes as seconds where that is how one thinks of them.
		if x == duration(120e9) {
			return `"120s"`
		}
		return strconv.Quote(x.String())
	case size:
		if x == 0 {
			return `""`
		}
		return strconv.Quote(x.String())
	case pace:
		return `""`
	case interface{ String() string }:
		return strconv.Quote(x.String())
	}
	return ""
}

func TestEveryLogLineIsInTheDocumentAndTheOtherWayRound(t *testing.T) {
	doc, _, _ := strings.Cut(read(t, "../../docs/logs.md"), "\n# What holdfastctl run logs\n") // a test of the root package has that part
	source := map[string]bool{}
	for _, dir := range []string{".", "../../relay/server", "../../relay/server/store", "../../relay/server/ledger", "../../relay/server/resume"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !strings.HasSuffix(f, "_test.go") {
				literals(t, f, strings.HasSuffix(dir, "server") || dir == ".", source)
			}
		}
	}
	documented := map[string]bool{}
	for line := range strings.Lines(doc) {
		for i, word := range strings.Split(line, "`") {
			if i%2 == 1 && strings.Contains(word, " ") && strings.HasPrefix(line, "Debug adds") {
				documented[word] = true
			}
		}
		if strings.HasPrefix(line, "| `") {
			documented[strings.Split(line, "`")[1]] = true
		}
	}
	for m := range documented {
		if _, ok := source[m]; !ok {
			t.Errorf("docs/logs.md names %q, which nothing logs", m)
		}
	}
	for m, logged := range source {
		if logged && !documented[m] { // of this package and relay/server; the others have theirs in the table all the same
			t.Errorf("docs/logs.md misses %q", m)
		}
	}
}

// literals adds every string of a file; true: it is the message of a log call, and the file is mine to document.
func literals(t *testing.T, file string, mine bool, out map[string]bool) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil {
				out[s] = out[s] || false
			}
		}
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		switch sel.Sel.Name {
		case "Debug", "Info", "Warn", "Error":
			if lit, ok := call.Args[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					out[s] = out[s] || mine
				}
			}
		}
		return true
	})
}

func TestTheDocumentNamesEveryRefusal(t *testing.T) {
	doc := read(t, "../../docs/server.md")
	for _, r := range server.Refusals() {
		row := ""
		for line := range strings.Lines(doc) {
			if strings.HasPrefix(line, "| ") && strings.Contains(line, strconv.Itoa(r.Status)) {
				row = line
			}
		}
		if !strings.Contains(row, r.Code) {
			t.Errorf("docs/server.md does not have %d %s", r.Status, r.Code)
		}
	}
}

func TestTheDocumentsNginxBlockIsTheOneThatInitPrints(t *testing.T) {
	doc := read(t, "../../docs/server.md")
	var block strings.Builder
	if err := render(&block, nginxSnippet, map[string]string{"Host": "upload.example.org", "Prefix": "/upload/", "Proxy": "http://127.0.0.1:8080"}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(block.String()) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "proxy_") && !strings.Contains(doc, line) {
			t.Errorf("docs/server.md misses %q", line)
		}
	}
}
