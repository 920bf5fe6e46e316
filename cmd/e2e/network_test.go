package e2e

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/cmd/lab"
)

// behindCutter starts the server where only a cutter reaches it; the cutter has the public address.
func behindCutter(t *testing.T, ca *lab.CA, o serverOptions) (*server, *lab.Cutter) {
	t.Helper()
	o.ip, o.port = serverIP, 8443
	srv := startServer(t, ca, o)
	cutter, err := lab.NewCutter(uploadIP+":443", serverIP+":8443")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cutter.Close() })
	return srv, cutter
}

// result of a curl that runs beside the test.
type result struct{ status, headers string }

// putLater starts a PUT with curl through the relay.
func putLater(t *testing.T, comp *companion, relayCA, file, url string) <-chan result {
	t.Helper()
	done := make(chan result, 1)
	go func() {
		status, headers := curlStatus(t, "-x", comp.proxy(), "--cacert", relayCA, "-T", file, url)
		done <- result{status, headers}
	}()
	return done
}

// The network goes away for half a minute in the middle of an upload. The client that started the PUT gets its 201.
func TestUploadSurvivesHalfAMinuteWithoutNetwork(t *testing.T) {
	for _, c := range []struct {
		name      string
		cut, back func(*lab.Cutter) error
		repeats   bool // the first connection cannot live on
	}{
		{
			name:    "the path goes silent and another network comes",
			cut:     func(c *lab.Cutter) error { c.Stall(); return nil },
			back:    func(c *lab.Cutter) error { c.Reset(); c.Restore(); return nil },
			repeats: true,
		},
		{
			name:    "connections are reset and refused",
			cut:     func(c *lab.Cutter) error { c.Refuse(); return nil },
			back:    func(c *lab.Cutter) error { c.Restore(); return nil },
			repeats: true,
		},
		{
			name: "there is no route, and then there is again",
			cut:  func(*lab.Cutter) error { return uploadAddress("del") },
			back: func(*lab.Cutter) error { return uploadAddress("add") },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			ca, err := lab.NewCA(t.TempDir(), "Lab Public CA")
			if err != nil {
				t.Fatal(err)
			}
			srv, cutter := behindCutter(t, ca, serverOptions{})
			comp := startCompanion(t, ca)
			const size = 32 << 20
			file, sum := randomFile(t, "film.mp4", size)
			url, _ := srv.sign(t, "-scheme", "v2", "-path", "cut/film.mp4", "-size", strconv.Itoa(size))

			cutter.Limit(8 << 20)
			done := putLater(t, comp, comp.caFile(t), file, url)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			if err := cutter.WaitUp(ctx, size/2); err != nil {
				t.Fatalf("the upload did not get to its middle: %v", err)
			}
			if err := c.cut(cutter); err != nil {
				t.Fatal(err)
			}
			select {
			case r := <-done:
				t.Errorf("the client had its answer while the network was gone: %s\n%s", r.status, r.headers)
			case <-time.After(30 * time.Second):
			}
			cutter.Limit(0)
			if err := c.back(cutter); err != nil {
				t.Fatal(err)
			}
			select {
			case r := <-done:
				if r.status != "201" {
					t.Fatalf("the client got %s\n%s", r.status, r.headers)
				}
			case <-ctx.Done():
				t.Fatalf("no answer came\n%s", lab.Tail(comp.log, 4<<10))
			}
			if got := download(t, ca, withoutQuery(url)); got != sum {
				t.Error("the file on the server differs")
			}
			u := comp.uploads(t)
			if len(u) != 1 || u[0].State != "done" || c.repeats && u[0].Repeats < 1 {
				t.Errorf("the relay says: %+v", u)
			}
		})
	}
}

// NetworkManager says that there is a new network: uploads that wait go at once, not when their back-off ends.
func TestNetworkChangeSendsWaitingUploadsAtOnce(t *testing.T) {
	ca, err := lab.NewCA(t.TempDir(), "Lab Public CA")
	if err != nil {
		t.Fatal(err)
	}
	srv, cutter := behindCutter(t, ca, serverOptions{})
	system := lab.SystemBus(t)
	nm := lab.FakeNetworkManager(t, system)
	if err := nm.Connect(lab.Wifi, "Home", "wlan0", "10.1.1.2", "10.1.1.1"); err != nil {
		t.Fatal(err)
	}
	comp := startCompanion(t, ca, "DBUS_SYSTEM_BUS_ADDRESS="+system)
	relayCA := comp.caFile(t)
	const size = 1 << 20
	file, sum := randomFile(t, "f.bin", size)
	url, _ := srv.sign(t, "-scheme", "v2", "-path", "change/f.bin", "-size", strconv.Itoa(size))

	cutter.Refuse()
	done := putLater(t, comp, relayCA, file, url)
	// Five attempts mean a back-off of at least eight seconds, so that "at once" can be told from it.
	waitFor(t, time.Minute, "five attempts", func() bool { return cutter.Accepted() >= 5 })
	waitFor(t, 10*time.Second, "the upload to wait", func() bool {
		u := comp.uploads(t)
		return len(u) == 1 && u[0].State == "waiting"
	})
	cutter.Restore()
	changed := time.Now()
	if err := nm.Connect(lab.Wired, "Office", "eth0", "10.2.2.2", "10.2.2.1"); err != nil {
		t.Fatal(err)
	}
	select {
	case r := <-done:
		if r.status != "201" {
			t.Fatalf("the client got %s\n%s", r.status, r.headers)
		}
		// 750 ms of settling, one second for bytes to flow, and room for a busy machine.
		if took := time.Since(changed); took > 4*time.Second {
			t.Errorf("the upload went %s after the change, not at once", took)
		}
	case <-time.After(time.Minute):
		t.Fatalf("no answer came\n%s", lab.Tail(comp.log, 4<<10))
	}
	if got := download(t, ca, withoutQuery(url)); got != sum {
		t.Error("the file on the server differs")
	}
}

