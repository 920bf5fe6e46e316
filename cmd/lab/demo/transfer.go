package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// cutFor is how long the network is gone in the middle of the upload.
const cutFor = 3 * time.Second

// sent is a finished upload.
type sent struct{ name, url, sum, status string }

func randomText() (string, error) {
	b := make([]byte, 24)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return hex.EncodeToString(b), nil
}

// sign asks the server's own command for a slot, as an XMPP server would sign it.
func (d *demo) sign(ctx context.Context, path string, size int64, mediaType string) (string, error) {
	out, err := output(ctx, cleanEnv(nil), d.program("holdfast-server"), "sign", "-config", d.config, "-scheme", "v2",
		"-path", path, "-size", strconv.FormatInt(size, 10), "-type", mediaType)
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(first), nil
}

func (d *demo) signExample() string {
	return fmt.Sprintf("%s sign -config %s -scheme v2 -path \"$(date +%%s)/hello.bin\" -size \"$(stat -c %%s FILE)\"", d.program("holdfast-server"), d.config)
}

// upload sends a fresh random file through the relay, as a client would: one PUT by way of a proxy. In the middle
// the network between relay and server is cut.
func (d *demo) upload(ctx context.Context, size int64, cut func()) (sent, error) {
	const name = "holiday.jpg"
	file, sum, err := d.makeFile(name, size)
	if err != nil {
		return sent{}, err
	}
	slot, err := randomText()
	if err != nil {
		return sent{}, err
	}
	put, err := d.sign(ctx, slot+"/"+name, size, "image/jpeg")
	if err != nil {
		return sent{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	network := make(chan error, 1)
	go func() { network <- d.cutInTheMiddle(ctx, size, cut) }()
	status, err := d.put(ctx, put, file, size)
	cancel() // an upload that ended before the middle must not leave the network waiting
	if nerr := <-network; err == nil && nerr != nil && !errors.Is(nerr, context.Canceled) {
		err = nerr
	}
	if err != nil {
		return sent{}, fmt.Errorf("upload through the relay: %w", err)
	}
	get, _, _ := strings.Cut(put, "?")
	return sent{name: name, url: get, sum: sum, status: status}, nil
}

func (d *demo) cutInTheMiddle(ctx context.Context, size int64, cut func()) error {
	d.cutter.Limit(int(size / 2)) // some two seconds for the whole file
	defer d.cutter.Limit(0)
	if err := d.cutter.WaitUp(ctx, d.cutter.Up()+size/2); err != nil {
		return err
	}
	cut()
	d.cutter.Refuse()
	defer d.cutter.Restore()
	select {
	case <-time.After(cutFor):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (d *demo) makeFile(name string, size int64) (path, sum string, err error) {
	path = filepath.Join(d.dir, name)
	f, err := os.Create(path)
	if err != nil {
		return "", "", err
	}
	h := sha256.New()
	_, err = io.CopyN(io.MultiWriter(f, h), rand.Reader, size)
	return path, hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Close())
}

func (d *demo) put(ctx context.Context, to, file string, size int64) (string, error) {
	pem, err := os.ReadFile(d.relayCA)
	if err != nil {
		return "", err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return "", fmt.Errorf("%s holds no certificate", d.relayCA)
	}
	client := &http.Client{Transport: &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: d.relay}),
		TLSClientConfig: &tls.Config{RootCAs: roots},
	}}
	defer client.CloseIdleConnections()
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, to, f)
	if err != nil {
		return "", err
	}
	req.ContentLength = size
	req.Header.Set("Content-Type", "image/jpeg")
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if resp.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("the answer was %s: %s", resp.Status, strings.TrimSpace(string(body)))
	}
	return resp.Status, nil
}

// download fetches the file without the relay and returns its SHA-256.
func (d *demo) download(ctx context.Context, from string) (string, error) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: d.ca.Pool()}}}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("download: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("download %s: %s", from, resp.Status)
	}
	h := sha256.New()
	if _, err := io.Copy(h, resp.Body); err != nil {
		return "", fmt.Errorf("download: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
