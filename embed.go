package holdfast

import (
	_ "embed"
	"fmt"
	"sync"

	"github.com/pelletier/go-toml/v2"
)

//go:embed FyneApp.toml
var fyneApp []byte

// Metadata is what FyneApp.toml says about the programs. Fyne reads that file only beside the executable,
// so an installed program would have none; it is embedded instead and handed over before the first window.
type Metadata struct {
	Details    Details
	Migrations map[string]bool
}

// Details are the names and numbers of the programs.
type Details struct {
	Icon    string
	Name    string
	ID      string
	Version string
	Build   int
}

var metadata = sync.OnceValue(func() Metadata {
	m, err := parseMetadata(fyneApp)
	if err != nil {
		panic("the embedded FyneApp.toml does not parse: " + err.Error()) // a broken build; the test says so first
	}
	return m
})

// AppMetadata returns the embedded metadata. The caller must not change its map.
func AppMetadata() Metadata { return metadata() }

// Version is the version of all three programs, such as "0.1.0".
func Version() string { return metadata().Details.Version }

func parseMetadata(b []byte) (Metadata, error) {
	var m Metadata
	if err := toml.Unmarshal(b, &m); err != nil {
		return Metadata{}, fmt.Errorf("parse application metadata: %w", err)
	}
	if m.Details.ID == "" || m.Details.Version == "" {
		return Metadata{}, fmt.Errorf("parse application metadata: ID and Version are required")
	}
	return m, nil
}
