package server_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/relay/server"
	"holdfast/relay/server/admit"
	"holdfast/relay/server/device"
	"holdfast/relay/token"
)

// publicURL is what proofs are made for; the server listens elsewhere.
const publicURL = "https://upload.example.org/upload/"

const tokenURL = "https://upload.example.org/upload/.holdfast/v1/token"

// strict windows: only a device, or a changed address, helps who is late.
var strict = admit.Windows{Base: time.Hour, Mobile: time.Hour, Desktop: time.Hour, Restore: time.Hour, Ultra: 72 * time.Hour}

func deviceLab(t *testing.T, changes ...change) *lab {
	t.Helper()
	dir := t.TempDir()
	l := newLab(t, append([]change{func(c *server.Config) {
		keys, err := device.Open(dir, publicURL, c.Now())
		if err != nil {
			t.Fatal(err)
		}
		c.Devices, c.Public = keys, publicURL
		c.Settings.Enrol, c.Settings.Windows = device.BySlot, strict
	}}, changes...)...)
	return l
}

// gadget is a device as somebody else would write it: the bytes of its proofs are put together here.
type gadget struct {
	t      *testing.T
	l      *lab
	key    ed25519.PrivateKey
	access string
	id     string

	proof proofParts
}

// proofParts change a proof; the zero value is as it should be.
type proofParts struct {
	header, claims func(string) string
	skew           time.Duration
	repeat         string // show this proof instead
	nonce          string
}

func newGadget(t *testing.T, l *lab) *gadget {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &gadget{t: t, l: l, key: key}
}

func rawURL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (g *gadget) make(method, url, access string) string {
	if g.proof.repeat != "" {
		return g.proof.repeat
	}
	header := `{"typ":"dpop+jwt","alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"` + rawURL(g.key.Public().(ed25519.PublicKey)) + `"}}`
	url, _, _ = strings.Cut(url, "?")
	claims := fmt.Sprintf(`{"jti":%q,"htm":%q,"htu":%q,"iat":%d`, rand.Text(), method, url, g.l.now().Add(g.proof.skew).Unix())
	if access != "" {
		sum := sha256.Sum256([]byte(access))
		claims += `,"ath":"` + rawURL(sum[:]) + `"`
	}
	if g.proof.nonce != "" {
		claims += `,"nonce":"` + g.proof.nonce + `"`
	}
	claims += "}"
	if g.proof.header != nil {
		header = g.proof.header(header)
	}
	if g.proof.claims != nil {
		claims = g.proof.claims(claims)
	}
	input := rawURL([]byte(header)) + "." + rawURL([]byte(claims))
	return input + "." + rawURL(ed25519.Sign(g.key, []byte(input)))
}

// ask sends a body to the token endpoint and keeps what it gets.
func (g *gadget) ask(body string) *http.Response {
	g.t.Helper()
	resp := g.l.do(http.MethodPost, g.l.base+"/upload/.holdfast/v1/token", strings.NewReader(body), "DPoP: "+g.make("POST", tokenURL, ""), "Content-Type: application/json")
	if resp.StatusCode == http.StatusOK {
		var got struct {
			AccessToken string `json:"access_token"`
			TokenType   string `json:"token_type"`
			ExpiresIn   int    `json:"expires_in"`
			Device      string `json:"device"`
		}
		b := text(resp)
		if err := json.Unmarshal([]byte(b), &got); err != nil || got.TokenType != "DPoP" || got.ExpiresIn != 604800 || got.Device == "" {
			g.t.Fatalf("%s, %v", b, err)
		}
		if resp.Header.Get("Cache-Control") != "no-store" {
			g.t.Error("a token may be cached")
		}
		g.access, g.id = got.AccessToken, got.Device
	}
	return resp
}

