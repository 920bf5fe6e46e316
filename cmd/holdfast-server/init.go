package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"holdfast/relay/token"
)

const initHelp = `
holdfast-server init writes a configuration (mode 0600, with a fresh random secret) for the XMPP server that signs your
uploads, and prints the block that this XMPP server needs and one for nginx in front.

Issuers:
  prosody-v1      Prosody with mod_http_upload_external
  prosody-v2      the same with protocol v2, which also signs the media type
  prosody-share   Prosody with mod_http_file_share (tokens that carry user, time and retention)
  ejabberd        ejabberd with mod_http_upload and external_secret
  metronome       Metronome with mod_http_upload_external

Example:
  holdfast-server init -issuer prosody-v2 -url https://upload.example.org/upload/ -out /etc/holdfast/server.toml
  holdfast-server check -config /etc/holdfast/server.toml
`

// issuerKind is an XMPP server that init knows: what it signs with, and what to write into its configuration.
type issuerKind struct {
	name    string
	scheme  token.Scheme
	where   string
	snippet string
}

var issuerKinds = [...]issuerKind{
	{"prosody-v1", token.V, "Prosody, prosody.cfg.lua (module http_upload_external of prosody-modules)", `Component "{{.Host}}" "http_upload_external"
  http_upload_external_base_url = "{{.URL}}"
  http_upload_external_secret = "{{.Secret}}"
  http_upload_external_file_size_limit = {{.Limit}}
`},
	{"prosody-v2", token.V2, "Prosody, prosody.cfg.lua (module http_upload_external of prosody-modules)", `Component "{{.Host}}" "http_upload_external"
  http_upload_external_base_url = "{{.URL}}"
  http_upload_external_secret = "{{.Secret}}"
  http_upload_external_protocol = "v2"
  http_upload_external_file_size_limit = {{.Limit}}
`},
	{"prosody-share", token.JWT, "Prosody, prosody.cfg.lua", `Component "{{.Host}}" "http_file_share"
  http_file_share_base_url = "{{.URL}}"
  http_file_share_secret = "{{.Secret}}"
  http_file_share_size_limit = {{.Limit}}
`},
	{"ejabberd", token.V, "ejabberd, ejabberd.yml", `modules:
  mod_http_upload:
    host: "{{.Host}}"
    put_url: "{{.Bare}}"
    get_url: "{{.Bare}}"
    external_secret: "{{.Secret}}"
    max_size: {{.Limit}}
`},
	{"metronome", token.Token, "Metronome, metronome.cfg.lua", `Component "{{.Host}}" "http_upload_external"
  http_file_external_url = "{{.URL}}"
  http_file_secret = "{{.Secret}}"
`},
}

const nginxSnippet = `server {
    listen 443 ssl;
    listen [::]:443 ssl;
    server_name {{.Host}};
    # ssl_certificate and ssl_certificate_key of {{.Host}}

    location {{.Prefix}} {
        proxy_pass {{.Proxy}};   # no path here: nginx must pass the path on as it came
        proxy_http_version 1.1;
        proxy_request_buffering off;        # else nothing of a cut upload is kept
        proxy_buffering off;
        client_max_body_size 0;             # holdfast-server has the limit
        proxy_read_timeout 300s;
        proxy_send_timeout 300s;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header Forwarded "";
    }
}
`

const configTemplate = `# holdfast-server, made for {{.Issuer}}. docs/config.md explains every key; unset ones have their default.
[server]
listen          = "{{.Listen}}"
public_url      = "{{.URL}}"
trusted_proxies = ["127.0.0.1/32", "::1/128"]

[storage]
path  = "{{.Data}}/files"
state = "{{.Data}}/state"

[auth]
{{if .SecretFile}}secret_file = "{{.SecretFile}}"   # shared with the XMPP server; one a line, the first signs, all are accepted
{{else}}secrets = ["{{.Secret}}"]   # shared with the XMPP server; the first signs, all are accepted
{{end}}schemes = ["{{.Scheme}}"]

[limits]
max_upload_size = "500MB"
`

