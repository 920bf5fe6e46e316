package companion

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"go.uber.org/goleak"

	"holdfast/app/agent"
	"holdfast/app/control"
	"holdfast/cmd/lab"
)

func TestMain(m *testing.M) {
	if os.Getenv(fakeDino) != "" {
		if err := playDino(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// running is a companion in this process, with a home folder of its own.
type running struct {
	paths  Paths
	listen string
	client control.Client
	log    *bytes.Buffer // to be read only after stop
	stop   func() error
}

// start runs a companion with the given config.toml until the test ends.
func start(t *testing.T, config string, extra map[string]string) *running {
	t.Helper()
	p, getenv := desk(t)
	if config != "" {
		write(t, p.Config, config)
	}
	return startAt(t, p, func(name string) string {
		if v, ok := extra[name]; ok {
			return v
		}
		return getenv(name)
	})
}

func startAt(t *testing.T, p Paths, getenv func(string) string) *running {
	t.Helper()
	r := &running{paths: p, log: &bytes.Buffer{}}
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan string, 1)
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, p, Options{
			Version: "0.0.1", Getenv: getenv, Ready: func(l string) { ready <- l },
			Log: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
	}()
	select {
	case r.listen = <-ready:
	case err := <-done:
		cancel()
		t.Fatalf("Run: %v", err)
	}
	var err error
	if r.client, err = control.Dial(t.Context(), p.Runtime); err != nil {
		t.Fatal(err)
	}
	ended := false
	r.stop = func() error {
		if ended {
			return nil
		}
		ended = true
		_ = r.client.Close()
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", r.log)
		}
	})
	return r
}

// await waits until the state is as wanted.
func (r *running) await(t *testing.T, what string, ok func(agent.State) bool) agent.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	events, err := r.client.Events(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var last agent.State
	for {
		if s, err := control.ReadState(ctx, r.client); err == nil && ok(s) {
			return s
		}
		e, open := <-events
		if !open {
			t.Fatalf("%s: not reached; last state %+v", what, last)
		}
		if s, err := e.State(); err == nil {
			last = s
		}
	}
}

func has(s agent.State, code agent.Code) bool {
	return slices.ContainsFunc(s.Problems, func(p agent.Problem) bool { return p.Code == string(code) })
}

const anyListen = "[relay]\nlisten = \"127.0.0.1:0\"\n"