func bySlot(s slot, size int) string {
	at := strings.Index(s.url, "/upload/")
	b, err := json.Marshal(map[string]any{"slot": map[string]any{
		"url": "https://upload.example.org" + s.url[at:], "size": size, "type": s.typ, "authorization": s.auth,
	}})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// enrol enrols with a fresh slot of jid.
func (g *gadget) enrol(jid string) {
	g.t.Helper()
	want(g.t, g.ask(bySlot(g.l.sign(token.JWT, "enrol/"+rand.Text(), 5, user(jid)), 5)), 200, "")
}

// headers are those of a request for a slot that shows the device.
func (g *gadget) headers(method string, s slot) []string {
	at := strings.Index(s.url, "/upload/")
	return []string{
		"Authorization: DPoP " + g.access, "Holdfast-Slot-Authorization: " + s.auth, "Content-Type: " + s.typ, gajim, home,
		"DPoP: " + g.make(method, "https://upload.example.org"+s.url[at:], g.access),
	}
}

func (g *gadget) put(s slot, body string) *http.Response {
	g.t.Helper()
	return g.l.do(http.MethodPut, s.url, strings.NewReader(body), g.headers("PUT", s)...)
}

// What is asked of the server: base, mobile, desktop and restore are one hour, ultra 72, the address is the same and the
// person was seen since.
func TestADeviceOpensTheWidestWindowForItsOwnPersonOnly(t *testing.T) {
	for _, scheme := range []token.Scheme{token.JWT, token.Bearer} {
		for _, late := range []time.Duration{5 * time.Hour, 30 * time.Hour, 70 * time.Hour, 72 * time.Hour} {
			t.Run(fmt.Sprintf("%s %s late", scheme, late), func(t *testing.T) {
				l := deviceLab(t, trusting)
				issued := l.now()
				slots := make([]slot, 5)
				for i := range slots {
					slots[i] = l.sign(scheme, fmt.Sprintf("late/f%d", i), 5)
				}
				expires := token.Issued(token.Claims{Scheme: scheme}, issued)
				l.late(expires, late-2*time.Minute)
				mine, revoked, others := newGadget(t, l), newGadget(t, l), newGadget(t, l)
				mine.enrol("alice@example.org")
				revoked.enrol("alice@example.org")
				others.enrol("bob@example.org")
				if _, err := l.led.Devices().Revoke(t.Context(), revoked.id); err != nil {
					t.Fatal(err)
				}
				want(t, l.put(l.sign(scheme, "fresh/f", 5), "hello", gajim, home), 201, "") // seen since, from here
				l.late(expires, late)
				want(t, l.put(slots[0], "hello", gajim, home), 403, "token-late")
				want(t, revoked.put(slots[1], "hello"), 401, "device-revoked")
				want(t, others.put(slots[2], "hello"), 403, "device-user-mismatch")
				resp := mine.put(slots[3], "hello")
				want(t, resp, 201, "")
				if resp.Header.Get("Holdfast-Grace") != "ultra" {
					t.Errorf("Holdfast-Grace is %q", resp.Header.Get("Holdfast-Grace"))
				}
				want(t, mine.put(slots[3], "hello"), 201, "")
				want(t, mine.put(slots[3], "HELLO"), 409, "slot-used")
				l.clock.Store(expires.Expires.Add(72*time.Hour + time.Second).Unix())
				mine.enrolAgain()
				want(t, mine.put(slots[4], "hello"), 403, "token-late")
				if !strings.Contains(l.log.String(), "reason=device") {
					t.Error("the log does not say why")
				}
				if s := l.log.String(); strings.Contains(s, "alice@") || strings.Contains(s, mine.access) {
					t.Error("the log names a person or a token")
				}
			})
		}
	}
}

// enrolAgain renews.
func (g *gadget) enrolAgain() {
	g.t.Helper()
	want(g.t, g.ask(`{"refresh":"`+g.access+`"}`), 200, "")
}

func TestWhatIsNoProofOfADevice(t *testing.T) {
	swap := func(old, to string) func(string) string {
		return func(s string) string { return strings.ReplaceAll(s, old, to) }
	}
	for _, tt := range []struct {
		name string
		edit func(t *testing.T, g *gadget)
		code string // "": it is one
	}{
		{"299 s slow", func(_ *testing.T, g *gadget) { g.proof.skew = -299 * time.Second }, ""},
		{"300 s fast", func(_ *testing.T, g *gadget) { g.proof.skew = 300 * time.Second }, ""},
		{"301 s slow", func(_ *testing.T, g *gadget) { g.proof.skew = -301 * time.Second }, "invalid-dpop-proof"},
		{"301 s fast", func(_ *testing.T, g *gadget) { g.proof.skew = 301 * time.Second }, "invalid-dpop-proof"},
		{"for another method", func(_ *testing.T, g *gadget) { g.proof.claims = swap(`"PUT"`, `"POST"`) }, "invalid-dpop-proof"},
		{"for another file", func(_ *testing.T, g *gadget) { g.proof.claims = swap("late/file", "late/other") }, "invalid-dpop-proof"},
		{"for the host that was asked", func(_ *testing.T, g *gadget) {
			g.proof.claims = swap("https://upload.example.org", g.l.base)
		}, "invalid-dpop-proof"},
		{"alg none", func(_ *testing.T, g *gadget) { g.proof.header = swap("EdDSA", "none") }, "invalid-dpop-proof"},
		{"alg HS256", func(_ *testing.T, g *gadget) { g.proof.header = swap("EdDSA", "HS256") }, "invalid-dpop-proof"},
		{"another type", func(_ *testing.T, g *gadget) { g.proof.header = swap("dpop+jwt", "jwt") }, "invalid-dpop-proof"},
		{"a huge one", func(_ *testing.T, g *gadget) {
			g.proof.header = swap(`"typ"`, `"p":"`+strings.Repeat("a", 20<<10)+`","typ"`)
		}, "invalid-dpop-proof"},
		{"two", func(_ *testing.T, g *gadget) { g.proof.repeat = "a, b" }, "invalid-dpop-proof"},
		{"none", func(_ *testing.T, g *gadget) { g.proof.repeat = " " }, "invalid-dpop-proof"},
		{"by another key", func(t *testing.T, g *gadget) { g.key = newGadget(t, g.l).key }, "invalid-dpop-proof"},
		{"for another token", func(_ *testing.T, g *gadget) { g.proof.claims = swap(`"ath":"`, `"ath":"A`) }, "invalid-dpop-proof"},
		{"with a nonce that nobody gave", func(_ *testing.T, g *gadget) { g.proof.nonce = "guess" }, "use-dpop-nonce"},
		{"of another server", func(t *testing.T, g *gadget) {
			keys, err := device.Open(t.TempDir(), publicURL, g.l.now())
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + rawURL(g.key.Public().(ed25519.PublicKey)) + `"}`))
			if g.access, err = keys.Issue(device.Token{Device: g.id, Who: "alice@example.org", Key: rawURL(sum[:])}, g.l.now()); err != nil {
				t.Fatal(err)
			}
		}, "invalid-dpop-proof"},
		{"with a token that is no token", func(_ *testing.T, g *gadget) { g.access = "abc" }, "invalid-dpop-proof"},
		{"with a token without signature", func(_ *testing.T, g *gadget) {
			g.access = rawURL([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + strings.Split(g.access, ".")[1] + "."
		}, "invalid-dpop-proof"},
		{"a week later, without renewal", func(_ *testing.T, g *gadget) { g.l.clock.Add(604800) }, "invalid-dpop-proof"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := deviceLab(t)
			g := newGadget(t, l)
			g.enrol("alice@example.org")
			l.clock.Add(int64(70 * 3600))
			sl := l.sign(token.JWT, "late/file", 5, func(c *token.Claims) {
				c.IssuedAt, c.Expires = l.now().Add(-66*time.Hour), l.now().Add(-65*time.Hour)
			})
			tt.edit(t, g)
			resp := g.put(sl, "hello")
			if tt.code == "" {
				want(t, resp, 201, "")
				return
			}
			want(t, resp, 401, tt.code)
			if !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "DPoP ") {
				t.Errorf("WWW-Authenticate is %q", resp.Header.Get("WWW-Authenticate"))
			}
		})
	}
}