// initialise writes a configuration and shows what goes with it.
func initialise(args []string, stdout, stderr io.Writer) error {
	f := flags("init", initHelp, stderr)
	var (
		name = f.String("issuer", "", "`NAME` of the XMPP server's kind")
		base = f.String("url", "https://upload.example.org/upload/", "public `URL` below which the files live")
		out  = f.String("out", "server.toml", "`FILE` to write; it must not exist yet")
		data = f.String("data", "/var/lib/holdfast", "`FOLDER` for files and state")
		addr = f.String("listen", "127.0.0.1:8080", "`ADDRESS` to listen on, or unix:/run/holdfast/http.sock")
		keep = f.String("secret", "", "`FILE` for the secret, so that the configuration holds none; one that is there is used")
	)
	rest, help, err := parse(f, args, 1)
	if help || err != nil {
		return err
	}
	if *name == "" && len(rest) == 1 {
		*name = rest[0]
	}
	var names []string
	for _, k := range issuerKinds {
		names = append(names, k.name)
	}
	if *name == "" {
		return usageError{fmt.Errorf("-issuer is missing: one of %s", strings.Join(names, ", "))}
	}
	at := slices.Index(names, *name)
	if at < 0 {
		text := fmt.Sprintf("unknown issuer %q: it must be one of %s", *name, strings.Join(names, ", "))
		if n := nearest(*name, names); n != "" {
			text += fmt.Sprintf("; did you mean %q?", n)
		}
		return usageError{errors.New(text)}
	}
	u, err := url.Parse(*base)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return usageError{fmt.Errorf("-url %q is not a URL like https://upload.example.org/upload/", *base)}
	}
	if strings.ContainsAny(*base+*data+*addr+*keep, "\"\\\n") {
		return usageError{errors.New("-url, -data, -listen and -secret must not contain quotes or backslashes")}
	}
	if _, _, err := listenAddr(*addr); err != nil {
		return usageError{fmt.Errorf("-listen: %w", err)}
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/"
	k := issuerKinds[at]
	v := struct{ Issuer, URL, Bare, Host, Prefix, Data, Listen, Proxy, Secret, SecretFile, Scheme, Limit string }{
		Issuer: k.name, URL: u.String(), Bare: strings.TrimSuffix(u.String(), "/"), Host: u.Hostname(), Prefix: u.EscapedPath(),
		Data: strings.TrimSuffix(*data, "/"), Listen: *addr, Proxy: proxyPass(*addr), Secret: freshSecret(), SecretFile: *keep, Scheme: string(k.scheme), Limit: fmt.Sprint(500 << 20),
	}
	if *keep != "" {
		if v.Secret, err = keptSecret(*keep, *out); err != nil {
			return err
		}
	}
	var conf, shown strings.Builder
	if err := render(&conf, configTemplate, v); err != nil {
		return err
	}
	if err := writeNew(*out, conf.String()); err != nil {
		return err
	}
	if *keep == "" {
		fmt.Fprintf(&shown, "%s is written. It holds the secret, so only you can read it.\n\n# %s\n", *out, k.where)
	} else {
		if err := os.Chmod(*out, 0o644); err != nil { // it holds no secret
			return fmt.Errorf("let others read %s: %w", *out, err)
		}
		fmt.Fprintf(&shown, "%s is written. The secret is in %s, which only you can read.\n\n# %s\n", *out, *keep, k.where)
	}
	if err := render(&shown, k.snippet, v); err != nil {
		return err
	}
	fmt.Fprintf(&shown, "\n# nginx, in front of holdfast-server\n")
	if err := render(&shown, nginxSnippet, v); err != nil {
		return err
	}
	fmt.Fprintf(&shown, "\nNext: holdfast-server check -config %s\n", *out)
	_, err = io.WriteString(stdout, shown.String())
	return err
}

// keptSecret returns the secret in file, and makes one if there is none.
func keptSecret(file, config string) (string, error) {
	if !filepath.IsAbs(file) { // the configuration would look for it beside itself
		return "", usageError{errors.New("-secret must be an absolute path")}
	}
	if _, err := os.Lstat(config); err == nil {
		return "", fmt.Errorf("%s is there already", config)
	}
	secrets, err := readSecrets(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err = writeSecret(file); err == nil {
			secrets, err = readSecrets(file)
		}
	}
	if err != nil {
		return "", err
	}
	return string(secrets[0]), nil
}

// proxyPass is how nginx names the address.
func proxyPass(listen string) string {
	if path, ok := strings.CutPrefix(listen, "unix:"); ok {
		return "http://unix:" + path
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil || host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

func render(w io.Writer, text string, v any) error {
	t, err := template.New("").Parse(text)
	if err != nil {
		return err
	}
	return t.Execute(w, v)
}
