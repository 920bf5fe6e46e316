package relay

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	all := past{repeatable: true, asked: true}
	lost := all
	lost.lost = true
	signable := all
	signable.canResign = true
	onceOnly := past{asked: true}
	whole := func(status int) answer {
		return answer{status: status, whole: true, begun: true, header: http.Header{}}
	}
	for _, tc := range []struct {
		name   string
		a      answer
		p      past
		step   step
		status int
	}{
		{"201 with the whole body sent", whole(201), all, succeed, 201},
		{"201 before the whole body was sent", answer{status: 201, begun: true}, all, repeat, 502},
		{"201 before the whole body was sent, without a copy", answer{status: 201, begun: true}, onceOnly, fail, 502},
		{"409 at first", whole(409), all, fail, 409},
		{"409 after an answer may have been lost", whole(409), lost, compare, 409},
		{"403 with a key", whole(403), signable, resign, 403},
		{"403 with a key, without a copy", whole(403), past{canResign: true}, fail, 403},
		{"403 before the body, without a copy", answer{status: 403}, past{canResign: true}, resign, 403},
		{"403 without a key", whole(403), all, fail, 403},
		{"410 with a key", whole(410), signable, resign, 410},
		{"404 with a key", whole(404), signable, fail, 404},
		{"417 to our Expect", answer{status: 417, asked: true}, all, again, 0},
		{"417 to nothing", answer{status: 417}, all, fail, 417},
		{"500", whole(500), all, repeat, 503},
		{"503 without a copy", whole(503), onceOnly, fail, 503},
		{"503 before the body, without a copy", answer{status: 503, header: http.Header{}}, onceOnly, repeat, 503},
		{"505", whole(505), all, fail, 505},
		{"999", whole(999), all, fail, 502},
		{"304", whole(304), all, fail, 502},
		{"307", whole(307), all, redirect, 0},
		{"307 without a copy", whole(307), onceOnly, fail, 502},
		{"the sixth 307", whole(307), past{repeatable: true, redirects: 5}, fail, 502},
		{"a reset", answer{err: syscall.ECONNRESET}, all, repeat, 504},
		{"a reset without a copy", answer{err: syscall.ECONNRESET}, onceOnly, fail, 504},
		{"a change of the network", answer{err: errRefreshed}, all, again, 502},
		{"a body that is gone", answer{err: errNoCopy}, onceOnly, fail, 502},
		{"no progress", answer{err: errGaveUp}, all, fail, 504},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := judge(tc.a, tc.p, time.Now())
			if v.step != tc.step || v.status != tc.status {
				t.Errorf("got step %d, status %d (%s); want %d, %d", v.step, v.status, v.sentence, tc.step, tc.status)
			}
		})
	}
}

func TestRetryAfterAndBackOff(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for s, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "0": 0, "86400": maxRetryAfter, "-1": 0, "soon": 0, "99999999999999999999": 0,
		"Fri, 02 Jan 2026 03:04:35 GMT": 30 * time.Second, "Fri, 02 Jan 2026 03:04:00 GMT": 0, "Fri, 02 Jan 2027 03:04:00 GMT": maxRetryAfter,
	} {
		if got := retryAfter(s, now); got != want {
			t.Errorf("Retry-After %q: %v, want %v", s, got, want)
		}
	}
	for n, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		for range 20 {
			if got := backOff(n, time.Second, 30*time.Second); got > want*time.Second || got < want*time.Second*3/4 {
				t.Errorf("back-off %d: %v, want about %v", n, got, want*time.Second)
			}
		}
	}
	if got := backOff(1000, time.Second, 30*time.Second); got > 30*time.Second || got < 22*time.Second {
		t.Errorf("back-off 1000: %v", got)
	}
}

func TestRedirectTargets(t *testing.T) {
	for _, tc := range []struct {
		from, location string
		ok             bool
	}{
		{"https://upload.test/a", "/b?c", true},
		{"https://upload.test/a", "https://upload.test/b", true},
		{"https://upload.test/a", "https://UPLOAD.test:443/b", true},
		{"https://upload.test:8443/a", "https://upload.test:8443/b", true},
		{"https://upload.test:8443/a", "https://upload.test/b", false},
		{"https://upload.test/a", "https://upload.test.evil/b", false},
		{"https://upload.test/a", "https://upload.test@evil/b", false},
		{"https://upload.test/a", "https://x@upload.test/b", false},
		{"https://upload.test/a", "//evil.test/b", false},
		{"https://upload.test/a", "http://upload.test/b", false},
		{"https://upload.test/a", "file:///etc/passwd", false},
		{"https://upload.test/a", "", false},
		{"https://upload.test/a", "https://[", false},
		{"http://upload.test/a", "https://upload.test/b", true},
		{"http://upload.test/a", "/b", false},
		{"http://upload.test/a", "https://evil.test/b", false},
	} {
		u, err := url.Parse(tc.from)
		if err != nil {
			t.Fatal(err)
		}
		if to, refused := redirectTarget(u, tc.location); (refused == "") != tc.ok || (to != nil) != tc.ok {
			t.Errorf("%s -> %q: %v %q", tc.from, tc.location, to, refused)
		}
	}
}

