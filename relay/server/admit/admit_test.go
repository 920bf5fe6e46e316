package admit_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/detect/client"
	"holdfast/relay/server/admit"
	"holdfast/relay/token"
)

const owner = "a0436d80399fbe75771925e5c10bfa4ea972d98a"

var expiry = time.Unix(1795289542, 0).UTC()

// The kinds of senders and what may be known of them: the rows and columns of the grace table.
var (
	dino          = client.Client{Kind: client.Desktop, Name: "Dino"}
	conversations = client.Client{Kind: client.Mobile, Name: "Conversations"}
	browser       = client.Client{Kind: client.Web}
	curl          = client.Client{Kind: client.Library, Name: "curl"}
	robot         = client.Client{}

	never   = admit.History{}
	here    = admit.History{Known: true, LastFresh: expiry.Add(time.Minute), FreshAddr: "home"} // same address, was there after the expiry
	moved   = admit.History{Known: true, LastFresh: expiry.Add(time.Minute), FreshAddr: "cafe"}
	standby = admit.History{Known: true, LastFresh: expiry.Add(-time.Minute), FreshAddr: "home"}
	both    = admit.History{Known: true, LastFresh: expiry.Add(-time.Minute), FreshAddr: "cafe"}
)

func jwt() token.Claims {
	return token.Claims{Scheme: token.JWT, Owner: owner, IssuedAt: expiry.Add(-5 * time.Minute), Expires: expiry}
}

func TestEveryCellOfTheGraceTable(t *testing.T) {
	type window struct {
		window admit.Window
		length time.Duration
		reason string
	}
	h := time.Hour
	base := window{admit.Base, 8 * h, "client-class"}
	mobile := window{admit.Mobile, 12 * h, "client-class"}
	desktop := window{admit.Desktop, 24 * h, "client-class"}
	restore := window{admit.Restore, 48 * h, "restore"}
	ultra := func(reason string) window { return window{admit.Ultra, 72 * h, reason} }

	tests := []struct {
		name    string
		client  client.Client
		history admit.History
		device  bool
		changed bool
		want    []window // the windows that admit, one after the other; the last one is the largest that is open
	}{
		{"desktop, never seen", dino, never, false, false, []window{base, desktop}},
		{"desktop, known, same address", dino, here, false, false, []window{base, desktop, restore}},
		{"desktop, known, other address", dino, moved, false, true, []window{base, desktop, restore, ultra("address-changed")}},
		{"desktop, known, back from standby", dino, standby, false, false, []window{base, desktop, restore, ultra("standby")}},
		{"desktop, known, other address and standby", dino, both, false, true, []window{base, desktop, restore, ultra("address-changed")}},
		{"desktop, never seen, device", dino, never, true, false, []window{base, desktop, ultra("device")}},
		{"desktop, known, same address, device", dino, here, true, false, []window{base, desktop, restore, ultra("device")}},
		{"desktop, known, other address, device", dino, moved, true, true, []window{base, desktop, restore, ultra("address-changed")}},
		{"desktop, known, standby, device", dino, standby, true, false, []window{base, desktop, restore, ultra("standby")}},

		{"mobile, never seen", conversations, never, false, false, []window{base, mobile}},
		{"mobile, known, same address: restore is for desktops", conversations, here, false, false, []window{base, mobile}},
		{"mobile, known, other address", conversations, moved, false, true, []window{base, mobile, ultra("address-changed")}},
		{"mobile, known, back from standby", conversations, standby, false, false, []window{base, mobile, ultra("standby")}},
		{"mobile, never seen, device", conversations, never, true, false, []window{base, mobile, ultra("device")}},
		{"mobile, known, same address, device", conversations, here, true, false, []window{base, mobile, ultra("device")}},

		{"unknown client, never seen", robot, never, false, false, []window{base}},
		{"unknown client, known, same address", robot, here, false, false, []window{base}},
		{"unknown client, known, other address", robot, moved, false, true, []window{base, ultra("address-changed")}},
		{"unknown client, known, back from standby", robot, standby, false, false, []window{base, ultra("standby")}},
		{"unknown client, never seen, device", robot, never, true, false, []window{base, ultra("device")}},

		{"browser, never seen", browser, never, false, false, []window{base}},
		{"browser, known, same address", browser, here, false, false, []window{base}},
		{"browser, known, other address", browser, moved, false, true, []window{base, ultra("address-changed")}},
		{"browser, known, back from standby", browser, standby, false, false, []window{base, ultra("standby")}},
		{"browser, never seen, device", browser, never, true, false, []window{base, ultra("device")}},

		{"tool, never seen", curl, never, false, false, []window{base}},
		{"tool, known, same address", curl, here, false, false, []window{base}},
		{"tool, known, other address", curl, moved, false, true, []window{base, ultra("address-changed")}},
		{"tool, known, back from standby", curl, standby, false, false, []window{base, ultra("standby")}},
		{"tool, never seen, device", curl, never, true, false, []window{base, ultra("device")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			peer := admit.Peer{Client: tt.client, Addr: "home", Device: tt.device}
			decide := func(late time.Duration) admit.Verdict {
				return admit.Decide(jwt(), peer, tt.history, admit.Default, expiry.Add(late))
			}
			check := func(late time.Duration, want admit.Verdict) {
				t.Helper()
				want.Changed = tt.changed
				if d := cmp.Diff(want, decide(late)); d != "" {
					t.Errorf("%v after the expiry (-want +got):\n%s", late, d)
				}
			}
			fresh := admit.Verdict{OK: true, Window: admit.Fresh, Reason: "fresh"}
			check(-time.Minute, fresh)
			check(0, fresh)
			from := time.Second
			for _, w := range tt.want {
				check(from, admit.Verdict{OK: true, Window: w.window, Late: from, Reason: w.reason})
				check(w.length, admit.Verdict{OK: true, Window: w.window, Late: w.length, Reason: w.reason})
				check(w.length+999*time.Millisecond, admit.Verdict{OK: true, Window: w.window, Late: w.length, Reason: w.reason})
				from = w.length + time.Second
			}
			last := tt.want[len(tt.want)-1]
			check(from, admit.Verdict{Window: last.window, Late: from, Reason: "beyond-grace"})
			check(1000*h, admit.Verdict{Window: last.window, Late: 1000 * h, Reason: "beyond-grace"})
		})
	}
}

