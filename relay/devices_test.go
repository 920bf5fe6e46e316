package relay

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/relay/credential"
	"holdfast/relay/dpop"
	"holdfast/relay/token"
)

// deviceMap is a keyring for devices.
type deviceMap struct {
	mu   sync.Mutex
	byID map[string]Device
	err  error
	asks int
}

func (m *deviceMap) Device(_ context.Context, host string) (Device, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asks++
	if m.err != nil {
		return Device{}, m.err
	}
	d, ok := m.byID[host]
	if !ok {
		return Device{}, ErrNoKey
	}
	return d, nil
}

func (m *deviceMap) KeepDevice(_ context.Context, host string, d Device) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	if m.byID == nil {
		m.byID = map[string]Device{}
	}
	m.byID[host] = d
	return nil
}

func (m *deviceMap) at(host string) Device {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byID[host]
}

// deviceServer is an upload server that knows devices, as the contract of the wire has it, written anew for this test.
type deviceServer struct {
	t       *testing.T
	ahead   time.Duration // of the test's clock
	nonce   string        // wanted in every proof; empty: none
	resign  string        // of info
	late    bool          // a slot needs a device
	mu      sync.Mutex
	log     []string          // "METHOD path code"
	tokens  map[string]string // token -> thumbprint
	who     map[string]string // token -> user
	revoked bool
	seen    map[string]bool // jti
	files   map[string][]byte
	life    int64
	issued  int
}

func newDeviceServer(t *testing.T) *deviceServer {
	return &deviceServer{t: t, resign: `["dpop"]`, tokens: map[string]string{}, who: map[string]string{}, seen: map[string]bool{}, files: map[string][]byte{}, life: 604800}
}

func (s *deviceServer) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().Add(s.ahead)
	rw.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	rw.Header().Set("Holdfast-Api", "/u/.holdfast/v1/")
	refuse := func(status int, code string) {
		s.log = append(s.log, fmt.Sprintf("%s %s %s", req.Method, req.URL.Path, code))
		rw.Header().Set("Holdfast-Error", code)
		rw.WriteHeader(status)
	}
	switch {
	case req.URL.Path == wellKnown || req.URL.Path == "/u/.holdfast/v1/info":
		fmt.Fprintf(rw, `{"version":1,"api":"/u/.holdfast/v1/","resign":%s}`, s.resign)
	case req.URL.Path == "/u/.holdfast/v1/token" && req.Method == http.MethodPost:
		s.token(rw, req, body, now, refuse)
	case req.Method == http.MethodPut:
		if s.late && !s.proven(rw, req, now, refuse) {
			return
		}
		s.log = append(s.log, "PUT "+req.URL.Path+" ok")
		s.files[req.URL.Path] = body
		rw.WriteHeader(http.StatusCreated)
	default:
		refuse(http.StatusNotFound, "not-found")
	}
}

// prove checks a proof for the request.
func (s *deviceServer) prove(rw http.ResponseWriter, req *http.Request, now time.Time, access string, refuse func(int, string)) (string, bool) {
	e := dpop.Expect{Method: req.Method, URL: "https://" + listed + req.URL.EscapedPath(), Now: now, AccessToken: access}
	if s.nonce != "" {
		e.Nonces = []string{s.nonce}
		rw.Header().Set("DPoP-Nonce", s.nonce)
	}
	p, err := dpop.Verify(req.Header.Get("DPoP"), e)
	switch {
	case err != nil && strings.Contains(err.Error(), "nonce"):
		refuse(http.StatusUnauthorized, "use-dpop-nonce")
		return "", false
	case err != nil, s.seen[p.ID]:
		refuse(http.StatusUnauthorized, "invalid-dpop-proof")
		return "", false
	}
	s.seen[p.ID] = true
	return p.Thumbprint, true
}

