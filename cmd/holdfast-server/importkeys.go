package main

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"holdfast/relay/token"
)

// network brings over addresses, TLS and proxies.
func (im *imported) network() {
	host, _ := im.take("server.bindip", "server.interface", "server.listenip", "server.bindaddress")
	port, _ := im.take("server.listenaddress", "server.listenport", "server.port", "server.listen")
	socket, _ := im.take("server.unixsocketpath", "server.socketpath")
	if !strings.HasPrefix(socket, "/") {
		socket = port
	}
	switch unix := im.on(false, "server.unixsocket"); {
	case unix && strings.HasPrefix(socket, "/"):
		im.set("server", "listen", "%s", quote("unix:"+socket))
	default:
		if unix {
			im.note("server.listen: the old configuration wants a unix socket and names none; write it like \"unix:/run/holdfast/http.sock\"")
		}
		if h, p, err := net.SplitHostPort(port); err == nil {
			if port = p; host == "" {
				host = h
			}
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			port = "8080"
		}
		if p, ok := im.take("server.forceprotocol"); ok && host == "" && p != "ipv4" {
			host = "::"
		}
		if host == "" {
			host = "0.0.0.0"
		}
		im.set("server", "listen", "%s", quote(net.JoinHostPort(host, port)))
	}
	im.publicURL()
	im.proxies()
	if p, ok := im.take("server.metricsport", "metrics.port"); im.on(ok, "server.metricsenabled", "metrics.enabled") && ok {
		im.set("server", "metrics_listen", "%s", quote(net.JoinHostPort("127.0.0.1", p[strings.LastIndexByte(p, ':')+1:])))
	}
	if d, ok := im.length("timeouts.idletimeout", "timeouts.idle"); ok && d > 0 {
		im.set("server", "idle_timeout", "%s", quote(d.String()))
	}
	cert, haveCert := im.take("server.sslcert", "server.tlscert", "server.certfile", "tls.cert", "tls.certfile", "server.sslcertfile")
	key, haveKey := im.take("server.sslkey", "server.tlskey", "server.keyfile", "tls.key", "tls.keyfile", "server.sslkeyfile")
	if im.on(haveCert && haveKey, "server.sslenabled", "server.tlsenabled", "tls.enabled") && haveCert && haveKey {
		im.set("tls", "cert", "%s", quote(cert))
		im.set("tls", "key", "%s", quote(key))
	}
	if im.on(false, "security.trustproxyheaders", "server.trustproxyheaders") {
		im.note("server.trusted_proxies is empty: the old server believed X-Forwarded-For of everybody; name your proxy, for example [\"127.0.0.1/32\"]")
	}
}

// proxies brings over a list of proxies, if there is one and all of it can be read.
func (im *imported) proxies() {
	const key = "server.trustedproxies"
	for _, k := range spellings(key) {
		list, ok := im.old[k].([]any)
		if !ok {
			continue
		}
		im.used[k] = true
		var quoted []string
		for _, v := range list {
			if err := new(subnet).UnmarshalText([]byte(fmt.Sprint(v))); err != nil {
				im.note("%s: %v", im.name(key), err)
				continue
			}
			quoted = append(quoted, quote(fmt.Sprint(v)))
		}
		im.set("server", "trusted_proxies", "[%s]", strings.Join(quoted, ", "))
		return
	}
}

// publicURL keeps the old URLs alive: the old server's paths began at the root, in the first versions below UploadSubDir.
func (im *imported) publicURL() {
	sub, _ := im.take("server.uploadsubdir")
	sub = strings.Trim(sub, "/")
	if u := (&url.URL{Path: sub + "/"}); sub != "" && !strings.ContainsAny(sub, " ?#%\\") && !strings.Contains("/"+sub+"/", "/.") {
		im.set("server", "public_url", "%s", quote("https://upload.example.org/"+u.EscapedPath()))
		im.note("server.public_url: put the name of your upload host in; its path is the old UploadSubDir, %q", sub)
		return
	}
	if v, ok := im.take("server.publicurl", "server.baseurl", "server.externalurl"); ok {
		if u, err := url.Parse(v); err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") {
			im.set("server", "public_url", "%s", quote(u.Scheme+"://"+u.Host+"/"))
			return
		}
	}
	im.set("server", "public_url", "%s", quote("https://upload.example.org/"))
	im.note("server.public_url: put the name of your upload host in; its path stays \"/\", as the old server's tokens sign the path from the root")
	im.note("URLs below /download/ are not served: a file is fetched from where it was put, so get_url of the XMPP server is its put_url")
}

// storage brings over the folders. Files stay where they are and keep their URLs.
func (im *imported) storage() {
	path, ok := im.take("server.storagepath", "server.storedir", "server.uploadpath", "storage.path", "uploads.path", "server.storage")
	if !ok {
		path = "./uploads"
	}
	im.set("storage", "path", "%s", quote(path))
	im.set("storage", "state", "%s", quote(filepath.Join(filepath.Dir(filepath.Clean(path)), "holdfast-state")))
	if !filepath.IsAbs(path) {
		im.note("storage.path %q is relative; here that means from the folder of the configuration file", path)
	}
}

