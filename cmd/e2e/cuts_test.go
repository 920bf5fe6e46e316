package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"holdfast/cmd/lab"
)

// The connection between relay and server is cut after every 8 MiB of a large upload. The bytes are identical, and what was
// sent again is little: on a path that holds nothing back at most a hundredth, behind a proxy that keeps requests until it
// has all of them at most a piece of 1 MiB for each cut.
func TestCutAfterCutOnlyWhatIsMissingIsSentAgain(t *testing.T) {
	const mib = 1 << 20
	const every = 8 * mib
	for _, c := range []struct {
		name    string
		short   int64 // size in `make test`; 0: full
		start   func(lab.ProxyConfig) (*lab.ReverseProxy, error)
		program string
		pkg     string
		share   func(size, cuts int64) int64 // what may be sent again
	}{
		{name: "direct", share: hundredth},
		{name: "nginx as it comes", start: lab.StartNginx, program: "nginx", pkg: "nginx-light", share: pieces},
		{name: "nginx that streams", short: 64 * mib, start: streamingNginx, program: "nginx", pkg: "nginx-light", share: pieces},
		{name: "caddy", short: 64 * mib, start: lab.StartCaddy, program: "caddy", pkg: "caddy", share: pieces},
		{name: "haproxy", short: 64 * mib, start: lab.StartHAProxy, program: "haproxy", pkg: "haproxy", share: pieces},
	} {
		t.Run(c.name, func(t *testing.T) {
			size := int64(256 * mib)
			if c.short > 0 && !lab.Soak() {
				size = c.short
			}
			ca, err := lab.NewCA(t.TempDir(), "Lab Public CA")
			if err != nil {
				t.Fatal(err)
			}
			var srv *server
			var cutter *lab.Cutter
			if c.start == nil {
				srv, cutter = behindCutter(t, ca, serverOptions{})
			} else {
				lab.Need(t, c.program, c.pkg)
				srv, cutter = behindProxy(t, ca, c.start)
			}
			comp := startCompanion(t, ca)
			file, sum := randomFile(t, "film.mp4", size)
			url, _ := srv.sign(t, "-scheme", "v2", "-path", "cuts/film.mp4", "-size", strconv.FormatInt(size, 10))

			cutter.CutAfter(every)
			began := time.Now()
			status, headers := curlStatus(t, "-x", comp.proxy(), "--cacert", comp.caFile(t), "-T", file, url)
			took := time.Since(began)
			if status != "201" {
				t.Fatalf("the client got %s\n%s\n%s", status, headers, lab.Tail(comp.log, 4<<10))
			}
			cutter.CutAfter(0)
			if got := download(t, ca, withoutQuery(url)); got != sum {
				t.Error("the file on the server differs")
			}
			u := comp.uploads(t)
			if len(u) != 1 || u[0].State != "done" {
				t.Fatalf("the relay says: %+v", u)
			}
			cuts, resent := int64(u[0].Repeats), resentBytes(t, comp)
			wire := cutter.Up() - size // what was sent again, and all of TLS and HTTP
			t.Logf("%d MiB in %v with %d cuts: %s sent again by the relay's count, %s more than the file on the wire",
				size/mib, took.Round(time.Millisecond), cuts, share(resent, size), share(wire, size))
			if cuts < size/every-1 {
				t.Errorf("%d cuts, which is too few to show anything", cuts)
			}
			if most := c.share(size, cuts); resent > most || wire > most+size/100 {
				t.Errorf("sent again: %d bytes by the relay's count, %d more on the wire; %d are fine", resent, wire, most)
			}
		})
	}
}

func hundredth(size, _ int64) int64 { return size / 100 }

func pieces(_, cuts int64) int64 { return cuts << 20 }

func share(n, size int64) string {
	return fmt.Sprintf("%.1f MiB (%.2f %%)", float64(n)/(1<<20), 100*float64(n)/float64(size))
}

func streamingNginx(c lab.ProxyConfig) (*lab.ReverseProxy, error) {
	c.Streaming = true
	return lab.StartNginx(c)
}

// behindProxy starts the server behind a reverse proxy that only a cutter reaches; the cutter has the public address.
func behindProxy(t *testing.T, ca *lab.CA, start func(lab.ProxyConfig) (*lab.ReverseProxy, error)) (*server, *lab.Cutter) {
	t.Helper()
	srv := startServer(t, ca, serverOptions{ip: serverIP, port: 8080, plain: true})
	cert, key, err := ca.Issue(uploadHost)
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := start(lab.ProxyConfig{Dir: t.TempDir(), IP: serverIP, Port: 8443, Target: serverIP + ":8080", Cert: cert, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = proxy.Close()
		if t.Failed() {
			t.Logf("end of %s:\n%s", proxy.Name, proxy.Log())
		}
	})
	cutter, err := lab.NewCutter(uploadIP+":443", proxy.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cutter.Close() })
	return srv, cutter
}

var resentField = regexp.MustCompile(`msg="upload ended".* resent=(\d+)`)

// resentBytes is what the companion's log says of the one upload.
func resentBytes(t *testing.T, c *companion) int64 {
	t.Helper()
	log, err := os.ReadFile(c.log)
	if err != nil {
		t.Fatal(err)
	}
	m := resentField.FindSubmatch(log)
	if m == nil {
		t.Fatalf("the log does not tell of the end of the upload:\n%s", lab.Tail(c.log, 4<<10))
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