func TestAProofIsShownOnce(t *testing.T) {
	l := deviceLab(t)
	g := newGadget(t, l)
	g.enrol("alice@example.org")
	sl := l.sign(token.JWT, "late/file", 5)
	l.clock.Add(3600 * 20)
	g.proof.repeat = g.make("PUT", "https://upload.example.org/upload/late/file", g.access)
	want(t, g.put(sl, "hello"), 201, "")
	want(t, g.put(sl, "hello"), 401, "invalid-dpop-proof")
	// Also after a restart, and in the window's last second.
	l.clock.Add(300)
	l.stop()
	keep := l.conf
	l.start(func(c *server.Config) { c.Devices, c.Public, c.Settings = keep.Devices, keep.Public, keep.Settings })
	sl.url = rebase(sl.url, l.base)
	want(t, g.put(sl, "hello"), 401, "invalid-dpop-proof")
	g.proof.repeat = ""
	want(t, g.put(sl, "hello"), 201, "")
}

func TestANonceThatIsWanted(t *testing.T) {
	l := deviceLab(t, func(c *server.Config) { c.Settings.DeviceNonce = true })
	g := newGadget(t, l)
	body := bySlot(l.sign(token.JWT, "enrol/a", 5), 5)
	resp := g.ask(body)
	want(t, resp, 401, "use-dpop-nonce")
	g.proof.nonce = resp.Header.Get("DPoP-Nonce")
	if g.proof.nonce == "" || !strings.Contains(resp.Header.Get("WWW-Authenticate"), "use_dpop_nonce") {
		t.Fatalf("%v", resp.Header)
	}
	want(t, g.ask(body), 200, "")
	sl := l.sign(token.JWT, "late/file", 5)
	l.clock.Add(3600 * 20)
	resp = g.put(sl, "hello")
	want(t, resp, 401, "use-dpop-nonce") // the old one is hours old
	g.proof.nonce = resp.Header.Get("DPoP-Nonce")
	want(t, g.put(sl, "hello"), 201, "")
}