func TestThereIsOneCompanion(t *testing.T) {
	r := start(t, anyListen, nil)
	err := Run(t.Context(), r.paths, Options{})
	if running, ok := errors.AsType[ErrRunning](err); !ok || running.PID != os.Getpid() {
		t.Errorf("the second: %v", err)
	}
	if _, err := r.client.GetState(t.Context()); err != nil {
		t.Errorf("the first after that: %v", err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Dial(t.Context(), r.paths.Runtime); control.KindOf(err) != control.NotRunning {
		t.Errorf("after the end: %v", err)
	}
	startAt(t, r.paths, env(nil)) // a third may start now
}

func TestStopIsAnsweredAndEndsTheCompanion(t *testing.T) {
	address := lab.Bus(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
	for name, dial := range map[string]func(Paths) (control.Client, error){
		"socket": func(p Paths) (control.Client, error) { return control.Dial(t.Context(), p.Runtime) },
		"bus":    func(Paths) (control.Client, error) { return control.DialBus(t.Context(), address) },
	} {
		t.Run(name, func(t *testing.T) {
			p, getenv := desk(t)
			write(t, p.Config, anyListen)
			ready := make(chan string, 1)
			done := make(chan error, 1)
			go func() {
				done <- Run(context.Background(), p, Options{Ready: func(l string) { ready <- l }, Getenv: func(name string) string {
					if name == "DBUS_SESSION_BUS_ADDRESS" {
						return address
					}
					return getenv(name)
				}})
			}()
			<-ready
			c, err := dial(p)
			for control.KindOf(err) == control.NotRunning { // the bus name comes a moment later
				c, err = dial(p)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if err := c.Stop(t.Context()); err != nil {
				t.Errorf("Stop: %v", err)
			}
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("Run: %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("it goes on")
			}
		})
	}
}

func TestACompanionWithoutAnythingRuns(t *testing.T) {
	p, _ := desk(t) // no config.toml, no bus, no keyring, no NetworkManager
	write(t, p.Config, anyListen)
	r := startAt(t, p, env(nil))
	s := r.await(t, "first state", func(s agent.State) bool { return has(s, agent.NoHosts) })
	if s.Relay.Listen != r.listen || s.Relay.PID != os.Getpid() || !s.Network.Online || !s.AutoFix {
		t.Errorf("%+v", s)
	}
	doc, err := r.client.RouteStatus(t.Context())
	if err != nil || !strings.Contains(doc, `"mode":"none"`) || !strings.Contains(doc, `"https_proxy":"http://`+r.listen+`"`) {
		t.Errorf("RouteStatus: %s, %v", doc, err)
	}
	if _, err := r.client.RoutePlan(t.Context(), "pac", false); control.KindOf(err) != control.Invalid {
		t.Errorf("RoutePlan: %v", err)
	}
	for name, err := range map[string]error{
		"Cancel":         r.client.Cancel(t.Context(), "x"),
		"TryNow":         r.client.TryNow(t.Context(), "x"),
		"unknown event":  r.client.ReportClient(t.Context(), "dino", 1, "exploded", ""),
		"unknown client": r.client.ReportClient(t.Context(), "pidgin", 1, "stuck", ""),
	} {
		if k := control.KindOf(err); k != control.Invalid && k != control.UnknownClient {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestABusyPortIsSaidAndWorkedAround(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	r := start(t, "[relay]\nlisten = \""+other.Addr().String()+"\"\n", nil)
	if r.listen == other.Addr().String() {
		t.Fatal("two listen on one port")
	}
	r.await(t, "relay-port", func(s agent.State) bool { return has(s, agent.RelayPort) && s.Relay.Listen == r.listen })
}

func TestHandEditsAreUsedAndBadOnesAreShown(t *testing.T) {
	r := start(t, anyListen+"hosts = [\"a.example\"]\n", nil)
	r.await(t, "start", func(s agent.State) bool { return s.AutoFix && !has(s, agent.NoHosts) })

	begin := time.Now()
	write(t, r.paths.Config, anyListen+"hosts = [\"a.example\", \"b.example\"]\n[autofix]\nenabled = false\n")
	r.await(t, "auto-fix off", func(s agent.State) bool { return !s.AutoFix })
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("the edit was used after %v", d)
	}
	doc, err := r.client.Hosts(t.Context(), "list", "")
	if err != nil || !strings.Contains(doc, "b.example") {
		t.Errorf("hosts: %s, %v", doc, err)
	}

	write(t, r.paths.Config, anyListen+"hosts = [\"c.example\"\n[autofix]\nenabled = true\n")
	s := r.await(t, "a mistake", func(s agent.State) bool { return has(s, agent.ConfigError) })
	if s.Status != agent.Attention || s.AutoFix || !strings.Contains(s.Problems[0].Text, "line ") {
		t.Errorf("%+v", s)
	}
	if doc, err := r.client.Hosts(t.Context(), "list", ""); err != nil || !strings.Contains(doc, "b.example") {
		t.Errorf("the last good values: %s, %v", doc, err)
	}
	// While the file has a mistake, nothing is written into it.
	if err := r.client.SetAutoFix(t.Context(), true); control.KindOf(err) != control.Failed || !strings.Contains(err.Error(), "line ") {
		t.Errorf("SetAutoFix: %v", err)
	}

	write(t, r.paths.Config, anyListen+"colour = 'red'\n")
	r.await(t, "an unknown key", func(s agent.State) bool {
		return !has(s, agent.ConfigError) && has(s, agent.ConfigUnknown) && s.AutoFix
	})

	write(t, r.paths.Config, "[relay]\nlisten = \"127.0.0.1:1\"\n")
	r.await(t, "a restart is needed", func(s agent.State) bool { return has(s, agent.RestartNeeded) && !has(s, agent.ConfigUnknown) })
}

func TestClicksAreWrittenAndSeenAtOnce(t *testing.T) {
	r := start(t, "# mine\n"+anyListen, nil)
	ctx := t.Context()
	if err := r.client.SetAutoFix(ctx, false); err != nil {
		t.Fatal(err)
	}
	if s, err := control.ReadState(ctx, r.client); err != nil || s.AutoFix {
		t.Errorf("state: %+v, %v", s, err)
	}
	doc, err := r.client.Hosts(ctx, "add", "Upload.Example.ORG:443")
	var hosts HostsDocument
	if err != nil || json.Unmarshal([]byte(doc), &hosts) != nil || len(hosts.Hosts) != 1 || !hosts.Changed {
		t.Fatalf("add: %s, %v", doc, err)
	}
	if hosts.Hosts[0].Host != "upload.example.org" || !exists(hosts.Hosts[0].CAFile) {
		t.Errorf("host: %+v", hosts.Hosts[0])
	}
	if got := read(t, r.paths.Config); got != "# mine\n"+anyListen+"hosts = [\"upload.example.org\"]\n\n[autofix]\nenabled = false\n" {
		t.Errorf("config.toml is %q", got)
	}
	if _, err := r.client.Hosts(ctx, "add", "https://x/"); control.KindOf(err) != control.Invalid {
		t.Errorf("a URL: %v", err)
	}
	if _, err := r.client.Hosts(ctx, "explode", "x"); control.KindOf(err) != control.Invalid {
		t.Errorf("a wrong verb: %v", err)
	}
	if doc, err := r.client.TrustStatus(ctx); err != nil || !strings.Contains(doc, `"installed":false`) || !strings.Contains(doc, hosts.Hosts[0].CAFile) {
		t.Errorf("TrustStatus: %s, %v", doc, err)
	}
	if doc, err := r.client.Hosts(ctx, "remove", "upload.example.org"); err != nil || strings.Contains(doc, "upload") {
		t.Errorf("remove: %s, %v", doc, err)
	}

	if err := r.client.Pause(ctx, time.Hour); err != nil {
		t.Fatal(err)
	}
	if s, err := control.ReadState(ctx, r.client); err != nil || !s.Paused || time.Until(s.PausedUntil) < 59*time.Minute {
		t.Errorf("paused: %+v, %v", s, err)
	}
	if err := r.client.Resume(ctx); err != nil {
		t.Fatal(err)
	}
}

// origin is an upload server that takes everything.
func origin(t *testing.T) (host, caFile string) {
	t.Helper()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(srv.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	write(t, caFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})))
	return srv.Listener.Addr().String(), caFile
}

// put uploads through the relay of a companion, as a client with its certificate would.
func (r *running) put(t *testing.T, host, path, body string) int {
	t.Helper()
	doc, err := r.client.Hosts(t.Context(), "list", "")
	var hosts HostsDocument
	if err != nil || json.Unmarshal([]byte(doc), &hosts) != nil || len(hosts.Hosts) == 0 {
		t.Fatalf("hosts: %s, %v", doc, err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(read(t, hosts.Hosts[0].CAFile)))
	tr := &http.Transport{
		Proxy:             http.ProxyURL(&url.URL{Scheme: "http", Host: r.listen}),
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		DisableKeepAlives: true,
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://"+host+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", "Gajim 1.7.3")
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode
}

func TestAnUploadIsCarriedShownAndRemembered(t *testing.T) {
	host, ca := origin(t)
	r := start(t, anyListen+"hosts = [\""+host+"\"]\nupstream_ca = \""+ca+"\"\n", nil)
	if code := r.put(t, host, "/up/load/cat%20picture.png?v2=secret", "meow"); code != http.StatusCreated {
		t.Fatalf("PUT: %d", code)
	}
	s := r.await(t, "the upload", func(s agent.State) bool { return s.Last != nil })
	if s.Last.State != "done" || s.Last.File != "cat picture.png" || s.Last.Client != "Gajim" || s.Last.Size != 4 || strings.Contains(s.Last.URL, "secret") {
		t.Errorf("last upload: %+v", s.Last)
	}
	list, err := control.ReadUploads(t.Context(), r.client, 0)
	if err != nil || len(list.Uploads) != 1 || list.Uploads[0].ID != s.Last.ID {
		t.Errorf("list: %+v, %v", list, err)
	}
	if doc, err := r.client.Diagnose(t.Context()); err != nil || !strings.Contains(doc, `"name":"host","host":"`+host+`","ok":true`) || !strings.Contains(doc, `"name":"relay","ok":true`) {
		t.Errorf("Diagnose: %s, %v", doc, err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(r.log.String(), "secret") {
		t.Errorf("a permission is in the log:\n%s", r.log)
	}
	again := startAt(t, r.paths, env(nil))
	if s := again.await(t, "history", func(s agent.State) bool { return s.Last != nil }); s.Last.File != "cat picture.png" {
		t.Errorf("after a restart: %+v", s.Last)
	}
}

func TestAnUploadThatRunsAtTheEndIsRemembered(t *testing.T) {
	host, ca := origin(t)
	r := start(t, anyListen+"hosts = [\""+host+"\"]\nupstream_ca = \""+ca+"\"\n", nil)
	caFile := ""
	if doc, err := r.client.Hosts(t.Context(), "list", ""); err == nil {
		var d HostsDocument
		if json.Unmarshal([]byte(doc), &d) == nil && len(d.Hosts) == 1 {
			caFile = d.Hosts[0].CAFile
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(read(t, caFile)))
	body, feed := io.Pipe()
	tr := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: r.listen}), TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://"+host+"/a/b", body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 1000
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if resp, err := (&http.Client{Transport: tr}).Do(req); err == nil {
			_ = resp.Body.Close()
		}
	}()
	if _, err := feed.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	r.await(t, "the upload runs", func(s agent.State) bool { return s.Uploads.Active == 1 })
	list, err := control.ReadUploads(t.Context(), r.client, 5)
	if err != nil || len(list.Uploads) != 1 || list.Uploads[0].Ended != (time.Time{}) {
		t.Errorf("running: %+v, %v", list, err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	_ = feed.CloseWithError(io.ErrUnexpectedEOF)
	<-answered
	if got := read(t, filepath.Join(r.paths.State, "uploads.jsonl")); !strings.Contains(got, `"state":"cancelled"`) {
		t.Errorf("history: %s", got)
	}
}

func TestTheBusIsServedWhereThereIsOne(t *testing.T) {
	address := lab.Bus(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", address) // the keyring library reads it from the process
	r := start(t, anyListen, map[string]string{"DBUS_SESSION_BUS_ADDRESS": address})
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	owned := make(chan *dbus.Signal, 8)
	conn.Signal(owned)
	if err := conn.AddMatchSignal(dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, control.BusName)); err != nil {
		t.Fatal(err)
	}
	c, err := control.DialBus(t.Context(), address)
	for control.KindOf(err) == control.NotRunning {
		<-owned
		c, err = control.DialBus(t.Context(), address)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetAutoFix(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if s, err := control.ReadState(t.Context(), r.client); err != nil || s.AutoFix {
		t.Errorf("over the socket: %+v, %v", s, err)
	}
	v, err := conn.Object(control.BusName, control.Path).GetProperty(control.Interface + ".Version")
	if err != nil || v.Value() != "0.0.1" {
		t.Errorf("Version: %v, %v", v, err)
	}
}

func TestARunningClientIsSeenOnTheBus(t *testing.T) {
	address := lab.Bus(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
	r := start(t, anyListen+"hosts = [\"a.example\"]\n", map[string]string{"DBUS_SESSION_BUS_ADDRESS": address})
	r.await(t, "Gajim is installed", func(s agent.State) bool {
		return len(s.Clients) == 1 && s.Clients[0].Kind == "gajim" && !s.Clients[0].Running
	})
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.RequestName("org.gajim.Gajim", dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	s := r.await(t, "Gajim runs without Holdfast", func(s agent.State) bool { return has(s, agent.ClientNotRouted) })
	if s.Status != agent.Attention || !s.Clients[0].Running || s.Clients[0].PID != os.Getpid() || s.Clients[0].State != "not-routed" {
		t.Errorf("%+v", s)
	}
	if err := r.client.ReportClient(t.Context(), "gajim", uint32(os.Getpid()), "needs-restart", ""); err != nil {
		t.Fatal(err)
	}
	r.await(t, "what a launcher reported", func(s agent.State) bool { return s.Clients[0].State == "needs-restart" })
	if _, err := conn.ReleaseName("org.gajim.Gajim"); err != nil {
		t.Fatal(err)
	}
	r.await(t, "Gajim is gone", func(s agent.State) bool { return !has(s, agent.ClientNotRouted) && !s.Clients[0].Running })
}
