package main

import (
	"path/filepath"
	"testing"
)

// Every released version has left a configuration with all its keys: what worked then must work now.
func TestTheConfigurationOfEveryReleasedVersionIsRead(t *testing.T) {
	releases, err := filepath.Glob("testdata/release-*.toml")
	if err != nil || len(releases) == 0 {
		t.Fatalf("releases: %q, %v", releases, err)
	}
	for _, release := range releases {
		t.Run(filepath.Base(release), func(t *testing.T) {
			file := write(t, "server.toml", read(t, release))
			if _, err := load(file); err != nil {
				t.Fatal(err)
			}
			log, stop := begin(t, file)
			log.await(t, `listening site=other addr=(\S+)`)
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}
