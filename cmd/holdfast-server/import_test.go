package main

import (
	"slices"
	"strings"
	"testing"
)

func TestNotesOfAnImport(t *testing.T) {
	tests := []struct{ name, old, want string }{
		{"a key is named as the old file spells it", "[security]\nmobile_grace_period = \"14 hours\"\n",
			`security.mobile_grace_period: "14 hours" is not a length of time; the default is taken`},
		{"a key outside of any table, too", "MaxUploadSize = \"lots\"\n",
			`MaxUploadSize: "lots" is not a size; write it like "500MB", "10GB" or a number of bytes`},
		{"a unix socket without a name", "[server]\nunixsocket = true\nlisten_address = \"8080\"\n",
			`server.listen: the old configuration wants a unix socket and names none; write it like "unix:/run/holdfast/http.sock"`},
		{"a proxy that is no address", "[server]\ntrusted_proxies = [\"nginx\", \"::1\"]\n",
			`server.trusted_proxies: "nginx" is not an address or a network like "127.0.0.1/32"`},
		{"a level of the log that is none", "[logging]\nlevel = \"loud\"\n",
			`logging.level: "loud" must be one of debug, info, warn, error; the default is taken`},
		{"a key of the first versions that has no counterpart", "RedisAddr = \"x\"\n",
			"no counterpart for RedisAddr: the state lies in storage.state; no other service is needed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			im, err := translate([]byte(tt.old), "old.toml")
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(im.notes, tt.want) {
				t.Errorf("no such note among:\n%s", strings.Join(im.notes, "\n"))
			}
		})
	}
}

func TestAnImportedUnixSocket(t *testing.T) {
	for _, old := range []string{
		"[server]\nunixsocket = true\nlistenport = \"/run/x.sock\"\n",
		"[server]\nunix_socket = true\nunix_socket_path = \"/run/x.sock\"\nlisten_address = \"8080\"\n",
		"UnixSocket = true\nListenPort = \"/run/x.sock\"\n",
	} {
		im, err := translate([]byte(old), "old.toml")
		if err != nil {
			t.Fatal(err)
		}
		if got := im.values["server"][0]; got != `listen = "unix:/run/x.sock"` {
			t.Errorf("%s gives %s", old, got)
		}
	}
}

// Whatever an old configuration holds, what comes out is one of ours or an error. The seeds are short: the fuzzer
// spends its time on making long ones shorter.
func FuzzTranslate(f *testing.F) {
	f.Add("[server]\nListenPort = \"1\"\n")
	f.Add("[security]\nsecret = \"\\u0000\\\"\"\n")
	f.Add("[timeouts]\nidle_timeout = \"9y\"\n")
	f.Add("[logging]\nfile = \"a\"\n")
	f.Add("[server]\nport = [1]\n")
	f.Add("[logging]\nfile = \"\\u0007\\u007f\\u000b\"\n")
	f.Fuzz(func(t *testing.T, old string) {
		im, err := translate([]byte(old), "old.toml")
		if err != nil {
			return
		}
		if c, problems := decode([]byte(im.text("old.toml")), "new.toml"); c == nil || len(problems) > 0 {
			t.Errorf("%v\n%s", problems, im.text("old.toml"))
		}
	})
}
