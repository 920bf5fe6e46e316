package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"holdfast/relay/token"
)

// issuers returns the credentials of the configuration with the secret files read. A missing secret file in the state
// folder is a first start: it is made, with a random secret, and told of by made.
func (c *config) issuers(made func(file string)) ([]token.Issuer, error) {
	var out []token.Issuer
	for _, b := range c.blocks() {
		is := token.Issuer{LegacyFullPath: b.LegacyFullPath}
		for _, s := range b.Schemes {
			if !slices.Contains(is.Schemes, s.Scheme) {
				is.Schemes = append(is.Schemes, s.Scheme)
			}
		}
		for _, s := range b.Secrets {
			is.Secrets = append(is.Secrets, s.Secret)
		}
		if file := b.SecretFile; file != "" {
			more, err := readSecrets(file)
			if errors.Is(err, fs.ErrNotExist) && c.makesSecret(file) && made != nil {
				if err = writeSecret(file); err == nil {
					made(file)
					more, err = readSecrets(file)
				}
			}
			if err != nil {
				return nil, err
			}
			is.Secrets = append(is.Secrets, more...)
		}
		out = append(out, is)
	}
	return out, nil
}

// blocks are the issuers as the file has them: [auth] itself, then each [[auth.issuer]]; without those that name no scheme.
func (c *config) blocks() []issuerConfig {
	a := c.Auth
	all := append([]issuerConfig{{a.Schemes, a.Secrets, a.SecretFile, a.LegacyFullPath}}, a.Issuers...)
	return slices.DeleteFunc(all, func(b issuerConfig) bool { return len(b.Schemes) == 0 })
}

// makesSecret reports whether a missing secret file is ours to make: only in the state folder, which is ours.
func (c *config) makesSecret(file string) bool { return within(file, c.Storage.State) }

// readSecrets reads a secret file: one secret a line, empty lines and lines that begin with # do not count.
func readSecrets(file string) ([]token.Secret, error) {
	b, err := os.ReadFile(credential(file))
	if err != nil {
		return nil, fmt.Errorf("read the secret file: %w", err)
	}
	var out []token.Secret
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		if line := bytes.TrimSpace(sc.Bytes()); len(line) > 0 && line[0] != '#' {
			out = append(out, slices.Clone(line))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("the secret file %s holds no secret", file)
	}
	return out, nil
}

// freshSecret is 32 random bytes in letters that every configuration language takes.
func freshSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

func writeSecret(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return fmt.Errorf("make the folder of the secret file: %w", err)
	}
	return writeNew(file, "# Shared with the XMPP server. One secret a line; the first signs, all are accepted.\n"+freshSecret()+"\n")
}

// writeNew writes a private file that must not exist yet, and makes its folder.
func writeNew(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("make the folder of %s: %w", file, err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make %s: %w", file, errors.Unwrap(err))
	}
	_, err = f.WriteString(text)
	if serr := f.Sync(); err == nil {
		err = serr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// shortestSecret is the least number of bytes of a secret that nobody guesses.
const shortestSecret = 16

// weakness says why a secret is weak; empty: it is not.
func weakness(s token.Secret) string {
	known := []string{"changeme", "changethis", "yoursecret", "yoursecure", "defaultsecret", "secrethere", "placeholder", "examplesecret"}
	letters := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r
		}
		return -1
	}, strings.ToLower(string(s)))
	if slices.ContainsFunc(known, func(k string) bool { return strings.Contains(letters, k) }) {
		return "it is a placeholder of an example"
	}
	if len(s) < shortestSecret {
		return fmt.Sprintf("it has %d bytes, and fewer than %d can be guessed", len(s), shortestSecret)
	}
	different := map[byte]bool{}
	for _, b := range s {
		different[b] = true
	}
	if len(different) < 6 {
		return "it repeats the same few letters"
	}
	return ""
}

// warning is something that makes an installation weak without keeping it from running.
type warning struct {
	what string // constant words
	file string
	why  string
}

// warnings lists weak secrets and files that others can read.
func (c *config) warnings(issuers []token.Issuer) []warning {
	var out []warning
	blocks := c.blocks()
	seen := map[string]int{} // secrets by file
	for i, is := range issuers {
		for j, s := range is.Secrets {
			file := c.file
			if j >= len(blocks[i].Secrets) {
				file = blocks[i].SecretFile
			}
			seen[file]++
			if why := weakness(s); why != "" {
				out = append(out, warning{what: "weak secret", file: file, why: fmt.Sprintf("secret %d: %s", seen[file], why)})
			}
		}
	}
	inline := len(c.Auth.Secrets) > 0
	files := []string{c.Auth.SecretFile, c.TLS.Key}
	for _, is := range c.Auth.Issuers {
		inline = inline || len(is.Secrets) > 0
		files = append(files, is.SecretFile)
	}
	if inline {
		files = append(files, c.file)
	}
	for _, f := range files {
		if f == "" {
			continue
		}
		if why := readable(f); why != "" {
			out = append(out, warning{what: "secret readable by others", file: f, why: why})
		}
	}
	return out
}

// readable says who but the owner can get at a file; empty: nobody, or there is none.
func readable(file string) string {
	info, err := os.Stat(file)
	if err != nil {
		return ""
	}
	switch mode := info.Mode().Perm(); {
	case mode&0o007 != 0:
		return fmt.Sprintf("mode %04o lets every user of this machine at it; chmod 600 %s", mode, file)
	case mode&0o070 != 0:
		return fmt.Sprintf("mode %04o lets its group at it; chmod 600 %s", mode, file)
	}
	return ""
}