func (s *deviceServer) token(rw http.ResponseWriter, req *http.Request, body []byte, now time.Time, refuse func(int, string)) {
	key, ok := s.prove(rw, req, now, "", refuse)
	if !ok {
		return
	}
	var q struct {
		Slot *struct {
			URL, Type, Authorization string
			Size                     int64
		}
		Code, Refresh string
	}
	if err := json.Unmarshal(body, &q); err != nil {
		s.t.Error(err)
	}
	user := ""
	switch {
	case q.Slot != nil:
		c, err := readJWT(q.Slot.Authorization)
		path := strings.TrimPrefix(q.Slot.URL, "https://"+listed)
		if _, used := s.files[path]; err != nil || used || c.size != q.Slot.Size || now.After(c.expires) {
			refuse(http.StatusForbidden, "slot-not-proof")
			return
		}
		user = c.user
	case q.Refresh != "":
		if s.revoked {
			refuse(http.StatusUnauthorized, "device-revoked")
			return
		}
		if user = s.who[q.Refresh]; s.tokens[q.Refresh] != key {
			refuse(http.StatusUnauthorized, "invalid-dpop-proof")
			return
		}
	}
	s.issued++
	raw, _ := json.Marshal(map[string]any{"who": user, "n": s.issued})
	access := "e30." + base64.RawURLEncoding.EncodeToString(raw) + ".c2ln"
	s.tokens[access], s.who[access] = key, user
	s.log = append(s.log, "POST token ok")
	fmt.Fprintf(rw, `{"access_token":%q,"token_type":"DPoP","expires_in":%d,"device":"dev1"}`, access, s.life)
}

// proven says whether a request comes from the device of the slot's user.
func (s *deviceServer) proven(rw http.ResponseWriter, req *http.Request, now time.Time, refuse func(int, string)) bool {
	access, ok := strings.CutPrefix(req.Header.Get("Authorization"), "DPoP ")
	if !ok {
		refuse(http.StatusForbidden, "token-late")
		return false
	}
	key, ok := s.prove(rw, req, now, access, refuse)
	if !ok {
		return false
	}
	slot, err := readJWT(req.Header.Get("Holdfast-Slot-Authorization"))
	switch {
	case s.revoked:
		refuse(http.StatusUnauthorized, "device-revoked")
	case err != nil:
		refuse(http.StatusForbidden, "token-missing")
	case s.tokens[access] != key:
		refuse(http.StatusUnauthorized, "invalid-dpop-proof")
	case s.who[access] != slot.user:
		refuse(http.StatusForbidden, "device-user-mismatch")
	default:
		return true
	}
	return false
}

// calls are the requests that the server saw, without those for info.
func (s *deviceServer) calls() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.log, ", ")
}

// slotOf is a jwt slot that expired late ago (negative: is fresh) for /u/name.
func slotOf(t *testing.T, name, user string, size int64, late time.Duration) string {
	t.Helper()
	issued := time.Now().Add(-late - 300*time.Second).Truncate(time.Second)
	g, err := token.Sign(token.Claims{
		Scheme: token.JWT, Path: "0123456789abcdefghijklmn/" + name, Size: size, Type: "image/png", User: user, IssuedAt: issued, Expires: issued.Add(300 * time.Second),
	}, "/u/0123456789abcdefghijklmn/"+name, token.Secret("k"))
	if err != nil {
		t.Fatal(err)
	}
	return g.Authorization
}

const deviceFolder = "/u/0123456789abcdefghijklmn/"

// send uploads a small file with a slot of its own.
func (w *world) send(t *testing.T, name, user string, late time.Duration) result {
	t.Helper()
	body := "hello " + name
	return w.putWith(w.client("Gajim 1.7.3"), deviceFolder+name, strings.NewReader(body), func(r *http.Request) {
		r.Header.Set("Authorization", slotOf(t, name, user, int64(len(body)), late))
	})
}

const fresh = -200 * time.Second

func TestAFreshSlotEnrolsAndALateOneIsSigned(t *testing.T) {
	for _, tc := range []struct {
		name  string
		edit  func(*deviceServer)
		calls string
	}{
		{"plainly", func(*deviceServer) {}, "POST token ok, PUT a ok, PUT b ok"},
		{"with a nonce of the server", func(s *deviceServer) { s.nonce = "n1" }, "POST use-dpop-nonce, POST token ok, PUT a ok, PUT b ok"},
		{"with a clock that is two hours behind the server's", func(s *deviceServer) { s.ahead = 2 * time.Hour }, ""},
		{"with a clock that is two hours ahead", func(s *deviceServer) { s.ahead = -2 * time.Hour }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ring := &deviceMap{}
			w := newWorld(t, func(c *Config) { c.Devices = ring })
			s := newDeviceServer(t)
			tc.edit(s)
			w.serve(listed, s)
			early := fresh
			if s.ahead > 0 { // fresh by the server's clock, too
				early -= s.ahead
			}
			if got := w.send(t, "a", "alice@example.org", early); !got.stored() {
				t.Fatal(got)
			}
			d := ring.at(listed)
			g, ok := d.For("alice@example.org")
			if !ok || g.Device != "dev1" || d.API != "/u/.holdfast/v1/" {
				t.Fatalf("not enrolled: %+v\n%s", d, s.calls())
			}
			s.mu.Lock()
			s.late = true
			s.mu.Unlock()
			if got := w.send(t, "b", "alice@example.org", 70*time.Hour); !got.stored() {
				t.Fatalf("%v\n%s", got, s.calls())
			}
			u := w.await("the second over", func(u Upload) bool { return u.File == "b" && u.State == Done })
			if u.Resigned != 1 {
				t.Errorf("signed %d times", u.Resigned)
			}
			short := strings.NewReplacer(deviceFolder, "", "/u/.holdfast/v1/token ", "").Replace(s.calls())
			if tc.calls != "" && short != tc.calls {
				t.Errorf("the server saw %s, want %s", short, tc.calls)
			}
			if log := w.log.String(); strings.Contains(log, string([]byte(g.Token))) || strings.Contains(log, "eyJ") {
				t.Error("a token is in the log")
			}
		})
	}
}

