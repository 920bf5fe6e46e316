// Package assets holds what is installed or embedded beside the programs: icons, the desktop entry, AppStream
// metainfo, systemd units, D-Bus service files, example configurations and a Grafana dashboard.
//
// The PNG files are rendered from the SVG sources in icons/ by `go generate` and are checked in, so that a build
// needs no renderer.
//
// # Invariants
//   - The package only holds bytes; it decides nothing and opens nothing.
//   - Each status has an icon of a shape of its own, not only of a colour of its own.
package assets

import (
	"embed"
	"fmt"
)

//go:generate go run generate.go

//go:embed icons/*.png
var icons embed.FS

// TrayIcon returns the 64 pixel PNG for a status: protected, ready, working, waiting, attention, paused or off.
// An unknown status gets the icon of "off".
func TrayIcon(status string) []byte {
	b, err := icons.ReadFile("icons/tray-" + status + ".png")
	if err != nil {
		return must("icons/tray-off.png")
	}
	return b
}

// AppIcon returns the application's icon as a PNG of 256 pixels.
func AppIcon() []byte { return must("icons/holdfast-256.png") }

// must reads an embedded file; a missing one is a broken build, and the test of this package says so first.
func must(path string) []byte {
	b, err := icons.ReadFile(path)
	if err != nil {
		panic(fmt.Sprintf("assets: %v", err))
	}
	return b
}
