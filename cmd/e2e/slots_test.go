package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"testing"

	"holdfast/cmd/lab"
)

// oddFiles are the names, types and sizes that have broken upload servers.
var oddFiles = []struct {
	name, file, mediaType string
	size                  int
	prosodyOnly           bool // ejabberd refuses a slot for an empty file
}{
	{name: "a plain text file", file: "hello.txt", mediaType: "text/plain", size: 19},
	{name: "HTML, which some servers guess a charset for", file: "page.html", mediaType: "text/html", size: 100},
	{name: "a type in capitals", file: "photo.jpeg", mediaType: "IMAGE/JPEG", size: 4096},
	{name: "no type at all", file: "data.bin", size: 70000},
	{name: "spaces, plus, ampersand and accents", file: "tr\u00e8s cool+&=,'.jpg", mediaType: "image/jpeg", size: 23456},
	{name: "a percent sign in the name", file: "100%25 sure.txt", mediaType: "text/plain", size: 5},
	{name: "an emoji", file: "party \U0001F389.png", mediaType: "image/png", size: 1},
	{name: "a hidden file with quotes", file: ".my \"quoted\" file", mediaType: "application/octet-stream", size: 333},
	{name: "an empty file", file: "empty.txt", mediaType: "text/plain", size: 0, prosodyOnly: true},
}

// Slots of every issuer in the field are taken by the server, and by it alone as signed.
func TestSlotsOfRealServers(t *testing.T) {
	lab.Need(t, debianPython, "python3-slixmpp")
	ca, err := lab.NewCA(t.TempDir(), "Lab Public CA")
	if err != nil {
		t.Fatal(err)
	}
	srv := startServer(t, ca, serverOptions{})
	config := func(t *testing.T) lab.XMPPConfig {
		return lab.XMPPConfig{Dir: openDir(t), IP: xmppIP, UploadURL: srv.base, Secret: srv.secret, CA: ca}
	}
	t.Run("Prosody", func(t *testing.T) {
		lab.Need(t, "prosody", "prosody prosody-modules")
		x, err := lab.StartProsody(config(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = x.Close() })
		for domain := range x.Upload {
			t.Run(domain, func(t *testing.T) { useSlots(t, x, domain, ca) })
		}
	})
	t.Run("ejabberd", func(t *testing.T) {
		lab.Need(t, "ejabberdctl", "ejabberd")
		x, err := lab.StartEjabberd(config(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = x.Close() })
		useSlots(t, x, lab.EjabberdHost, ca)
	})
}

const debianPython = "/usr/bin/python3"

func useSlots(t *testing.T, x *lab.XMPP, domain string, ca *lab.CA) {
	var requests []lab.SlotRequest
	for _, f := range oddFiles {
		if f.prosodyOnly && x.Name != "prosody" {
			continue
		}
		requests = append(requests, lab.SlotRequest{Service: x.Upload[domain], Filename: f.file, Size: int64(f.size), ContentType: f.mediaType})
	}
	slots, err := x.Slots(t.Context(), x.Alice(domain), requests)
	if err != nil {
		t.Fatal(err)
	}
	client := directClient(ca)
	defer client.CloseIdleConnections()
	for i, slot := range slots {
		t.Run(oddFiles[i].name, func(t *testing.T) {
			body := make([]byte, slot.Size)
			_, _ = rand.Read(body)
			other := bytes.Clone(body)
			other = append(other, 'x')
			if got := put(t, client, slot, other); got == http.StatusCreated {
				t.Errorf("a body of another size than signed was taken")
			}
			if got := put(t, client, slot, body); got != http.StatusCreated {
				t.Fatalf("PUT %s: %d", slot.Put, got)
			}
			sum := sha256.Sum256(body)
			if got := download(t, ca, slot.Get); got != hex.EncodeToString(sum[:]) {
				t.Errorf("GET %s gives other bytes", slot.Get)
			}
		})
	}
}

// put sends body to a slot exactly as the slot says and returns the status.
func put(t *testing.T, c *http.Client, slot lab.Slot, body []byte) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, slot.Put, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if len(body) == 0 {
		req.Body = http.NoBody
	}
	for name, value := range slot.Headers {
		req.Header.Set(name, value)
	}
	if slot.ContentType != "" {
		req.Header.Set("Content-Type", slot.ContentType)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}
