package companion

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/app/words"
)

func TestParseConfig(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     Config
		unknown  []Unknown
		mistake  string
	}{
		{"nothing is the defaults", "", defaults(), nil, ""},
		{"everything", "[relay]\nlisten = \"[::1]:9\"\nhosts = [\"A.example.org\", \"b.example.org:8443\", \"c.example.org:443\"]\nupstream_ca = \"/ca.pem\"\ngive_up = \"1h30m\"\n[autofix]\nenabled = false\n",
			Config{Listen: "[::1]:9", Hosts: []string{"a.example.org", "b.example.org:8443", "c.example.org"}, UpstreamCA: "/ca.pem", GiveUp: 90 * time.Minute}, nil, ""},
		{"localhost is an address of this computer", "[relay]\nlisten = \"localhost:5381\"\n", Config{Listen: "127.0.0.1:5381", GiveUp: 30 * time.Minute, AutoFix: true}, nil, ""},
		{"a host twice is one", "[relay]\nhosts = [\"a.b\", \"A.B.\"]\n", Config{Listen: "127.0.0.1:5380", Hosts: []string{"a.b"}, GiveUp: 30 * time.Minute, AutoFix: true}, nil, ""},
		{"a byte order mark", "\ufeff[autofix]\nenabled = false\n", Config{Listen: "127.0.0.1:5380", GiveUp: 30 * time.Minute}, nil, ""},
		{"unknown keys are told with their lines", "[relay]\nlisen = \"x\"\n\n[autfix]\nenabled = false\n", defaults(), []Unknown{{"relay.lisen", 2}, {"autfix", 4}}, ""},
		{"no TOML", "[relay]\nlisten = \n", defaults(), nil, "line 2"},
		{"wrong type", "[autofix]\n\nenabled = \"yes\"\n", defaults(), nil, "line 3"},
		{"an address of the network", "[relay]\n\nlisten = \"0.0.0.0:5380\"\n", defaults(), nil, "line 3: \"0.0.0.0:5380\" can be reached from other computers"},
		{"a give-up time that is none", "[relay]\ngive_up = \"soon\"\n", defaults(), nil, "line 2: \"soon\" is not how long"},
		{"a give-up time of nothing", "[relay]\ngive_up = \"0s\"\n", defaults(), nil, "line 2: \"0s\" is not how long"},
		{"no address", "[relay]\nlisten = \"5380\"\n", defaults(), nil, "line 2: \"5380\" is not an address and port"},
		{"a URL as host, and the other hosts", "[relay]\nhosts = [\n  \"a.b\",\n  \"https://c.d/\",\n]\n", Config{Listen: "127.0.0.1:5380", Hosts: []string{"a.b"}, GiveUp: 30 * time.Minute, AutoFix: true}, nil, "line 4: \"https://c.d/\" is not a host name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, unknown, err := parseConfig([]byte(c.in), words.For("en"))
			if (err == nil) != (c.mistake == "") || err != nil && len(err.Error()) < len(c.mistake) || err != nil && err.Error()[:len(c.mistake)] != c.mistake {
				t.Errorf("mistake is %v, want %q", err, c.mistake)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.unknown, unknown); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseHost(t *testing.T) {
	for in, want := range map[string]string{
		"upload.example.org": "upload.example.org", " Upload.Example.Org. ": "upload.example.org", "h.example:443": "h.example",
		"h.example:8443": "h.example:8443", "127.0.0.1:8443": "127.0.0.1:8443", "[::1]:8443": "[::1]:8443", "localhost": "localhost",
		"bücher.example": "xn--bcher-kva.example",
		"":               "", "https://h.example": "", "h.example/path": "", "h.example:0": "", "h.example:99999": "", "a b": "", "..": "", "-a.b": "",
		"*.example.org": "", "h.example:https": "", "user@h.example": "", "a..b": "", "\x00": "", "h.example\n": "h.example",
	} {
		got, err := ParseHost(in, words.For("en"))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("ParseHost(%q) is %q, %v; want %q", in, got, err, want)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("[relay]\nhosts = [\"a\"]\nlisten = \"127.0.0.1:1\"\n"))
	f.Add([]byte("[relay]\nhosts = 3\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, _, _ := parseConfig(data, words.For("en"))
		if _, err := parseListen(c.Listen, words.For("en")); err != nil {
			t.Errorf("%q listens on %q", data, c.Listen)
		}
		for _, h := range c.Hosts {
			if again, err := ParseHost(h, words.For("en")); err != nil || again != h {
				t.Errorf("%q: host %q is not canonical: %q, %v", data, h, again, err)
			}
		}
	})
}
