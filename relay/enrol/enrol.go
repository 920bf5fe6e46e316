// Package enrol asks an upload server to take a key as a person's device: the client's side of POST <api>token
// (docs/devices.md). The server answers an access token that is bound to the key (RFC 9449).
//
// It knows no keyring and keeps nothing: the caller does both, and says how requests are sent.
//
// # Invariants
//   - A key is never sent, only proofs made with it; nothing is sent but over https to the origin that was named.
//   - A question is repeated at most once for a nonce and once for a clock.
//   - An answer is taken only if it says all that it has to; nothing in it is shown or logged.
package enrol

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"holdfast/relay/dpop"
)

// The errors a caller branches on.
var (
	ErrRevoked   = errors.New("the server does not take this device any longer")
	ErrUnknown   = errors.New("the server knows no devices")
	ErrElsewhere = errors.New("the answer is not one of an upload server")
)

// Refused is the server's no.
type Refused struct {
	Status int
	Code   string // Holdfast-Error
	Text   string // the server's sentence, one line
}

func (r *Refused) Error() string {
	if r.Text != "" {
		return r.Text
	}
	return fmt.Sprintf("the server refuses (%d)", r.Status)
}

const (
	wellKnown = "/.well-known/holdfast"
	maxAnswer = 64 << 10
	maxToken  = 8 << 10
)

// Server is where devices are enrolled. Origin has no path: https://upload.example.org.
type Server struct {
	Origin string
	API    string        // path of the endpoints, with slashes around it
	Skew   time.Duration // how far the server's clock is ahead of this computer's
	Nonce  string        // of its last DPoP-Nonce; empty: none
}

// Grant is what the server gave for a key.
type Grant struct {
	Who     string // the identity the token is for, as the server writes it
	Device  string // the server's name for the device
	Token   string
	Issued  time.Time // in this computer's time
	Expires time.Time
}

// Slot is an upload permission that proves an identity.
type Slot struct {
	URL           string `json:"url"`
	Size          int64  `json:"size"`
	Type          string `json:"type"`
	Authorization string `json:"authorization"`
}

// Client sends the questions.
type Client struct {
	Do  func(*http.Request) (*http.Response, error) // an http.RoundTripper's; it follows no redirects
	Now func() time.Time
}

// Discover finds out about the server at origin. api is the path that a Holdfast-Api header named; empty: the well-known
// document is asked. ErrUnknown: it knows no devices.
func (c Client) Discover(ctx context.Context, origin, api string) (Server, error) {
	at := wellKnown
	if api != "" {
		if !isAPI(api) {
			return Server{}, ErrElsewhere
		}
		at = api + "info"
	}
	s := Server{Origin: origin}
	req, err := s.request(ctx, http.MethodGet, at, nil)
	if err != nil {
		return Server{}, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return Server{}, fmt.Errorf("ask about devices: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		return Server{}, refusal(resp)
	}
	if resp.StatusCode != http.StatusOK {
		return Server{}, ErrUnknown
	}
	var info struct {
		API    string   `json:"api"`
		Resign []string `json:"resign"`
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return Server{}, fmt.Errorf("ask about devices: %w", err)
	}
	if json.Unmarshal(raw, &info) != nil || !isAPI(info.API) {
		return Server{}, ErrUnknown
	}
	for _, way := range info.Resign {
		if way == "dpop" {
			s.API = info.API
			s.learn(resp.Header, c.Now())
			return s, nil
		}
	}
	return Server{}, ErrUnknown
}

// isAPI says whether a path can be that of the endpoints.
func isAPI(p string) bool {
	u, err := url.Parse(p)
	return err == nil && u.Host == "" && u.Scheme == "" && u.RawQuery == "" && strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "//") &&
		strings.HasSuffix(p, "/") && len(p) < 1024
}

// BySlot enrols key with a slot as proof of the identity. The slot stays as it is.
func (c Client) BySlot(ctx context.Context, s *Server, key ed25519.PrivateKey, slot Slot) (Grant, error) {
	return c.ask(ctx, s, key, map[string]any{"slot": slot})
}

// ByCode enrols key with a code that the server's admin handed out.
func (c Client) ByCode(ctx context.Context, s *Server, key ed25519.PrivateKey, code string) (Grant, error) {
	return c.ask(ctx, s, key, map[string]any{"code": code})
}

// Refresh gets a new token for an old one. ErrRevoked: there will be none.
func (c Client) Refresh(ctx context.Context, s *Server, key ed25519.PrivateKey, token string) (Grant, error) {
	return c.ask(ctx, s, key, map[string]any{"refresh": token})
}

