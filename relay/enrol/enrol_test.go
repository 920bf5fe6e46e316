package enrol

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"holdfast/relay/dpop"
)

// exchange is one answer of a server that is made up.
type exchange struct {
	status int
	header map[string]string
	body   string
}

// script answers with one exchange after another and keeps the requests.
type script struct {
	t       *testing.T
	answers []exchange
	seen    []*http.Request
	bodies  []string
}

func (s *script) client(now time.Time) Client {
	return Client{Now: func() time.Time { return now }, Do: func(req *http.Request) (*http.Response, error) {
		if len(s.answers) == 0 {
			s.t.Fatalf("one request too many: %s %s", req.Method, req.URL)
		}
		a := s.answers[0]
		s.answers = s.answers[1:]
		var body []byte
		if req.Body != nil {
			body, _ = io.ReadAll(req.Body)
		}
		s.seen, s.bodies = append(s.seen, req), append(s.bodies, string(body))
		h := http.Header{}
		for k, v := range a.header {
			h.Set(k, v)
		}
		return &http.Response{StatusCode: a.status, Header: h, Body: io.NopCloser(strings.NewReader(a.body)), ContentLength: -1}, nil
	}}
}

var (
	key      = ed25519.NewKeyFromSeed([]byte("01234567890123456789012345678901"))
	noon     = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	access   = "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"who":"alice@example.org"}`)) + ".c2ln"
	accepted = exchange{200, map[string]string{"Content-Type": "application/json"},
		fmt.Sprintf(`{"access_token":%q,"token_type":"DPoP","expires_in":604800,"device":"d1"}`, access)}
)

func no(code string, header map[string]string) exchange {
	h := map[string]string{"Holdfast-Error": code, "Content-Type": "text/plain; charset=utf-8"}
	for k, v := range header {
		h[k] = v
	}
	return exchange{401, h, "No, because.\nmore"}
}

func TestDiscover(t *testing.T) {
	for _, tc := range []struct {
		name, api string
		answer    exchange
		at, want  string
		err       error
	}{
		{"by the well-known document", "", exchange{200, nil, `{"api":"/u/.holdfast/v1/","resign":["dpop"]}`}, "/.well-known/holdfast", "/u/.holdfast/v1/", nil},
		{"by the header of an answer", "/u/.holdfast/v1/", exchange{200, nil, `{"api":"/u/.holdfast/v1/","resign":["x","dpop"]}`}, "/u/.holdfast/v1/info", "/u/.holdfast/v1/", nil},
		{"it knows no devices", "", exchange{200, nil, `{"api":"/u/","resign":[]}`}, "/.well-known/holdfast", "", ErrUnknown},
		{"another server", "", exchange{404, nil, `nothing`}, "/.well-known/holdfast", "", ErrUnknown},
		{"a page", "", exchange{200, nil, `<html>`}, "/.well-known/holdfast", "", ErrUnknown},
		{"a redirect is not followed", "", exchange{302, map[string]string{"Location": "https://evil.example/"}, ""}, "/.well-known/holdfast", "", ErrUnknown},
		{"endpoints of another host", "", exchange{200, nil, `{"api":"https://evil.example/","resign":["dpop"]}`}, "/.well-known/holdfast", "", ErrUnknown},
		{"endpoints of another host without a scheme", "", exchange{200, nil, `{"api":"//evil.example/","resign":["dpop"]}`}, "/.well-known/holdfast", "", ErrUnknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &script{t: t, answers: []exchange{tc.answer}}
			got, err := s.client(noon).Discover(t.Context(), "https://h.example", tc.api)
			if got.API != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("got %+v, %v", got, err)
			}
			if u := s.seen[0].URL.String(); u != "https://h.example"+tc.at {
				t.Errorf("asked %s", u)
			}
		})
	}
	for _, origin := range []string{"http://h.example", "h.example", "https://"} {
		if _, err := (&script{t: t}).client(noon).Discover(t.Context(), origin, ""); err == nil {
			t.Errorf("%s was asked", origin)
		}
	}
	if _, err := (&script{t: t}).client(noon).Discover(t.Context(), "https://h.example", "//evil.example/"); err == nil {
		t.Error("a header led elsewhere")
	}
}

