package diagnose

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/app/words"
	"holdfast/cmd/lab"
)

const (
	far  = "upload.far.test"  // in a network of its own, behind two cables
	near = "upload.near.test" // on this machine
)

// need skips what needs the namespaces.
func need(t *testing.T) {
	t.Helper()
	lab.NeedRoot(t)
	lab.Need(t, "ip", "iproute2")
}

func run(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// site is an upload server for one test.
type site struct {
	t      *testing.T
	ca     *lab.CA
	header func(http.Header) // may be nil
	status int
}

func newSite(t *testing.T) *site {
	t.Helper()
	ca, err := lab.NewCA(t.TempDir(), "Public CA")
	if err != nil {
		t.Fatal(err)
	}
	return &site{t: t, ca: ca, status: http.StatusOK}
}

// serve answers on a listener with TLS.
func (s *site) serve(l net.Listener, v lab.Validity, names ...string) {
	s.t.Helper()
	cert, key, err := s.ca.IssueFor(v, names...)
	if err != nil {
		s.t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		s.t.Fatal(err)
	}
	serveHTTP(s.t, tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}}), func(w http.ResponseWriter, r *http.Request) {
		if s.header != nil {
			s.header(w.Header())
		}
		w.WriteHeader(s.status)
		if r.URL.Path == "/health" && s.status == http.StatusOK {
			_, _ = io.WriteString(w, "OK\n")
		}
	})
}

func serveHTTP(t *testing.T, l net.Listener, h http.HandlerFunc) {
	t.Helper()
	srv := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
}

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// now is a validity that holds.
func valid() lab.Validity {
	return lab.Validity{From: time.Now().Add(-time.Hour), To: time.Now().AddDate(0, 3, 0)}
}

// question is a companion with a relay that answers and nothing wrong.
func question(t *testing.T, s *site, host string) Question {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	serveHTTP(t, l, func(http.ResponseWriter, *http.Request) {})
	q := Question{
		Running: true, Listen: l.Addr().String(),
		Network: &Network{Line: "Cable wired0", Name: "wired0", Online: true},
		Keyring: func(context.Context) string { return "ok" },
		Token:   func(context.Context, Host) bool { return false },
		Trust:   []Trust{{Host: host, Installed: true}},
		Clients: []Client{{Kind: "gajim", Install: "native", Version: "1.7.3", Running: true, State: "ready"}},
	}
	if host != "" {
		q.Hosts = []Host{{Text: host, Name: host}}
	}
	if s != nil {
		q.Roots = s.ca.Pool()
	}
	return q
}

// brief is a document as tests compare it: what is not "pass".
func brief(d Document) (out []string) {
	for _, c := range d.Checks {
		if c.Verdict != Pass {
			out = append(out, string(c.Verdict)+" "+c.Name)
		}
	}
	return out
}

func ask(t *testing.T, q Question) Document {
	t.Helper()
	d := Run(t.Context(), q, words.For("en"))
	for _, c := range d.Checks {
		t.Logf("%s %s %s%s: %s %s", c.Verdict, c.Name, c.Interface, c.Family, c.Text, c.Remedy)
		if c.Verdict != Pass && c.Remedy == "" {
			t.Errorf("%s has no remedy: %s", c.Name, c.Text)
		}
		if c.OK != (c.Verdict != Fail) {
			t.Errorf("%s is %s and ok is %v", c.Name, c.Verdict, c.OK)
		}
	}
	return d
}

// expect checks that exactly these are not "pass", and returns the check of the first of them.
func expect(t *testing.T, d Document, want ...string) Check {
	t.Helper()
	got := brief(d)
	if !slices.Equal(got, want) {
		t.Fatalf("found %q, want %q", got, want)
	}
	if len(want) == 0 {
		return Check{}
	}
	_, name, _ := strings.Cut(want[0], " ")
	i := slices.IndexFunc(d.Checks, func(c Check) bool { return c.Name == name && c.Verdict != Pass })
	return d.Checks[i]
}

// alone is what a machine without cables has to say besides.
var alone = []string{"warn interfaces"}

// noDNS: nobody answers on the nameserver of the namespace, and the hosts are in its hosts file.
var noDNS = []string{"warn dns"}

func also(want ...[]string) []string { return slices.Concat(want...) }

func nearSite(t *testing.T, v lab.Validity, names ...string) *site {
	t.Helper()
	need(t)
	s := newSite(t)
	s.serve(listen(t, "127.0.1.2:443"), v, names...)
	return s
}

