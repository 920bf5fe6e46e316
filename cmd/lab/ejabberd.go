package lab

import (
	_ "embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed scripts/ejabberd.yml
var ejabberdConfig string

// StartEjabberd starts an ejabberd whose mod_http_upload signs with external_secret. As root it runs as the user
// ejabberd, as the package wants it. ERL_DIST_PORT spares the port mapper daemon, which would outlive the test.
func StartEjabberd(c XMPPConfig) (*XMPP, error) {
	port, err := FreePort(c.IP)
	if err != nil {
		return nil, err
	}
	dist, err := FreePort(c.IP)
	if err != nil {
		return nil, err
	}
	for _, d := range []string{"conf", "spool", "logs"} {
		if err := os.MkdirAll(filepath.Join(c.Dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	at := func(name string) string { return filepath.Join(c.Dir, name) }
	cert, key, err := c.CA.Issue(EjabberdHost)
	if err != nil {
		return nil, err
	}
	pem, err := concat(cert, key)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(at("conf/server.pem"), pem, 0o600); err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(c.CA.File)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(at("conf/ca.pem"), ca, 0o644); err != nil {
		return nil, err
	}
	if err := render(at("conf/ejabberd.yml"), ejabberdConfig, map[string]any{
		"IP": c.IP, "Port": port, "URL": strings.TrimSuffix(c.UploadURL, "/"), "Secret": c.Secret,
		"Cert": at("conf/server.pem"), "CA": at("conf/ca.pem"), "Service": c.Service,
	}); err != nil {
		return nil, err
	}
	node := fmt.Sprintf("ERLANG_NODE=holdfast%d@%s\nERL_DIST_PORT=%d\nINET_DIST_INTERFACE=%s\n", port, c.IP, dist, c.IP)
	if err := os.WriteFile(at("conf/ejabberdctl.cfg"), []byte(node), 0o644); err != nil {
		return nil, err
	}
	inetrc := "{lookup,[\"file\",\"native\"]}.\n{host,{127,0,0,1}, [\"localhost\",\"hostalias\"]}.\n"
	if err := os.WriteFile(at("conf/inetrc"), []byte(inetrc), 0o644); err != nil {
		return nil, err
	}
	if err := giveTo("ejabberd", c.Dir); err != nil {
		return nil, err
	}

	ctl := func(args ...string) *exec.Cmd {
		args = append([]string{"-d", at("conf"), "-f", at("conf/ejabberd.yml"), "-c", at("conf/ejabberdctl.cfg"),
			"-s", at("spool"), "-l", at("logs")}, args...)
		cmd := exec.Command("ejabberdctl", args...)
		cmd.Dir = c.Dir
		cmd.Env = append(cleanEnv(), "HOME="+c.Dir)
		return cmd
	}
	out, err := os.Create(at("ejabberd.out"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	cmd := ctl("foreground")
	cmd.Stdout, cmd.Stderr = out, out
	x := &XMPP{Name: "ejabberd", IP: c.IP, Port: port, log: out.Name(), Upload: map[string]string{EjabberdHost: "upload." + EjabberdHost}}
	if x.proc, err = Start(cmd); err != nil {
		return nil, fmt.Errorf("start ejabberd: %w", err)
	}
	x.after = func() { _ = ctl("stop").Run() }
	if err := WaitTCP(net.JoinHostPort(c.IP, strconv.Itoa(port)), x.proc, 60*time.Second); err != nil {
		_ = x.Close()
		return nil, fmt.Errorf("ejabberd: %w\n%s", err, x.Log())
	}
	for _, a := range []Account{x.Alice(EjabberdHost), x.Bob(EjabberdHost)} {
		name, _, _ := strings.Cut(a.JID, "@")
		if out, err := ctl("register", name, EjabberdHost, a.Password).CombinedOutput(); err != nil {
			_ = x.Close()
			return nil, fmt.Errorf("register %s: %w\n%s", a.JID, err, out)
		}
	}
	return x, nil
}

func concat(files ...string) ([]byte, error) {
	var all []byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		all = append(all, b...)
	}
	return all, nil
}

// giveTo changes the owner of a tree when we are root; otherwise the server runs as ourselves.
func giveTo(name, dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return fmt.Errorf("find the user of the server: %w", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}