func TestWhichSlotsEnrol(t *testing.T) {
	forms := []token.Form{token.NetworkResilient, token.Standard, token.Expiring, token.IssuedExpiring, token.SessionBased}
	for _, tt := range []struct {
		name string
		slot func(l *lab) slot
		code string
	}{
		{"a jwt", func(l *lab) slot { return l.sign(token.JWT, "a/b", 5) }, ""},
		{"a bearer without a time", func(l *lab) slot {
			return l.sign(token.Bearer, "a/b", 5, func(c *token.Claims) { c.Form = token.Simple })
		}, "slot-not-proof"},
		{"v2", func(l *lab) slot { return l.sign(token.V2, "a/b", 5) }, "slot-not-proof"},
		{"v with ejabberd's owner", func(l *lab) slot { return l.sign(token.V, strings.Repeat("0a", 20)+"/b/c", 5) }, "slot-not-proof"},
		{"v3", func(l *lab) slot { return l.sign(token.V3, "a/b", 5) }, "slot-not-proof"},
		{"token", func(l *lab) slot { return l.sign(token.Token, "a/b", 5) }, "slot-not-proof"},
		{"a jwt without a user", func(l *lab) slot { return l.sign(token.JWT, "a/b", 5, user("")) }, "slot-not-proof"},
		{"one that is late by a second", func(l *lab) slot {
			return l.sign(token.JWT, "a/b", 5, func(c *token.Claims) { c.IssuedAt, c.Expires = l.now().Add(-time.Minute), l.now().Add(-time.Second) })
		}, "slot-not-proof"},
		{"one from the future", func(l *lab) slot {
			return l.sign(token.JWT, "a/b", 5, func(c *token.Claims) { c.IssuedAt, c.Expires = l.now().Add(time.Hour), l.now().Add(2*time.Hour) })
		}, "slot-not-proof"},
		{"one that was used", func(l *lab) slot {
			s := l.sign(token.JWT, "a/b", 5)
			want(l.tb, l.put(s, "hello"), 201, "")
			return s
		}, "slot-not-proof"},
		{"a bearer whose token was used for another path", func(l *lab) slot {
			s := l.sign(token.Bearer, "a/b", 5)
			want(l.tb, l.put(s, "hello"), 201, "")
			s.url = strings.Replace(s.url, "/a/b", "/c/b", 1)
			return s
		}, "slot-not-proof"},
		{"one with another path", func(l *lab) slot {
			s := l.sign(token.JWT, "a/b", 5)
			s.url = strings.Replace(s.url, "/a/b", "/a/c", 1)
			return s
		}, "slot-not-proof"},
		{"one without a credential", func(l *lab) slot { s := l.sign(token.JWT, "a/b", 5); s.auth = ""; return s }, "slot-not-proof"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := deviceLab(t)
			g := newGadget(t, l)
			s := tt.slot(l)
			status := 200
			if tt.code != "" {
				status = 403
			}
			want(t, g.ask(bySlot(s, 5)), status, tt.code)
		})
	}
	for _, f := range forms {
		t.Run("bearer "+f.String(), func(t *testing.T) {
			l := deviceLab(t)
			g := newGadget(t, l)
			s := l.sign(token.Bearer, "a/b", 5, func(c *token.Claims) { c.Form, c.Session = f, map[bool]string{true: "s1"}[f == token.SessionBased] })
			body := bySlot(s, 5)
			want(t, g.ask(strings.Replace(body, `"size":5`, `"size":6`, 1)), 403, "slot-not-proof")
			want(t, g.ask(body), 200, "")
			want(t, newGadget(t, l).ask(body), 403, "slot-not-proof") // once
			again := s
			again.url = strings.Replace(s.url, "/a/b", "/c/b", 1)
			want(t, newGadget(t, l).ask(bySlot(again, 5)), 403, "slot-not-proof") // the same MAC
			want(t, l.put(s, "hello"), 201, "")                                   // and the slot is still good
		})
	}
}

