package route

import (
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// Client is what a way depends on: which program it is and what that reads.
type Client struct {
	Kind    string // dino, gajim
	ID      string // application id: the name of its desktop entry and its name on the session bus
	Program string // name of the native executable
	// OwnHTTP says that uploads do not go through GLib: the client reads the proxy variables whatever the desktop is,
	// understands no proxy script, and takes its roots from SSL_CERT_FILE (Gajim from 2.4 on).
	OwnHTTP bool
	Sandbox bool // it is a Flatpak
}

// Environment is what a client is started with, so that its uploads go through the relay at listen. pac says that
// libproxy can run a proxy script here; then the client goes directly where the relay is gone.
//
// Never http_proxy: Gajim would send its XMPP connection through it, too. In a GNOME session GLib looks at the
// environment only with the other resolver.
func (c Client) Environment(listen string, pac bool) map[string]string {
	proxy := "http://" + listen
	if pac && !c.OwnHTTP {
		proxy = "pac+http://" + listen + "/proxy.pac"
	}
	return map[string]string{"https_proxy": proxy, "GIO_USE_PROXY_RESOLVER": "libproxy"}
}

// Routed says whether a process with this environment sends its uploads to the relay at listen.
func (c Client) Routed(env func(string) (string, bool), listen string) bool {
	if listen == "" {
		return false
	}
	if !c.OwnHTTP && onGNOME(env) {
		return false
	}
	for _, name := range []string{"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"} {
		v, ok := env(name)
		if !ok || v == "" {
			continue
		}
		if !strings.Contains(v, "://") {
			v = "http://" + v
		}
		u, err := url.Parse(v)
		if err != nil {
			return false
		}
		return strings.Replace(u.Host, "localhost:", "127.0.0.1:", 1) == listen
	}
	return false
}

// onGNOME says whether GLib asks the desktop's settings and not the environment.
func onGNOME(env func(string) (string, bool)) bool {
	current, _ := env("XDG_CURRENT_DESKTOP")
	resolver, _ := env("GIO_USE_PROXY_RESOLVER")
	return slices.Contains(strings.Split(current, ":"), "GNOME") && resolver != "libproxy"
}

// PACEngine says whether GLib's programs can run a proxy script on the machine whose / is root: libproxy before 0.5
// needs a plug-in for it, later versions bring their own. Without an engine libproxy fetches the script and ignores it.
func PACEngine(root string) bool {
	for _, lib := range []string{"usr/lib/*", "usr/lib", "usr/lib64"} {
		for _, file := range []string{
			"libproxy/*/modules/pacrunner_webkit.so", "libproxy/*/modules/pacrunner_mozjs.so", "libproxy/*/modules/pacrunner_duktape.so",
			"libproxy.so.0.5*", "libproxy/libpxbackend-1.0.so",
		} {
			if m, err := filepath.Glob(filepath.Join(root, lib, file)); err == nil && len(m) > 0 {
				return true
			}
		}
	}
	return false
}
