package desktop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// unpack writes a txtar into a fresh root; files below a bin folder are executable.
func unpack(t *testing.T, text string) Dirs {
	t.Helper()
	root := t.TempDir()
	for _, f := range txtar.Parse([]byte(text)).Files {
		p := filepath.Join(root, f.Name)
		mode := os.FileMode(0o644)
		if filepath.Base(filepath.Dir(p)) == "bin" {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, f.Data, mode); err != nil {
			t.Fatal(err)
		}
	}
	home := filepath.Join(root, "home/ada")
	return Dirs{Home: home, Data: filepath.Join(home, ".local/share"), Root: root}
}

const dpkg = `-- var/lib/dpkg/status --
Package: dino-im-common
Status: install ok installed
Version: 9.9-1

Package: dino-im
Status: install ok installed
Priority: optional
Version: 0.4.2-1

Package: gajim
Status: deinstall ok config-files
Version: 1.4.0-1
`

const metainfo = `<?xml version="1.0"?><component><id>x</id><releases><release date="2024-01-01" version="1.8.4"/><release version="1.8.3"/></releases></component>
`

func TestFind(t *testing.T) {
	for _, tt := range []struct {
		name, files string
		want        []Client // Program below the root
	}{
		{name: "nothing", files: ""},
		{
			name: "both as Debian packages", files: dpkg + "-- usr/bin/dino-im --\n-- usr/bin/gajim --\n" +
				"-- usr/lib/python3/dist-packages/gajim-1.7.3.dist-info/METADATA --\n" +
				"-- usr/share/metainfo/im.dino.Dino.appdata.xml --\n" + metainfo,
			want: []Client{{Dino, Native, "0.4.2", "/usr/bin/dino-im"}, {Gajim, Native, "1.7.3", "/usr/bin/gajim"}},
		},
		{
			name: "a distribution without dpkg", files: "-- usr/bin/dino-im --\n-- usr/bin/gajim --\n" +
				"-- usr/lib/python3.13/site-packages/gajim-2.3.1-py3.13.egg-info/PKG-INFO --\n" +
				"-- usr/share/metainfo/im.dino.Dino.metainfo.xml --\n" + metainfo,
			want: []Client{{Dino, Native, "1.8.4", "/usr/bin/dino-im"}, {Gajim, Native, "2.3.1", "/usr/bin/gajim"}},
		},
		{
			name: "no version to be found", files: "-- usr/bin/gajim --\n-- usr/share/metainfo/org.gajim.Gajim.appdata.xml --\n<component><releases><rel",
			want: []Client{{Gajim, Native, "", "/usr/bin/gajim"}},
		},
		{
			name: "a native and a Flatpak of the system at once", files: "-- usr/bin/gajim --\n" +
				"-- var/lib/flatpak/app/org.gajim.Gajim/current/active/files/share/metainfo/org.gajim.Gajim.metainfo.xml --\n" + metainfo,
			want: []Client{{Gajim, Native, "", "/usr/bin/gajim"}, {Gajim, Flatpak, "1.8.4", "/var/lib/flatpak/app/org.gajim.Gajim/current/active"}},
		},
		{
			name: "a Flatpak of the person goes before one of the system", files: "-- var/lib/flatpak/app/im.dino.Dino/current/active/x --\n" +
				"-- home/ada/.local/share/flatpak/app/im.dino.Dino/current/active/x --\n",
			want: []Client{{Dino, Flatpak, "", "/home/ada/.local/share/flatpak/app/im.dino.Dino/current/active"}},
		},
		{
			name: "a Flatpak that was removed and left its data", files: "-- home/ada/.var/app/im.dino.Dino/data/dino/dino.db --\n",
		},
		{
			name: "a native, a Flatpak and a snap at once", files: "-- usr/bin/gajim --\n" +
				"-- var/lib/flatpak/app/org.gajim.Gajim/current/active/x --\n" +
				"-- snap/gajim/current/meta/snap.yaml --\nname: gajim\nversion: '2.3.1'\nbase: core24\n",
			want: []Client{
				{Gajim, Native, "", "/usr/bin/gajim"},
				{Gajim, Flatpak, "", "/var/lib/flatpak/app/org.gajim.Gajim/current/active"},
				{Gajim, Snap, "2.3.1", "/snap/gajim/current"},
			},
		},
		{
			name: "a snap where /snap is not used", files: "-- var/lib/snapd/snap/dino/current/meta/snap.yaml --\nname: dino\n",
			want: []Client{{Dino, Snap, "", "/var/lib/snapd/snap/dino/current"}},
		},
		{
			name: "a folder and a text of that name are no program", files: "-- usr/bin/gajim/x --\n-- usr/games/dino-im --\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := unpack(t, tt.files)
			got := Find(d)
			for i := range got {
				got[i].Program = strings.TrimPrefix(got[i].Program, d.Root)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheLauncherOfASnapIsNoNativeClient(t *testing.T) {
	d := unpack(t, "-- usr/bin/snap --\n-- snap/gajim/current/meta/snap.yaml --\nversion: 2.0\n")
	bin := d.root("snap/bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(d.root("usr/bin/snap"), filepath.Join(bin, "gajim")); err != nil {
		t.Fatal(err)
	}
	d.Path = []string{bin}
	if got := Find(d); len(got) != 1 || got[0].Install != Snap || got[0].Version != "2.0" {
		t.Errorf("%+v", got)
	}
}

func TestFindLooksInTheGivenPathOnly(t *testing.T) {
	d := unpack(t, "-- usr/bin/gajim --\n-- opt/bin/dino-im --\n")
	d.Path = []string{"bin", "", d.root("opt/bin")}
	if got := Find(d); len(got) != 1 || got[0].Kind != Dino {
		t.Errorf("%+v", got)
	}
}

func TestParseKind(t *testing.T) {
	for _, k := range Kinds() {
		if got, err := ParseKind(string(k)); got != k || err != nil {
			t.Errorf("ParseKind(%q) = %q, %v", k, got, err)
		}
	}
	if _, err := ParseKind("pidgin"); err == nil || !strings.Contains(err.Error(), "use dino or gajim") {
		t.Errorf("error %v", err)
	}
}

func TestUpstream(t *testing.T) {
	for in, want := range map[string]string{
		"0.4.2-1": "0.4.2", "1:1.7.3-1+deb12u1": "1.7.3", "0.5.0": "0.5.0", "2.0~rc1-1": "2.0~rc1", "0.4.2+dfsg-3": "0.4.2", "": "",
	} {
		if got := upstream(in); got != want {
			t.Errorf("upstream(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzFirstRelease(f *testing.F) {
	f.Add(metainfo)
	f.Add("<release version=''/>")
	f.Fuzz(func(t *testing.T, s string) { firstRelease(strings.NewReader(s)) })
}

func FuzzDpkgVersion(f *testing.F) {
	f.Add(dpkg)
	f.Add("Package: dino-im\nVersion: :\n")
	f.Fuzz(func(t *testing.T, s string) {
		if v := dpkgVersion(strings.NewReader(s), "dino-im"); strings.Contains(v, "\n") {
			t.Errorf("version %q", v)
		}
	})
}
