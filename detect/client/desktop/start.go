package desktop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// Launch is how a client is started. Env may hold secrets.
type Launch struct {
	Argv []string
	Env  []string
	Dir  string
}

// Launch returns how to start a client again as it was: with its arguments, environment and folder, without what
// belonged to that one start.
func (in Instance) Launch() Launch {
	l := Launch{Dir: in.dir}
	for _, e := range in.env {
		name, _, _ := strings.Cut(e, "=")
		switch name {
		case "DESKTOP_STARTUP_ID", "XDG_ACTIVATION_TOKEN", "GIO_LAUNCHED_DESKTOP_FILE_PID",
			"DBUS_STARTER_ADDRESS", "DBUS_STARTER_BUS_TYPE",
			"INVOCATION_ID", "JOURNAL_STREAM", "NOTIFY_SOCKET", "SYSTEMD_EXEC_PID", "MANAGERPID":
			continue
		}
		l.Env = append(l.Env, e)
	}
	switch in.Install {
	case Flatpak:
		// The process seen is inside the sandbox: its arguments, folder and paths mean nothing outside.
		l.Argv, l.Dir = []string{"flatpak", "run", in.Kind.BusName()}, ""
		l.Env = nil
	case Snap:
		l.Argv, l.Dir = []string{"snap", "run", string(in.Kind)}, ""
		l.Env = nil
	default:
		for i, a := range in.argv {
			// A service started by the bus shows no window; a link would be opened a second time.
			if i > 0 && (a == "--gapplication-service" || strings.HasPrefix(a, "xmpp:")) {
				continue
			}
			l.Argv = append(l.Argv, a)
		}
	}
	return in.launched(l)
}

// launched starts a client that `holdfastctl launch` started in the same way: what it had set for this one process,
// certificates among it, cannot be set from outside. The variables that it noted are as they were.
func (in Instance) launched(l Launch) Launch {
	by, ok := in.Env("HOLDFAST_LAUNCHED")
	if !ok || !filepath.IsAbs(by) {
		return l
	}
	if st, err := os.Stat(by); err != nil || !st.Mode().IsRegular() {
		return l // Holdfast was removed
	}
	names, _ := in.Env("HOLDFAST_SET")
	set := append(strings.Split(names, ","), "HOLDFAST_SET", "HOLDFAST_LAUNCHED")
	var env []string
	for _, e := range in.env {
		name, value, _ := strings.Cut(e, "=")
		if was, ok := strings.CutPrefix(name, "HOLDFAST_WAS_"); ok {
			env = append(env, was+"="+value)
		}
	}
	for _, e := range l.Env {
		name, _, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, "HOLDFAST_WAS_") && !slices.Contains(set, name) {
			env = append(env, e)
		}
	}
	if in.Install != Native {
		env = nil // of the sandbox
	}
	var args []string
	if in.Install == Native {
		// The first words are the interpreter of a script, and the program.
		for i, a := range l.Argv {
			if filepath.Base(a) == in.Kind.Program() {
				args = l.Argv[i+1:]
				break
			}
		}
	}
	return Launch{Argv: append([]string{by, "launch", string(in.Kind), "--"}, args...), Env: env, Dir: l.Dir}
}

// DefaultLaunch is how a client that did not run is started. env is the environment of the person's session.
func (c Client) DefaultLaunch(env []string) Launch {
	switch c.Install {
	case Flatpak:
		return Launch{Argv: []string{"flatpak", "run", c.Kind.BusName()}, Env: env}
	case Snap:
		return Launch{Argv: []string{"snap", "run", string(c.Kind)}, Env: env}
	}
	return Launch{Argv: []string{c.Program}, Env: env}
}

// Start starts a client in a session of its own, so that it outlives this process, and waits until it is on the
// bus. Under systemd it gets a scope of its own; otherwise stopping our service would end the client with it.
func (s *Session) Start(ctx context.Context, k Kind, l Launch) (Instance, error) {
	if len(l.Argv) == 0 || l.Argv[0] == "" {
		return Instance{}, fmt.Errorf("start %s: its command line is not known; start it from the menu", k)
	}
	if in, err := s.Running(ctx, k); err == nil {
		return in, nil // somebody was faster
	}
	path := pathOf(l.Env)
	setsid, err := lookPath("setsid", path)
	if err != nil {
		return Instance{}, fmt.Errorf("start %s: %w", k, err)
	}
	plain := append([]string{setsid, "--fork", "--"}, l.Argv...)
	tries := [][]string{plain}
	if run, err := lookPath("systemd-run", path); err == nil && s.has(ctx, systemd) {
		scoped := append([]string{setsid, "--fork", "--", run, "--user", "--scope", "--collect", "--quiet", "--slice=app.slice", "--"}, l.Argv...)
		tries = [][]string{scoped, plain}
	}
	for _, argv := range tries {
		if err = s.spawn(argv, l); err != nil {
			continue
		}
		var in Instance
		if in, err = s.appear(ctx, k, s.start/time.Duration(len(tries))); err == nil {
			return in, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return Instance{}, fmt.Errorf("start %s: %w", k, err)
}

// spawn runs setsid, which forks and returns at once; the client is then nobody's child.
func (s *Session) spawn(argv []string, l Launch) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = slices.Clone(l.Env)
	if cmd.Env == nil {
		cmd.Env = os.Environ() // a sandboxed client: its launcher runs in our session
	}
	if _, ok := (Instance{env: cmd.Env}).Env("DBUS_SESSION_BUS_ADDRESS"); !ok {
		cmd.Env = append(cmd.Env, "DBUS_SESSION_BUS_ADDRESS="+s.addr)
	}
	if st, err := os.Stat(l.Dir); err == nil && st.IsDir() {
		cmd.Dir = l.Dir
	} else if home, ok := (Instance{env: cmd.Env}).Env("HOME"); ok {
		cmd.Dir = home
	}
	if st, err := os.Stat(cmd.Dir); err != nil || !st.IsDir() {
		cmd.Dir = "/"
	}
	// Standard input, output and error are /dev/null: nil means that.
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s: %w", filepath.Base(argv[0]), err)
	}
	return nil
}

// appear waits until a client owns its name.
func (s *Session) appear(ctx context.Context, k Kind, limit time.Duration) (Instance, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		in, err := s.Running(ctx, k)
		if err == nil {
			return in, nil
		}
		if !errors.Is(err, ErrNotRunning) && ctx.Err() == nil {
			return Instance{}, err
		}
		select {
		case <-ctx.Done():
			return Instance{}, fmt.Errorf("it did not appear within %s; start it from the menu", limit)
		case <-tick.C:
		}
	}
}

// has says whether a name is on the bus.
func (s *Session) has(ctx context.Context, name string) bool {
	var yes bool
	err := s.conn.BusObject().CallWithContext(ctx, busName+".NameHasOwner", dbus.FlagNoAutoStart, name).Store(&yes)
	return err == nil && yes
}

// pathOf returns the folders of PATH in an environment, with the usual ones behind.
func pathOf(env []string) []string {
	p, _ := Instance{env: env}.Env("PATH")
	return append(filepath.SplitList(p), "/usr/local/bin", "/usr/bin", "/bin")
}

func lookPath(name string, folders []string) (string, error) {
	for _, f := range folders {
		if !filepath.IsAbs(f) {
			continue
		}
		p := filepath.Join(f, name)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}