// ask posts one question, and repeats it once each for the server's nonce and the server's clock.
func (c Client) ask(ctx context.Context, s *Server, key ed25519.PrivateKey, question any) (Grant, error) {
	body, err := json.Marshal(question)
	if err != nil {
		return Grant{}, fmt.Errorf("write the question: %w", err)
	}
	nonced, timed := false, false
	for {
		skew := s.Skew
		g, err := c.post(ctx, s, key, body)
		no, refused := errors.AsType[*Refused](err)
		switch {
		case !refused || no.Status != http.StatusUnauthorized:
			return g, err
		case no.Code == "use-dpop-nonce" && s.Nonce != "" && !nonced:
			nonced = true
		case no.Code == "invalid-dpop-proof" && s.Skew != skew && !timed:
			timed = true
		case no.Code == "device-revoked":
			return Grant{}, ErrRevoked
		default:
			return Grant{}, err
		}
	}
}

func (c Client) post(ctx context.Context, s *Server, key ed25519.PrivateKey, body []byte) (Grant, error) {
	now := c.Now()
	req, err := s.request(ctx, http.MethodPost, s.API+"token", body)
	if err != nil {
		return Grant{}, err
	}
	proof, err := Proof(key, http.MethodPost, req.URL, now.Add(s.Skew), "", s.Nonce)
	if err != nil {
		return Grant{}, err
	}
	req.Header.Set("DPoP", proof)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return Grant{}, fmt.Errorf("enrol: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	s.learn(resp.Header, c.Now())
	if resp.StatusCode != http.StatusOK {
		return Grant{}, refusal(resp)
	}
	return readGrant(io.LimitReader(resp.Body, maxAnswer), now)
}

// request is one to the server. Nothing of this goes over plain http.
func (s Server) request(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	u, err := url.Parse(s.Origin + path)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("ask %s: it is no https address", s.Origin)
	}
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), r)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", s.Origin, err)
	}
	req.Header.Set("User-Agent", "Holdfast")
	req.Header.Set("Cache-Control", "no-cache")
	return req, nil
}

// learn takes what any answer tells: the server's time, and the nonce for the next proof.
func (s *Server) learn(h http.Header, now time.Time) {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		s.Skew = Skew(date, now)
	}
	if n := h.Get("DPoP-Nonce"); n != "" && len(n) < 1024 {
		s.Nonce = n
	}
}

// Skew is how far a server's clock is ahead. A minute is nothing: Date has whole seconds, and answers take their time.
func Skew(date, now time.Time) time.Duration {
	if skew := date.Sub(now.Round(0)); skew.Abs() >= time.Minute {
		return skew
	}
	return 0
}

// Proof is a DPoP proof for one request at now, in the server's time. token and nonce may be empty.
func Proof(key ed25519.PrivateKey, method string, u *url.URL, now time.Time, token, nonce string) (string, error) {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	target := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return dpop.Make(key, dpop.Claims{
		Method: method, URL: target.String(), IssuedAt: now, ID: base64.RawURLEncoding.EncodeToString(id[:]), AccessToken: token, Nonce: nonce,
	})
}

// refusal reads a no.
func refusal(resp *http.Response) error {
	r := &Refused{Status: resp.StatusCode, Code: resp.Header.Get("Holdfast-Error")}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		head, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		line, _, _ := strings.Cut(string(head), "\n")
		r.Text = strings.Join(strings.Fields(strings.ToValidUTF8(line, "?")), " ")
	}
	return r
}

// readGrant reads the answer to a question of now.
func readGrant(r io.Reader, now time.Time) (Grant, error) {
	var a struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Seconds int64  `json:"expires_in"`
		Device  string `json:"device"`
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return Grant{}, fmt.Errorf("read the token: %w", err)
	}
	if json.Unmarshal(raw, &a) != nil || a.Token == "" || len(a.Token) > maxToken || !strings.EqualFold(a.Type, "DPoP") || a.Device == "" ||
		len(a.Device) > 256 || a.Seconds <= 0 || a.Seconds > 366*24*3600 || !printable(a.Token) || !printable(a.Device) {
		return Grant{}, ErrElsewhere
	}
	g := Grant{Device: a.Device, Token: a.Token, Who: who(a.Token), Issued: now.Round(0), Expires: now.Round(0).Add(time.Duration(a.Seconds) * time.Second)}
	if g.Who == "" {
		return Grant{}, ErrElsewhere
	}
	return g, nil
}

// printable says whether s can be part of a header field.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}

// who is the identity in an access token. It is not verified: it only says for whose slots the token is to be used.
func who(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var c struct {
		Who string `json:"who"`
	}
	if json.Unmarshal(raw, &c) != nil || len(c.Who) > 3071 {
		return ""
	}
	return c.Who
}
