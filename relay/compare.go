package relay

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const compareLimit = 60 * time.Second // without a byte

// sameAsStored asks the server for the file that it has under the upload's address and says whether it is ours, by its
// SHA-256: from Repr-Digest (RFC 9530) if the server gives it, else of the file itself. Equal length proves nothing.
func (d *delivery) sameAsStored(ctx context.Context) (bool, error) {
	own, err := d.spool.sum()
	if err != nil {
		d.r.c.Log.Warn("cannot compare the stored file", "upload", d.u.snap.ID, "error", err)
		return false, nil
	}
	head, err := d.fetch(ctx, http.MethodHead)
	if err != nil {
		return false, err
	}
	_ = head.Body.Close()
	switch {
	case head.StatusCode == http.StatusOK:
		if digest, ok := sha256Digest(head.Header); ok {
			return digest == own, nil
		}
		if head.ContentLength >= 0 && head.ContentLength != d.size && head.Header.Get("Content-Encoding") == "" {
			return false, nil
		}
	case later(head.StatusCode):
		return false, fmt.Errorf("server says %s", head.Status)
	}
	resp, err := d.fetch(ctx, http.MethodGet)
	if err != nil {
		return false, err
	}
	defer func() { _ = resp.Body.Close() }()
	if later(resp.StatusCode) {
		return false, fmt.Errorf("server says %s", resp.Status)
	}
	if resp.StatusCode != http.StatusOK {
		return false, nil
	}
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(resp.Body, d.size+1))
	if err != nil {
		return false, fmt.Errorf("read the stored file: %w", err)
	}
	return n == d.size && [sha256.Size]byte(h.Sum(nil)) == own, nil
}

// later says whether a status means to ask again.
func later(status int) bool {
	return status == http.StatusTooManyRequests || status >= 500 && status != http.StatusNotImplemented
}

// fetch asks for the stored file as a receiver would: without the slot's credentials.
func (d *delivery) fetch(ctx context.Context, method string) (*http.Response, error) {
	ctx, cancel := context.WithCancel(ctx)
	u := *d.url
	u.RawQuery = ""
	req := (&http.Request{
		Method: method, URL: &u, Host: d.host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"User-Agent": d.header["User-Agent"], "Accept-Encoding": {"identity"}, "Want-Repr-Digest": {"sha-256=10"}, "Cache-Control": {"no-cache"},
		},
	}).WithContext(ctx)
	limit := time.AfterFunc(compareLimit, cancel)
	resp, err := d.r.up.roundTrip(req)
	if err != nil {
		limit.Stop()
		cancel()
		return nil, fmt.Errorf("ask for the stored file: %w", err)
	}
	resp.Body = &pacedBody{ReadCloser: resp.Body, limit: limit, cancel: cancel}
	return resp, nil
}

// pacedBody gives up when no byte comes for too long.
type pacedBody struct {
	io.ReadCloser
	limit  *time.Timer
	cancel context.CancelFunc
}

func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.limit.Reset(compareLimit)
	}
	return n, err
}

func (b *pacedBody) Close() error {
	b.limit.Stop()
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}

// sha256Digest finds the SHA-256 in Repr-Digest, a dictionary of byte sequences: sha-256=:base64:
func sha256Digest(h http.Header) (sum [sha256.Size]byte, ok bool) {
	for _, line := range h["Repr-Digest"] {
		for member := range strings.SplitSeq(line, ",") {
			key, value, found := strings.Cut(strings.TrimSpace(member), "=")
			if !found || key != "sha-256" {
				continue
			}
			value, _, _ = strings.Cut(value, ";")
			value = strings.TrimSpace(value)
			if len(value) < 2 || value[0] != ':' || value[len(value)-1] != ':' {
				continue
			}
			raw, err := base64.StdEncoding.DecodeString(value[1 : len(value)-1])
			if err == nil && len(raw) == len(sum) {
				return [sha256.Size]byte(raw), true
			}
		}
	}
	return sum, false
}
