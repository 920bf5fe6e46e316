package control_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/app/agent"
	"holdfast/app/control"
)

func openSocket(t *testing.T, dir string, uid int, s control.Service, hub *control.Hub) {
	t.Helper()
	k, err := control.ListenSocket(dir, uid, s, hub, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	background(t, k.Serve)
}

func curl(t *testing.T, dir, method, path, body string) (int, string) {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, control.SocketName))
	}}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://x"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(bytes.TrimSpace(b))
}

func TestSocketRefusesWhatItDoesNotUnderstand(t *testing.T) {
	dir := t.TempDir()
	s := &companion{}
	openSocket(t, dir, os.Getuid(), s, control.NewHub())
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"a document is answered as it is", "POST", "/v1/Uploads", "[3]", 200, `"call":"Uploads 3"`},
		{"no arguments may be no body", "POST", "/v1/RouteStatus", "", 200, `RouteStatus`},
		{"nothing to say is 204", "POST", "/v1/Resume", "[]", 204, ``},
		{"Hosts list needs no host", "POST", "/v1/Hosts", `["list"]`, 200, `Hosts list`},
		{"unknown method", "POST", "/v1/Explode", "[]", 400, `"error":"Invalid"`},
		{"arguments that are no array", "POST", "/v1/Uploads", `{"limit":3}`, 400, `JSON array`},
		{"too few arguments", "POST", "/v1/Reset", `[["dino"]]`, 400, `argument 2 is missing`},
		{"too many arguments", "POST", "/v1/Resume", `[1]`, 400, `too many arguments`},
		{"wrong type", "POST", "/v1/SetAutoFix", `["yes"]`, 400, `argument 1 is not a bool`},
		{"null is no value", "POST", "/v1/SetAutoFix", `[null]`, 400, `argument 1 is not a bool`},
		{"negative number", "POST", "/v1/Pause", `[-1]`, 400, `argument 1 is not a uint32`},
		{"huge number", "POST", "/v1/Pause", `[4294967296]`, 400, `argument 1 is not a uint32`},
		{"too long", "POST", "/v1/Undo", `["` + strings.Repeat("x", 2<<20) + `"]`, 400, `too long`},
		{"GET of a method", "GET", "/v1/GetState", "", 405, ``},
		{"anything else", "GET", "/", "", 404, ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, got := curl(t, dir, c.method, c.path, c.body)
			if status != c.status || !strings.Contains(got, c.want) {
				t.Errorf("%d %s, want %d with %s", status, got, c.status, c.want)
			}
		})
	}
	for _, call := range s.calls() {
		if strings.HasPrefix(call, "SetAutoFix") || strings.HasPrefix(call, "Reset ") {
			t.Errorf("a refused call had an effect: %s", call)
		}
	}
}

func TestSocketAnswersOnlyItsOwner(t *testing.T) {
	dir := t.TempDir()
	s := &companion{}
	openSocket(t, dir, os.Getuid()+1, s, control.NewHub())
	c, err := control.Dial(t.Context(), dir)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	if err := c.Resume(t.Context()); err == nil {
		t.Error("a process of another person was answered")
	}
	if got := s.calls(); len(got) != 0 {
		t.Errorf("the companion was asked %q", got)
	}
}

func TestAClientAsksOnlyItsOwnCompanion(t *testing.T) {
	dir := t.TempDir()
	s := &companion{}
	openSocket(t, dir, os.Getuid(), s, control.NewHub())
	c, err := control.DialOwner(t.Context(), dir, os.Getuid()+1)
	if control.KindOf(err) != control.Denied {
		t.Errorf("somebody else's socket: %v", err)
	}
	if err == nil {
		_ = c.Close()
	}
	if got := s.calls(); len(got) != 0 {
		t.Errorf("it was told %q", got)
	}
}

func TestSocketIsPrivateAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, control.SocketName)
	if err := os.WriteFile(path, []byte("left by a companion that died"), 0o644); err != nil {
		t.Fatal(err)
	}
	k, err := control.ListenSocket(dir, os.Getuid(), &companion{}, control.NewHub(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stop := background(t, k.Serve)
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 || st.Mode().Type() != os.ModeSocket {
		t.Errorf("socket: %v, %v", st, err)
	}
	stop()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket stays: %v", err)
	}
}

func TestSocketInAFolderWithALongName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long-name-", 10), strings.Repeat("x", 100))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	openSocket(t, dir, os.Getuid(), &companion{state: agent.State{Schema: 1}}, control.NewHub())
	c, err := control.Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.GetState(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestASlowListenerLosesOldEventsOnly(t *testing.T) {
	dir := t.TempDir()
	hub := control.NewHub()
	openSocket(t, dir, os.Getuid(), &companion{}, hub)
	c, err := control.Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events, err := c.Events(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 20_000 { // nobody reads; this must not block
		hub.State(agent.State{Status: agent.Working})
	}
	hub.State(agent.State{Status: agent.Paused})
	expect(t, events, agent.Paused)
}

func FuzzSocketArguments(f *testing.F) {
	for _, s := range []string{"", "[]", "[1]", `["a",true]`, `[["dino"],false]`, `{`, `[null]`, `["list"]`} {
		for _, m := range []string{"Reset", "Hosts", "Pause", "ReportClient", "Nothing"} {
			f.Add(m, s)
		}
	}
	f.Fuzz(func(t *testing.T, method, body string) {
		s := &companion{}
		_, _, err := control.Call(context.Background(), s, method, []byte(body))
		if err != nil && control.KindOf(err) != control.Invalid {
			t.Errorf("%s %q: %v", method, body, err)
		}
		if err != nil && len(s.calls()) > 0 {
			t.Errorf("%s %q was refused and done", method, body)
		}
	})
}
