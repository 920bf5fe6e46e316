package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/relay/server"
	"holdfast/relay/server/admit"
	"holdfast/relay/token"
)

const (
	gajim  = "User-Agent: gajim 1.7.3"
	robot  = "User-Agent: robot client"
	home   = "X-Forwarded-For: 192.0.2.10"
	away   = "X-Forwarded-For: 198.51.100.20"
	phone  = "User-Agent: Conversations/2.12.1"
	minute = time.Minute
)

// late moves the clock to so long after the slot's expiry.
func (l *lab) late(c token.Claims, d time.Duration) { l.clock.Store(c.Expires.Add(d).Unix()) }

func TestEveryWindowEndsToTheSecond(t *testing.T) {
	w := admit.Default
	for _, scheme := range []token.Scheme{token.JWT, token.Bearer, token.V3} {
		for _, tt := range []struct {
			name   string
			window admit.Window
			length time.Duration
			agent  string
			before time.Duration // a fresh upload of the user this long before the expiry; 0: none
			from   string
			only   bool // needs an identity
		}{
			{"base for anybody", admit.Base, w.Base, robot, 0, home, false},
			{"mobile for a phone", admit.Mobile, w.Mobile, phone, 0, home, false},
			{"desktop for Gajim", admit.Desktop, w.Desktop, gajim, 0, home, false},
			{"restore for a known Gajim", admit.Restore, w.Restore, gajim, -2 * minute, home, true},
			{"ultra for who was away", admit.Ultra, w.Ultra, robot, 2 * minute, home, true},
			{"ultra for who moved", admit.Ultra, w.Ultra, robot, -2 * minute, away, true},
		} {
			if tt.only && scheme == token.V3 {
				continue
			}
			t.Run(string(scheme)+": "+tt.name, func(t *testing.T) {
				l := newLab(t, trusting)
				for i, step := range []struct {
					late   time.Duration
					status int
					code   string
				}{{tt.length, 201, ""}, {tt.length + time.Second, 403, "token-late"}} {
					jid := fmt.Sprintf("u%d@example.org", i)
					issued := l.now()
					who := func(c *token.Claims) {
						if scheme != token.V3 {
							c.User = jid
						}
					}
					sl := l.sign(scheme, fmt.Sprintf("late/%d", i), 5, who)
					c := token.Issued(token.Claims{Scheme: scheme}, issued)
					if tt.before != 0 {
						l.late(c, -tt.before)
						want(t, l.put(l.sign(scheme, fmt.Sprintf("fresh/f%d", i), 5, who), "hello", gajim, home), 201, "")
					}
					l.late(c, step.late)
					resp := l.put(sl, "hello", tt.agent, tt.from)
					want(t, resp, step.status, step.code)
					if step.status == 201 && resp.Header.Get("Holdfast-Grace") != string(tt.window) {
						t.Errorf("Holdfast-Grace is %q", resp.Header.Get("Holdfast-Grace"))
					}
					l.clock.Store(issued.Unix())
				}
			})
		}
	}
}

func TestNothingAClientSaysOpensAWindow(t *testing.T) {
	for _, tt := range []struct {
		name    string
		query   string
		headers []string
	}{
		{"a robot", "", []string{robot}},
		{"an untrusted forwarded address", "", []string{robot, away, "X-Real-IP: 198.51.100.20", "Forwarded: for=198.51.100.20"}},
		{"wishes in the query", "&resume_allowed=true&network_resilience=true", []string{robot}},
		{"a session of its own", "", []string{robot, "X-Session-ID: abc", "X-Upload-Session-ID: abc"}},
		{"a phone's name within another", "", []string{"User-Agent: NotConversations/1 gajimish"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			// The identity is known, at this address, after the expiry: only what the client adds could help.
			sl := l.sign(token.Bearer, "late/file", 5)
			c := token.Issued(token.Claims{Scheme: token.Bearer}, l.now())
			l.late(c, minute)
			want(t, l.put(l.sign(token.Bearer, "fresh/other", 5), "hello", gajim), 201, "")
			l.late(c, 8*time.Hour+time.Second)
			sl.url += tt.query
			want(t, l.put(sl, "hello", tt.headers...), 403, "token-late")
		})
	}
}

