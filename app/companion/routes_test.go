package companion

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"holdfast/app/agent"
	"holdfast/app/control"
	"holdfast/cmd/lab"
)

const gajimEntry = "[Desktop Entry]\nName=Gajim\nExec=gajim %u\n"

func TestARouteIsPlannedAndAppliedOverBothTransports(t *testing.T) {
	address := lab.Bus(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
	system := t.TempDir()
	write(t, filepath.Join(system, "applications/org.gajim.Gajim.desktop"), gajimEntry)
	r := start(t, anyListen+"hosts = [\"a.example\"]\n", map[string]string{"DBUS_SESSION_BUS_ADDRESS": address, "XDG_DATA_DIRS": system})
	ctx := t.Context()
	bus, err := control.DialBus(ctx, address)
	for control.KindOf(err) == control.NotRunning { // the name comes a moment later
		bus, err = control.DialBus(ctx, address)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bus.Close() }()
	entry := filepath.Join(r.paths.XDG.Data, "applications/org.gajim.Gajim.desktop")
	for name, c := range map[string]control.Client{"socket": r.client, "bus": bus} {
		t.Run(name, func(t *testing.T) {
			read := func(doc string, err error) RoutePlanDocument {
				t.Helper()
				var d RoutePlanDocument
				if err != nil || json.Unmarshal([]byte(doc), &d) != nil || d.Schema != 1 || d.PlanID == "" {
					t.Fatalf("%s, %v", doc, err)
				}
				return d
			}
			plan := read(c.RoutePlan(ctx, "launcher", false))
			if plan.Applied || len(plan.Steps) == 0 || plan.Steps[0].Text == "" || !strings.Contains(plan.Warning, "trust install") {
				t.Errorf("plan: %+v", plan)
			}
			if exists(entry) {
				t.Error("a plan has changed something")
			}
			if done := read(c.RouteApply(ctx, plan.PlanID)); !done.Applied || done.Mode != "launcher" {
				t.Errorf("applied: %+v", done)
			}
			if !exists(entry) {
				t.Error("nothing was written")
			}
			if _, err := c.RouteApply(ctx, plan.PlanID); control.KindOf(err) != control.Failed {
				t.Errorf("the same plan again: %v", err)
			}
			if doc, err := c.RouteStatus(ctx); err != nil || !strings.Contains(doc, `"modes":["launcher"]`) || !strings.Contains(doc, entry) {
				t.Errorf("status: %s, %v", doc, err)
			}
			undo := read(c.RoutePlan(ctx, "launcher", true))
			read(c.RouteApply(ctx, undo.PlanID))
			if exists(entry) {
				t.Error("it is still there")
			}
		})
	}
}

func TestACompanionFollowsTheEntriesOfClients(t *testing.T) {
	p, getenv := desk(t)
	system := t.TempDir()
	source := filepath.Join(system, "applications/org.gajim.Gajim.desktop")
	write(t, source, gajimEntry)
	write(t, p.Config, anyListen)
	with := func(name string) string {
		if name == "XDG_DATA_DIRS" {
			return system
		}
		return getenv(name)
	}
	offline := NewOffline(p, Options{Getenv: with})
	doc, err := offline.RoutePlan(t.Context(), "", false)
	var plan RoutePlanDocument
	if err != nil || json.Unmarshal([]byte(doc), &plan) != nil {
		t.Fatalf("%s, %v", doc, err)
	}
	if _, err := offline.RouteApply(t.Context(), plan.PlanID); err != nil {
		t.Fatal(err)
	}
	write(t, source, gajimEntry+"Keywords=new;\n")
	startAt(t, p, with)
	deadline := time.Now().Add(10 * time.Second)
	entry := filepath.Join(p.XDG.Data, "applications/org.gajim.Gajim.desktop")
	for !strings.Contains(read(t, entry), "Keywords=new;") {
		if time.Now().After(deadline) {
			t.Fatalf("the copy is %q", read(t, entry))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestTheStateOfAClientSaysWhatIsMissing(t *testing.T) {
	address := lab.Bus(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
	system := t.TempDir()
	write(t, filepath.Join(system, "applications/org.gajim.Gajim.desktop"), gajimEntry)
	r := start(t, anyListen+"hosts = [\"a.example\"]\n", map[string]string{"DBUS_SESSION_BUS_ADDRESS": address, "XDG_DATA_DIRS": system})
	state := func(want string, running bool) {
		t.Helper()
		if _, err := r.client.TrustStatus(t.Context()); err != nil { // has it look again
			t.Fatal(err)
		}
		r.await(t, want, func(s agent.State) bool {
			return len(s.Clients) == 1 && s.Clients[0].State == want && s.Clients[0].Running == running
		})
	}
	state("not-trusted", false)

	// What trust install does, without bubblewrap, which this machine may not have.
	trust := NewTrust(r.paths, Options{Getenv: env(nil)})
	tr, err := trust.trusts()
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.write(); err != nil {
		t.Fatal(err)
	}
	state("not-routed", false)
	if doc, err := r.client.TrustStatus(t.Context()); err != nil || !strings.Contains(doc, `"installed":true,"app":true,"system":false`) || !strings.Contains(doc, `"bundle":"`+r.paths.Bundle()) {
		t.Errorf("trust: %s, %v", doc, err)
	}
	// A host that is added is trusted by the same clients.
	if _, err := r.client.Hosts(t.Context(), "add", "b.example"); err != nil {
		t.Fatal(err)
	}
	if doc, err := r.client.TrustStatus(t.Context()); err != nil || strings.Count(doc, `"app":true`) != 2 {
		t.Errorf("trust: %s, %v", doc, err)
	}

	// It runs, without the relay: this very process plays it.
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.RequestName("org.gajim.Gajim", dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	state("not-routed", true)
	doc, err := r.client.RoutePlan(t.Context(), "launcher", false)
	var plan RoutePlanDocument
	if err != nil || json.Unmarshal([]byte(doc), &plan) != nil {
		t.Fatalf("%s, %v", doc, err)
	}
	if _, err := r.client.RouteApply(t.Context(), plan.PlanID); err != nil {
		t.Fatal(err)
	}
	state("needs-restart", true)
	if _, err := conn.ReleaseName("org.gajim.Gajim"); err != nil {
		t.Fatal(err)
	}
	state("ready", false)

	steps, err := trust.RemoveApp(true)
	if err != nil || len(steps) != 1 || !exists(r.paths.Bundle()) {
		t.Errorf("dry run: %v, %v", steps, err)
	}
	if _, err := trust.RemoveApp(false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(r.paths.Bundle())); !os.IsNotExist(err) {
		t.Errorf("the folder is left: %v", err)
	}
	state("not-trusted", false)
}