func TestASlotInFlightEnrols(t *testing.T) {
	l := deviceLab(t)
	s := l.sign(token.JWT, "a/b", 5)
	resp := l.do(http.MethodPatch, s.url, strings.NewReader("he"), "Authorization: "+s.auth, "Holdfast-Upload: AAAAAAAAAAAAAAAAAAAAAA",
		"Upload-Length: 5", "Upload-Offset: 0", "Upload-Complete: ?0", "Content-Type: application/partial-upload", "Holdfast-Slot-Type: text/plain")
	want(t, resp, 204, "")
	want(t, newGadget(t, l).ask(bySlot(s, 5)), 200, "")
}

func TestRequestsThatTheTokenEndpointDoesNotUnderstand(t *testing.T) {
	l := deviceLab(t)
	slot := bySlot(l.sign(token.JWT, "a/b", 5), 5)
	for name, body := range map[string]string{
		"nothing":        "",
		"no way":         "{}",
		"two ways":       slot[:len(slot)-1] + `,"code":"x"}`,
		"a way twice":    `{"code":"a","code":"b"}`,
		"an array":       "[" + slot + "]",
		"a slot of text": `{"slot":"x"}`,
		"no size":        strings.Replace(slot, `"size"`, `"Size"`, 1),
		"a size below 0": strings.Replace(slot, `"size":5`, `"size":-5`, 1),
		"a size of text": strings.Replace(slot, `"size":5`, `"size":"5"`, 1),
		"a code of 1":    `{"code":1}`,
		"a token of 1":   `{"refresh":1}`,
		"huge":           `{"code":"` + strings.Repeat("a", 20<<10) + `"}`,
	} {
		t.Run(name, func(t *testing.T) { want(t, newGadget(t, l).ask(body), 400, "bad-request") })
	}
	want(t, l.do(http.MethodGet, l.base+"/upload/.holdfast/v1/token", nil), 405, "method-not-allowed")
	want(t, l.do(http.MethodPost, l.base+"/upload/.holdfast/v1/token", strings.NewReader(slot)), 401, "invalid-dpop-proof")
	for _, code := range []string{"ABCDE-ABCDE-ABCDE-ABCDE", "x", ""} {
		want(t, newGadget(t, l).ask(`{"code":"`+code+`"}`), 403, "code-invalid")
	}
}

