package device

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/relay/jose"
)

const public = "https://upload.example.org/upload/"

var start = time.Unix(1795289542, 0)

func open(t *testing.T, dir, url string, now time.Time) *Keys {
	t.Helper()
	k, err := Open(dir, url, now)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func issue(t *testing.T, k *Keys, now time.Time) string {
	t.Helper()
	s, err := k.Issue(Token{Device: "dev", Who: "alice@example.org", Key: "jkt"}, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestATokenSaysWhatWasPutIntoIt(t *testing.T) {
	dir := t.TempDir()
	s := issue(t, open(t, dir, public, start), start)
	got, err := open(t, dir, public, start).Verify(s, start.Add(Life-time.Second)) // another process, by the file
	if err != nil {
		t.Fatal(err)
	}
	want := Token{"dev", "alice@example.org", "jkt", start.UTC(), start.Add(Life).UTC()}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	j, err := jose.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"iss": public, "aud": public, "sub": "dev", "who": "alice@example.org"} {
		if got, _ := j.Claims.Text(name); got != value {
			t.Errorf("%s is %q", name, got)
		}
	}
	if n, _ := j.Claims.Integer("exp"); n != start.Unix()+604800 {
		t.Errorf("exp is %d", n)
	}
	if string(j.Claims["cnf"]) != `{"jkt":"jkt"}` || !j.Typed("at+jwt") {
		t.Errorf("cnf is %s", j.Claims["cnf"])
	}
}

func TestTheKeysAreForTheOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, public, start)
	name := filepath.Join(dir, keysName)
	for _, mode := range []os.FileMode{0o600, 0o644} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		open(t, dir, public, start)
		info, err := os.Stat(name)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	}
	if err := os.WriteFile(name, []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, public, start); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("damaged: %v", err)
	}
}

