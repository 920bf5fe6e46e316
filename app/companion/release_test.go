package companion

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/app/words"
)

// Every released version has left a config.toml with all its keys.
func TestTheConfigOfEveryReleasedVersionIsRead(t *testing.T) {
	want := map[string]Config{
		"release-0.1.0.toml": {
			Listen: "127.0.0.1:5381", Hosts: []string{"upload.example.org", "files.example.net:8443"}, UpstreamCA: "/etc/ssl/own-ca.pem",
			GiveUp: 45 * time.Minute,
		},
	}
	releases, err := filepath.Glob("testdata/release-*.toml")
	if err != nil || len(releases) != len(want) {
		t.Fatalf("releases: %q, %v", releases, err)
	}
	for _, release := range releases {
		t.Run(filepath.Base(release), func(t *testing.T) {
			b, err := os.ReadFile(release)
			if err != nil {
				t.Fatal(err)
			}
			got, unknown, err := parseConfig(b, words.For("en"))
			if err != nil || len(unknown) > 0 {
				t.Fatalf("%v, unknown keys %v", err, unknown)
			}
			if d := cmp.Diff(want[filepath.Base(release)], got); d != "" {
				t.Error(d)
			}
		})
	}
}
