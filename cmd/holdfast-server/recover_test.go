package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestADamagedStateStopsTheStartUnlessItMayBeMovedAside(t *testing.T) {
	dir := t.TempDir()
	file := configFor(t, dir, `listen = "127.0.0.1:0"`, "")
	log, stop := begin(t, file)
	log.await(t, `msg=listening`)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	database := filepath.Join(dir, "state", "ledger.db")
	if err := os.WriteFile(database, []byte(strings.Repeat("this is no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), []string{"serve", "-config", file}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "-recover-ledger") {
		t.Errorf("start with a damaged state: %v, want an error that names -recover-ledger", err)
	}
	log, stop = begin(t, file, "-recover-ledger")
	log.await(t, `msg=listening`)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if aside, err := filepath.Glob(database + ".damaged-*"); err != nil || len(aside) != 1 {
		t.Errorf("the damaged database was not moved aside: %q, %v", aside, err)
	}
}