func TestNothingWrong(t *testing.T) {
	s := nearSite(t, valid(), near)
	d := ask(t, question(t, s, near))
	expect(t, d, also(alone, noDNS)...)
	if !d.OK {
		t.Error("the whole is not ok")
	}
	for _, name := range []string{"network", "relay", "keyring", "client", "host", "certificate", "health", "clock", "token", "trust"} {
		if !slices.ContainsFunc(d.Checks, func(c Check) bool { return c.Name == name && c.Verdict == Pass }) {
			t.Errorf("%s is not in the document as pass", name)
		}
	}
}

func TestAnExpiredCertificate(t *testing.T) {
	s := nearSite(t, lab.Validity{From: time.Now().AddDate(0, -3, 0), To: time.Now().AddDate(0, 0, -2)}, near)
	d := ask(t, question(t, s, near))
	expect(t, d, also(alone, noDNS, []string{"fail host", "fail certificate"})...)
	day := time.Now().AddDate(0, 0, -2).UTC().Format(time.DateOnly)
	if !slices.ContainsFunc(d.Checks, func(c Check) bool { return c.Name == "certificate" && strings.Contains(c.Text, "it ended on "+day) }) {
		t.Errorf("nothing says that it ended on %s", day)
	}
}

func TestACertificateThatEndsSoon(t *testing.T) {
	s := nearSite(t, lab.Validity{From: time.Now().AddDate(0, -3, 0), To: time.Now().AddDate(0, 0, 2)}, near)
	expect(t, ask(t, question(t, s, near)), also(alone, noDNS, []string{"warn certificate"})...)
}

func TestACertificateForAnotherName(t *testing.T) {
	s := nearSite(t, valid(), "other.near.test")
	expect(t, ask(t, question(t, s, near)), also(alone, noDNS, []string{"fail host", "fail certificate"})...)
}

func TestAClockThatIsOffByAnHour(t *testing.T) {
	for _, c := range []struct {
		name, says string
		server     time.Duration // the server's clock against ours
		verdict    string
	}{
		{"ahead", "60 min ahead", -time.Hour, "fail clock"},
		{"behind", "60 min behind", time.Hour, "fail clock"},
		{"a little", "2 min behind", 2 * time.Minute, "warn clock"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := nearSite(t, valid(), near)
			s.header = func(h http.Header) { h.Set("Date", time.Now().Add(c.server).UTC().Format(http.TimeFormat)) }
			d := ask(t, question(t, s, near))
			expect(t, d, also(alone, noDNS, []string{c.verdict})...)
			if !slices.ContainsFunc(d.Checks, func(k Check) bool { return k.Name == "clock" && strings.Contains(k.Text, c.says) }) {
				t.Errorf("nothing says %q", c.says)
			}
		})
	}
}

func TestALockedKeyring(t *testing.T) {
	s := nearSite(t, valid(), near)
	q := question(t, s, near)
	q.Keyring = func(context.Context) string { return "locked" }
	d := ask(t, q)
	expect(t, d, also(alone, noDNS, []string{"warn keyring"})...)
	if !d.OK {
		t.Error("uploads work without a keyring, so the whole is ok")
	}
}

func TestMissingTrust(t *testing.T) {
	s := nearSite(t, valid(), near)
	q := question(t, s, near)
	q.Trust[0].Installed = false
	expect(t, ask(t, q), also(alone, noDNS, []string{"warn trust"})...)
	q.Clients[0].State = "not-trusted"
	expect(t, ask(t, q), also(alone, noDNS, []string{"fail trust", "fail trust"})...)
}

func TestADeadRelay(t *testing.T) {
	s := nearSite(t, valid(), near)
	q := question(t, s, near)
	l := listen(t, "127.0.0.1:0")
	q.Listen = l.Addr().String()
	_ = l.Close()
	expect(t, ask(t, q), also(alone, noDNS, []string{"fail relay"})...)
	q.Running = false
	expect(t, ask(t, q), also(alone, noDNS, []string{"fail relay"})...)
}

func TestARelayOnAnotherPort(t *testing.T) {
	s := nearSite(t, valid(), near)
	q := question(t, s, near)
	q.Wanted = "127.0.0.1:5380"
	expect(t, ask(t, q), also(alone, noDNS, []string{"warn relay-port"})...)
}

