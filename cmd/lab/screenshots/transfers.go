package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"holdfast/app/agent"
	"holdfast/app/control"
	"holdfast/relay/token"
)

// transfer is a file on its way, sent as a client sends it.
type transfer struct {
	host, client, path, mediaType string
	size                          int64
}

// The clients of the pictures, as they name themselves.
const (
	gajim = "Gajim 1.7.3"
	dino  = "Dino/0.4.2"
)

// transfers sends files until there is something of everything: done at once, done after a cut, refused, waiting for
// a server that is not there, and running.
func (s *stage) transfers() {
	s.finish(transfer{host, dino, "b1/voice message.ogg", "audio/ogg", 312_000}, "done")
	s.finish(transfer{host, gajim, "b2/backup.tar.gz", "application/gzip", 120_000_000}, "failed")

	cut := transfer{host, gajim, "b3/sunset at the lake.jpg", "image/jpeg", 4_800_000}
	s.cutter.Limit(4_000_000)
	end := s.begin(cut)
	s.must(s.cutter.WaitUp(s.ctx, s.cutter.Up()+2_000_000), "send half of a file")
	s.cutter.Reset() // the relay takes it up again by itself
	end()
	s.cutter.Limit(0)

	s.begin(transfer{deadHost, dino, "b4/minutes of the meeting.pdf", "application/pdf", 2_400_000})
	s.cutter.Limit(2_200_000)
	s.begin(transfer{host, gajim, "b5/Holiday 2026 - all pictures.zip", "application/zip", 96_000_000})
	s.until("one file on its way and one that waits", func() bool {
		list, err := control.ReadUploads(s.ctx, s.companion, 20)
		if err != nil {
			return false
		}
		states := map[string]int{}
		for _, u := range list.Uploads {
			states[u.State]++
			if u.State == "sending" && u.Sent < u.Size/4 {
				return false
			}
		}
		return states["sending"] == 1 && states["waiting"] == 1 && states["done"] == 2 && states["failed"] == 1
	})
}

// begin starts a transfer beside this goroutine and returns what waits for its end.
func (s *stage) begin(t transfer) (end func()) {
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(s.ctx)
	ca, to := s.relayCA(t.host), s.slot(t)
	go func() {
		defer close(done)
		_ = t.put(ctx, s.relay, ca, to) // how it ended is asked of the companion
	}()
	s.Cleanup(func() { cancel(); <-done })
	return func() { <-done }
}

// finish runs a transfer to its end.
func (s *stage) finish(t transfer, state string) {
	s.begin(t)()
	name := t.path[strings.LastIndexByte(t.path, '/')+1:]
	var last agent.Upload
	s.until(name+" to be "+state, func() bool {
		list, err := control.ReadUploads(s.ctx, s.companion, 20)
		if err != nil {
			return false
		}
		for _, u := range list.Uploads {
			if u.File == name {
				last = u
			}
		}
		return last.State == state
	})
}

// slot is the URL to PUT to, signed by the server's own command as an XMPP server signs it.
func (s *stage) slot(t transfer) string {
	if t.host == deadHost {
		u := url.URL{Scheme: "https", Host: t.host, Path: "/upload/" + t.path}
		return u.String()
	}
	cmd := exec.CommandContext(s.ctx, s.bin("holdfast-server"), "sign", "-config", s.config, "-scheme", string(token.V2),
		"-path", t.path, "-size", strconv.FormatInt(t.size, 10), "-type", t.mediaType)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	s.must(err, "sign a slot")
	first, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(first)
}

// put sends the file through the relay as a client does: a CONNECT, and one PUT in it.
func (t transfer) put(ctx context.Context, relay, ca, to string) error {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate", ca)
	}
	client := &http.Client{Transport: &http.Transport{
		Proxy:              http.ProxyURL(&url.URL{Scheme: "http", Host: relay}),
		ProxyConnectHeader: http.Header{"User-Agent": {t.client}},
		TLSClientConfig:    &tls.Config{RootCAs: roots},
	}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, to, io.LimitReader(pattern{}, t.size))
	if err != nil {
		return err
	}
	req.ContentLength = t.size
	req.Header.Set("Content-Type", t.mediaType)
	req.Header.Set("User-Agent", t.client)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// pattern is a file without an end.
type pattern struct{}

func (pattern) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i)
	}
	return len(p), nil
}

// shown is how long a picture gets to settle.
const shown = 1200 * time.Millisecond
