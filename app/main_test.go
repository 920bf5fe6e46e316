package app_test

import (
	"flag"
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv("HOLDFAST_TEST_TRAY") != "" {
		os.Exit(trayProcess())
	}
	time.Local = time.UTC // menus show local times, golden files have one
	flag.Parse()
	os.Exit(m.Run())
}
