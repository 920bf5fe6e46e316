package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// /run is empty after a boot, and so may be the folder of the log.
func TestMissingFoldersOfSocketAndLogAreMade(t *testing.T) {
	dir := t.TempDir()
	sock, logged := filepath.Join(dir, "run", "holdfast", "http.sock"), filepath.Join(dir, "log", "holdfast", "server.log")
	file := configFor(t, dir, `listen = "unix:`+sock+`"`, "[log]\nfile = \""+logged+"\"\n")
	if fails := failures(t, file); len(fails) > 0 {
		t.Errorf("check: %q", fails)
	}
	l, err := listen("unix:" + sock)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	var w logFile
	if err := w.open(logged, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := w.close(); err != nil {
		t.Error(err)
	}
	if _, err := listen("unix:/dev/null/holdfast/http.sock"); err == nil || !strings.Contains(err.Error(), "make the folder of the socket") {
		t.Errorf("a socket below a file: %v", err)
	}
	if fails := failures(t, configFor(t, t.TempDir(), `listen = "unix:/dev/null/holdfast/http.sock"`, "")); len(fails) != 1 || !strings.Contains(fails[0], "cannot be made") {
		t.Errorf("check: %q", fails)
	}
}

func TestAnIPv4AddressIsIPv4Only(t *testing.T) {
	for address, want := range map[string]string{"0.0.0.0:0": "0.0.0.0:", "127.0.0.1:0": "127.0.0.1:"} {
		l, err := listen(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Addr().String(); !strings.HasPrefix(got, want) {
			t.Errorf("%s listens on %s", address, got)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestSignSaysWhatIsWrongWithTheUser(t *testing.T) {
	_, _, err := command(t, "sign", "-config", configFor(t, t.TempDir(), "", ""), "-scheme", "jwt", "-path", "a/b", "-size", "5", "-user", "alice")
	if exitCode(err) != 2 || err.Error() != `user "alice" is not a bare JID` {
		t.Errorf("exit %d, %v", exitCode(err), err)
	}
}
