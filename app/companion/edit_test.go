package companion

import (
	"bytes"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"holdfast/app/words"
)

func TestSetKeyChangesOneValueOnly(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"in an empty file", "", "[autofix]\nenabled = false\n"},
		{"an existing value, with its comment", "# mine\n[autofix]\nenabled   =  true # really\n", "# mine\n[autofix]\nenabled   =  false # really\n"},
		{"without a newline at the end", "[autofix]\nenabled = true", "[autofix]\nenabled = false"},
		{"in a table that lacks the key", "[autofix]\n# nothing yet\n\n[relay]\nlisten = 'x'\n", "[autofix]\nenabled = false\n# nothing yet\n\n[relay]\nlisten = 'x'\n"},
		{"in a table whose header ends the file", "[autofix]", "[autofix]\nenabled = false\n"},
		{"after the other keys of the table", "[autofix]\nx = 1 # one\n[relay]\n", "[autofix]\nx = 1 # one\nenabled = false\n[relay]\n"},
		{"in a new table at the end", "[relay]\nlisten = 'x'", "[relay]\nlisten = 'x'\n\n[autofix]\nenabled = false\n"},
		{"with Windows line ends", "[autofix]\r\nenabled = true\r\n", "[autofix]\r\nenabled = false\r\n"},
		{"added with Windows line ends", "[autofix]\r\nx = 1\r\n", "[autofix]\r\nx = 1\r\nenabled = false\r\n"},
		{"as a dotted key", "autofix.enabled = true\n", "autofix.enabled = false\n"},
		{"beside dotted keys", "autofix.x = 1\n[relay]\n", "autofix.x = 1\nautofix.enabled = false\n[relay]\n"},
		{"in an inline table", "autofix = { enabled = true, x = 1 }\n", "autofix = { enabled = false, x = 1 }\n"},
		{"added to an inline table", "autofix = { x = 1 }\n", "autofix = { enabled = false, x = 1 }\n"},
		{"added to an empty inline table", "autofix = {}\n", "autofix = { enabled = false }\n"},
		{"not the same key of another table", "[other]\nenabled = true\n[autofix]\nenabled = true\n", "[other]\nenabled = true\n[autofix]\nenabled = false\n"},
		{"with quoted names", "[\"autofix\"]\n'enabled' = true\n", "[\"autofix\"]\n'enabled' = false\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := setKey([]byte(c.in), "autofix", "enabled", "false")
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, string(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAddElementFollowsItsNeighbours(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"to no list", "", "[relay]\nhosts = [\"h\"]\n"},
		{"to an empty list", "[relay]\nhosts = []\n", "[relay]\nhosts = [\"h\"]\n"},
		{"on one line", "[relay]\nhosts = [\"a\"] # c\n", "[relay]\nhosts = [\"a\", \"h\"] # c\n"},
		{"on one line after a comma", "[relay]\nhosts = [\"a\", ]\n", "[relay]\nhosts = [\"a\", \"h\", ]\n"},
		{"one a line", "[relay]\nhosts = [\n  'a', # first\n  'b'  # second\n]\n", "[relay]\nhosts = [\n  'a', # first\n  'b',\n  \"h\"  # second\n]\n"},
		{"one a line after a comma", "[relay]\nhosts = [\n\t'a', # first\n]\n", "[relay]\nhosts = [\n\t'a', # first\n\t\"h\",\n]\n"},
		{"in an inline table", "relay = { hosts = ['a'] }\n", "relay = { hosts = ['a', \"h\"] }\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := addElement([]byte(c.in), "relay", "hosts", "h")
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, string(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRemoveElements(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"the only one", "[relay]\nhosts = [\"h\"]\n", "[relay]\nhosts = []\n"},
		{"the only one with a comma", "[relay]\nhosts = [\"h\",]\n", "[relay]\nhosts = []\n"},
		{"the first", "[relay]\nhosts = [\"h\", \"a\"]\n", "[relay]\nhosts = [\"a\"]\n"},
		{"the last", "[relay]\nhosts = [\"a\", \"h\"]\n", "[relay]\nhosts = [\"a\"]\n"},
		{"between others", "[relay]\nhosts = [\"a\", \"h\", \"b\"]\n", "[relay]\nhosts = [\"a\", \"b\"]\n"},
		{"twice", "[relay]\nhosts = [\"h\", \"a\", \"h\"]\n", "[relay]\nhosts = [\"a\"]\n"},
		{"its whole line", "[relay]\nhosts = [\n  \"a\", # a\n  \"h\", # h\n  \"b\", # b\n]\n", "[relay]\nhosts = [\n  \"a\", # a\n  \"b\", # b\n]\n"},
		{"the last line without a comma", "[relay]\nhosts = [\n  \"a\",\n  \"h\"\n]\n", "[relay]\nhosts = [\n  \"a\",\n]\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var doc document
			if err := toml.Unmarshal([]byte(c.in), &doc); err != nil {
				t.Fatal(err)
			}
			got, err := removeElements([]byte(c.in), "relay", "hosts", func(i int) bool { return doc.Relay.Hosts[i] == "h" })
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, string(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

// Whatever a file looks like: an edit that is accepted changes what it should and nothing else.
func FuzzEdit(f *testing.F) {
	for _, s := range []string{
		"", "[autofix]\nenabled = true\n", "autofix = {}\nrelay.hosts = ['a.b']\n", "[relay]\nhosts = [\n 'a.b', # x\n]\nlisten = '127.0.0.1:1'\n",
		"[relay]\nhosts = [ # c\n]\n", "[[relay]]\n", "[a.b]\nx = '''\n[autofix]\nenabled = true'''\n", "x = [[1,2],[{a=1}]]\r\n", "[relay.x]\n[autofix]#\n",
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	w := words.For("en")
	f.Fuzz(func(t *testing.T, data []byte, on bool) {
		before, unknown, err := parseConfig(data, w)
		if err != nil {
			return
		}
		file := configFile{path: t.TempDir() + "/config.toml", words: w}
		if err := replace(file.path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		want := before
		if file.setAutoFix(on) == nil {
			want.AutoFix = on
		}
		if added, err := file.addHost("new.example.org"); err == nil && added {
			want.Hosts = append(append([]string(nil), want.Hosts...), "new.example.org")
		}
		got, still, err := file.read()
		if err != nil || !equal(got, want) || len(still) != len(unknown) {
			t.Errorf("%q became %+v (%d unknown), %v; want %+v", data, got, len(still), err, want)
		}
		if removed, err := file.removeHost("new.example.org"); err == nil && removed {
			if got, _, err := file.read(); err != nil || len(got.Hosts) != len(want.Hosts)-1 {
				t.Errorf("%q: after removing: %+v, %v", data, got, err)
			}
		}
	})
}

func FuzzLocate(f *testing.F) {
	f.Add([]byte("[relay]\nhosts = ['a', \"b\"]\n"))
	f.Add([]byte("relay = {hosts=[1]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := locate(data, "relay", "hosts")
		if err != nil || !p.found {
			return
		}
		if p.value.start > p.value.end || p.value.end > len(data) {
			t.Fatalf("%q: %+v", data, p)
		}
		for i, e := range p.elements {
			if e.start < p.value.start || e.end > p.value.end || i > 0 && e.start < p.elements[i-1].end {
				t.Errorf("%q: element %s of %+v", data, strconv.Itoa(i), p)
			}
		}
		if bytes.HasPrefix(data, []byte("\ufeff")) {
			t.Skip()
		}
	})
}
