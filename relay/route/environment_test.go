package route_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/relay/route"
)

func TestWhetherAClientIsRoutedIsReadFromItsEnvironment(t *testing.T) {
	for _, c := range []struct {
		name string
		env  map[string]string
		own  bool
		want bool
	}{
		{"the relay as proxy", map[string]string{"https_proxy": "http://127.0.0.1:5380"}, false, true},
		{"without a scheme", map[string]string{"HTTPS_PROXY": "127.0.0.1:5380"}, false, true},
		{"by name", map[string]string{"all_proxy": "http://localhost:5380/"}, false, true},
		{"its proxy script", map[string]string{"https_proxy": "pac+http://127.0.0.1:5380/proxy.pac"}, false, true},
		{"another proxy", map[string]string{"https_proxy": "http://proxy.example:5380"}, false, false},
		{"another port", map[string]string{"https_proxy": "http://127.0.0.1:5381"}, false, false},
		{"the first variable decides", map[string]string{"https_proxy": "http://proxy.example:1", "ALL_PROXY": "http://127.0.0.1:5380"}, false, false},
		{"none", nil, false, false},
		{"nonsense", map[string]string{"https_proxy": "::"}, false, false},
		{"GNOME does not look there", map[string]string{"https_proxy": "http://127.0.0.1:5380", "XDG_CURRENT_DESKTOP": "ubuntu:GNOME"}, false, false},
		{"unless it is told to", map[string]string{"https_proxy": "http://127.0.0.1:5380", "XDG_CURRENT_DESKTOP": "GNOME", "GIO_USE_PROXY_RESOLVER": "libproxy"}, false, true},
		{"a client that looks itself", map[string]string{"https_proxy": "http://127.0.0.1:5380", "XDG_CURRENT_DESKTOP": "GNOME"}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			get := func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }
			if got := (route.Client{OwnHTTP: c.own}).Routed(get, "127.0.0.1:5380"); got != c.want {
				t.Errorf("routed is %v", got)
			}
			if (route.Client{OwnHTTP: c.own}).Routed(get, "") {
				t.Error("routed to a relay that does not listen")
			}
		})
	}
}

func TestTheEnvironmentIsOneThatTheClientListensTo(t *testing.T) {
	for _, c := range []struct {
		name     string
		own, pac bool
		proxy    string
	}{
		{"GLib without an engine for scripts", false, false, "http://127.0.0.1:5380"},
		{"GLib with one goes directly when the relay is gone", false, true, "pac+http://127.0.0.1:5380/proxy.pac"},
		{"httpx knows no scripts", true, true, "http://127.0.0.1:5380"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := route.Client{Kind: "gajim", OwnHTTP: c.own}
			env := client.Environment("127.0.0.1:5380", c.pac)
			want := map[string]string{"https_proxy": c.proxy, "GIO_USE_PROXY_RESOLVER": "libproxy"}
			if d := cmp.Diff(want, env); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			env["XDG_CURRENT_DESKTOP"] = "GNOME"
			if !client.Routed(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, "127.0.0.1:5380") {
				t.Error("it does not count as routed")
			}
		})
	}
}

func TestAnEngineForProxyScriptsIsLookedForOnDisk(t *testing.T) {
	for _, c := range []struct {
		name, file string
		want       bool
	}{
		{"libproxy 0.4 alone", "usr/lib/x86_64-linux-gnu/libproxy.so.1.0.0", false},
		{"with the plug-in of Debian 12", "usr/lib/x86_64-linux-gnu/libproxy/0.4.18/modules/pacrunner_webkit.so", true},
		{"with another plug-in", "usr/lib64/libproxy/0.4.18/modules/pacrunner_duktape.so", true},
		{"libproxy 0.5 of Debian 13", "usr/lib/x86_64-linux-gnu/libproxy.so.0.5.9", true},
		{"libproxy 0.5 with its private part", "usr/lib/libproxy/libpxbackend-1.0.so", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			path := filepath.Join(root, c.file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if got := route.PACEngine(root); got != c.want {
				t.Errorf("engine: %v", got)
			}
		})
	}
}
