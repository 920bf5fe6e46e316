package history

import (
	"os"
	"path/filepath"
	"testing"
)

// Every released version has left a list of past uploads.
func TestTheListOfEveryReleasedVersionIsRead(t *testing.T) {
	releases, err := filepath.Glob("testdata/release-*.jsonl")
	if err != nil || len(releases) == 0 {
		t.Fatalf("releases: %q, %v", releases, err)
	}
	for _, release := range releases {
		t.Run(filepath.Base(release), func(t *testing.T) {
			b, err := os.ReadFile(release)
			if err != nil {
				t.Fatal(err)
			}
			uploads, damaged := parse(b)
			if damaged != 0 || len(uploads) != 2 {
				t.Fatalf("%d uploads, %d damaged lines", len(uploads), damaged)
			}
			first, second := uploads[0], uploads[1]
			if first.ID != "4f2a9c" || first.File != "holiday.jpg" || first.Size != 123456 || first.State != "done" || first.Repeats != 2 || first.Resigned != 1 || first.Ended.IsZero() {
				t.Errorf("the first is %+v", first)
			}
			if second.Reason != "gave-up" || second.Error == "" || second.State != "failed" {
				t.Errorf("the second is %+v", second)
			}
		})
	}
}