func TestATokenEndsAndCanBeRenewedForThirtyDays(t *testing.T) {
	k := open(t, t.TempDir(), public, start)
	s := issue(t, k, start)
	for _, tt := range []struct {
		name   string
		after  time.Duration
		verify func(string, time.Time) (Token, error)
		want   error
	}{
		{"in its last second", Life - time.Second, k.Verify, nil},
		{"when it is over", Life, k.Verify, ErrExpired},
		{"renewed when it is over", Life, k.VerifyRenewal, nil},
		{"renewed in the last second", Life + Renewal - time.Second, k.VerifyRenewal, nil},
		{"renewed too late", Life + Renewal, k.VerifyRenewal, ErrExpired},
	} {
		if _, err := tt.verify(s, start.Add(tt.after)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestAKeySignsForAMonthAndIsForgottenStepByStep(t *testing.T) {
	dir := t.TempDir()
	k := open(t, dir, public, start)
	month := start.Add(rotateEvery)
	last := issue(t, k, month.Add(-time.Second))
	first := issue(t, k, month)
	a, _ := jose.Parse(last)
	b, _ := jose.Parse(first)
	if string(a.Header["kid"]) == string(b.Header["kid"]) {
		t.Fatal("the key was not rotated")
	}
	raw, err := os.ReadFile(filepath.Join(dir, keysName))
	if err != nil || strings.Count(string(raw), "seed") != 1 {
		t.Errorf("private halves: %s, %v", raw, err)
	}
	k = open(t, dir, public, month)
	if _, err := k.Verify(last, month.Add(Life-2*time.Second)); err != nil {
		t.Errorf("signed by the key before: %v", err)
	}
	// A token that claims to live longer than it may is worth nothing eight days after its key was.
	k.mu.Lock()
	old := k.keys[1]
	k.mu.Unlock()
	if old.private != nil {
		t.Error("the private half is still there")
	}
	if _, err := k.Verify(last, month.Add(keepKey+time.Second)); !errors.Is(err, ErrExpired) {
		t.Errorf("eight days later: %v", err)
	}
	if _, err := k.VerifyRenewal(last, month.Add(Life+Renewal-2*time.Second)); err != nil {
		t.Errorf("renewal within 30 days: %v", err)
	}
	issue(t, k, month.Add(rotateEvery)) // rotates again
	issue(t, k, month.Add(2*rotateEvery))
	if _, err := k.VerifyRenewal(last, month.Add(2*rotateEvery)); !errors.Is(err, ErrInvalid) {
		t.Errorf("after its key is forgotten: %v", err)
	}
}

func TestAKeyThatWasRotatedEightDaysAgoSignsNothingForUploads(t *testing.T) {
	dir := t.TempDir()
	k := open(t, dir, public, start)
	stolen := k.keys[0]
	month := start.Add(rotateEvery)
	issue(t, k, month)
	forged := func(at time.Time) string {
		s, err := jose.Sign(stolen.private, map[string]any{"typ": tokenType, "kid": stolen.id}, map[string]any{
			"iss": public, "aud": public, "sub": "dev", "who": "alice@example.org", "cnf": map[string]any{"jkt": "jkt"}, "iat": at.Unix(), "exp": at.Add(Life).Unix(),
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	at := month.Add(keepKey)
	if _, err := k.Verify(forged(at), at); err != nil {
		t.Errorf("eight days: %v", err)
	}
	at = at.Add(time.Second)
	if _, err := k.Verify(forged(at), at); !errors.Is(err, ErrExpired) {
		t.Errorf("a second more: %v", err)
	}
}

func TestWhatIsNoAccessTokenOfThisServer(t *testing.T) {
	k := open(t, t.TempDir(), public, start)
	other := open(t, t.TempDir(), public, start)
	signer := k.keys[0]
	claims := func(edit func(map[string]any)) map[string]any {
		c := map[string]any{
			"iss": public, "aud": public, "sub": "dev", "who": "alice@example.org", "cnf": map[string]any{"jkt": "jkt"}, "iat": start.Unix(), "exp": start.Add(Life).Unix(),
		}
		if edit != nil {
			edit(c)
		}
		return c
	}
	sign := func(typ, kid string, c map[string]any) string {
		s, err := jose.Sign(signer.private, map[string]any{"typ": typ, "kid": kid}, c)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if _, err := k.Verify(sign("at+jwt", signer.id, claims(nil)), start); err != nil {
		t.Fatal(err)
	}
	plain := jose.Encode([]byte(`{"alg":"none","typ":"at+jwt","kid":"`+signer.id+`"}`)) + "." + strings.Split(issue(t, k, start), ".")[1] + "."
	hs := jose.Encode([]byte(`{"alg":"HS256","typ":"at+jwt","kid":"`+signer.id+`"}`)) + "." + strings.Split(issue(t, k, start), ".")[1]
	mac := hmac.New(sha256.New, signer.public)
	mac.Write([]byte(hs))
	for name, s := range map[string]string{
		"of another server's key":       issue(t, other, start),
		"alg none":                      plain,
		"alg HS256 with the public key": hs + "." + jose.Encode(mac.Sum(nil)),
		"another type":                  sign("JWT", signer.id, claims(nil)),
		"a proof":                       sign("dpop+jwt", signer.id, claims(nil)),
		"no such key":                   sign("at+jwt", "x", claims(nil)),
		"for another audience":          sign("at+jwt", signer.id, claims(func(c map[string]any) { c["aud"] = "https://other.example/" })),
		"from another issuer":           sign("at+jwt", signer.id, claims(func(c map[string]any) { c["iss"] = "https://other.example/" })),
		"for several audiences":         sign("at+jwt", signer.id, claims(func(c map[string]any) { c["aud"] = []string{public} })),
		"bound to no key":               sign("at+jwt", signer.id, claims(func(c map[string]any) { delete(c, "cnf") })),
		"bound to an empty key":         sign("at+jwt", signer.id, claims(func(c map[string]any) { c["cnf"] = map[string]any{"jkt": ""} })),
		"without an end":                sign("at+jwt", signer.id, claims(func(c map[string]any) { delete(c, "exp") })),
		"without a device":              sign("at+jwt", signer.id, claims(func(c map[string]any) { delete(c, "sub") })),
		"of nobody":                     sign("at+jwt", signer.id, claims(func(c map[string]any) { c["who"] = "" })),
		"nothing":                       "",
		"huge":                          strings.Repeat("e", 1<<20),
	} {
		for _, verify := range []func(string, time.Time) (Token, error){k.Verify, k.VerifyRenewal} {
			if tok, err := verify(s, start); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %+v, %v", name, tok, err)
			}
		}
	}
}

func TestACodeIsReadAsPeopleWriteIt(t *testing.T) {
	code, hash := NewCode()
	other, _ := NewCode()
	if code == other || len(code) != 23 {
		t.Errorf("%q, %q", code, other)
	}
	for _, s := range []string{code, strings.ToLower(code), strings.ReplaceAll(code, "-", ""), strings.ReplaceAll(code, "-", " "),
		strings.ReplaceAll(strings.ReplaceAll(code, "0", "O"), "1", "l")} {
		if got, ok := CodeHash(s); !ok || got != hash {
			t.Errorf("%q is another code", s)
		}
	}
	for _, s := range []string{"", code[1:], code + "A", strings.Replace(code, code[:1], "U", 1), strings.Repeat("é", 10), other} {
		if got, ok := CodeHash(s); ok && got == hash {
			t.Errorf("%q is the code", s)
		}
	}
}

func TestANonceIsGoodForFiveToTenMinutes(t *testing.T) {
	n := NewNonces()
	fresh := n.At(start)[0]
	good := func(at time.Time) bool {
		for _, x := range n.At(at) {
			if x == fresh {
				return true
			}
		}
		return false
	}
	if !good(start.Add(nonceLife)) || good(start.Add(2*nonceLife)) || NewNonces().At(start)[0] == fresh {
		t.Error("a nonce is good for another time, or everywhere")
	}
}

func FuzzVerify(f *testing.F) {
	dir := f.TempDir()
	k, err := Open(dir, public, start)
	if err != nil {
		f.Fatal(err)
	}
	good, err := k.Issue(Token{Device: "dev", Who: "alice@example.org", Key: "jkt"}, start)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := k.Verify(s, start); err == nil && s != good {
			t.Errorf("nobody issued %q", s)
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte(`[{"made":1,"x":"` + jose.Encode(make([]byte, 32)) + `"}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := parseKeys(b)
		if err == nil && !keys[0].public.Equal(keys[0].private.Public().(ed25519.PublicKey)) {
			t.Error("a pair that is none")
		}
	})
}
