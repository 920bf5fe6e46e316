package desktop

import (
	"bufio"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// native returns the executable of a client, or "".
func native(d Dirs, k Kind) string {
	folders := d.Path
	if len(folders) == 0 {
		folders = []string{d.root("usr/local/bin"), d.root("usr/bin"), d.root("usr/games"), d.root("bin")}
	}
	for _, f := range folders {
		if !filepath.IsAbs(f) {
			continue
		}
		// Launchers of our own and the exports of Flatpak may lie in PATH too; only files named as the
		// distributions name the program count.
		p := filepath.Join(f, k.Program())
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o111 != 0 {
			if real, err := filepath.EvalSymlinks(p); err == nil && filepath.Base(real) == "snap" {
				continue // /snap/bin/gajim is a link to the launcher of all snaps
			}
			return p
		}
	}
	return ""
}

// flatpak returns the deployed folder of a client, per user before system-wide, or "".
// A deployment is app/<id>/current/active, https://docs.flatpak.org/en/latest/flatpak-command-reference.html.
func flatpak(d Dirs, k Kind) string {
	for _, base := range []string{filepath.Join(d.Data, "flatpak"), d.root("var/lib/flatpak")} {
		p := filepath.Join(base, "app", k.BusName(), "current", "active")
		if st, err := os.Stat(p); err == nil && st.IsDir() {
			return p
		}
	}
	return ""
}

// snap returns the mounted folder of a client's snap, or "". https://snapcraft.io/docs/system-snap-directory
func snap(d Dirs, k Kind) string {
	for _, base := range []string{"snap", "var/lib/snapd/snap"} {
		p := d.root(base, string(k), "current")
		if st, err := os.Stat(p); err == nil && st.IsDir() {
			return p
		}
	}
	return ""
}

// snapVersion reads the version from meta/snap.yaml, where it stands on a line of its own at the top level.
func snapVersion(dir string) string {
	f, err := os.Open(filepath.Join(dir, "meta/snap.yaml"))
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // read only
	for sc := bufio.NewScanner(io.LimitReader(f, 1<<20)); sc.Scan(); {
		if v, ok := strings.CutPrefix(sc.Text(), "version:"); ok {
			return strings.Trim(strings.TrimSpace(v), `"'`)
		}
	}
	return ""
}

// nativeVersion finds the version without running the client: what the package manager of Debian says, what
// Python packages say, what AppStream metadata says. The last may be behind (Dino 0.4.2 ships metadata of 0.4).
func nativeVersion(d Dirs, k Kind) string {
	if f, err := os.Open(d.root("var/lib/dpkg/status")); err == nil {
		v := dpkgVersion(f, k.Program())
		_ = f.Close() // read only
		if v != "" {
			return v
		}
	}
	if k == Gajim {
		if v := pythonVersion(d); v != "" {
			return v
		}
	}
	return metainfoVersion(d.root("usr/share"), k)
}

// dpkgVersion reads the upstream version of an installed package from dpkg's status file (deb-control(5)).
func dpkgVersion(r io.Reader, pkg string) string {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 64<<10), 1<<20)
	var here, installed bool
	var version string
	for sc.Scan() {
		line := sc.Text()
		switch {
		case line == "":
			if here && installed {
				return version
			}
			here, installed, version = false, false, ""
		case line == "Package: "+pkg:
			here = true
		case here && strings.HasPrefix(line, "Status: "):
			installed = strings.HasSuffix(line, " installed")
		case here && strings.HasPrefix(line, "Version: "):
			version = upstream(strings.TrimPrefix(line, "Version: "))
		}
	}
	if here && installed {
		return version
	}
	return ""
}

// upstream takes epoch and revision off a Debian version (deb-version(7)).
func upstream(v string) string {
	if _, rest, ok := strings.Cut(v, ":"); ok {
		v = rest
	}
	if i := strings.LastIndexByte(v, '-'); i > 0 {
		v = v[:i]
	}
	v, _, _ = strings.Cut(v, "+dfsg")
	return v
}

var distInfo = regexp.MustCompile(`^gajim-([0-9][0-9A-Za-z.+!]*?)(-py[0-9.]+)?\.(dist|egg)-info$`)

// pythonVersion finds Gajim among Python's installed packages (PEP 376).
func pythonVersion(d Dirs) string {
	for _, glob := range []string{"usr/lib/python3/dist-packages", "usr/lib/python3.*/site-packages", "usr/local/lib/python3.*/dist-packages"} {
		dirs, err := filepath.Glob(d.root(glob))
		if err != nil {
			continue // the patterns are constant
		}
		for _, dir := range dirs {
			infos, _ := filepath.Glob(filepath.Join(dir, "gajim-*-info")) // the same
			for _, info := range infos {
				if m := distInfo.FindStringSubmatch(filepath.Base(info)); m != nil {
					return m[1]
				}
			}
		}
	}
	return ""
}

// metainfoVersion reads the newest release from AppStream metadata, which lists it first.
// https://www.freedesktop.org/software/appstream/docs/sect-Metadata-Releases.html
func metainfoVersion(share string, k Kind) string {
	for _, file := range []string{"metainfo/" + k.BusName() + ".metainfo.xml", "metainfo/" + k.BusName() + ".appdata.xml", "appdata/" + k.BusName() + ".appdata.xml"} {
		f, err := os.Open(filepath.Join(share, file))
		if err != nil {
			continue
		}
		v := firstRelease(f)
		_ = f.Close() // read only
		if v != "" {
			return v
		}
	}
	return ""
}

// firstRelease returns the version of the first <release>, or "" if there is none or the XML is broken before it.
func firstRelease(r io.Reader) string {
	dec := xml.NewDecoder(io.LimitReader(r, 4<<20))
	for {
		tok, err := dec.Token()
		if err != nil {
			return ""
		}
		if el, ok := tok.(xml.StartElement); ok && el.Name.Local == "release" {
			for _, a := range el.Attr {
				if a.Name.Local == "version" {
					return a.Value
				}
			}
		}
	}
}
