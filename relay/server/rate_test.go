package server_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/relay/server"
	"holdfast/relay/token"
)

func rates(identity, address server.Rate) change {
	return func(c *server.Config) {
		c.Settings.RatePerIdentity, c.Settings.RatePerAddress = identity, address
	}
}

func TestAnIdentityUploadsNoFasterThanItsRate(t *testing.T) {
	l := newLab(t, rates(server.Rate{Uploads: 3, Every: time.Minute}, server.Rate{}))
	try := func(n int, edit ...func(*token.Claims)) *http.Response {
		return l.put(l.sign(token.JWT, fmt.Sprintf("r/%d", n), 5, edit...), "hello")
	}
	for n := range 3 {
		want(t, try(n), 201, "")
	}
	over := try(3)
	want(t, over, 429, "busy")
	if got := over.Header.Get("Retry-After"); got != "20" {
		t.Errorf("Retry-After is %q; a third of a minute was meant", got)
	}
	want(t, try(4, user("bob@example.org")), 201, "") // somebody else's rate
	want(t, l.put(l.sign(token.V2, "r/5", 5), "hello"), 201, "")
	want(t, l.do(http.MethodGet, l.base+"/upload/r/0", nil), 200, "")
	l.clock.Add(19)
	want(t, try(3), 429, "busy")
	l.clock.Add(1)
	want(t, try(3), 201, "") // a refusal costs nothing
	want(t, try(6), 429, "busy")
	l.clock.Add(3600)
	for n := range 3 {
		want(t, try(10+n), 201, "") // no more than three pile up
	}
	want(t, try(13), 429, "busy")
	if got := metric(t, l, `holdfast_rate_limited_total{by="identity"}`); !strings.HasSuffix(got, " 4") {
		t.Errorf("the metric says %q", got)
	}
}

func TestAnAddressUploadsNoFasterThanItsRate(t *testing.T) {
	from := func(a string) string { return "X-Forwarded-For: " + a }
	for _, tt := range []struct {
		name          string
		first, second string
		status        int
	}{
		{"the same address", "192.0.2.1", "192.0.2.1", 429},
		{"another address", "192.0.2.1", "192.0.2.2", 201},
		{"what the client adds on the left changes nothing", "192.0.2.1", "198.51.100.7, 192.0.2.1", 429},
		{"the same network of IPv6", "2001:db8::1", "2001:db8::2", 429},
		{"another network of IPv6", "2001:db8::1", "2001:db8:0:1::1", 201},
		{"IPv4 written as IPv6", "192.0.2.1", "::ffff:192.0.2.1", 429},
		{"no address at all is one bucket", "nonsense", "unknown", 429},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, trusting, rates(server.Rate{}, server.Rate{Uploads: 1, Every: time.Hour}))
			want(t, l.put(l.sign(token.V2, "r/1", 5), "hello", from(tt.first)), 201, "")
			code := ""
			if tt.status == 429 {
				code = "busy"
			}
			want(t, l.put(l.sign(token.V2, "r/2", 5), "hello", from(tt.second)), tt.status, code)
		})
	}
	t.Run("a peer that is not trusted has its own address whatever it says", func(t *testing.T) {
		l := newLab(t, rates(server.Rate{}, server.Rate{Uploads: 1, Every: time.Hour}))
		want(t, l.put(l.sign(token.V2, "r/1", 5), "hello", from("192.0.2.1")), 201, "")
		want(t, l.put(l.sign(token.V2, "r/2", 5), "hello", from("192.0.2.2")), 429, "busy")
	})
	t.Run("a bad token does not count", func(t *testing.T) {
		l := newLab(t, rates(server.Rate{}, server.Rate{Uploads: 1, Every: time.Hour}))
		want(t, l.put(slot{url: l.base + "/upload/a/b?v=00"}, "hello"), 403, "token-invalid")
		want(t, l.put(l.sign(token.V2, "r/1", 5), "hello"), 201, "")
	})
	t.Run("what its identity may not costs its address nothing", func(t *testing.T) {
		one := server.Rate{Uploads: 1, Every: time.Hour}
		l := newLab(t, rates(one, server.Rate{Uploads: 2, Every: time.Hour}))
		want(t, l.put(l.sign(token.JWT, "r/1", 5), "hello"), 201, "")
		want(t, l.put(l.sign(token.JWT, "r/2", 5), "hello"), 429, "busy")
		want(t, l.put(l.sign(token.V2, "r/3", 5), "hello"), 201, "")
		want(t, l.put(l.sign(token.V2, "r/4", 5), "hello"), 429, "busy")
	})
}

func TestGoingOnWithAnUploadIsNoNewOne(t *testing.T) {
	l := newLab(t, rates(server.Rate{Uploads: 1, Every: time.Hour}, server.Rate{Uploads: 1, Every: time.Hour}))
	s := l.sign(token.JWT, "r/parts", 10)
	headers := func(offset int) []string {
		return []string{"Holdfast-Upload: AAAAAAAAAAAAAAAAAAAAAA", "Upload-Length: 10", "Holdfast-Slot-Type: text/plain",
			"Content-Type: application/partial-upload", "Upload-Offset: " + strconv.Itoa(offset), "Upload-Complete: ?0", "Authorization: " + s.auth}
	}
	for i, part := range []string{"hello", "world"} {
		resp := l.do(http.MethodPatch, s.url, strings.NewReader(part), headers(5*i)...)
		want(t, resp, []int{204, 201}[i], "")
	}
	want(t, l.put(l.sign(token.JWT, "r/2", 5), "hello"), 429, "busy")
}

func TestANewRateBeginsAnew(t *testing.T) {
	l := newLab(t, rates(server.Rate{Uploads: 1, Every: time.Hour}, server.Rate{}))
	want(t, l.put(l.sign(token.JWT, "r/1", 5), "hello"), 201, "")
	want(t, l.put(l.sign(token.JWT, "r/2", 5), "hello"), 429, "busy")
	set := l.conf.Settings
	if err := l.srv.Update(set); err != nil {
		t.Fatal(err)
	}
	want(t, l.put(l.sign(token.JWT, "r/2", 5), "hello"), 429, "busy") // a reload that changes nothing
	set.RatePerIdentity = server.Rate{}
	if err := l.srv.Update(set); err != nil {
		t.Fatal(err)
	}
	want(t, l.put(l.sign(token.JWT, "r/2", 5), "hello"), 201, "")
}