// auth brings over the secret and chooses the schemes.
func (im *imported) auth() {
	s, ok := im.take("security.secret", "auth.sharedsecret", "security.hmacsecret", "auth.secret", "hmac.secret", "server.secret")
	switch {
	case !ok || strings.HasPrefix(s, "${"):
		s = freshSecret()
		im.note("auth.secrets: the old configuration holds no secret, so there is a fresh one; give it to the XMPP server")
	case weakness(token.Secret(s)) != "":
		im.note("auth.secrets: the secret is weak (%s); change it here and at the XMPP server", weakness(token.Secret(s)))
	}
	im.set("auth", "secrets", "[%s]", quote(s))
	var schemes []string
	if im.on(true, "security.hmacenabled", "auth.hmacenabled") {
		schemes = append(schemes, "v", "v2", "token", "v3")
	}
	if im.on(true, "security.bearertokensenabled", "auth.bearertokensenabled") || len(schemes) == 0 {
		schemes = append(schemes, "bearer")
	}
	quoted := make([]string, len(schemes))
	for i, n := range schemes {
		quoted[i] = strconv.Quote(n)
	}
	im.set("auth", "schemes", "[%s]", strings.Join(quoted, ", "))
	im.note("auth.schemes holds all that the old server took; keep only what your XMPP server signs with")
}

// grace brings over the windows that the old configuration names. There no program read them; here they count.
func (im *imported) grace() {
	d := defaults().Grace
	windows := []struct {
		key    string
		length duration
		old    []string
	}{
		{"base", d.Base, []string{"security.tokengraceperiod", "security.graceperiod", "auth.graceperiod", "auth.tokengraceperiod"}},
		{"mobile", d.Mobile, []string{"security.mobilegraceperiod", "auth.mobilegraceperiod"}},
		{"desktop", d.Desktop, []string{"security.desktopgraceperiod", "auth.desktopgraceperiod", "security.standbygraceperiod", "auth.standbygraceperiod"}},
		{"restore", d.Restore, []string{"security.restoregraceperiod", "security.sessionrestoregrace", "security.desktoprestoregrace"}},
		{"ultra", d.Ultra, []string{"security.ultramaxgrace", "security.ultragraceperiod", "auth.ultramaxgrace"}},
	}
	var last duration
	for i, w := range windows {
		v, ok := im.length(w.old...)
		if !ok {
			v = w.length
		}
		if v < last {
			if ok {
				im.note("grace.%s: %s would be shorter than grace.%s, so it is %s", w.key, v, windows[i-1].key, last)
			}
			v = last
		}
		im.set("grace", w.key, "%s", quote(v.String()))
		last = v
	}
}

// limits brings over sizes and the life of files.
func (im *imported) limits() {
	if z, ok := im.bytes("server.maxuploadsize", "uploads.maxuploadsize", "uploads.maxfilesize", "server.maxfilesize", "ejabberd.maxfilesize"); ok {
		im.set("limits", "max_upload_size", "%s", quote(z.String()))
	}
	if z, ok := im.bytes("server.minfreebytes", "server.minfree", "server.minfreespacethreshold", "storage.minfreebytes"); ok {
		im.set("limits", "min_free", "%s", quote(z.String()))
	}
	if d, ok := im.length("server.filettl", "server.maxfileage", "storage.retention", "server.deletefilesafterperiod"); ok {
		if im.on(false, "server.filettlenabled", "server.deletefiles") {
			im.set("limits", "retention", "%s", quote(d.String()))
		} else {
			im.note("limits.retention is empty: the old configuration names %s without switching it on; files are kept", d)
		}
	}
	if z, ok := im.bytes("ejabberd.quotaperuser", "uploads.quotaperuser", "server.quotaperuser"); ok {
		im.set("limits", "quota_per_user", "%s", quote(z.String()))
	}
}

// logging brings over level, format and file.
func (im *imported) logging() {
	if v, ok := im.take("logging.level", "server.loglevel", "log.level"); ok {
		v = strings.ToLower(v)
		if v == "warning" {
			v = "warn"
		}
		if v == "trace" {
			v = "debug"
		}
		if err := (&oneOf[levelValues]{}).UnmarshalText([]byte(v)); err == nil {
			im.set("log", "level", "%s", quote(v))
		} else {
			im.note("%s: %v; the default is taken", im.name("logging.level", "server.loglevel", "log.level"), err)
		}
	}
	if im.on(false, "server.loggingjson", "logging.json") {
		im.set("log", "format", "%s", quote("json"))
	}
	if v, ok := im.take("logging.file", "server.logfile", "log.file"); ok {
		im.set("log", "file", "%s", quote(filepath.Join(filepath.Dir(v), "holdfast-server.log")))
		im.note("log.file has a name of its own beside the old log")
	}
}

// long are the units of time that Go does not have.
var long = regexp.MustCompile(`(?i)^(\d+)\s*(d|w|mo|y)$`)

// length reads a duration as the old server wrote it: "8h", "180d", "1y", or seconds.
func (im *imported) length(names ...string) (duration, bool) {
	v, ok := im.take(names...)
	if !ok {
		return 0, false
	}
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return duration(time.Duration(n) * time.Second), true
	}
	if m := long.FindStringSubmatch(v); m != nil {
		days := map[string]time.Duration{"d": 1, "w": 7, "mo": 30, "y": 365}[strings.ToLower(m[2])]
		if n, err := strconv.ParseUint(m[1], 10, 12); err == nil {
			return duration(time.Duration(n) * days * 24 * time.Hour), true
		}
	}
	if d, err := time.ParseDuration(v); err == nil && d >= 0 {
		return duration(d), true
	}
	im.note("%s: %q is not a length of time; the default is taken", im.name(names...), v)
	return 0, false
}

// bytes reads a size as the old server wrote it.
func (im *imported) bytes(names ...string) (size, bool) {
	v, ok := im.take(names...)
	if !ok {
		return 0, false
	}
	var z size
	if err := z.UnmarshalText([]byte(v)); err != nil {
		im.note("%s: %v", im.name(names...), err)
		return 0, false
	}
	return z, true
}
