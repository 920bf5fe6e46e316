package companion

import (
	"errors"
	"fmt"
	"os"
	"time"

	"holdfast/app/words"
	"holdfast/relay"
	"holdfast/relay/authority"
)

// HostsDocument is the document of Hosts.
type HostsDocument struct {
	Schema  int        `json:"schema"`
	Changed bool       `json:"changed"` // add, remove: something was done
	Hosts   []HostLine `json:"hosts"`
}

// HostLine is one upload server.
type HostLine struct {
	Host   string `json:"host"`
	CAFile string `json:"ca_file"` // "": not made yet
}

// TrustDocument is the document of TrustStatus.
type TrustDocument struct {
	Schema int         `json:"schema"`
	Bundle string      `json:"bundle"` // file for single clients, "": none
	Hosts  []TrustLine `json:"hosts"`
}

// TrustLine is the certificate of one upload server.
type TrustLine struct {
	Host       string    `json:"host"`
	CAFile     string    `json:"ca_file"`
	NextCAFile string    `json:"next_ca_file,omitempty"` // takes over when the present one ends
	NotAfter   time.Time `json:"not_after,omitzero"`
	Installed  bool      `json:"installed"` // in one of the two following ways
	App        bool      `json:"app"`       // trusted by clients that Holdfast starts
	System     bool      `json:"system"`    // trusted by this computer as a whole
	Text       string    `json:"text"`
}

// RouteDocument is the document of RouteStatus.
type RouteDocument struct {
	Schema int               `json:"schema"`
	Mode   string            `json:"mode"`  // the first of Modes; none: no route is installed
	Modes  []string          `json:"modes"` // launcher, gnome, gajim, flatpak
	Files  []string          `json:"files"` // that were changed, and settings
	Listen string            `json:"listen"`
	Env    map[string]string `json:"env"` // to start a client with
	PACURL string            `json:"pac_url"`
	Text   string            `json:"text"`
}

// hostLines lists hosts with their certificates. With create it makes those that are missing.
func hostLines(hosts []string, store *authority.Store, create bool) (lines []HostLine, err error) {
	lines = []HostLine{}
	var errs []error
	for _, h := range hosts {
		l := HostLine{Host: h}
		if create {
			if _, err := store.Leaf(h); err != nil && !errors.Is(err, authority.ErrEnded) {
				errs = append(errs, fmt.Errorf("certificate for %s: %w", h, err))
			}
		}
		if file := caFile(store, h); file != "" {
			l.CAFile = file
		}
		lines = append(lines, l)
	}
	return lines, errors.Join(errs...)
}

// caFile is the certificate that clients have to trust for a host, or "" while there is none.
func caFile(store *authority.Store, host string) string {
	if file := store.CAFile(host); exists(file) {
		return file
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func trustStatus(t trusts, w *words.Words) (string, error) {
	doc := TrustDocument{Schema: 1, Hosts: []TrustLine{}}
	if exists(t.bundle) {
		doc.Bundle = t.bundle
	}
	for _, h := range t.hosts {
		l := TrustLine{Host: h, CAFile: caFile(t.store, h), App: t.app(h), System: t.system(h)}
		l.Installed = l.App || l.System
		shown := l.CAFile
		if shown == "" {
			shown = w.Ctl.HostNoCA
		} else if pair, err := t.store.Leaf(h); err == nil && pair.Leaf != nil {
			l.NotAfter = pair.Leaf.NotAfter
		}
		if next := t.store.NextCAFile(h); exists(next) {
			l.NextCAFile = next
		}
		form := w.Setup.TrustNot
		switch {
		case l.System:
			form = w.Setup.TrustSystem
		case l.App:
			form = w.Setup.TrustApp
		}
		l.Text = fmt.Sprintf(form, h, shown)
		doc.Hosts = append(doc.Hosts, l)
	}
	return render(doc)
}

// PAC is the proxy script for hosts and the relay at listen.
func PAC(hosts []string, listen string) string { return relay.PAC(hosts, listen) }