func TestAKnownIdentityMayMoveAndIsRememberedAcrossARestart(t *testing.T) {
	l := newLab(t, trusting)
	first := l.put(l.sign(token.JWT, "a/first", 5), "hello", gajim, home)
	want(t, first, 201, "")
	id := first.Header.Get("X-Session-ID")
	if id == "" || first.Header.Get("X-Network-Switch-Detected") != "" {
		t.Errorf("first upload: session %q, switch %q", id, first.Header.Get("X-Network-Switch-Detected"))
	}
	known, stranger := l.sign(token.JWT, "a/second", 5), l.sign(token.JWT, "a/stranger", 5, user("bob@example.org"))
	l.stop()
	at := l.now()
	l.start(trusting)
	l.clock.Store(at.Add(60 * time.Hour).Unix())
	known.url, stranger.url = rebase(known.url, l.base), rebase(stranger.url, l.base)
	resp := l.put(known, "hello", gajim, away)
	want(t, resp, 201, "")
	got := []string{resp.Header.Get("X-Session-ID"), resp.Header.Get("X-Network-Switch-Detected"), resp.Header.Get("Holdfast-Grace")}
	if got[0] != id || got[1] != "true" || got[2] != "ultra" {
		t.Errorf("session, switch, grace: %q, want %q", got, id)
	}
	want(t, l.put(stranger, "hello", gajim, away), 403, "token-late")
	for _, line := range []string{`msg="ultra grace used"`, `msg="address changed"`, `msg="refused beyond grace"`, "reason=address-changed", "late=59h55m0s", "window=ultra", "peer=198.51.100.0/24"} {
		if !strings.Contains(l.log.String(), line) {
			t.Errorf("the log misses %s", line)
		}
	}
	for _, m := range []string{
		`holdfast_grace_total{client="desktop",window="ultra"} 1`, `holdfast_address_changes_total 1`, `holdfast_beyond_grace_total{client="desktop"} 1`,
		`holdfast_refusals_total{code="token-late"} 1`, `holdfast_sessions_total{event="restored"} 1`,
	} {
		if metric(t, l, m) == "" {
			t.Errorf("the metrics miss %s", m)
		}
	}
	if strings.Contains(l.log.String(), "alice@") || strings.Contains(l.log.String(), "Bearer") {
		t.Error("the log names a person or a credential")
	}
}

func rebase(url, base string) string { return base + url[strings.Index(url, "/upload/"):] }

func TestALateUploadMakesNoSession(t *testing.T) {
	l := newLab(t, trusting)
	sl := l.sign(token.JWT, "a/late", 5)
	c := token.Issued(token.Claims{Scheme: token.JWT}, l.now())
	again := l.sign(token.JWT, "a/again", 5)
	l.late(c, time.Hour)
	if resp := l.put(sl, "hello", gajim, home); resp.StatusCode != 201 || resp.Header.Get("X-Session-ID") != "" {
		t.Errorf("%s with session %q", resp.Status, resp.Header.Get("X-Session-ID"))
	}
	l.late(c, 60*time.Hour)
	want(t, l.put(again, "hello", gajim, away), 403, "token-late")
}

func TestAProxysOwnAddressIsNoChangeOfAddress(t *testing.T) {
	l := newLab(t, trusting)
	want(t, l.put(l.sign(token.JWT, "a/first", 5), "hello", gajim, home), 201, "")
	resp := l.put(l.sign(token.JWT, "a/second", 5), "hello", gajim)
	want(t, resp, 201, "")
	if resp.Header.Get("X-Network-Switch-Detected") != "" {
		t.Error("an address that is not known for certain counts as a change")
	}
}

func TestSecretsAndWindowsChangeWithoutARestart(t *testing.T) {
	l := newLab(t)
	old := l.sign(token.V2, "a/old", 5)
	set := l.conf.Settings
	set.Issuers = []token.Issuer{{Schemes: token.Schemes(), Secrets: []token.Secret{token.Secret("the next secret, also long"), secret}}}
	if err := l.srv.Update(set); err != nil {
		t.Fatal(err)
	}
	want(t, l.put(old, "hello"), 201, "")
	set.Issuers[0].Secrets = set.Issuers[0].Secrets[:1]
	if err := l.srv.Update(set); err != nil {
		t.Fatal(err)
	}
	want(t, l.put(l.sign(token.V2, "a/gone", 5), "hello"), 403, "token-invalid")
	if err := l.srv.Update(server.Settings{Issuers: []token.Issuer{{}}}); err == nil {
		t.Error("an issuer without schemes is taken")
	}
	set.Issuers = []token.Issuer{{Schemes: []token.Scheme{token.V}, Secrets: []token.Secret{secret}}}
	if err := l.srv.Update(set); err != nil {
		t.Fatal(err)
	}
	want(t, l.put(l.sign(token.V2, "a/off", 5), "hello"), 403, "token-missing")
}

func TestRetention(t *testing.T) {
	l := newLab(t)
	end := l.now().Add(24 * time.Hour)
	sl := l.sign(token.JWT, "keep/file", 5, func(c *token.Claims) { c.Retain = end })
	want(t, l.put(sl, "hello"), 201, "")
	l.clock.Store(end.Unix() - 1)
	l.srv.Sweep(t.Context())
	want(t, l.do(http.MethodGet, l.base+"/upload/keep/file", nil), 200, "")
	l.clock.Store(end.Unix())
	want(t, l.do(http.MethodGet, l.base+"/upload/keep/file", nil), 404, "not-found")
	short := l.sign(token.JWT, "keep/short", 5, func(c *token.Claims) { c.Retain = end.Add(-time.Hour) })
	want(t, l.put(short, "hello"), 403, "token-late") // it could not be fetched after the 201
	early := l.sign(token.JWT, "keep/early", 5, func(c *token.Claims) { c.Retain = end.Add(time.Second) })
	want(t, l.put(early, "hello"), 201, "")
	l.clock.Store(end.Unix() + 1)
	want(t, l.put(early, "hello"), 409, "slot-used") // as it is after the sweep
	l.srv.Sweep(t.Context())
	if got := published(t, l.files()); len(got) > 0 {
		t.Errorf("still there: %q", got)
	}
	l.clock.Store(end.Add(-23 * time.Hour).Unix())
	want(t, l.put(sl, "hello"), 409, "slot-used")
}