// The machine sleeps in the middle of an upload and wakes in another network: first the resume is noticed, then the
// network, then the upload goes on, and the time between is told.
func TestAnUploadGoesOnAfterSleep(t *testing.T) {
	ca, err := lab.NewCA(t.TempDir(), "Lab Public CA")
	if err != nil {
		t.Fatal(err)
	}
	srv, cutter := behindCutter(t, ca, serverOptions{})
	system := lab.SystemBus(t)
	logind := lab.FakeLogind(t, system)
	nm := lab.FakeNetworkManager(t, system)
	if err := nm.Connect(lab.Wifi, "Home", "wlan0", "10.1.1.2", "10.1.1.1"); err != nil {
		t.Fatal(err)
	}
	comp := startCompanion(t, ca, "DBUS_SYSTEM_BUS_ADDRESS="+system)
	const size = 16 << 20
	file, sum := randomFile(t, "f.bin", size)
	url, _ := srv.sign(t, "-scheme", "v2", "-path", "sleep/f.bin", "-size", strconv.Itoa(size))
	logged := func(line string) func() bool {
		return func() bool { return strings.Contains(lab.Tail(comp.log, 1<<20), line) }
	}
	waitFor(t, 15*time.Second, "the first network", logged(`-> Wi-Fi \"Home\"`))

	cutter.Limit(4 << 20)
	done := putLater(t, comp, comp.caFile(t), file, url)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := cutter.WaitUp(ctx, size/4); err != nil {
		t.Fatalf("the upload did not get far enough: %v", err)
	}
	if err := logind.Sleep(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, 15*time.Second, "the sleep to be noticed", logged("the machine is about to sleep"))
	cutter.Stall() // what was on the way is lost without a word, as it is in a sleep
	if err := nm.Disconnect(); err != nil {
		t.Fatal(err)
	}
	<-time.After(2 * time.Second) // the sleep itself
	cutter.Reset()
	cutter.Restore()
	if err := logind.Wake(); err != nil {
		t.Fatal(err)
	}
	if err := nm.Connect(lab.Wired, "Office", "eth0", "10.2.2.2", "10.2.2.1"); err != nil {
		t.Fatal(err)
	}
	select {
	case r := <-done:
		if r.status != "201" {
			t.Fatalf("the client got %s\n%s", r.status, r.headers)
		}
	case <-ctx.Done():
		t.Fatalf("no answer came\n%s", lab.Tail(comp.log, 4<<10))
	}
	if got := download(t, ca, withoutQuery(url)); got != sum {
		t.Error("the file on the server differs")
	}

	said := lab.Tail(comp.log, 1<<20)
	last := -1
	for _, line := range []string{"the machine is about to sleep", `change="resumed after `, `-> Ethernet \"Office\"`, "uploads go on at once", "uploads went on after sleep"} {
		at := strings.LastIndex(said, line)
		if at <= last {
			t.Errorf("the log does not say %q in its turn", line)
		}
		last = at
	}
	var state struct {
		Sleep struct {
			Network int64 `json:"network_ms"`
			Upload  int64 `json:"upload_ms"`
		} `json:"sleep"`
		Network struct{ Change string }
	}
	if err := json.Unmarshal([]byte(comp.ctl(t, "", "status", "--json")), &state); err != nil {
		t.Fatal(err)
	}
	// 750 ms of settling, and room for a busy machine.
	if n, u := state.Sleep.Network, state.Sleep.Upload; n < 700 || n > 15000 || u < n || u > n+10000 {
		t.Errorf("the state says %+v", state.Sleep)
	}
	if !strings.Contains(state.Network.Change, "Cable Office") {
		t.Errorf("the last change is %q", state.Network.Change)
	}
	t.Logf("from waking: the network was known after %d ms, the upload went on after %d ms", state.Sleep.Network, state.Sleep.Upload)
	if t.Failed() {
		t.Logf("log:\n%s", said)
	}
}

// waitFor asks ok until it says yes.
func waitFor(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain for %s", limit, what)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(context.Cause(t.Context()))
		case <-time.After(100 * time.Millisecond):
		}
	}
}
