package companion

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"holdfast/app/control"
	"holdfast/app/words"
	"holdfast/relay"
)

// probeTime is how long an upload server has to say what it is.
const probeTime = 10 * time.Second

// ProbeDocument is the document of Hosts with the verb "probe": what an upload server says of itself, asked now.
type ProbeDocument struct {
	Schema int      `json:"schema"`
	Host   string   `json:"host"`
	OK     bool     `json:"ok"`               // it answers and proves who it is
	Ours   bool     `json:"ours"`             // it is holdfast-server
	Resume []string `json:"resume,omitempty"` // the ways in which uploads go on there
	Text   string   `json:"text"`
}

// probe asks host who it is and what it can do. It changes nothing.
func probe(ctx context.Context, host string, roots *x509.CertPool, w *words.Words) (string, error) {
	h, err := relay.ParseHost(host)
	if err != nil {
		return "", &control.Error{Kind: control.Invalid, Text: err.Error()}
	}
	doc := ProbeDocument{Schema: 1, Host: h.String()}
	name := h.Name
	if h.Port != "" {
		name = net.JoinHostPort(h.Name, h.Port)
	}
	doc.Resume, doc.Ours, err = askServer(ctx, name, roots)
	switch {
	case err != nil:
		doc.Text = whyNot(doc.Host, err, w)
	case doc.Ours:
		doc.OK, doc.Text = true, fmt.Sprintf(w.Welcome.ServerOurs, doc.Host)
	default:
		doc.OK, doc.Text = true, fmt.Sprintf(w.Welcome.ServerOther, doc.Host)
	}
	return render(doc)
}

// askServer reads /.well-known/holdfast. An answer that is not ours is an answer, too.
func askServer(ctx context.Context, host string, roots *x509.CertPool) (resume []string, ours bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/.well-known/holdfast", nil)
	if err != nil {
		return nil, false, err
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, DisableKeepAlives: true,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = resp.Body.Close() }() // only read
	if resp.StatusCode != http.StatusOK {
		return nil, false, nil
	}
	var info struct {
		Version int      `json:"version"`
		API     string   `json:"api"`
		Resume  []string `json:"resume"`
	}
	if json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&info) != nil || info.Version != 1 || info.API == "" {
		return nil, false, nil
	}
	return info.Resume, slices.Contains(info.Resume, "slot-url"), nil
}

// whyNot is one sentence and what to do.
func whyNot(host string, err error, w *words.Words) string {
	said, args := w.Diagnose.HostConnect, []any{host, rootCause(err)}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		said = w.Diagnose.HostIdentity
	} else if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		said, args = w.Diagnose.HostName, []any{host}
	}
	return fmt.Sprintf(said.Text, args...) + " " + said.Remedy
}

// rootCause is the innermost error: the layers around it name the URL once more.
func rootCause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