// enrolled is a world with a device of alice's.
func enrolled(t *testing.T, edit func(*Config)) (*world, *deviceServer, *deviceMap) {
	t.Helper()
	ring := &deviceMap{}
	w := newWorld(t, func(c *Config) {
		c.Devices = ring
		if edit != nil {
			edit(c)
		}
	})
	s := newDeviceServer(t)
	w.serve(listed, s)
	if got := w.send(t, "first", "alice@example.org", fresh); !got.stored() {
		t.Fatal(got)
	}
	if _, ok := ring.at(listed).For("alice@example.org"); !ok {
		t.Fatalf("not enrolled\n%s", w.log)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log, s.late = nil, true
	return w, s, ring
}

func TestWhatADeviceDoesNotOpen(t *testing.T) {
	t.Run("a revoked one is refused once, forgotten and told", func(t *testing.T) {
		var mu sync.Mutex
		var told []NoticeKind
		w, s, ring := enrolled(t, func(c *Config) {
			c.OnNotice = func(n Notice) { mu.Lock(); defer mu.Unlock(); told = append(told, n.Kind) }
		})
		s.mu.Lock()
		s.revoked = true
		s.mu.Unlock()
		for _, name := range []string{"a", "b"} {
			if got := w.send(t, name, "alice@example.org", 5*time.Hour); got.status != http.StatusForbidden {
				t.Error(got)
			}
		}
		if got, want := strings.ReplaceAll(s.calls(), deviceFolder, ""), "PUT a device-revoked, PUT a token-late, PUT b token-late"; got != want {
			t.Errorf("the server saw %s, want %s", got, want)
		}
		if g, _ := ring.at(listed).For("alice@example.org"); !g.Revoked || len(g.Token) > 0 {
			t.Error("the token is still kept")
		}
		mu.Lock()
		defer mu.Unlock()
		if fmt.Sprint(told) != "[device-made device-revoked]" {
			t.Errorf("told %v", told)
		}
		s.mu.Lock()
		s.late = false
		s.mu.Unlock()
		if got := w.send(t, "c", "alice@example.org", fresh); !got.stored() {
			t.Error(got)
		}
		if strings.Contains(s.calls(), "POST") {
			t.Error("it enrolled again by itself")
		}
	})
	t.Run("another user's slot is not signed with it", func(t *testing.T) {
		w, s, _ := enrolled(t, nil)
		if got := w.send(t, "a", "bob@example.org", 5*time.Hour); got.status != http.StatusForbidden {
			t.Error(got)
		}
		if got := s.calls(); got != "PUT "+deviceFolder+"a token-late" {
			t.Errorf("the server saw %s", got)
		}
	})
	t.Run("a slot that names nobody is not signed with it", func(t *testing.T) {
		w, s, _ := enrolled(t, nil)
		if got := w.put(deviceFolder+"a?v2=abc", []byte("x")); got.status != http.StatusForbidden || strings.Contains(s.calls(), ",") {
			t.Errorf("%v\n%s", got, s.calls())
		}
	})
}

func TestAProofIsNotRepeatedForEver(t *testing.T) {
	w, s, _ := enrolled(t, nil)
	s.mu.Lock()
	clear(s.tokens) // the server has lost its key: every proof is wrong, and no refresh helps
	s.mu.Unlock()
	if got := w.send(t, "a", "alice@example.org", 5*time.Hour); got.status != http.StatusUnauthorized {
		t.Error(got)
	}
	if n := strings.Count(s.calls(), "invalid-dpop-proof"); n > 4 {
		t.Errorf("%d refusals: %s", n, s.calls())
	}
}

func TestDevicesOfServersThatAreNotOurs(t *testing.T) {
	for _, tc := range []struct {
		name, resign string
	}{{"one that signs nothing", `[]`}, {"one that says nonsense", `7`}} {
		t.Run(tc.name, func(t *testing.T) {
			ring := &deviceMap{}
			w := newWorld(t, func(c *Config) { c.Devices = ring })
			s := newDeviceServer(t)
			s.resign = tc.resign
			w.serve(listed, s)
			for _, name := range []string{"a", "b"} {
				if got := w.send(t, name, "alice@example.org", fresh); !got.stored() {
					t.Error(got)
				}
			}
			if strings.Contains(s.calls(), "POST") || len(ring.byID) > 0 || ring.asks > 2 {
				t.Errorf("asked all the same: %s, %d devices", s.calls(), len(ring.byID))
			}
		})
	}
}

func TestALockedKeyringDelaysNoUpload(t *testing.T) {
	ring := &deviceMap{err: credential.ErrLocked}
	w := newWorld(t, func(c *Config) { c.Devices = ring })
	s := newDeviceServer(t)
	w.serve(listed, s)
	for i := range 3 {
		if got := w.send(t, fmt.Sprint(i), "alice@example.org", fresh); !got.stored() {
			t.Error(got)
		}
	}
	if strings.Contains(s.calls(), "POST") || ring.asks > 2 {
		t.Errorf("the keyring was asked %d times: %s", ring.asks, s.calls())
	}
}

func TestAnEnrolmentThatHangsHoldsTheUploadForAMomentOnly(t *testing.T) {
	ring := &deviceMap{}
	w := newWorld(t, func(c *Config) { c.Devices = ring })
	hang := make(chan struct{})
	k := &keep{}
	w.serve(listed, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if req.URL.Path == wellKnown {
			select {
			case <-hang:
			case <-req.Context().Done():
			}
			return
		}
		k.ServeHTTP(rw, req)
	}))
	defer close(hang)
	began := time.Now()
	if got := w.send(t, "a", "alice@example.org", fresh); !got.stored() {
		t.Error(got)
	}
	if took := time.Since(began); took > enrolHold+3*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestTokensAreRenewedEarlyAndOnAChangeOfTheNetwork(t *testing.T) {
	w, s, ring := enrolled(t, nil)
	age := func(d time.Duration) {
		dev := ring.at(listed)
		g, _ := dev.For("alice@example.org")
		g.Issued, g.Expires = g.Issued.Add(-d), g.Expires.Add(-d)
		if err := ring.KeepDevice(t.Context(), listed, dev.With(g)); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := ring.at(listed).For("alice@example.org")
	age(3 * 24 * time.Hour)
	w.r.renewAt(t.Context(), listed)
	if got := s.calls(); got != "" {
		t.Errorf("renewed with more than half of its life left: %s", got)
	}
	age(24 * time.Hour)
	w.r.Refresh()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-tick.C {
		if g, _ := ring.at(listed).For("alice@example.org"); time.Until(g.Expires) > 6*24*time.Hour {
			break
		}
	}
	after, _ := ring.at(listed).For("alice@example.org")
	if got := s.calls(); got != "POST token ok" || string([]byte(after.Token)) == string([]byte(before.Token)) {
		t.Errorf("not renewed after a change of the network: %s", got)
	}
	if string([]byte(ring.at(listed).Seed)) == "" {
		t.Error("the key is gone")
	}
	age(8 * 24 * time.Hour) // ended: renewed before a late upload is signed with it
	if got := w.send(t, "late", "alice@example.org", 60*time.Hour); !got.stored() {
		t.Error(got)
	}
}

func TestReadPermit(t *testing.T) {
	at := time.Unix(1795541542, 0)
	for _, tc := range []struct {
		name, url, authorization string
		want                     permit
	}{
		{"nothing", "https://h/u/s/f", "", permit{}},
		{"v2 has no time", "https://h/u/s/f?v2=abc", "", permit{}},
		{"v3", "https://h/u/s/f?v3=abc&expires=1795541542", "", permit{"", at}},
		{"bearer", "https://h/u/s/f?user=a%40b&expiry=1795541542", "Bearer QUJD", permit{"a@b", at}},
		{"bearer without a time", "https://h/u/s/f?user=a%40b", "Bearer QUJD", permit{"a@b", time.Time{}}},
		{"a time that is none", "https://h/u/s/f?user=a%40b&expiry=soon", "Bearer QUJD", permit{"a@b", time.Time{}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req := httptestRequest(t, tc.url)
			if tc.authorization != "" {
				req.Header.Set("Authorization", tc.authorization)
			}
			if got := readPermit(req.URL, req.Header); got.user != tc.want.user || !got.expires.Equal(tc.want.expires) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func httptestRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}