func TestWhatATokenWithoutTimeOrIdentityGets(t *testing.T) {
	late := func(c token.Claims, seconds int) time.Time {
		return c.Expires.Add(time.Duration(seconds) * time.Second)
	}
	anonymous := token.Claims{Scheme: token.V3, Expires: expiry}
	timeless := token.Claims{Scheme: token.Bearer, Form: token.Simple, Owner: owner}
	tests := []struct {
		name   string
		claims token.Claims
		now    time.Time
		want   admit.Verdict
	}{
		{"no time: always good", timeless, expiry.Add(1e6 * time.Hour),
			admit.Verdict{OK: true, Window: admit.None, Reason: "no-time", Changed: true}},
		{"no time, no identity: nothing has changed", token.Claims{Scheme: token.V2}, expiry,
			admit.Verdict{OK: true, Window: admit.None, Reason: "no-time"}},
		{"no identity: a history and a device count for nothing, inside", anonymous, late(anonymous, 24*3600),
			admit.Verdict{OK: true, Window: admit.Desktop, Late: 24 * time.Hour, Reason: "client-class"}},
		{"no identity: a history and a device count for nothing, outside", anonymous, late(anonymous, 24*3600+1),
			admit.Verdict{Window: admit.Desktop, Late: 24*time.Hour + time.Second, Reason: "beyond-grace"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := admit.Decide(tt.claims, admit.Peer{Client: dino, Addr: "home", Device: true}, both, admit.Default, tt.now)
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestAJWTIssuedInTheFutureIsRefused(t *testing.T) {
	tests := []struct {
		name   string
		scheme token.Scheme
		ahead  time.Duration
		want   admit.Verdict
	}{
		{"ten minutes ahead is a wrong clock", token.JWT, 10 * time.Minute, admit.Verdict{OK: true, Window: admit.Fresh, Reason: "fresh"}},
		{"a second more is not", token.JWT, 10*time.Minute + time.Second, admit.Verdict{Window: admit.Fresh, Reason: "issued-in-future"}},
		{"a year", token.JWT, 8760 * time.Hour, admit.Verdict{Window: admit.Fresh, Reason: "issued-in-future"}},
		{"bearer derives its time of issue from the expiry", token.Bearer, time.Hour, admit.Verdict{OK: true, Window: admit.Fresh, Reason: "fresh"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := jwt()
			c.Scheme, c.Expires = tt.scheme, c.IssuedAt.Add(9000*time.Hour)
			got := admit.Decide(c, admit.Peer{}, never, admit.Default, c.IssuedAt.Add(-tt.ahead))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestAnAddressChangesOnlyWhenBothAreKnown(t *testing.T) {
	tests := []struct {
		name, now, before string
		known, want       bool
	}{
		{"the same", "home", "home", true, false},
		{"another", "home", "cafe", true, true},
		{"the present one is not certain", "", "cafe", true, false},
		{"none is remembered", "home", "", true, false},
		{"never seen", "home", "cafe", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := admit.History{Known: tt.known, FreshAddr: tt.before, LastFresh: expiry.Add(time.Hour)}
			v := admit.Decide(jwt(), admit.Peer{Addr: tt.now}, h, admit.Default, expiry.Add(60*time.Hour))
			if v.Changed != tt.want || v.OK != tt.want {
				t.Errorf("changed %v, admitted %v; want both %v", v.Changed, v.OK, tt.want)
			}
		})
	}
}

func TestWindowsAreConfigurable(t *testing.T) {
	tests := []struct {
		name    string
		windows admit.Windows
		late    time.Duration
		want    admit.Verdict
	}{
		{"no grace at all", admit.Windows{}, time.Second,
			admit.Verdict{Window: admit.Base, Late: time.Second, Reason: "beyond-grace"}},
		{"no grace, and not late", admit.Windows{}, 0,
			admit.Verdict{OK: true, Window: admit.Fresh, Reason: "fresh"}},
		{"base longer than desktop: base admits", admit.Windows{Base: 30 * time.Hour, Desktop: time.Hour}, 29 * time.Hour,
			admit.Verdict{OK: true, Window: admit.Base, Late: 29 * time.Hour, Reason: "client-class"}},
		{"base longer than desktop: the smallest that admits is named", admit.Windows{Base: 30 * time.Hour, Desktop: time.Hour}, time.Hour,
			admit.Verdict{OK: true, Window: admit.Desktop, Late: time.Hour, Reason: "client-class"}},
		{"base longer than desktop: the largest is named in a refusal", admit.Windows{Base: 30 * time.Hour, Desktop: time.Hour}, 31 * time.Hour,
			admit.Verdict{Window: admit.Base, Late: 31 * time.Hour, Reason: "beyond-grace"}},
		{"ultra off", admit.Windows{Base: time.Hour, Restore: 2 * time.Hour}, 3 * time.Hour,
			admit.Verdict{Window: admit.Restore, Late: 3 * time.Hour, Reason: "beyond-grace"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := admit.Decide(jwt(), admit.Peer{Client: dino, Addr: "home"}, standby, tt.windows, expiry.Add(tt.late))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
