package route

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	dino  = Client{Kind: "dino", ID: "im.dino.Dino", Program: "dino-im"}
	gajim = Client{Kind: "gajim", ID: "org.gajim.Gajim", Program: "gajim"}
)

func TestTheCommandOfAnEntryBecomesTheScript(t *testing.T) {
	for _, c := range []struct {
		name    string
		client  Client
		exec    string
		want    string // "": left alone
		command []string
	}{
		{"Debian's Dino", dino, "dino-im %U", "/h/bin/c %U", []string{"dino-im"}},
		{"with a path", dino, "/usr/bin/dino-im %U", "/h/bin/c %U", []string{"/usr/bin/dino-im"}},
		{"an action of Gajim", gajim, "gajim --start-chat", "/h/bin/c --start-chat", []string{"gajim"}},
		{"with variables in front", gajim, "env GDK_BACKEND=x11 gajim %u", "/h/bin/c %u", []string{"env", "GDK_BACKEND=x11", "gajim"}},
		{"a Flatpak", dino, "/usr/bin/flatpak run --branch=stable --arch=x86_64 --command=dino --file-forwarding im.dino.Dino @@u %U @@",
			"/h/bin/c @@u %U @@", []string{"/usr/bin/flatpak", "run", "--branch=stable", "--arch=x86_64", "--command=dino", "--file-forwarding", "im.dino.Dino"}},
		{"a Snap", gajim, "snap run gajim %u", "/h/bin/c %u", []string{"snap", "run", "gajim"}},
		{"in quotes with a space", dino, `"/opt/my apps/dino-im" %U`, "/h/bin/c %U", []string{"/opt/my apps/dino-im"}},
		{"a shell", dino, `sh -c "dino-im %U"`, "", nil},
		{"another program", dino, "wrapper %U", "", nil},
		{"an unfinished quote", dino, `"dino-im %U`, "", nil},
		{"characters that nothing may have", dino, "dino-im;rm %U", "", nil},
		{"nothing", dino, "", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			original := "[Desktop Entry]\nName=X\nExec=" + c.exec + "\nIcon=x\n\n[Desktop Action A]\nName=Exec it\n"
			got, command, err := c.client.entry([]byte(original), "/h/bin/c")
			if c.want == "" {
				if !errors.Is(err, errUnusual) {
					t.Errorf("%q, %v", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := mark + "\n" + strings.Replace(original, "Exec="+c.exec+"\n", "Exec="+c.want+"\n", 1)
			if d := cmp.Diff(want, string(got)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if d := cmp.Diff(c.command, command); d != "" {
				t.Errorf("command -want +got:\n%s", d)
			}
			if _, _, err := c.client.entry(got, "/h/bin/c"); !errors.Is(err, errUnusual) {
				t.Errorf("the copy of a copy: %v", err)
			}
		})
	}
}

func TestAScriptInAFolderWithOddNamesIsQuoted(t *testing.T) {
	script := "/home/o'b \"x\"/100%/$HOME/`a`/c\\d"
	got, _, err := dino.entry([]byte("[Desktop Entry]\nExec=dino-im %U\n"), script)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSuffix(strings.Split(string(got), "Exec=")[1], "\n")
	words, err := splitExec(unescape(line))
	if err != nil || strings.ReplaceAll(words[0], "%%", "%") != script || words[1] != "%U" {
		t.Errorf("%s is read as %q, %v", line, words, err)
	}
	got, _, err = dino.service([]byte("[D-BUS Service]\nExec=dino-im\n"), script)
	if err != nil {
		t.Fatal(err)
	}
	line = strings.TrimSuffix(strings.Split(string(got), "Exec=")[1], "\n")
	if words, err := splitShell(line); err != nil || words[0] != script {
		t.Errorf("%s is read as %q, %v", line, words, err)
	}
}

func TestAServiceStartsTheScriptAndNoUnit(t *testing.T) {
	got, command, err := dino.service([]byte("[D-BUS Service]\nName=im.dino.Dino\nExec=/usr/bin/dino-im --gapplication-service\nSystemdService=dino.service\n"), "/h/bin/dino")
	want := mark + "\n[D-BUS Service]\nName=im.dino.Dino\nExec=/h/bin/dino --gapplication-service\n"
	if err != nil || string(got) != want || len(command) != 1 {
		t.Errorf("%q, %q, %v", got, command, err)
	}
}

func TestOverridesOfASandboxAreMergedAndTakenOutAgain(t *testing.T) {
	set := map[string]string{"https_proxy": "http://127.0.0.1:5380", "GIO_USE_PROXY_RESOLVER": "libproxy"}
	for _, c := range []struct{ name, before, after string }{
		{"none", "", "[Environment]\nGIO_USE_PROXY_RESOLVER=libproxy\nhttps_proxy=http://127.0.0.1:5380\n\n[Context]\nfilesystems=/b.pem:ro;\n"},
		{"others", "[Context]\nfilesystems=home;\n\n[Environment]\nLANG=C\n",
			"[Context]\nfilesystems=home;/b.pem:ro;\n\n[Environment]\nLANG=C\nGIO_USE_PROXY_RESOLVER=libproxy\nhttps_proxy=http://127.0.0.1:5380\n"},
		{"a group behind", "[Environment]\nLANG=C\n\n[Session Bus Policy]\nx=talk\n",
			"[Environment]\nLANG=C\nGIO_USE_PROXY_RESOLVER=libproxy\nhttps_proxy=http://127.0.0.1:5380\n\n[Session Bus Policy]\nx=talk\n\n[Context]\nfilesystems=/b.pem:ro;\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := override([]byte(c.before), set, "/b.pem")
			if d := cmp.Diff(c.after, string(got)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if again := override(got, set, "/b.pem"); string(again) != string(got) {
				t.Errorf("twice is not once: %q", again)
			}
			if back := withoutOverride(got, set, "/b.pem"); string(back) != c.before {
				t.Errorf("back: %q, want %q", back, c.before)
			}
		})
	}
	mine := "[Environment]\nhttps_proxy=http://mine:1\n"
	if got := withoutOverride([]byte(mine), set, ""); string(got) != mine {
		t.Errorf("a value that was changed since is gone: %q", got)
	}
}

func FuzzEntry(f *testing.F) {
	for _, s := range []string{"[Desktop Entry]\nExec=dino-im %U\n", "Exec=\"a b\" c", "Exec=\\", "Exec=/usr/bin/flatpak run im.dino.Dino @@u %U @@", "[x]\n=\nExec"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, original []byte) {
		for _, rewrite := range []func([]byte, string) ([]byte, []string, error){dino.entry, dino.service} {
			got, command, err := rewrite(original, "/h/bin/dino")
			if err != nil {
				continue
			}
			if len(command) == 0 || !ours(got) {
				t.Errorf("%q became %q, %q", original, got, command)
			}
			if strings.Count(string(got), "Exec=/h/bin/dino") < 1 {
				t.Errorf("%q became %q", original, got)
			}
		}
	})
}

func FuzzOverride(f *testing.F) {
	f.Add([]byte("[Context]\nfilesystems=home;\n"), "http://127.0.0.1:1")
	f.Add([]byte("x\n[Environment]\nhttps_proxy = y\n[Environment]\n"), "z")
	f.Fuzz(func(t *testing.T, before []byte, proxy string) {
		if strings.ContainsAny(proxy, "\n\r") || strings.TrimSpace(proxy) != proxy || proxy == "" {
			return
		}
		set := map[string]string{"https_proxy": proxy}
		got := override(before, set, "/b")
		if again := override(got, set, "/b"); string(again) != string(got) {
			t.Errorf("%q: %q, then %q", before, got, again)
		}
		if back := withoutOverride(got, set, "/b"); strings.Contains(string(back), "https_proxy="+proxy) && !strings.Contains(string(before), "https_proxy") {
			t.Errorf("%q: still %q", before, back)
		}
	})
}
