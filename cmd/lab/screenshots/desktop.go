package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/godbus/dbus/v5"

	"holdfast/app/control"
	"holdfast/cmd/lab"
)

// Size of the private screen.
const (
	screenWidth  = 1000
	screenHeight = 860
)

//go:embed panel.xml
var panelXML string

// network starts the upload server, behind what stands for the network between here and there.
func (s *stage) network() {
	dir := filepath.Join(s.dir, "server")
	s.must(os.MkdirAll(dir, 0o700), "make a folder")
	var err error
	s.ca, err = lab.NewCA(dir, "Pictures CA")
	s.must(err, "make a certificate authority")
	cert, key, err := s.ca.Issue(host)
	s.must(err, "issue a certificate")
	const behind = "127.0.0.1:8443"
	s.config = filepath.Join(dir, "config.toml")
	s.write(s.config, fmt.Sprintf(`[server]
listen     = %q
public_url = "https://%s/upload/"
[tls]
cert = %q
key  = %q
[storage]
path  = %q
state = %q
[auth]
secrets = ["a secret of the pictures, of no use elsewhere"]
schemes = ["v2"]
[limits]
max_upload_size = "100MB"
min_free = "1MB"
`, behind, host, cert, key, filepath.Join(dir, "files"), filepath.Join(dir, "state")), 0o600)
	p := s.start(append(os.Environ(), "TMPDIR="+s.TempDir()), s.bin("holdfast-server"), "-config", s.config)
	s.must(lab.WaitTCP(behind, p, 20*time.Second), "start holdfast-server")
	s.cutter, err = lab.NewCutter(net.JoinHostPort("127.0.0.1", "443"), behind)
	s.must(err, "make the network")
	s.Cleanup(func() { _ = s.cutter.Close() })
}

// desktop starts a screen with wallpaper, window manager and panel, the two buses, and a Wi-Fi.
func (s *stage) desktop() {
	home, runtime := filepath.Join(s.dir, "home"), filepath.Join(s.dir, "r")
	s.must(os.MkdirAll(runtime, 0o700), "make a folder")
	for _, client := range []string{"dino-im", "gajim"} { // only looked for, never started
		s.write(filepath.Join(home, "bin", client), "#!/bin/sh\n", 0o755)
	}
	s.write(filepath.Join(home, ".cache", "gajim", "cache.db"), "what a reset of Gajim would move aside", 0o600)
	s.write(filepath.Join(home, ".config", "xfce4", "xfconf", "xfce-perchannel-xml", "xfce4-panel.xml"), panelXML, 0o600)
	s.write(filepath.Join(home, ".config", "holdfast", "config.toml"), fmt.Sprintf(`[relay]
hosts = [%q, %q]
upstream_ca = %q
`, host, deadHost, s.ca.File), 0o600)
	session, system := lab.Bus(s), lab.SystemBus(s)
	display, screen, err := lab.StartScreen(fmt.Sprintf("%dx%d", screenWidth, screenHeight))
	s.must(err, "start a screen")
	s.Cleanup(func() { _ = screen.Close() })
	s.env = []string{
		"HOME=" + home, "XDG_RUNTIME_DIR=" + runtime, "PATH=" + filepath.Join(home, "bin") + ":" + os.Getenv("PATH"), "DISPLAY=" + display,
		"DBUS_SESSION_BUS_ADDRESS=" + session, "DBUS_SYSTEM_BUS_ADDRESS=" + system, "LANG=C.UTF-8", "NO_AT_BRIDGE=1",
		"LIBGL_ALWAYS_SOFTWARE=1", "TMPDIR=" + s.TempDir(), "GTK_THEME=Adwaita",
	}
	lab.Keyring(s, session)
	nm := lab.FakeNetworkManager(s, system)
	s.must(nm.Connect(lab.Wifi, "Home 5G", "wlan0", "192.0.2.17", "192.0.2.1"), "connect to Wi-Fi")
	s.start(s.env, "openbox")
	s.start(s.env, s.xfconfd())
	s.start(s.env, "xfce4-panel", "--disable-wm-check")
	conn, err := dbus.Connect(session)
	s.must(err, "connect to the session bus")
	s.Cleanup(func() { _ = conn.Close() })
	s.until("a panel that shows tray icons", func() bool {
		v, err := conn.Object("org.kde.StatusNotifierWatcher", "/StatusNotifierWatcher").GetProperty("org.kde.StatusNotifierWatcher.IsStatusNotifierHostRegistered")
		return err == nil && v.Value() == true
	})
	s.do("xsetroot", "-solid", "#3f6a7d") // now that somebody stays connected: a screen without clients forgets it
}

// tray starts the tray, which has the companion inside: there is no systemd here.
func (s *stage) tray() {
	s.start(s.env, s.bin("holdfast"), "-log", "debug")
	s.until("the companion", func() bool {
		c, err := control.Dial(s.ctx, filepath.Join(s.dir, "r", "holdfast"))
		if err != nil {
			return false
		}
		state, err := control.ReadState(s.ctx, c)
		if err != nil || state.Relay.Listen == "" || state.Network.Name == "" {
			return c.Close() != nil
		}
		s.companion, s.relay = c, state.Relay.Listen
		s.Cleanup(func() { _ = c.Close() })
		return true
	})
}

// relayCA is the certificate that a client has to trust for a host.
func (s *stage) relayCA(of string) string {
	doc, err := s.companion.Hosts(s.ctx, "list", "")
	s.must(err, "list the hosts")
	var list struct {
		Hosts []struct {
			Host string `json:"host"`
			File string `json:"ca_file"`
		} `json:"hosts"`
	}
	s.must(json.Unmarshal([]byte(doc), &list), "read the hosts")
	for _, h := range list.Hosts {
		if h.Host == of && h.File != "" {
			return h.File
		}
	}
	s.Fatalf("there is no certificate for %s", of)
	return ""
}

// xfconfd keeps the settings of the panel. The bus would start it; this bus starts nothing.
func (s *stage) xfconfd() string {
	found, err := filepath.Glob("/usr/lib/*/xfce4/xfconf/xfconfd")
	if err != nil || len(found) == 0 {
		s.Fatalf("xfconfd is missing: .ci/install screen")
	}
	return found[0]
}
