package holdfast

import (
	"os"
	"regexp"
	"testing"
)

func TestVersionComesFromFyneAppToml(t *testing.T) {
	if !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(Version()) {
		t.Errorf("Version() = %q, want three numbers", Version())
	}
	if got := AppMetadata().Details.ID; got != "im.holdfast.Holdfast" {
		t.Errorf("ID = %q, the bus name and the desktop entry say im.holdfast.Holdfast", got)
	}
	if !AppMetadata().Migrations["fyneDo"] {
		t.Error("fyneDo is off: Fyne warns at every start")
	}
	if _, err := os.Stat(AppMetadata().Details.Icon); err != nil {
		t.Errorf("the icon named in FyneApp.toml: %v", err)
	}
}

func TestMetadataWithoutAVersionIsRefused(t *testing.T) {
	if _, err := parseMetadata([]byte("[Details]\nID = \"x\"\n")); err == nil {
		t.Error("accepted")
	}
}