func TestQuestionsAreProvenAndRepeatedOnce(t *testing.T) {
	late := noon.Add(2 * time.Hour).Format(http.TimeFormat)
	for _, tc := range []struct {
		name    string
		answers []exchange
		err     error
		code    string
	}{
		{"taken at once", []exchange{accepted}, nil, ""},
		{"with the server's nonce", []exchange{no("use-dpop-nonce", map[string]string{"DPoP-Nonce": "n"}), accepted}, nil, ""},
		{"by the server's clock", []exchange{no("invalid-dpop-proof", map[string]string{"Date": late}), accepted}, nil, ""},
		{"both", []exchange{no("use-dpop-nonce", map[string]string{"DPoP-Nonce": "n", "Date": late}), accepted}, nil, ""},
		{"a proof that stays wrong", []exchange{no("invalid-dpop-proof", map[string]string{"Date": late}), no("invalid-dpop-proof", map[string]string{"Date": late})}, nil, "invalid-dpop-proof"},
		{"a nonce that is never right", []exchange{no("use-dpop-nonce", map[string]string{"DPoP-Nonce": "n"}), no("use-dpop-nonce", map[string]string{"DPoP-Nonce": "m"})}, nil, "use-dpop-nonce"},
		{"a nonce that is not named", []exchange{no("use-dpop-nonce", nil)}, nil, "use-dpop-nonce"},
		{"revoked", []exchange{no("device-revoked", nil)}, ErrRevoked, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &script{t: t, answers: tc.answers}
			server := Server{Origin: "https://h.example", API: "/u/.holdfast/v1/"}
			g, err := s.client(noon).Refresh(t.Context(), &server, key, "old")
			refused, _ := errors.AsType[*Refused](err)
			switch {
			case tc.code != "":
				if refused == nil || refused.Code != tc.code || refused.Error() != "No, because." {
					t.Errorf("got %v", err)
				}
			case !errors.Is(err, tc.err):
				t.Errorf("got %v", err)
			case err == nil && (g.Who != "alice@example.org" || g.Device != "d1" || g.Token != access || !g.Expires.Equal(noon.Add(7*24*time.Hour))):
				t.Errorf("got %+v", g)
			}
			if len(s.answers) > 0 {
				t.Errorf("%d answers were not asked for", len(s.answers))
			}
			ids := map[string]bool{}
			for i, req := range s.seen {
				e := dpop.Expect{Method: "POST", URL: "https://h.example/u/.holdfast/v1/token", Now: noon}
				if i > 0 && server.Skew != 0 {
					e.Now = noon.Add(2 * time.Hour)
				}
				p, err := dpop.Verify(req.Header.Get("DPoP"), e)
				if err != nil {
					t.Errorf("proof %d: %v", i, err)
				}
				if ids[p.ID] {
					t.Error("a proof was used twice")
				}
				ids[p.ID] = true
				if s.bodies[i] != `{"refresh":"old"}` || req.Header.Get("Content-Type") != "application/json" {
					t.Errorf("asked %s", s.bodies[i])
				}
			}
		})
	}
}

func TestASlotIsSentAsTheContractHasIt(t *testing.T) {
	s := &script{t: t, answers: []exchange{accepted}}
	server := Server{Origin: "https://h.example", API: "/u/.holdfast/v1/"}
	if _, err := s.client(noon).BySlot(t.Context(), &server, key, Slot{"https://h.example/u/s/f?user=a%40b", 5, "image/png", "Bearer x"}); err != nil {
		t.Fatal(err)
	}
	var got map[string]map[string]any
	if err := json.Unmarshal([]byte(s.bodies[0]), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"url": "https://h.example/u/s/f?user=a%40b", "size": 5.0, "type": "image/png", "authorization": "Bearer x"}
	if fmt.Sprint(got["slot"]) != fmt.Sprint(want) {
		t.Errorf("sent %v", got)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for _, body := range []string{
		"", "{}", "[]", `{"access_token":"a.b.c","token_type":"DPoP","expires_in":9,"device":"d"}`,
		strings.Replace(accepted.body, "DPoP", "Bearer", 1), strings.Replace(accepted.body, "604800", "0", 1), strings.Replace(accepted.body, "604800", "-1", 1),
		strings.Replace(accepted.body, `"d1"`, `""`, 1), strings.Replace(accepted.body, `"d1"`, `"d\r\n1"`, 1), strings.Replace(accepted.body, ".c2ln", `.c2\nln`, 1),
		strings.Replace(accepted.body, "604800", "99999999999", 1),
	} {
		if g, err := readGrant(strings.NewReader(body), noon); err == nil {
			t.Errorf("%q is %+v", body, g)
		}
	}
}

func TestAProofSaysNothingOfTheQuery(t *testing.T) {
	u, err := url.Parse("https://h.example/u/s/a%20b.png?v2=secret#x")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Proof(key, "PATCH", u, noon, "tok", "n")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dpop.Verify(p, dpop.Expect{Method: "PATCH", URL: "https://h.example/u/s/a%20b.png", Now: noon, AccessToken: "tok", Nonces: []string{"n"}}); err != nil {
		t.Error(err)
	}
	claims, _ := base64.RawURLEncoding.DecodeString(strings.Split(p, ".")[1])
	if strings.Contains(string(claims), "secret") {
		t.Errorf("the proof says %s", claims)
	}
}

func FuzzReadGrant(f *testing.F) {
	f.Add(accepted.body)
	f.Add(`{"access_token":"..","token_type":"dpop","expires_in":1e9,"device":"\u0000"}`)
	f.Fuzz(func(t *testing.T, body string) {
		g, err := readGrant(strings.NewReader(body), noon)
		if err == nil && (g.Who == "" || !printable(g.Token) || !printable(g.Device) || !g.Expires.After(noon)) {
			t.Errorf("%q is %+v", body, g)
		}
	})
}
