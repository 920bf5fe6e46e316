package clients

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
	_ "modernc.org/sqlite" // the clients' own databases

	"holdfast/cmd/lab"
)

// client is a real XMPP client of the desktop.
type client struct {
	d      *desktop
	kind   string // as holdfastctl names it
	name   string // on the session bus
	path   dbus.ObjectPath
	binary string
	args   []string
	env    []string
	proc   *lab.Process
	log    string
	sends  func(file string) error
	ready  func() bool // logged in, upload service found
	before int         // what asked said when it was started
}

// quit asks the client to end, as its menu does, and waits until name and process are gone.
func (c *client) quit() {
	c.d.t.Helper()
	pid := c.d.owner(c.name)
	if pid == 0 {
		return
	}
	_ = c.d.bus.Object(c.name, c.path).Call("org.freedesktop.Application.ActivateAction", dbus.FlagNoAutoStart, "quit", []dbus.Variant{}, map[string]dbus.Variant{}).Err
	c.d.waitName(c.name, false, 30*time.Second)
	c.d.until(20*time.Second, c.kind+" to end", func() bool { return syscall.Kill(pid, 0) != nil })
}

// begin starts the client; env is added to the desktop's environment, wrap is put before it, and ends in "--" if it
// knows the program's name.
func (c *client) begin(env []string, wrap ...string) {
	c.d.t.Helper()
	c.quit()
	c.before = c.d.asked()
	command := append([]string{}, wrap...)
	if len(wrap) == 0 || wrap[len(wrap)-1] != "--" {
		command = append(command, c.binary)
	}
	command = append(command, c.args...)
	c.log = filepath.Join(c.d.logs, c.kind+".log")
	if old, err := os.ReadFile(c.log); err == nil {
		f, err := os.OpenFile(filepath.Join(c.d.logs, c.kind+"-before.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			c.d.t.Fatal(err)
		}
		_, _ = f.Write(old)
		_ = f.Close()
	}
	c.proc = c.d.start(c.kind+".log", append(append([]string{}, c.env...), env...), command[0], command[1:]...)
	c.d.waitName(c.name, true, time.Minute)
	c.d.until(time.Minute, c.kind+" to be logged in and to know its upload service", c.ready)
}

// asked is how often Prosody was asked about its upload service.
func (w *world) asked() int {
	b, err := os.ReadFile(filepath.Join(w.prosodyDir, "prosody.log"))
	if err != nil {
		w.t.Fatal(err)
	}
	n := 0
	for line := range bytes.Lines(b) { // the order of attributes is another one in every run of Prosody
		if bytes.Contains(line, []byte("Received[c2s]: <iq ")) && bytes.Contains(line, []byte("to='"+component+"'")) && bytes.Contains(line, []byte("type='get'")) {
			n++
		}
	}
	return n
}

// logged says whether the client wrote s since it was started.
func (c *client) logged(s string) bool {
	b, err := os.ReadFile(c.log)
	return err == nil && bytes.Contains(b, []byte(s))
}

// send uploads a file to bob through the client's user interface.
func (c *client) send(file string) {
	c.d.t.Helper()
	if err := c.sends(file); err != nil {
		c.d.picture("failed-send-" + c.kind)
		c.d.t.Fatalf("%v\n%s runs: %v\n%s", err, c.kind, c.d.owner(c.name) != 0, c.d.seen("gajim"))
	}
}

// newGajim seeds an account for alice and returns Gajim, not yet started.
func (d *desktop) newGajim() *client {
	d.t.Helper()
	c := &client{d: d, kind: "gajim", name: "org.gajim.Gajim", path: "/org/gajim/Gajim", binary: "gajim",
		args: []string{"-l", "gajim=INFO,nbxmpp=INFO,nbxmpp.http=DEBUG"}}
	c.sends = func(file string) error { return c.sendGajim(file) }
	c.ready = func() bool { return c.logged("Component has a maximum") }
	folder := filepath.Join(d.user.Home, ".config", "gajim")
	if err := d.user.Own(folder); err != nil {
		d.t.Fatal(err)
	}
	database := filepath.Join(folder, "settings.sqlite")
	db, err := sql.Open("sqlite", database)
	if err != nil {
		d.t.Fatal(err)
	}
	exec := func(query string, args ...any) {
		d.t.Helper()
		if _, err := db.ExecContext(d.t.Context(), query, args...); err != nil {
			d.t.Fatal(err)
		}
	}
	user, host, _ := strings.Cut(alice, "@")
	exec("CREATE TABLE settings (name TEXT UNIQUE, settings TEXT)")
	exec("CREATE TABLE account_settings (account TEXT UNIQUE, settings TEXT)")
	for name, value := range map[string]any{
		"app": map[string]any{"use_keyring": false, "check_for_update": false, "plugins_update_check": false, "plugins_repository_enabled": false,
			"show_main_window_on_startup": "always", "is_window_visible": true, "sounds_on": false, "show_help_start_chat": false,
			"last_main_window_visible": true, "show_send_message_button": true, "confirm_paste_image": false},
		"soundevents": map[string]any{}, "status_presets": map[string]any{}, "proxies": map[string]any{}, "plugins": map[string]any{},
		"workspaces": map[string]any{"w1": map[string]any{"name": "Chats", "color": "rgb(191,99,150)", "chats": []any{}, "avatar_sha": ""}},
	} {
		exec("INSERT INTO settings VALUES (?, ?)", name, document(value))
	}
	exec("INSERT INTO account_settings VALUES ('lab', ?)", document(map[string]any{
		"account": map[string]any{"name": user, "hostname": host, "resource": "gajim.lab", "account_label": alice, "password": alicePassword,
			"savepass": true, "active": true, "restore_last_status": false, "autoconnect": true},
		"contact": map[string]any{}, "group_chat": map[string]any{},
	}))
	exec("PRAGMA user_version = 5")
	if err := db.Close(); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Chmod(database, 0o600); err != nil {
		d.t.Fatal(err)
	}
	if err := d.user.Chown(database); err != nil {
		d.t.Fatal(err)
	}
	return c
}

func document(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// activate calls an action of Gajim's main window.
func (c *client) activate(action string, parameter any) error {
	return c.d.bus.Object(c.name, c.path+"/window/1").Call("org.gtk.Actions.Activate", dbus.FlagNoAutoStart,
		action, []dbus.Variant{dbus.MakeVariant(parameter)}, map[string]dbus.Variant{}).Err
}

// sendGajim does what dropping a file on a chat does, and presses the button.
func (c *client) sendGajim(file string) error {
	if err := c.activate("add-chat", map[string]dbus.Variant{
		"account": dbus.MakeVariant("lab"), "jid": dbus.MakeVariant(bob), "type": dbus.MakeVariant("contact"), "select": dbus.MakeVariant(true),
	}); err != nil {
		return fmt.Errorf("open the chat: %w", err)
	}
	if err := c.activate("send-file-httpupload", []string{"file://" + file}); err != nil {
		return fmt.Errorf("choose the file: %w", err)
	}
	return c.d.press(30*time.Second, "gajim", "push button", "^Send File")
}

// newDino seeds an account for alice and returns Dino, not running. It is run once to make its database.
func (d *desktop) newDino() *client {
	d.t.Helper()
	c := &client{d: d, kind: "dino", name: "im.dino.Dino", path: "/im/dino/Dino", binary: "dino-im", env: []string{"GTK_A11Y=none"}}
	c.sends = func(file string) error { return c.sendDino(file) }
	c.ready = func() bool { return true }
	c.begin(nil)
	database := filepath.Join(d.user.Home, ".local", "share", "dino", "dino.db")
	d.until(30*time.Second, "Dino's database", func() bool {
		_, err := os.Stat(database)
		return err == nil
	})
	c.quit()
	out, err := d.run(20*time.Second, "sqlite3", database, fmt.Sprintf(
		"INSERT OR REPLACE INTO account(id,bare_jid,resourcepart,password,alias,enabled) VALUES(1,'%s','dino.lab','%s',NULL,1);", alice, alicePassword))
	if err != nil {
		d.t.Fatalf("seed Dino: %v\n%s", err, out)
	}
	c.ready = func() bool { return d.asked() > c.before }
	return c
}

// sendDino opens the chat, presses Ctrl+U, names the file, and presses Return on the question whether to send it. That is
// done by keyboard: GTK 4.8 was seen to crash while an assistive program looked at the dialog.
func (c *client) sendDino(file string) error {
	uri := "xmpp:" + bob + "?message"
	if err := c.d.bus.Object(c.name, c.path).Call("org.freedesktop.Application.Open", dbus.FlagNoAutoStart, []string{uri}, map[string]dbus.Variant{}).Err; err != nil {
		return fmt.Errorf("open the chat: %w", err)
	}
	xdotool := func(limit time.Duration, args ...string) error {
		if out, err := c.d.run(limit, "xdotool", args...); err != nil {
			return fmt.Errorf("xdotool %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	if err := xdotool(30*time.Second, "search", "--sync", "--onlyvisible", "--name", "^Dino$", "windowactivate", "--sync"); err != nil {
		return err
	}
	// A chat that was just opened takes the key only once it is drawn.
	var err error
	for range 6 {
		if err = xdotool(5*time.Second, "key", "ctrl+u"); err != nil {
			return err
		}
		if err = xdotool(5*time.Second, "search", "--sync", "--onlyvisible", "--name", "^Select file$", "windowactivate", "--sync"); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	for _, args := range [][]string{{"type", "--delay", "15", file}, {"key", "Return"}} {
		if err := xdotool(30*time.Second, args...); err != nil {
			return err
		}
	}
	taken := func() bool { // Dino makes a copy before it asks for a slot
		found, err := filepath.Glob(filepath.Join(c.d.user.Home, ".local", "share", "dino", "files", "*_"+filepath.Base(file)))
		return err == nil && len(found) > 0
	}
	for end := time.Now().Add(30 * time.Second); !taken(); {
		if time.Now().After(end) {
			return fmt.Errorf("dino did not take %s", file)
		}
		if open, _ := c.d.run(5*time.Second, "xdotool", "search", "--onlyvisible", "--name", "^Select file$"); open == "" {
			if out, err := c.d.run(5*time.Second, "xdotool", "key", "Return"); err != nil {
				return fmt.Errorf("xdotool key Return: %w\n%s", err, out)
			}
		}
		<-time.After(500 * time.Millisecond)
	}
	return nil
}
