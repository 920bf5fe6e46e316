package lab

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCertificatesOfTheCAAreGoodForTheirNames(t *testing.T) {
	ca, err := NewCA(t.TempDir(), "Lab CA")
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile, err := ca.Issue("localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	srv.StartTLS()
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}

func TestCloseEndsTheWholeProcessGroup(t *testing.T) {
	cmd := exec.Command("sh", "-c", `trap "" TERM; sleep 1000 & echo $!; wait`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 32)
	n, err := out.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	default:
		t.Error("Close returned before the program had ended")
	}
	// The grandchild belongs to init now; it may be a zombie for a moment, but nothing that runs.
	b, err := os.ReadFile("/proc/" + strings.TrimSpace(string(buf[:n])) + "/stat")
	if err == nil && !strings.Contains(string(b), ") Z ") {
		t.Errorf("the grandchild still runs: %s", b)
	}
}

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func TestCutterBehavesLikeABadNetwork(t *testing.T) {
	c, err := NewCutter("127.0.0.1:0", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	dial := func(t *testing.T) net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", c.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	roundTrip := func(conn net.Conn, wait time.Duration) error {
		if _, err := conn.Write([]byte("ping")); err != nil {
			return err
		}
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		_, err := io.ReadFull(conn, make([]byte, 4))
		return err
	}
	const long, short = 10 * time.Second, 100 * time.Millisecond

	conn := dial(t)
	if err := roundTrip(conn, long); err != nil {
		t.Fatalf("while all is well: %v", err)
	}
	c.Stall()
	if err := roundTrip(conn, short); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("stalled: %v, want silence", err)
	}
	c.Restore()
	_ = conn.SetReadDeadline(time.Now().Add(long))
	if _, err := io.ReadFull(conn, make([]byte, 4)); err != nil {
		t.Errorf("what was held back does not come after Restore: %v", err)
	}
	c.Refuse()
	if err := roundTrip(conn, long); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("refusing: %v, want a reset", err)
	}
	if late, err := net.Dial("tcp", c.Addr()); err == nil {
		if err := roundTrip(late, long); err == nil {
			t.Error("refusing: a new connection works")
		}
		_ = late.Close()
	}
	c.Restore()
	c.CutAfter(4)
	if err := roundTrip(dial(t), long); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		// The echo may win the race against the reset; then the next write must fail.
		conn := dial(t)
		_ = roundTrip(conn, long)
		if err := roundTrip(conn, long); err == nil {
			t.Error("cut after 4 bytes: the connection lives on")
		}
	}
}

func TestBusStartsNoServiceByItself(t *testing.T) {
	conn, err := dbus.Connect(Bus(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var names []string
	if err := conn.BusObject().Call("org.freedesktop.DBus.ListActivatableNames", 0).Store(&names); err != nil {
		t.Fatal(err)
	}
	if len(names) != 1 { // the bus itself
		t.Errorf("the bus would start %v", names)
	}
}

func TestKeyringIsUnlocked(t *testing.T) {
	address := Bus(t)
	Keyring(t, address)
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	locked, err := conn.Object("org.freedesktop.secrets", "/org/freedesktop/secrets/aliases/default").
		GetProperty("org.freedesktop.Secret.Collection.Locked")
	if err != nil {
		t.Fatal(err)
	}
	if locked.Value() != false {
		t.Errorf("Locked is %v", locked)
	}
}

func TestFakeNetworkManagerTellsOfItsConnection(t *testing.T) {
	address := SystemBus(t)
	nm := FakeNetworkManager(t, address)
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.AddMatchSignal(dbus.WithMatchInterface(nmName), dbus.WithMatchMember("StateChanged")); err != nil {
		t.Fatal(err)
	}
	signals := make(chan *dbus.Signal, 16)
	conn.Signal(signals)
	if err := nm.Connect(Wifi, "Home", "wlan0", "10.1.1.2", "10.1.1.1"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	select {
	case s := <-signals:
		if s.Body[0] != uint32(70) {
			t.Errorf("state %v, want 70", s.Body[0])
		}
	case <-ctx.Done():
		t.Fatal("no StateChanged came")
	}
	id, err := conn.Object(nmName, nmRoot+"/ActiveConnection/1").GetProperty(nmName + ".Connection.Active.Id")
	if err != nil || id.Value() != "Home" {
		t.Errorf("the connection is %v, %v", id, err)
	}
}

func TestFreePortIsFree(t *testing.T) {
	port, err := FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if err := WaitTCP(net.JoinHostPort("127.0.0.1", "1"), nil, 100*time.Millisecond); err == nil {
		t.Error("somebody listens on port 1")
	}
	if port < 1024 {
		t.Errorf("port %d needs privileges", port)
	}
}

func TestEnterIsolatedOutsideIsRefused(t *testing.T) {
	if err := EnterIsolated(); err == nil {
		t.Error("EnterIsolated changed the mounts of this machine")
	}
}
