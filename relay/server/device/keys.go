package device

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"holdfast/relay/jose"
)

const (
	keysName  = "device.keys"
	tokenType = "at+jwt"
)

// Keys sign and verify access tokens. They may be used by many goroutines at once.
type Keys struct {
	dir       string
	publicURL string

	mu   sync.Mutex // guards all below
	keys []key      // the one that signs first
}

// key is one pair, or what is left of it.
type key struct {
	id      string // kid: its thumbprint
	made    time.Time
	retired time.Time          // zero: it signs
	private ed25519.PrivateKey // nil: destroyed
	public  ed25519.PublicKey
}

// stored is a key on disk.
type stored struct {
	Made    int64  `json:"made"`
	Retired int64  `json:"retired,omitempty"`
	Seed    string `json:"seed,omitempty"`
	X       string `json:"x"`
}

// Open reads the keys in dir, the server's state folder, or makes the first one. publicURL is the server's.
func Open(dir, publicURL string, now time.Time) (*Keys, error) {
	k := &Keys{dir: dir, publicURL: publicURL}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the keys of devices: %w", err)
	}
	defer func() { _ = root.Close() }() // nothing was written through it
	b, err := root.ReadFile(keysName)
	if errors.Is(err, fs.ErrNotExist) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if err := k.rotateLocked(now); err != nil {
			return nil, err
		}
		return k, nil
	}
	if err == nil {
		err = root.Chmod(keysName, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("open the keys of devices: %w", err)
	}
	if k.keys, err = parseKeys(b); err != nil {
		return nil, fmt.Errorf("read %s/%s: %w; without the file new keys are made, and devices enrol again", dir, keysName, err)
	}
	return k, nil
}

func parseKeys(b []byte) ([]key, error) {
	var list []stored
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, err
	}
	keys := make([]key, len(list))
	for i, s := range list {
		k := key{made: time.Unix(s.Made, 0)}
		if s.Retired > 0 {
			k.retired = time.Unix(s.Retired, 0)
		}
		x, err := jose.Decode(s.X)
		if err != nil || len(x) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("key %d is damaged", i+1)
		}
		k.public, k.id = x, jose.Thumbprint(x)
		if s.Seed != "" {
			seed, err := jose.Decode(s.Seed)
			if err != nil || len(seed) != ed25519.SeedSize {
				return nil, fmt.Errorf("key %d is damaged", i+1)
			}
			if k.private = ed25519.NewKeyFromSeed(seed); !k.public.Equal(k.private.Public()) {
				return nil, fmt.Errorf("key %d is damaged", i+1)
			}
		}
		keys[i] = k
	}
	if len(keys) == 0 || keys[0].private == nil {
		return nil, errors.New("no key signs")
	}
	return keys, nil
}

// Issue makes an access token. Its times are set here.
func (k *Keys) Issue(t Token, now time.Time) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if age := now.Sub(k.keys[0].made); age >= rotateEvery {
		if err := k.rotateLocked(now); err != nil {
			return "", err
		}
	}
	signer := k.keys[0]
	return jose.Sign(signer.private, map[string]any{"typ": tokenType, "kid": signer.id}, map[string]any{
		"iss": k.publicURL, "aud": k.publicURL, "sub": t.Device, "who": t.Who, "cnf": map[string]any{"jkt": t.Key},
		"iat": now.Unix(), "exp": now.Add(Life).Unix(),
	})
}

// Verify reads an access token that is shown with an upload.
func (k *Keys) Verify(token string, now time.Time) (Token, error) {
	return k.verify(token, now, 0)
}

// VerifyRenewal reads an access token that is to be renewed: it may be over for as long as Renewal.
func (k *Keys) VerifyRenewal(token string, now time.Time) (Token, error) {
	return k.verify(token, now, Renewal)
}

func (k *Keys) verify(token string, now time.Time, over time.Duration) (Token, error) {
	j, err := jose.Parse(token)
	if err != nil {
		return Token{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	kid, ok := j.Header.Text("kid")
	if !ok || !j.Typed(tokenType) {
		return Token{}, fmt.Errorf("%w: its header is not of an access token", ErrInvalid)
	}
	by, ok := k.find(kid)
	if !ok {
		return Token{}, fmt.Errorf("%w: its key is not of this server, or no longer", ErrInvalid)
	}
	if err := j.Verify(by.public); err != nil {
		return Token{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	t, err := k.read(j.Claims)
	if err != nil {
		return Token{}, err
	}
	switch {
	case !by.retired.IsZero() && now.Sub(by.retired) > keepKey+over, !now.Before(t.Expires.Add(over)):
		return Token{}, ErrExpired
	case t.Issued.After(now.Add(rotateEvery)): // this server's clock was far ahead once
		return Token{}, fmt.Errorf("%w: issued in the future", ErrInvalid)
	}
	return t, nil
}

// read takes the claims of a token whose signature is right.
func (k *Keys) read(o jose.Object) (Token, error) {
	var t Token
	var ok [7]bool
	var iss, aud string
	iss, ok[0] = o.Text("iss")
	aud, ok[1] = o.Text("aud")
	t.Device, ok[2] = o.Text("sub")
	t.Who, ok[3] = o.Text("who")
	t.Issued, ok[4] = o.Time("iat")
	t.Expires, ok[5] = o.Time("exp")
	if cnf, err := jose.ParseObject(o["cnf"]); err == nil {
		t.Key, ok[6] = cnf.Text("jkt")
	}
	if slices.Contains(ok[:], false) || t.Device == "" || t.Who == "" || t.Key == "" {
		return Token{}, fmt.Errorf("%w: a claim is missing", ErrInvalid)
	}
	if iss != k.publicURL || aud != k.publicURL {
		return Token{}, fmt.Errorf("%w: it is for another server", ErrInvalid)
	}
	return t, nil
}

func (k *Keys) find(id string) (key, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.keys {
		if c.id == id {
			return c, true
		}
	}
	return key{}, false
}

// rotateLocked makes the key that signs from now on, and destroys what is not needed of the others.
func (k *Keys) rotateLocked(now time.Time) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key for devices: %w", err)
	}
	keys := []key{{id: jose.Thumbprint(public), made: now, private: private, public: public}}
	for _, old := range k.keys {
		old.private = nil
		if old.retired.IsZero() {
			old.retired = now
		}
		if now.Sub(old.retired) <= keepKey+Renewal {
			keys = append(keys, old)
		}
	}
	if err := k.write(keys); err != nil {
		return fmt.Errorf("keep a key for devices: %w", err)
	}
	k.keys = keys
	return nil
}

// write replaces the file.
func (k *Keys) write(keys []key) (err error) {
	list := make([]stored, len(keys))
	for i, c := range keys {
		list[i] = stored{Made: c.made.Unix(), X: jose.Encode(c.public)}
		if !c.retired.IsZero() {
			list[i].Retired = c.retired.Unix()
		}
		if c.private != nil {
			list[i].Seed = jose.Encode(c.private.Seed())
		}
	}
	b, err := json.Marshal(list)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(k.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	const temp = keysName + ".new"
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if serr := f.Sync(); err == nil {
		err = serr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = root.Rename(temp, keysName)
	}
	if err != nil {
		return errors.Join(err, root.Remove(temp))
	}
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
