package relay

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"
)

// recorded is the ClientHello of Go's TLS client.
func recorded(t testing.TB, conf *tls.Config) []byte {
	t.Helper()
	a, b := net.Pipe()
	go func() {
		_ = tls.Client(a, conf).Handshake()
		_ = a.Close()
	}()
	buf := make([]byte, 4096)
	n, err := b.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	_ = b.Close()
	return buf[:n]
}

// FuzzReadHello makes sure that looking at a client's first bytes loses none of them, whatever they are.
func FuzzReadHello(f *testing.F) {
	f.Add(recorded(f, &tls.Config{ServerName: listed, NextProtos: []string{"h2", "http/1.1"}}))
	f.Add(recorded(f, &tls.Config{ServerName: listed, MaxVersion: tls.VersionTLS12}))
	f.Add([]byte("<?xml version='1.0'?><stream:stream"))
	f.Add([]byte{0x16, 3, 1, 0, 1, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		br := bufio.NewReader(bytes.NewReader(in))
		hello, seen, err := readHello(br, a)
		if err != nil {
			return
		}
		rest, err := io.ReadAll(br)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(append(bytes.Clone(seen), rest...), in) {
			t.Fatalf("%d of %d bytes left", len(seen)+len(rest), len(in))
		}
		if hello != nil && in[0] != 0x16 {
			t.Fatal("a hello out of something that is not TLS")
		}
	})
}