func TestRenewalAndItsEnd(t *testing.T) {
	l := deviceLab(t)
	g := newGadget(t, l)
	g.enrol("alice@example.org")
	first := g.id
	thief := newGadget(t, l)
	want(t, thief.ask(`{"refresh":"`+g.access+`"}`), 401, "invalid-dpop-proof")
	l.clock.Add(37*86400 - 1) // 7 days, and 30 more
	g.enrolAgain()
	if g.id != first {
		t.Errorf("another device: %s, %s", first, g.id)
	}
	l.clock.Add(37 * 86400)
	want(t, g.ask(`{"refresh":"`+g.access+`"}`), 401, "invalid-dpop-proof")
	g.enrol("alice@example.org")
	if _, err := l.led.Devices().RevokeAll(t.Context(), "alice@example.org"); err != nil {
		t.Fatal(err)
	}
	want(t, g.ask(`{"refresh":"`+g.access+`"}`), 401, "device-revoked")
	want(t, g.ask(bySlot(l.sign(token.JWT, "again/b", 5), 5)), 401, "device-revoked")
}

func TestCodesAndHowDevicesEnrol(t *testing.T) {
	l := deviceLab(t, func(c *server.Config) { c.Settings.Enrol = device.ByCode })
	code := func(jid string) string {
		t.Helper()
		rec := httptest.NewRecorder()
		body, _ := json.Marshal(server.AdminDeviceOrder{Who: jid, For: time.Hour})
		l.srv.AdminHandler().ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/devices/add", bytes.NewReader(body)))
		var res server.AdminDeviceResult
		if err := json.Unmarshal(rec.Body.Bytes(), &res); err != nil || res.Code == "" {
			t.Fatalf("%s: %v", rec.Body, err)
		}
		return res.Code
	}
	g := newGadget(t, l)
	fresh := bySlot(l.sign(token.JWT, "a/b", 5), 5)
	want(t, g.ask(fresh), 403, "slot-not-proof")
	c := code("alice@example.org")
	want(t, g.ask(`{"code":"`+strings.ToLower(c)+`"}`), 200, "")
	want(t, newGadget(t, l).ask(`{"code":"`+c+`"}`), 403, "code-invalid")
	sl, bobs := l.sign(token.JWT, "late/a", 5), l.sign(token.JWT, "late/b", 5, user("bob@example.org"))
	late := code("bob@example.org")
	l.clock.Add(3600 * 20)
	want(t, g.put(sl, "hello"), 201, "")
	want(t, g.put(bobs, "hello"), 403, "device-user-mismatch")
	want(t, newGadget(t, l).ask(`{"code":"`+late+`"}`), 403, "code-invalid")
	if got := text(l.do(http.MethodGet, l.base+"/.well-known/holdfast", nil)); !strings.Contains(got, `"resign":["dpop"]`) {
		t.Errorf("info: %s", got)
	}
	set := l.conf.Settings
	set.Enrol = device.Off
	if err := l.srv.Update(set); err != nil {
		t.Fatal(err)
	}
	if got := text(l.do(http.MethodGet, l.base+"/.well-known/holdfast", nil)); !strings.Contains(got, `"resign":[]`) {
		t.Errorf("info: %s", got)
	}
	want(t, newGadget(t, l).ask(fresh), 404, "not-found")
	sl = l.sign(token.JWT, "late/c", 5)
	l.clock.Add(3600 * 20)
	want(t, g.put(sl, "hello"), 403, "token-late") // as if nothing had been shown
}

func TestTheEleventhDeviceTakesThePlaceOfTheOneUnusedForLongest(t *testing.T) {
	l := deviceLab(t)
	gs := make([]*gadget, 11)
	for i := range gs {
		gs[i] = newGadget(t, l)
		gs[i].enrol("alice@example.org")
		l.clock.Add(60)
		if i == 9 {
			gs[0].enrolAgain() // used last, so the second is the oldest
			l.clock.Add(60)
		}
	}
	for i, g := range gs {
		status, code := 200, ""
		if i == 1 {
			status, code = 401, "device-revoked"
		}
		want(t, g.ask(`{"refresh":"`+g.access+`"}`), status, code)
	}
	if !strings.Contains(l.log.String(), "device left for a newer one") || metric(t, l, `holdfast_devices_total{event="left"} 1`) == "" {
		t.Error("nobody was told")
	}
}