func TestACaptivePortal(t *testing.T) {
	need(t)
	// A portal answers in everybody's name: with a page that leads to its own on port 80, and its own certificate on 443.
	portal := newSite(t)
	portal.serve(listen(t, "127.0.1.2:443"), valid(), "login.portal.test")
	serveHTTP(t, listen(t, "127.0.1.2:80"), func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://login.portal.test/start?to="+r.Host, http.StatusFound)
	})
	real := newSite(t)
	d := ask(t, question(t, real, near))
	expect(t, d, also(alone, noDNS, []string{"fail portal", "fail host", "fail certificate"})...)
	if i := slices.IndexFunc(d.Checks, func(c Check) bool { return c.Name == "portal" }); !strings.Contains(d.Checks[i].Text, "login.portal.test") {
		t.Errorf("the portal is not named: %s", d.Checks[i].Text)
	}
}

func TestAServerThatRedirectsToItsOwnHTTPSIsNoPortal(t *testing.T) {
	s := nearSite(t, lab.Validity{From: time.Now().AddDate(0, -3, 0), To: time.Now().AddDate(0, 0, -2)}, near)
	serveHTTP(t, listen(t, "127.0.1.2:80"), func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusMovedPermanently)
	})
	expect(t, ask(t, question(t, s, near)), also(alone, noDNS, []string{"fail host", "fail certificate"})...)
}

func TestAServerThatDoesNotWork(t *testing.T) {
	s := nearSite(t, valid(), near)
	s.status = http.StatusBadGateway
	expect(t, ask(t, question(t, s, near)), also(alone, noDNS, []string{"fail health"})...)
}

func TestNobodyAnswersThere(t *testing.T) {
	need(t)
	expect(t, ask(t, question(t, newSite(t), near)), also(alone, noDNS, []string{"fail host"})...)
}

// resolver answers every question for a name that exists nowhere, as a nameserver of another network would.
func resolver(t *testing.T, addr string) {
	t.Helper()
	c, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if n < 12 {
				continue
			}
			answer := slices.Clone(buf[:n])
			answer[2], answer[3] = 0x81, 0x83 // response, recursion available, NXDOMAIN
			for i := 6; i < 12; i++ {
				answer[i] = 0
			}
			end := 12 // of the question: the additional section of the query is left out
			for end < n && answer[end] != 0 {
				end += int(answer[end]) + 1
			}
			_, _ = c.WriteTo(answer[:min(end+5, n)], from)
		}
	}()
	t.Cleanup(func() { _ = c.Close(); <-done })
}

// nameserver replaces the nameserver of the namespace.
func nameserver(t *testing.T, addr string) {
	t.Helper()
	old, err := os.ReadFile(resolvConf)
	if err != nil {
		t.Fatal(err)
	}
	write := func(b []byte) {
		if err := os.WriteFile(resolvConf, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte("nameserver " + addr + "\noptions timeout:1 attempts:1\n"))
	t.Cleanup(func() { write(old) })
}

func TestWrongDNS(t *testing.T) {
	need(t)
	const lost = "upload.nowhere.test"
	t.Run("a nameserver that does not know the host", func(t *testing.T) {
		resolver(t, "127.0.0.53:53")
		nameserver(t, "127.0.0.53")
		d := ask(t, question(t, newSite(t), lost))
		expect(t, d, also(alone, []string{"fail dns", "fail host"})...)
		if !slices.ContainsFunc(d.Checks, func(c Check) bool { return c.Name == "dns" && strings.Contains(c.Text, "127.0.0.53 does not know") }) {
			t.Error("the nameserver is not named")
		}
	})
	t.Run("a nameserver that does not answer", func(t *testing.T) {
		nameserver(t, "127.0.0.54")
		d := ask(t, question(t, newSite(t), lost))
		expect(t, d, also(alone, []string{"fail dns", "fail host"})...)
		if !slices.ContainsFunc(d.Checks, func(c Check) bool {
			return c.Name == "dns" && strings.Contains(c.Text, "do not answer: 127.0.0.54")
		}) {
			t.Error("the nameserver is not named")
		}
	})
	t.Run("none at all", func(t *testing.T) {
		old, err := os.ReadFile(resolvConf)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(resolvConf, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.WriteFile(resolvConf, old, 0o644) })
		expect(t, ask(t, question(t, newSite(t), lost)), also(alone, []string{"fail dns", "fail host"})...)
	})
}

