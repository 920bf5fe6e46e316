package lab

import (
	_ "embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"
)

//go:embed scripts/prosody.cfg.lua
var prosodyConfig string

// XMPPConfig is what both XMPP servers are started with.
type XMPPConfig struct {
	Dir       string // all files; must be traversable by other users for ejabberd
	IP        string // loopback address to listen on
	UploadURL string // base URL that slots are signed for, ending in a slash
	Secret    string // shared with the upload server
	CA        *CA    // signs the server's certificate
	Service   string // the upload service as an admin would write it, instead of ours: a Component, a block of modules
}

// The domains of Prosody, one for each of its signing protocols.
const (
	ProsodyV1    = "v1.lab.test"
	ProsodyV2    = "v2.lab.test"
	ProsodyShare = "share.lab.test"
	EjabberdHost = "ejabberd.lab.test"
)

// StartProsody starts a Prosody with three domains: mod_http_upload_external v1 and v2, and mod_http_file_share,
// each pointed at an external upload server. Each domain has the accounts alice and bob.
func StartProsody(c XMPPConfig) (*XMPP, error) {
	port, err := FreePort(c.IP)
	if err != nil {
		return nil, err
	}
	x := &XMPP{Name: "prosody", IP: c.IP, Port: port, Upload: map[string]string{}, log: filepath.Join(c.Dir, "prosody.log")}
	domains := []string{ProsodyV1, ProsodyV2, ProsodyShare}
	for _, d := range domains {
		x.Upload[d] = "upload." + d
		folder := filepath.Join(c.Dir, "data", prosodyEscape(d), "accounts")
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
		for _, a := range []Account{x.Alice(d), x.Bob(d)} {
			user, _, _ := strings.Cut(a.JID, "@")
			account := fmt.Sprintf("return {\n\t[\"password\"] = %q;\n};\n", a.Password)
			if err := os.WriteFile(filepath.Join(folder, user+".dat"), []byte(account), 0o600); err != nil {
				return nil, err
			}
		}
	}
	cert, key, err := c.CA.Issue(domains...)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(c.Dir, "prosody.cfg.lua")
	if err := render(config, prosodyConfig, map[string]any{
		"Dir": c.Dir, "IP": c.IP, "Port": port, "URL": c.UploadURL, "Secret": c.Secret, "Cert": cert, "Key": key, "Service": c.Service,
	}); err != nil {
		return nil, err
	}
	out, err := os.Create(filepath.Join(c.Dir, "prosody.out"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command("prosody", "--root", "--config", config, "-F")
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.Dir, out, out
	cmd.Env = append(cleanEnv(), "HOME="+c.Dir)
	if x.proc, err = Start(cmd); err != nil {
		return nil, fmt.Errorf("start prosody: %w", err)
	}
	if err := WaitTCP(net.JoinHostPort(c.IP, strconv.Itoa(port)), x.proc, 20*time.Second); err != nil {
		_ = x.proc.Close()
		return nil, fmt.Errorf("prosody: %w\n%s\n%s", err, Tail(out.Name(), 2<<10), x.Log())
	}
	return x, nil
}

// prosodyEscape is how Prosody's file storage names the folder of a domain.
func prosodyEscape(s string) string { return strings.ReplaceAll(s, ".", "%2e") }

func render(path, text string, data any) error {
	t, err := template.New(filepath.Base(path)).Option("missingkey=error").Parse(text)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := t.Execute(f, data); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
