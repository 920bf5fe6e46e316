package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"holdfast/relay/server"
	"holdfast/relay/server/admit"
	"holdfast/relay/server/device"
	"holdfast/relay/server/ledger"
	"holdfast/relay/server/realip"
	"holdfast/relay/server/store"
	"holdfast/relay/token"
)

// instance is a private server of a configuration on loopback: its own folders, its own clock.
type instance struct {
	conf     *config
	set      server.Settings
	dir      string
	clock    atomic.Int64 // seconds; what the server takes for now
	addr     string
	client   *http.Client
	shutdown func() error
	serial   int
}

// newInstance makes an instance; start starts it.
func newInstance(c *config, issuers []token.Issuer, trust realip.Trust, dir string) *instance {
	in := &instance{conf: c, dir: dir, client: &http.Client{Timeout: 20 * time.Second}}
	in.set = server.Settings{
		Issuers: issuers,
		Windows: admit.Windows{
			Base: time.Duration(c.Grace.Base), Mobile: time.Duration(c.Grace.Mobile), Desktop: time.Duration(c.Grace.Desktop),
			Restore: time.Duration(c.Grace.Restore), Ultra: time.Duration(c.Grace.Ultra),
		},
		MaxUpload: int64(c.Limits.MaxUploadSize), Trust: trust, Enrol: device.BySlot,
	}
	in.clock.Store(time.Now().Unix())
	return in
}

func (in *instance) now() time.Time { return time.Unix(in.clock.Load(), 0) }

// start opens the folders and serves.
func (in *instance) start() error {
	led, err := ledger.Open(filepath.Join(in.dir, "state"), ledger.Options{Now: in.now})
	if err != nil {
		return fmt.Errorf("open a ledger: %w", err)
	}
	disk, err := store.Open(filepath.Join(in.dir, "files"), store.Options{Attrs: led})
	if err != nil {
		return errors.Join(fmt.Errorf("open a store: %w", err), led.Close())
	}
	keys, err := device.Open(filepath.Join(in.dir, "state"), in.conf.Server.PublicURL, in.now())
	if err != nil {
		return errors.Join(err, disk.Close(), led.Close())
	}
	srv, err := server.New(server.Config{
		Prefix: prefix(in.conf.Server.PublicURL), Settings: in.set, Store: disk, Ledger: led, Now: in.now,
		Devices: keys, Public: in.conf.Server.PublicURL,
	})
	if err != nil {
		return errors.Join(err, disk.Close(), led.Close())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, disk.Close(), led.Close())
	}
	in.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l, nil) }()
	in.shutdown = func() error {
		in.client.CloseIdleConnections()
		cancel()
		return errors.Join(<-done, disk.Close(), led.Close())
	}
	return nil
}

// answer is what an upload got.
type answer struct {
	status int
	header http.Header
}

func (a answer) String() string {
	if code := a.header.Get("Holdfast-Error"); code != "" {
		return strconv.Itoa(a.status) + " " + code
	}
	return strconv.Itoa(a.status)
}

const checkBody = "check"

// claims are the claims of a new slot, as issued at the time. The file's name is new too: a bearer token binds no more.
func (in *instance) claims(s token.Scheme, user string, issued time.Time) token.Claims {
	in.serial++
	return token.Issued(token.Claims{
		Scheme: s, Path: fmt.Sprintf("check-%d/file-%d.txt", in.serial, in.serial), Size: int64(len(checkBody)), Type: "text/plain", User: user,
	}, issued)
}

// put uploads to a slot.
func (in *instance) put(ctx context.Context, s slot, body string, header map[string]string) (answer, error) {
	return in.send(ctx, http.MethodPut, s, body, header)
}

// send sends a request with the credential of a slot.
func (in *instance) send(ctx context.Context, method string, s slot, body string, header map[string]string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+in.addr+s.Target, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "text/plain")
	if s.Authorization != "" {
		req.Header.Set("Authorization", s.Authorization)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := in.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return answer{resp.StatusCode, resp.Header}, errors.Join(err, resp.Body.Close())
}

// upload signs and puts in one go.
func (in *instance) upload(ctx context.Context, c token.Claims, is token.Issuer, header map[string]string) (answer, error) {
	s, err := signed(in.conf, c, is)
	if err != nil {
		return answer{}, err
	}
	return in.put(ctx, s, checkBody, header)
}

// forge changes one letter of the credential.
func forge(s slot, scheme token.Scheme) slot {
	swap := func(text string, at int) string {
		c := byte('0')
		if text[at] == c {
			c = '1'
		}
		return text[:at] + string(c) + text[at+1:]
	}
	switch scheme {
	case token.JWT:
		s.Authorization = swap(s.Authorization, strings.LastIndexByte(s.Authorization, '.')+1)
	case token.Bearer:
		s.Authorization = swap(s.Authorization, len("Bearer "))
	default:
		s.Target = swap(s.Target, strings.IndexByte(s.Target, '=')+1)
	}
	return s
}

// checkInstance proves on private instances what the configuration promises.
func checkInstance(ctx context.Context, r *report, c *config, issuers []token.Issuer) (err error) {
	dir, err := os.MkdirTemp("", "holdfast-check-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p := &proof{report: r, conf: c, timed: timedIssuer(&issuers)}
	p.issuers = issuers
	local := realip.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	p.in = newInstance(c, issuers, local, filepath.Join(dir, "a"))
	if err := p.in.start(); err != nil {
		return err
	}
	p.schemes(ctx)
	p.once(ctx)
	p.clients()
	p.windows(ctx)
	p.address(ctx)
	p.devices(ctx)
	p.restart(ctx)
	p.resume(ctx)
	if err := p.in.shutdown(); err != nil {
		return err
	}
	p.in = newInstance(c, issuers, realip.Trust{}, filepath.Join(dir, "b"))
	if err := p.in.start(); err != nil {
		return err
	}
	p.untrusted(ctx)
	return p.in.shutdown()
}

// timed is a scheme whose tokens have a time and an identity.
type timed struct {
	scheme token.Scheme
	issuer token.Issuer
	added  bool
}

// timedIssuer picks such a scheme from the configured ones, or adds one to them for the proof.
func timedIssuer(issuers *[]token.Issuer) timed {
	for _, want := range []token.Scheme{token.JWT, token.Bearer} {
		for _, is := range *issuers {
			for _, s := range is.Schemes {
				if s == want {
					return timed{scheme: s, issuer: is}
				}
			}
		}
	}
	is := token.Issuer{Schemes: []token.Scheme{token.JWT}, Secrets: []token.Secret{token.Secret(freshSecret())}}
	*issuers = append(append([]token.Issuer(nil), *issuers...), is)
	return timed{scheme: token.JWT, issuer: is, added: true}
}
