package window

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	documents "holdfast/app/companion"
	"holdfast/relay/route"
)

// The window reads what the companion writes; both are held together here.
func TestTheFirstRunReadsTheCompanionsDocuments(t *testing.T) {
	doc := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	p, err := readPlan(doc(documents.RoutePlanDocument{Schema: 1, PlanID: "launcher-install-1", Steps: []documents.RouteStep{
		{Step: route.Step{Action: route.MakeFolder, Path: "/home/a/.local/share/holdfast"}, Text: "a folder"},
		{Step: route.Step{Action: route.Write, Path: "/home/a/.local/share/holdfast/bin/dino"}, Text: "starts Dino"},
	}}))
	want := Plan{ID: "launcher-install-1", Lines: []PlanLine{{"/home/a/.local/share/holdfast/bin/dino", "starts Dino"}}}
	if err != nil || !cmp.Equal(p, want) {
		t.Errorf("%v %s", err, cmp.Diff(want, p))
	}
	if _, err := readPlan(`{"schema":1}`); err == nil {
		t.Error("a plan without a name can be applied")
	}
	hosts, err := suggested(doc(documents.SuggestDocument{Schema: 1, Suggestions: []documents.Suggestion{{Host: "upload.example.org"}}}))
	if err != nil || !cmp.Equal(hosts, []string{"upload.example.org"}) {
		t.Errorf("%v %v", hosts, err)
	}
	hosts, err = hostNames(doc(documents.HostsDocument{Schema: 1, Hosts: []documents.HostLine{{Host: "upload.example.org"}}}))
	if err != nil || !cmp.Equal(hosts, []string{"upload.example.org"}) {
		t.Errorf("%v %v", hosts, err)
	}
	var probe Probe
	if err := json.Unmarshal([]byte(doc(documents.ProbeDocument{Schema: 1, OK: true, Text: "It answers."})), &probe); err != nil || probe != (Probe{true, "It answers."}) {
		t.Errorf("%+v %v", probe, err)
	}
}
