package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	hftoken "holdfast/relay/token"
)

// good is a configuration that is valid.
const good = `[auth]
schemes = ["v2"]
secrets = ["0123456789abcdef-strong"]
`

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWhatIsSaidOfAWrongConfiguration(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string // after the file name
	}{
		{"nothing but the needed keys", good, nil},
		{"a misspelt key", "[server]\nlisen = \"x\"\n" + good, []string{`:2: unknown key "lisen" in [server]; did you mean "listen"?`}},
		{"a misspelt table", good + "[grce]\nbase = \"8h\"\n", []string{`:4: unknown table [grce]; did you mean [grace]?`}},
		{"a short table with two letters swapped", good + "[lgo]\nlevel = \"info\"\n", []string{`:4: unknown table [lgo]; did you mean [log]?`}},
		{"the beginning of a key", good + "[limits]\nmax_upload = 1\n", []string{`:5: unknown key "max_upload" in [limits]; did you mean "max_upload_size"?`}},
		{"a key in the wrong table", good + "[server]\nmax_upload_size = 1\n", []string{`:5: unknown key "max_upload_size" in [server]; it belongs into [limits]`}},
		{"a key of an issuer misspelt", "[[auth.issuer]]\nscheme = [\"v\"]\nschemes = [\"v\"]\nsecrets = [\"x\"]\n", []string{`:2: unknown key "scheme" in [auth.issuer]; did you mean "schemes"?`}},
		{"several mistakes at once", "[server]\nidle_timeout = \"soon\"\n[limits]\nmin_free = \"much\"\nfoo = 1\n" + good, []string{
			`:2: server.idle_timeout: "soon" is not a length of time; write it like "120s", "8h" or "30d"`,
			`:4: limits.min_free: "much" is not a size; write it like "500MB", "10GB" or a number of bytes`,
			`:5: unknown key "foo" in [limits]`,
		}},
		{"no schemes", "[auth]\nsecrets = [\"x\"]\n", []string{`: auth.schemes is missing for auth.secrets`, `: auth.schemes is missing: name what your XMPP server signs with, for example ["v2"] (v, v2, token, v3, bearer, jwt)`}},
		{"no secret", "[auth]\nschemes = [\"v\"]\n", []string{`: auth.secrets or auth.secret_file is missing: the secret that the XMPP server signs with`}},
		{"an unknown scheme", "[auth]\nschemes = [\"v9\"]\nsecrets = [\"x\"]\n", []string{`:2: auth.schemes: unknown scheme "v9": it must be one of v, v2, token, v3, bearer, jwt`}},
		{"a list where a word belongs", good + "[log]\nlevel = [\"info\"]\n", []string{`:5: log.level: a TOML array does not belong here; docs/config.md shows the form`}},
		{"a word out of the list", good + "[log]\nlevel = \"loud\"\n", []string{`:5: log.level: "loud" must be one of debug, info, warn, error`}},
		{"no TOML", "[server\n", []string{`:1: expected ']' to close table name`}},
		{"an address without a port", good + "[server]\nlisten = \"localhost\"\n", []string{`:5: server.listen: "localhost" is not an address; write it like "0.0.0.0:8080", "[::]:8080" or "unix:/run/holdfast/http.sock"`}},
		{"the PROXY protocol from nobody", good + "[server]\nproxy_protocol = true\n", []string{`:5: server.proxy_protocol needs trusted_proxies: only from them the header is read`}},
		{"half of tls", good + "[tls]\ncert = \"x\"\n", []string{`:5: tls.cert and tls.key belong together: set both, or none for plain http`}},
		{"state where files are served", good + "[storage]\npath = \"/srv\"\nstate = \"/srv/state\"\n", []string{`:6: storage.state must lie outside of storage.path, whose files are served`}},
		{"a public URL with a query", good + "[server]\npublic_url = \"https://x/?y\"\n", []string{`:5: server.public_url: "https://x/?y" must end with its path`}},
		{"a length of time without a unit", good + "[grace]\nbase = 8\nultra = \"72h\"\n", []string{`:5: grace.base: 8 has no unit; write it like "120s", "8h" or "30d"`}},
		{"a size below zero", "limits.max_upload_size = -1\n" + good, []string{`:1: limits.max_upload_size: -1 is not a size; write it like "500MB", "10GB" or a number of bytes`}},
		{"numbers beside an unknown key", good + "[limits]\nmin_free = -5\nfoo = 1\nretention = 30\n", []string{
			`:5: limits.min_free: -5 is not a size; write it like "500MB", "10GB" or a number of bytes`,
			`:6: unknown key "foo" in [limits]`,
			`:7: limits.retention: 30 has no unit; write it like "120s", "8h" or "30d"`,
		}},
		{"a zero needs no unit", good + "[limits]\nretention = 0\nmin_free = 0\n", nil},
		{"a proxy that is no network", good + "[server]\ntrusted_proxies = [\"nginx\"]\n", []string{`:5: server.trusted_proxies: "nginx" is not an address or a network like "127.0.0.1/32"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := write(t, "server.toml", tt.text)
			_, problems := inspect(file)
			var got []string
			for _, p := range problems {
				got = append(got, strings.TrimPrefix(p.Error(), file))
			}
			if tt.name == "no schemes" && len(got) > 0 {
				tt.want = tt.want[:1]
				got = got[:1]
				if !strings.Contains(got[0], "auth.schemes is missing") {
					t.Errorf("got %q", got)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestValues(t *testing.T) {
	for in, want := range map[string]int64{
		"500MB": 500 << 20, "10GB": 10 << 30, "1048576": 1 << 20, "1 KiB": 1 << 10, "1.5g": 3 << 29, "0": 0, "": 0, "2tb": 2 << 40, "10_000": 10000,
		"-1": -1, "MB": -1, "1XB": -1, "99999999TB": -1, "1.5": -1, "NaNMB": -1,
	} {
		var z size
		if err := z.UnmarshalText([]byte(in)); (err != nil) != (want < 0) || (err == nil && int64(z) != want) {
			t.Errorf("size %q: %d, %v", in, z, err)
		}
	}
	for in, want := range map[string]time.Duration{
		"120s": 2 * time.Minute, "8h": 8 * time.Hour, "30d": 720 * time.Hour, "1h30m": 90 * time.Minute, "": 0, "0s": 0,
		"-8h": -1, "8": -1, "eight hours": -1, "-1d": -1,
	} {
		var d duration
		if err := d.UnmarshalText([]byte(in)); (err != nil) != (want < 0) || (err == nil && time.Duration(d) != want) {
			t.Errorf("duration %q: %v, %v", in, d, err)
		}
	}
	for want, in := range map[string]duration{"8h": hours(8), "20m": duration(20 * time.Minute), "1h30m": duration(90 * time.Minute), "10s": duration(10 * time.Second), "0s": 0} {
		if in.String() != want {
			t.Errorf("%v is written %q, want %q", time.Duration(in), in, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("[server]\nlisen = 1\n[limits]\nmin_free = \"x\"\n"))
	f.Add([]byte("[[auth.issuer]]\nschemes = [\"v\"]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, problems := decode(b, "server.toml")
		if c == nil && len(problems) == 0 {
			t.Error("neither a configuration nor a problem")
		}
		for _, p := range problems {
			if p.Error() == "" {
				t.Error("a problem that says nothing")
			}
		}
	})
}

func TestSecrets(t *testing.T) {
	for s, weak := range map[string]bool{
		"secret": true, "0123456789abcde": true, "aaaaaaaaaaaaaaaaaaaa": true, "please-CHANGE-ME-0123456789": true, "your-secret-key-0123456": true,
		"0123456789abcdef": false, freshSecret(): false, "mobile-network-resilience-secret-key": false,
	} {
		if got := weakness(hftoken.Secret(s)); (got != "") != weak {
			t.Errorf("%q: %q", s, got)
		}
	}
	dir := t.TempDir()
	file := write(t, "server.toml", "[storage]\npath = \""+dir+"/files\"\nstate = \""+dir+"/state\"\n[auth]\nschemes = [\"v2\"]\nsecret_file = \""+dir+"/state/secret\"\n"+
		"[[auth.issuer]]\nschemes = [\"jwt\"]\nsecret_file = \"more\"\n")
	c, err := load(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.issuers(nil); err == nil {
		t.Error("a missing secret file is taken")
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "more"), []byte("# old\n\n one-secret \nanother\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	made := ""
	issuers, err := c.issuers(func(f string) { made = f })
	if err != nil {
		t.Fatal(err)
	}
	if made != dir+"/state/secret" || len(issuers) != 2 || len(issuers[0].Secrets) != 1 || string(issuers[1].Secrets[0]) != "one-secret" || len(issuers[1].Secrets) != 2 {
		t.Errorf("made %q, issuers %v", made, issuers)
	}
	if info, err := os.Stat(made); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret file is %v, %v", info.Mode(), err)
	}
	var said []string
	for _, w := range c.warnings(issuers) {
		said = append(said, w.what)
	}
	if diff := cmp.Diff([]string{"weak secret", "weak secret", "secret readable by others"}, said); diff != "" {
		t.Error(diff)
	}
}