func TestHosts(t *testing.T) {
	for s, want := range map[string]string{
		"upload.example.org": "upload.example.org", " Upload.Example.Org. ": "upload.example.org", "upload.example.org:08443": "upload.example.org:8443",
		"127.0.0.1:5443": "127.0.0.1:5443", "[::1]:8443": "[::1]:8443", "::1": "[::1]", "[::1]": "[::1]", "bücher.example": "xn--bcher-kva.example",
		"::ffff:127.0.0.1": "127.0.0.1", "localhost": "localhost",
	} {
		got, err := ParseHost(s)
		if err != nil || got.String() != want {
			t.Errorf("%q: %q %v, want %q", s, got, err, want)
		}
	}
	for _, s := range []string{"", ":443", "https://upload.example.org", "upload.example.org/x", "a b", "a:0", "a:65536", "a:x", "a\"b", "fe80::1%eth0", "*", "a:1:2", ".", "..", ".. ", ".a", "a..b"} {
		if got, err := ParseHost(s); err == nil {
			t.Errorf("%q is taken for %q", s, got)
		}
	}
	w := newWorld(t, nil)
	if err := w.r.SetHosts([]string{"a.example", "https://b"}); err == nil {
		t.Error("a bad list was taken")
	}
	if !w.r.hosts.Load().secure[listed+":443"] {
		t.Error("a bad list changed the good one")
	}
}

func TestPAC(t *testing.T) {
	want := `// Holdfast: only uploads go through the relay.
function FindProxyForURL(url, host) {
  host = host.toLowerCase();
  if (host == "upload.example.org") return "PROXY 127.0.0.1:5380; DIRECT";
  if (host == "b.example") return "PROXY 127.0.0.1:5380; DIRECT";
  return "DIRECT";
}
`
	if got := PAC([]string{"upload.example.org", "B.example:8443", `x"; alert(1); "`, "upload.example.org:99"}, "127.0.0.1:5380"); got != want {
		t.Errorf("got\n%s", got)
	}
}

func FuzzParseHost(f *testing.F) {
	for _, s := range []string{"upload.example.org", "a:1", "[::1]:2", "é.example", "\"", "a\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseHost(s)
		if err != nil {
			return
		}
		again, err := ParseHost(h.String())
		if err != nil || again != h {
			t.Fatalf("%q -> %q -> %q %v", s, h, again, err)
		}
		if strings.ContainsAny(h.Name, "\"\\\n<>/@ ") {
			t.Fatalf("%q gives the name %q", s, h.Name)
		}
	})
}

func FuzzCanonicalTarget(f *testing.F) {
	f.Add("upload.example.org:443", "")
	f.Add("[::1]", "443")
	f.Fuzz(func(t *testing.T, s, port string) {
		got, err := canonicalTarget(s, port)
		if err != nil {
			return
		}
		if again, err := canonicalTarget(got, ""); err != nil || again != got {
			t.Fatalf("%q -> %q -> %q %v", s, got, again, err)
		}
	})
}

func FuzzReason(f *testing.F) {
	f.Add("a\r\nSet-Cookie: x")
	f.Add(strings.Repeat("ü", 300))
	f.Fuzz(func(t *testing.T, s string) {
		got := cleanReason(s)
		if len(got) > 200 || strings.ContainsAny(got, "\r\n\x00\x7f") {
			t.Fatalf("%q -> %q", s, got)
		}
	})
}

func FuzzReprDigest(f *testing.F) {
	sum := sha256.Sum256(nil)
	f.Add("sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":")
	f.Add("sha-512=:AA==:, sha-256=::;x=1")
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := sha256Digest(http.Header{"Repr-Digest": {s}})
		if ok && !strings.Contains(s, base64.StdEncoding.EncodeToString(got[:])[:40]) {
			t.Fatalf("%q gives %x", s, got)
		}
	})
}
