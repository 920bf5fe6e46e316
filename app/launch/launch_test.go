package launch_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/app/launch"
	"holdfast/relay/route"
)

// facts is a native client of GLib's kind for which everything is in place.
func facts(change func(*launch.Facts)) launch.Facts {
	f := launch.Facts{
		Client: route.Client{Kind: "dino", ID: "im.dino.Dino", Program: "dino-im"}, Command: []string{"/usr/bin/dino-im"}, Args: []string{"xmpp:a@b"},
		Env: []string{"HOME=/h", "https_proxy=http://mine:1"}, Self: "/usr/bin/holdfastctl", Listen: "127.0.0.1:5380",
		Bundle: "/h/bundle.pem", Roots: "/etc/ssl/certs/ca-certificates.crt", Bwrap: "/usr/bin/bwrap",
	}
	change(&f)
	return f
}

func TestDecide(t *testing.T) {
	plain := []string{"/usr/bin/dino-im", "xmpp:a@b"}
	for _, c := range []struct {
		name   string
		change func(*launch.Facts)
		argv   string
		proxy  string // https_proxy of the client
		report launch.Report
	}{
		{"a client that trusts through a bundle runs in bubblewrap", func(*launch.Facts) {},
			"/usr/bin/bwrap --dev-bind / / --ro-bind /h/bundle.pem /etc/ssl/certs/ca-certificates.crt --info-fd 3 -- /usr/bin/dino-im xmpp:a@b", "http://127.0.0.1:5380", launch.Fine},
		{"a system that trusts needs no bubblewrap", func(f *launch.Facts) { f.Trusted = true },
			"/usr/bin/dino-im xmpp:a@b", "http://127.0.0.1:5380", launch.Fine},
		{"with an engine the proxy is a script", func(f *launch.Facts) { f.Trusted, f.PAC = true, true },
			"/usr/bin/dino-im xmpp:a@b", "pac+http://127.0.0.1:5380/proxy.pac", launch.Fine},
		{"without a relay the client starts as ever", func(f *launch.Facts) { f.Listen = "" },
			"/usr/bin/dino-im xmpp:a@b", "http://mine:1", launch.Bypassed},
		{"without trust it starts as ever", func(f *launch.Facts) { f.Bundle = "" },
			"/usr/bin/dino-im xmpp:a@b", "http://mine:1", launch.NotTrusted},
		{"without bubblewrap, too", func(f *launch.Facts) { f.Bwrap = "" },
			"/usr/bin/dino-im xmpp:a@b", "http://mine:1", launch.NotTrusted},
		{"where GnuTLS reads no such file, too", func(f *launch.Facts) { f.Roots = "" },
			"/usr/bin/dino-im xmpp:a@b", "http://mine:1", launch.NotTrusted},
		{"a running client without the relay is only brought to the front", func(f *launch.Facts) { f.Running = true },
			"/usr/bin/dino-im xmpp:a@b", "http://mine:1", launch.NeedsRestart},
		{"a running client with the relay is fine", func(f *launch.Facts) { f.Running, f.Routed = true, true },
			"/usr/bin/dino-im xmpp:a@b", "http://mine:1", launch.Fine},
		{"a client with its own HTTP needs no bubblewrap", func(f *launch.Facts) { f.Client.OwnHTTP, f.Bwrap, f.PAC = true, "", true },
			"/usr/bin/dino-im xmpp:a@b", "http://127.0.0.1:5380", launch.Fine},
		{"a sandbox takes variables as options", func(f *launch.Facts) {
			f.Flatpak, f.Trusted, f.Command = true, true, []string{"flatpak", "run", "im.dino.Dino"}
		}, "flatpak run --env=GIO_USE_PROXY_RESOLVER=libproxy --env=https_proxy=http://127.0.0.1:5380 im.dino.Dino xmpp:a@b", "http://127.0.0.1:5380", launch.Fine},
		{"a sandbox with its own HTTP may read the bundle", func(f *launch.Facts) {
			f.Flatpak, f.Client.OwnHTTP, f.Command = true, true, []string{"flatpak", "run", "org.gajim.Gajim"}
		}, "flatpak run --env=GIO_USE_PROXY_RESOLVER=libproxy --env=SSL_CERT_FILE=/h/bundle.pem --env=https_proxy=http://127.0.0.1:5380 --filesystem=/h/bundle.pem:ro org.gajim.Gajim xmpp:a@b", "http://127.0.0.1:5380", launch.Fine},
		{"a sandbox whose GnuTLS asks the host is not trusted by a bundle", func(f *launch.Facts) {
			f.Flatpak, f.Command = true, []string{"flatpak", "run", "im.dino.Dino"}
		}, "flatpak run im.dino.Dino xmpp:a@b", "http://mine:1", launch.NotTrusted},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := facts(c.change)
			before := slices.Clone(f.Env)
			s := launch.Decide(f)
			if got := strings.Join(s.Argv, " "); got != c.argv {
				t.Errorf("argv\n got %s\nwant %s", got, c.argv)
			}
			if s.Report != c.report || s.Wrapped != strings.HasPrefix(c.argv, "/usr/bin/bwrap") {
				t.Errorf("report %q, wrapped %v", s.Report, s.Wrapped)
			}
			if !slices.Contains(s.Env, "https_proxy="+c.proxy) {
				t.Errorf("environment: %q", s.Env)
			}
			for _, e := range s.Env {
				if strings.HasPrefix(strings.ToLower(e), "http_proxy=") {
					t.Errorf("XMPP would go through the relay: %q", e)
				}
			}
			if !slices.Equal(before, f.Env) {
				t.Error("the caller's environment was changed")
			}
			if c.report != launch.Fine && !slices.Equal(s.Env, f.Env) {
				t.Errorf("a plain start has another environment: %q", s.Env)
			}
		})
	}
	if d := cmp.Diff(plain, launch.Decide(facts(func(f *launch.Facts) { f.Running = true })).Argv); d != "" {
		t.Error(d)
	}
}

func TestWhatWasSetIsNoted(t *testing.T) {
	s := launch.Decide(facts(func(f *launch.Facts) {
		f.Env = append(f.Env, "HOLDFAST_WAS_SSL_CERT_FILE=/old", "HOLDFAST_SET=x", "HOLDFAST_LAUNCHED=/old/ctl")
	}))
	want := []string{
		"HOME=/h", "HOLDFAST_WAS_https_proxy=http://mine:1", "GIO_USE_PROXY_RESOLVER=libproxy", "https_proxy=http://127.0.0.1:5380",
		"HOLDFAST_LAUNCHED=/usr/bin/holdfastctl", "HOLDFAST_SET=GIO_USE_PROXY_RESOLVER,https_proxy",
	}
	if d := cmp.Diff(want, s.Env); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestAStuckDinoIsKnownByItsLine(t *testing.T) {
	for line, want := range map[string]bool{
		"(dino:1): libdino-WARNING **: 12:00:00.000: file_manager.vala:125: Send file error: Http file upload XMPP error: No flag": true,
		"Send file error: No flag":                       true,
		"No flag: Send file error: HTTP status code 403": false,
		"Send file error: HTTP status code 503":          false,
		"Could not send: No flag":                        false,
		"":                                               false,
	} {
		if got := launch.IsStuck(line); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}
