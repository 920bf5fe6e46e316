package holdfast_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shown is a configuration in the admin's guide: a comment that names the file, and the block that shows it.
var shown = regexp.MustCompile("(?s)<!-- files/(\\S+) -->\n```[a-z]+\n(.*?)```")

// Every configuration that the admin's guide shows is the very file that a test runs.
func TestTheAdminsGuideShowsWhatIsTested(t *testing.T) {
	var tests string
	for _, name := range []string{"cmd/e2e/admin_test.go", "cmd/e2e/packages/server_test.go", "assets/assets_test.go"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tests += string(b)
	}
	pages, err := filepath.Glob("docs/admin/*.md")
	if err != nil || len(pages) < 5 {
		t.Fatalf("pages: %q, %v", pages, err)
	}
	seen := map[string]bool{}
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		for _, m := range shown.FindAllStringSubmatch(text, -1) {
			want, err := os.ReadFile("docs/admin/files/" + m[1])
			if err != nil {
				t.Errorf("%s: %v", page, err)
				continue
			}
			if string(want) != m[2] {
				t.Errorf("%s does not show docs/admin/files/%s as it is", page, m[1])
			}
			seen[m[1]] = true
		}
		// What is left are commands for a shell, and nothing that could be pasted into a configuration.
		for _, m := range regexp.MustCompile("(?m)^```([a-z]+)\n").FindAllStringSubmatch(shown.ReplaceAllString(text, ""), -1) {
			if m[1] != "sh" {
				t.Errorf("%s shows a block of %s that is no file of a test", page, m[1])
			}
		}
	}
	files, err := os.ReadDir("docs/admin/files")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !seen[f.Name()] {
			t.Errorf("docs/admin/files/%s is shown nowhere", f.Name())
		}
		if !strings.Contains(tests, `"`+f.Name()+`"`) {
			t.Errorf("no test runs docs/admin/files/%s", f.Name())
		}
	}
}

// The dashboard and its page know every metric, and no other.
func TestTheDashboardShowsEveryMetric(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	source := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?:vec|counter)\("([a-z_]+)"|Name: "([a-z_]+)"`).FindAllStringSubmatch(read("relay/server/metrics.go"), -1) {
		source["holdfast_"+m[1]+m[2]] = true
	}
	if len(source) < 10 {
		t.Fatalf("only %d metrics were found", len(source))
	}
	name := regexp.MustCompile(`\bholdfast_[a-z_]+`)
	for _, file := range []string{"assets/grafana.json", "docs/admin/metrics.md"} {
		text := read(file)
		for metric := range source {
			if !strings.Contains(text, metric) {
				t.Errorf("%s misses %s", file, metric)
			}
		}
		for _, m := range name.FindAllString(text, -1) {
			if !source[strings.TrimSuffix(m, "_bucket")] {
				t.Errorf("%s names %s, which does not exist", file, m)
			}
		}
	}
	if !json.Valid([]byte(read("assets/grafana.json"))) {
		t.Error("assets/grafana.json is not JSON")
	}
}
