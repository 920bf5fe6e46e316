package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is a TLS key pair on disk that is read again when it changes. One that cannot be read never replaces
// one that could.
type certificate struct {
	log *slog.Logger
	now func() time.Time

	mu        sync.Mutex // guards all below
	cert, key string
	current   *tls.Certificate
	stamp     [2]fileStamp
	looked    time.Time
}

// fileStamp tells whether a file has changed.
type fileStamp struct {
	mod  time.Time
	size int64
}

// newCertificate reads the pair; it must be good at the start.
func newCertificate(cert, key string, log *slog.Logger) (*certificate, error) {
	c := &certificate{log: log, now: time.Now}
	if err := c.set(cert, key); err != nil {
		return nil, err
	}
	return c, nil
}

// set reads the pair from these files; on an error the old pair stays.
func (c *certificate) set(cert, key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.readLocked(cert, key)
}

func (c *certificate) readLocked(cert, key string) error {
	stamp := [2]fileStamp{stampOf(cert), stampOf(key)}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("read the certificate %s and its key %s: %w", cert, key, err)
	}
	c.cert, c.key, c.current, c.stamp, c.looked = cert, key, &pair, stamp, c.now()
	return nil
}

func stampOf(file string) fileStamp {
	info, err := os.Stat(file)
	if err != nil {
		return fileStamp{}
	}
	return fileStamp{info.ModTime(), info.Size()}
}

// get is for tls.Config.GetCertificate. It looks at the files at most once a second.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= time.Second {
		c.looked = now
		if stamp := [2]fileStamp{stampOf(c.cert), stampOf(c.key)}; stamp != c.stamp {
			if err := c.readLocked(c.cert, c.key); err != nil {
				c.stamp = stamp // say it once for each change
				c.log.Error("certificate not reloaded", "error", err)
			} else {
				c.log.Info("certificate reloaded", "file", c.cert)
			}
		}
	}
	return c.current, nil
}

// config is what a listener needs.
func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}
