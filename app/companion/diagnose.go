package companion

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"holdfast/app/agent"
	"holdfast/app/words"
	"holdfast/relay"
)

// checkTime is how long one check may take.
const checkTime = 8 * time.Second

// Check is one line of the document of Diagnose.
type Check struct {
	Name   string `json:"name"` // network, relay, keyring, host
	Host   string `json:"host,omitempty"`
	OK     bool   `json:"ok"`
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"`
}

// Diagnosis is the document of Diagnose.
type Diagnosis struct {
	Schema int     `json:"schema"`
	OK     bool    `json:"ok"`
	Checks []Check `json:"checks"`
}

// diagnose finds out what is missing. Every answer is of now.
func diagnose(ctx context.Context, s agent.State, hosts []string, roots *x509.CertPool, w *words.Words) Diagnosis {
	d := Diagnosis{Schema: 1, OK: true}
	d.Checks = append(d.Checks, checkNetwork(s, w), checkRelay(ctx, s.Relay.Listen, w), checkKeyring(s, w))
	if len(hosts) == 0 {
		said := w.Diagnose.NoHosts
		d.Checks = append(d.Checks, Check{Name: "host", Text: said.Text, Remedy: said.Remedy})
	}
	found := make([]Check, len(hosts))
	var wg sync.WaitGroup
	for i, h := range hosts {
		wg.Go(func() { found[i] = checkHost(ctx, h, roots, w) })
	}
	wg.Wait()
	d.Checks = append(d.Checks, found...)
	for _, c := range d.Checks {
		// Uploads work without a keyring.
		d.OK = d.OK && (c.OK || c.Name == "keyring")
	}
	return d
}

func checkNetwork(s agent.State, w *words.Words) Check {
	c := Check{Name: "network"}
	switch {
	case s.Network.Portal:
		c.Text, c.Remedy = fmt.Sprintf(w.Diagnose.NetworkPortal.Text, s.Network.Name), w.Diagnose.NetworkPortal.Remedy
	case !s.Network.Online:
		c.Text, c.Remedy = w.Diagnose.NetworkNone.Text, w.Diagnose.NetworkNone.Remedy
	default:
		c.OK, c.Text = true, fmt.Sprintf(w.Diagnose.NetworkOK, w.NetworkLine(s.Network))
	}
	return c
}

func checkRelay(ctx context.Context, listen string, w *words.Words) Check {
	bad := func(err error) Check {
		said := w.Diagnose.RelayBad
		return Check{Name: "relay", Text: fmt.Sprintf(said.Text, listen, err), Remedy: said.Remedy}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listen+"/healthz", nil)
	if err != nil {
		return bad(err)
	}
	// No proxy: the relay itself is asked.
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return bad(err)
	}
	if err := resp.Body.Close(); err != nil {
		return bad(err)
	}
	if resp.StatusCode != http.StatusOK {
		return bad(errors.New(resp.Status))
	}
	return Check{Name: "relay", OK: true, Text: fmt.Sprintf(w.Diagnose.RelayOK, listen)}
}

func checkKeyring(s agent.State, w *words.Words) Check {
	if s.Keyring == agent.KeyringOK {
		return Check{Name: "keyring", OK: true, Text: w.Diagnose.KeyringOK}
	}
	said := w.Diagnose.KeyringBad
	return Check{Name: "keyring", Text: said.Text, Remedy: said.Remedy}
}

// checkHost makes one TLS connection to the upload server, as strict as the relay's.
func checkHost(ctx context.Context, host string, roots *x509.CertPool, w *words.Words) Check {
	c := Check{Name: "host", Host: host}
	h, err := relay.ParseHost(host)
	if err != nil {
		c.Text = err.Error()
		return c
	}
	if h.Port == "" {
		h.Port = "443"
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	begin := time.Now()
	dialer := tls.Dialer{Config: &tls.Config{ServerName: serverName(h.Name), RootCAs: roots}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(h.Name, h.Port))
	if err == nil {
		c.OK = true
		c.Text = fmt.Sprintf(w.Diagnose.HostOK, host, strconv.FormatInt(time.Since(begin).Milliseconds(), 10))
		_ = conn.Close() // nothing was sent
		return c
	}
	said, why := w.Diagnose.HostConnect, []any{host, err}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		said = w.Diagnose.HostIdentity
	} else if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		said, why = w.Diagnose.HostName, []any{host}
	}
	c.Text, c.Remedy = fmt.Sprintf(said.Text, why...), said.Remedy
	return c
}

// serverName is the name to verify; an address stands for itself.
func serverName(name string) string {
	if a, err := netip.ParseAddr(name); err == nil {
		return a.String()
	}
	return name
}
