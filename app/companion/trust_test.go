package companion

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/app/words"
	"holdfast/detect/client/desktop"
	"holdfast/relay/authority"
)

func TestANextCertificateTakesOverOnceTheComputerTrustsIt(t *testing.T) {
	p, _ := desk(t)
	store, err := authority.Open(p.Authority)
	if err != nil {
		t.Fatal(err)
	}
	system := filepath.Join(t.TempDir(), "ca-certificates.crt")
	write(t, system, "")
	tr := trusts{store: store, hosts: []string{"a.example", "b.example:8443"}, bundle: p.Bundle(), files: []string{system}}
	for _, h := range tr.hosts {
		if _, err := store.Leaf(h); err != nil {
			t.Fatal(err)
		}
	}
	first := read(t, store.CAFile("a.example"))
	if tr.system("a.example") || tr.all(tr.system) {
		t.Error("an empty store trusts")
	}
	write(t, system, "# text\n"+first)
	if !tr.system("a.example") || tr.system("b.example:8443") {
		t.Error("the store is not read right")
	}
	if err := store.Renew("a.example"); err != nil {
		t.Fatal(err)
	}
	next := read(t, store.NextCAFile("a.example"))
	if err := tr.promote(); err != nil || read(t, store.CAFile("a.example")) != first {
		t.Errorf("it takes over before it is trusted: %v", err)
	}
	write(t, system, next)
	if err := tr.promote(); err != nil || read(t, store.CAFile("a.example")) != next || exists(store.NextCAFile("a.example")) {
		t.Errorf("it does not take over: %v", err)
	}
	leaf, err := store.Leaf("a.example")
	if err != nil || !strings.Contains(leaf.Leaf.Issuer.CommonName, "a.example") || !tr.system("a.example") {
		t.Errorf("%v", err)
	}
}

func TestTheClientOfTheMenuIsStarted(t *testing.T) {
	native := desktop.Client{Kind: desktop.Dino, Install: desktop.Native, Program: "/usr/bin/dino-im"}
	sandboxed := desktop.Client{Kind: desktop.Dino, Install: desktop.Flatpak, Program: "/var/lib/flatpak/x"}
	other := desktop.Client{Kind: desktop.Gajim, Install: desktop.Native, Program: "/usr/bin/gajim"}
	flatpak := []string{"/usr/bin/flatpak", "run", "--branch=stable", "im.dino.Dino"}
	for _, c := range []struct {
		name    string
		found   []desktop.Client
		menu    []string
		install desktop.Install
		command []string
	}{
		{"natively installed", []desktop.Client{other, native}, nil, desktop.Native, []string{"/usr/bin/dino-im"}},
		{"with what its entry adds", []desktop.Client{native}, []string{"env", "A=B", "dino-im"}, desktop.Native, []string{"env", "A=B", "dino-im"}},
		{"both, and the menu has the Flatpak", []desktop.Client{native, sandboxed}, flatpak, desktop.Flatpak, flatpak},
		{"both, and the menu has the native one", []desktop.Client{native, sandboxed}, []string{"dino-im"}, desktop.Native, []string{"dino-im"}},
		{"the one of the menu is gone", []desktop.Client{native}, flatpak, desktop.Native, []string{"/usr/bin/dino-im"}},
		{"only a Flatpak", []desktop.Client{sandboxed}, nil, desktop.Flatpak, []string{"flatpak", "run", "im.dino.Dino"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, command, ok := choose(c.found, desktop.Dino, c.menu)
			if !ok || got.Install != c.install || !slices.Equal(command, c.command) {
				t.Errorf("%v %q %v", got, command, ok)
			}
		})
	}
	if _, _, ok := choose([]desktop.Client{other}, desktop.Dino, []string{"dino-im"}); ok {
		t.Error("a client that is not there was found")
	}
}

func TestWhatIsSaidOfTrustFitsWhatIsThere(t *testing.T) {
	p, _ := desk(t)
	store, err := authority.Open(p.Authority)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Leaf("a.example"); err != nil {
		t.Fatal(err)
	}
	system := filepath.Join(t.TempDir(), "roots")
	write(t, system, "")
	tr := trusts{store: store, hosts: []string{"a.example"}, bundle: p.Bundle(), files: []string{system}}
	said := map[string]string{}
	say := func(when string) {
		t.Helper()
		doc, err := trustStatus(tr, words.For("en"))
		if err != nil {
			t.Fatal(err)
		}
		for _, what := range []string{"no client trusts it yet", "trusted by Dino and Gajim", "trusted by all programs"} {
			if strings.Contains(doc, what) {
				said[when] = what
			}
		}
	}
	say("nobody")
	write(t, p.Bundle(), read(t, store.CAFile("a.example")))
	say("a bundle")
	write(t, system, read(t, store.CAFile("a.example")))
	say("the system, too")
	want := map[string]string{"nobody": "no client trusts it yet", "a bundle": "trusted by Dino and Gajim", "the system, too": "trusted by all programs"}
	if d := cmp.Diff(want, said); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
