package companion

import (
	"context"
	"encoding/json"
	"strings"

	"holdfast/app/agent"
	"holdfast/app/control"
	"holdfast/app/diagnose"
	"holdfast/relay"
	"holdfast/relay/authority"
	"holdfast/relay/credential"
)

// Diagnose looks at everything an upload needs. Every answer is of now.
func (c *companion) Diagnose(ctx context.Context) (string, error) {
	s := c.agent.State()
	c.mu.Lock()
	wanted := c.started.Listen
	c.mu.Unlock()
	if c.inherited || anyPort(wanted) {
		wanted = ""
	}
	doc, err := c.TrustStatus(ctx)
	if err != nil {
		return "", err
	}
	return render(diagnose.Run(ctx, diagnose.Question{
		Running: true, Listen: s.Relay.Listen, Wanted: wanted,
		Hosts: diagnoseHosts(c.hosts()), Roots: c.roots,
		Network: &diagnose.Network{
			Line: c.words.NetworkLine(s.Network), Name: s.Network.Name,
			Online: s.Network.Online, Portal: s.Network.Portal, Metered: s.Network.Metered,
		},
		Keyring: func(ctx context.Context) string {
			c.secrets.probe(ctx)
			return string(c.secrets.store.State())
		},
		Token: tokenAtHand(c.secrets.store),
		Trust: diagnoseTrust(doc), Clients: diagnoseClients(s.Clients),
	}, c.words))
}

// Diagnose does the same without a companion: the relay is what is missing then.
func (f *Offline) Diagnose(ctx context.Context) (string, error) {
	config, _, err := f.file.read()
	if err != nil {
		return "", &control.Error{Kind: control.Failed, Text: f.file.path + ": " + err.Error()}
	}
	roots, err := f.file.roots(config)
	if err != nil {
		return "", &control.Error{Kind: control.Failed, Text: f.file.path + ": " + err.Error()}
	}
	doc, err := f.TrustStatus(ctx)
	if err != nil {
		return "", err
	}
	ca, err := authority.Open(f.paths.Authority)
	if err != nil {
		return "", err
	}
	session, _ := f.resets.open(ctx)
	defer closeSession(session)
	seen := view{listen: config.Listen, trusts: trusts{store: ca, hosts: config.Hosts, bundle: f.paths.Bundle()}}
	clients, _ := lookAtClients(ctx, session, f.resets.dirs, seen) // those that can be seen
	store := credential.New()
	return render(diagnose.Run(ctx, diagnose.Question{
		Listen: config.Listen, Hosts: diagnoseHosts(config.Hosts), Roots: roots,
		Keyring: func(ctx context.Context) string { return string(store.Probe(ctx)) },
		Token:   tokenAtHand(store), Trust: diagnoseTrust(doc), Clients: diagnoseClients(clients),
	}, f.words))
}

func diagnoseHosts(hosts []string) (out []diagnose.Host) {
	for _, h := range hosts {
		one := diagnose.Host{Text: h}
		if parsed, err := relay.ParseHost(h); err != nil {
			one.Bad = err.Error()
		} else {
			one.Name, one.Port = parsed.Name, parsed.Port
		}
		out = append(out, one)
	}
	return out
}

func diagnoseClients(clients []agent.Client) (out []diagnose.Client) {
	for _, c := range clients {
		out = append(out, diagnose.Client{Kind: c.Kind, Install: c.Install, Version: c.Version, Running: c.Running, State: c.State})
	}
	return out
}

// diagnoseTrust reads the document of TrustStatus.
func diagnoseTrust(doc string) (out []diagnose.Trust) {
	var d TrustDocument
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		return nil
	}
	for _, l := range d.Hosts {
		out = append(out, diagnose.Trust{Host: l.Host, Installed: l.Installed})
	}
	return out
}

// tokenAtHand says whether a secret for a host is in the keyring.
func tokenAtHand(store *credential.Store) func(context.Context, diagnose.Host) bool {
	return func(ctx context.Context, h diagnose.Host) bool {
		name, err := authority.Name(strings.TrimSpace(h.Text))
		if err != nil {
			return false
		}
		_, err = store.Key(ctx, name)
		return err == nil
	}
}

// PrivateWords are words of this person that a report must not hold: names of networks, of files, of the home folder.
func PrivateWords(p Paths, s agent.State, uploads []agent.Upload) (out []string) {
	out = append(out, p.Home)
	if s.Network.Name != "" {
		out = append(out, s.Network.Name)
	}
	for _, u := range uploads {
		if len(u.File) > 3 {
			out = append(out, u.File)
		}
	}
	return out
}
