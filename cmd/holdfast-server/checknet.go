package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// checkListen looks whether the address is free, or taken by a server of ours.
// hello is what a connection to it begins with.
func checkListen(ctx context.Context, r *report, what, addr, hello string, overTLS bool) {
	network, address, err := listenAddr(addr)
	if err != nil {
		return // said by config
	}
	if network != "unix" {
		l, err := net.Listen(network, address)
		if err == nil {
			r.verdict(what, addr+" is free", l.Close())
			return
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			r.fail(what, "%v", err)
			return
		}
	} else if err := removable(address); err == nil {
		_, err := nearestFolder(address)
		r.verdict(what, addr+" is free", wrap(addr+" cannot be made", err))
		return
	}
	if err := ours(ctx, network, dialable(address), hello, overTLS); err != nil {
		r.fail(what, "%s is taken by another program: %v", addr, err)
		return
	}
	r.pass(what, "%s is taken by a running holdfast-server", addr)
}

// removable reports whether a unix socket could be made at path, without changing anything.
func removable(path string) error {
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return errors.Join(errors.New("in use"), c.Close())
	}
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	return err
}

// dialable turns an address to listen on into one to connect to.
func dialable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

// ours asks /health, which answers OK.
func ours(ctx context.Context, network, address, hello string, overTLS bool) error {
	scheme := "http"
	if overTLS {
		scheme = "https"
	}
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			if err == nil && hello != "" {
				_, err = io.WriteString(c, hello)
			}
			return c, err
		},
		// Who answers on our own address is asked, not whether its certificate is good; tls has a line of its own.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // 2026-11: see above; nothing is sent
	}
	defer t.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://localhost/health", nil)
	if err != nil {
		return err
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // read only
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || strings.TrimSpace(string(b)) != "OK" {
		return fmt.Errorf("GET /health answered %s", resp.Status)
	}
	return nil
}

// checkProxy looks whether what stands in front of a running server passes uploads on as they come. It sends the head
// of an upload with a wrong token and no byte of its body: a proxy that does not wait for the body answers 403 at once.
// Where public_url cannot be reached, or nothing of ours answers there, nothing is said.
func checkProxy(ctx context.Context, r *report, c *config) {
	u, err := url.Parse(c.Server.PublicURL)
	if err != nil || u.Host == "" {
		return
	}
	if head, err := probe(ctx, u, "GET", 0); err != nil || !strings.Contains(strings.ToLower(head), "\nholdfast-api:") {
		return
	}
	head, err := probe(ctx, u, "PUT", 1<<20)
	line, _, _ := strings.Cut(head, "\r\n")
	switch {
	case err != nil:
		r.fail("reverse proxy", "the head of an upload to %s was not answered while its body was held back (%v): the proxy "+
			"collects whole bodies; for nginx: proxy_request_buffering off", c.Server.PublicURL, err)
	case strings.Contains(strings.ToLower(head), "\nholdfast-error: token-"):
		r.pass("reverse proxy", "%s passes an upload on before its body is complete", c.Server.PublicURL)
	default:
		r.fail("reverse proxy", "an upload to %s was answered by something in front of the server: %s", c.Server.PublicURL, line)
	}
}

// probe sends the head of a request to public_url and returns the head of the answer.
func probe(ctx context.Context, u *url.URL, method string, length int) (string, error) {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	address := net.JoinHostPort(u.Hostname(), port)
	var conn net.Conn
	var err error
	if u.Scheme == "https" {
		conn, err = (&tls.Dialer{}).DialContext(ctx, "tcp", address)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }() // read only
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/") + "/holdfast-check/probe"
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: holdfast-check\r\nContent-Length: %d\r\n\r\n", method, path, u.Host, length); err != nil {
		return "", err
	}
	var head strings.Builder
	for in := bufio.NewReader(conn); ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		if strings.TrimSpace(line) == "" {
			return head.String(), nil
		}
		head.WriteString(line)
	}
}