// elsewhere makes a second network namespace. in runs f there.
func elsewhere(t *testing.T) (path string, in func(f func() error) error) {
	t.Helper()
	type made struct {
		f   *os.File
		err error
	}
	ready := make(chan made)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ready <- made{err: err}
			return
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		ready <- made{f, err}
	}()
	m := <-ready
	if m.err != nil {
		t.Fatal(m.err)
	}
	t.Cleanup(func() { _ = m.f.Close() })
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), m.f.Fd()), func(f func() error) error {
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // as above
			if err := unix.Setns(int(m.f.Fd()), unix.CLONE_NEWNET); err != nil {
				done <- err
				return
			}
			done <- f()
		}()
		return <-done
	}
}

// cables joins this namespace to another one, in which the far server listens, by eth0 and eth1.
func cables(t *testing.T, s *site) {
	t.Helper()
	path, in := elsewhere(t)
	for _, n := range []string{"0", "1"} {
		run(t, "ip", "link", "add", "eth"+n, "type", "veth", "peer", "name", "peer"+n)
		t.Cleanup(func() { run(t, "ip", "link", "del", "eth"+n) })
		run(t, "ip", "link", "set", "peer"+n, "netns", path)
		run(t, "ip", "address", "add", "10.90."+n+".2/24", "dev", "eth"+n)
		run(t, "ip", "link", "set", "eth"+n, "up")
	}
	var l net.Listener
	err := in(func() error {
		for _, args := range [][]string{
			{"link", "set", "lo", "up"}, {"address", "add", "10.9.9.9/32", "dev", "lo"},
			{"address", "add", "10.90.0.1/24", "dev", "peer0"}, {"link", "set", "peer0", "up"},
			{"address", "add", "10.90.1.1/24", "dev", "peer1"}, {"link", "set", "peer1", "up"},
		} {
			if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
				return fmt.Errorf("ip %v: %w: %s", args, err, out)
			}
		}
		var err error
		l, err = net.Listen("tcp", "10.9.9.9:443")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.serve(l, valid(), far)
}

func TestInterfacesAndRoutes(t *testing.T) {
	need(t)
	s := newSite(t)
	cables(t, s)
	find := func(d Document, name, device string) Check {
		t.Helper()
		for _, c := range d.Checks {
			if c.Name == name && (device == "" || c.Interface == device) {
				return c
			}
		}
		t.Fatalf("no check %s %s", name, device)
		return Check{}
	}

	// Two interfaces with addresses, one way out: nothing wrong.
	run(t, "ip", "route", "add", "default", "via", "10.90.0.1", "dev", "eth0", "metric", "100")
	d := ask(t, question(t, s, far))
	expect(t, d, noDNS...)
	if text := find(d, "interfaces", "").Text; !strings.Contains(text, "eth0 (10.90.0.2/24, default route)") || !strings.Contains(text, "eth1 (10.90.1.2/24)") {
		t.Errorf("interfaces: %s", text)
	}
	if c := find(d, "way", "eth0"); c.Verdict != Pass || c.Family != "ipv4" {
		t.Errorf("the way over eth0: %+v", c)
	}

	// Two default routes, both of which lead there.
	run(t, "ip", "route", "add", "default", "via", "10.90.1.1", "dev", "eth1", "metric", "200")
	d = ask(t, question(t, s, far))
	c := expect(t, d, also([]string{"warn default-route"}, noDNS)...)
	if !strings.Contains(c.Text, "eth0 via 10.90.0.1, metric 100; eth1 via 10.90.1.1, metric 200. Programs take eth0") {
		t.Errorf("default routes: %s", c.Text)
	}
	if c := find(d, "way", "eth1"); c.Verdict != Pass {
		t.Errorf("the way over eth1: %+v", c)
	}

	// The second one leads nowhere: found, although programs do not take it.
	run(t, "ip", "route", "replace", "default", "via", "10.90.1.99", "dev", "eth1", "metric", "200")
	d = ask(t, question(t, s, far))
	expect(t, d, also([]string{"warn default-route"}, noDNS, []string{"warn way"})...)
	if c := find(d, "way", "eth1"); c.Verdict != Warn {
		t.Errorf("the way over eth1: %+v", c)
	}

	// No default route at all.
	run(t, "ip", "route", "del", "default", "dev", "eth0")
	run(t, "ip", "route", "del", "default", "dev", "eth1")
	q := question(t, s, far)
	q.Network = nil
	expect(t, ask(t, q), also([]string{"fail network", "warn default-route"}, noDNS, []string{"fail host"})...)
}