func TestASlotWithoutIdentityIgnoresTheProof(t *testing.T) {
	l := deviceLab(t)
	g := newGadget(t, l)
	g.enrol("alice@example.org")
	g.proof.repeat = "nonsense"
	want(t, g.put(l.sign(token.V2, "a/b", 5), "hello"), 201, "")
	v3 := l.sign(token.V3, "a/c", 5)
	l.clock.Add(3600 * 10)
	want(t, g.put(v3, "hello"), 403, "token-late")
}

func TestEveryDoorTakesAProof(t *testing.T) {
	l := deviceLab(t)
	g := newGadget(t, l)
	g.enrol("alice@example.org")
	slots := map[string]slot{}
	for _, name := range []string{"slot", "draft", "tus", "chunked", "alias"} {
		slots[name] = l.sign(token.JWT, "late/"+name, 5)
	}
	l.clock.Add(3600 * 20)
	path := func(s slot) string { return s.url[strings.Index(s.url, "/upload/"):] }
	at := func(s slot, method, url string, more ...string) []string {
		return append([]string{"Authorization: DPoP " + g.access, "Holdfast-Slot-Authorization: " + s.auth, "Holdfast-Slot: " + path(s),
			"DPoP: " + g.make(method, "https://upload.example.org"+url, g.access)}, more...)
	}
	s := slots["slot"]
	id := "Holdfast-Upload: AAAAAAAAAAAAAAAAAAAAAA"
	patch := []string{id, "Upload-Length: 5", "Upload-Complete: ?0", "Content-Type: application/partial-upload", "Holdfast-Slot-Type: text/plain"}
	want(t, l.do(http.MethodPatch, s.url, strings.NewReader("he"), append(at(s, "PATCH", path(s), patch...), "Upload-Offset: 0")...), 204, "")
	want(t, l.do(http.MethodHead, s.url, nil, at(s, "HEAD", path(s), id, "Upload-Length: 5", "Holdfast-Slot-Type: text/plain")...), 204, "")
	patch[2] = "Upload-Complete: ?1"
	want(t, l.do(http.MethodPatch, s.url, strings.NewReader("llo"), append(at(s, "PATCH", path(s), patch...), "Upload-Offset: 2")...), 201, "")

	s = slots["draft"]
	want(t, l.do(http.MethodPut, s.url, strings.NewReader("hello"), at(s, "PUT", path(s), "Content-Type: text/plain", "Upload-Complete: ?1", "Upload-Draft-Interop-Version: 8")...), 201, "")
	s = slots["tus"]
	tus := "/upload/.holdfast/v1/tus/"
	want(t, l.do(http.MethodPost, l.base+tus, nil, at(s, "POST", tus, "Tus-Resumable: 1.0.0", "Upload-Length: 5", "Upload-Metadata: filetype dGV4dC9wbGFpbg==")...), 201, "")
	s = slots["chunked"]
	chunked := "/upload/.holdfast/v1/chunked-upload"
	want(t, l.do(http.MethodPost, l.base+chunked, nil, at(s, "POST", chunked, "Content-Type: text/plain", "X-Total-Size: 5")...), 201, "")
	s = slots["alias"]
	want(t, l.do(http.MethodPost, l.base+"/chunked-upload", nil, at(s, "POST", "/chunked-upload", "Content-Type: text/plain", "X-Total-Size: 5")...), 201, "")
}

func TestDevicesAreOnTheOwnersDiskOnly(t *testing.T) {
	if _, err := device.Open(filepath.Join(t.TempDir(), "not there"), publicURL, time.Now()); err == nil {
		t.Error("keys without a folder")
	}
	l := newLab(t) // no keys: no devices
	if got := text(l.do(http.MethodGet, l.base+"/.well-known/holdfast", nil)); !strings.Contains(got, `"resign":[]`) {
		t.Errorf("info: %s", got)
	}
	want(t, l.do(http.MethodPost, l.base+"/upload/.holdfast/v1/token", strings.NewReader("{}")), 404, "not-found")
}
