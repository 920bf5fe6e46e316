package main

import "testing"

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
