package client_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/detect/client"
)

func TestParseNamesTheClientByItsFirstProduct(t *testing.T) {
	type is = client.Client
	const (
		desktop = client.Desktop
		mobile  = client.Mobile
		web     = client.Web
		library = client.Library
	)
	tests := []struct {
		name, userAgent string
		want            client.Client
	}{
		{"Dino 0.4.2 with its library", "Dino/0.4.2 libsoup/3.2.3", is{desktop, "Dino", "0.4.2"}},
		{"Dino built from git", "Dino/0.4+ libsoup/3.4.4", is{desktop, "Dino", "0.4+"}},
		{"Gajim to 2.3", "Gajim 1.7.3", is{desktop, "Gajim", "1.7.3"}},
		{"Gajim from 2.4", "Gajim 2.x", is{desktop, "Gajim", "2.x"}},
		{"Gajim with a slash", "Gajim/2.5.0", is{desktop, "Gajim", "2.5.0"}},
		{"Profanity without a version", "profanity", is{desktop, "Profanity", ""}},
		{"Psi", "Psi/1.5", is{desktop, "Psi", "1.5"}},
		{"Psi+ has a plus in its token", "Psi+/1.5.1650", is{desktop, "Psi+", "1.5.1650"}},
		{"Kaidan", "Kaidan/0.9.1", is{desktop, "Kaidan", "0.9.1"}},
		{"Conversations", "Conversations/2.16.7+fcr", is{mobile, "Conversations", "2.16.7+fcr"}},
		{"Cheogram", "Cheogram/2.15.3-4", is{mobile, "Cheogram", "2.15.3-4"}},
		{"monocles chat has two words", "monocles chat/1.7.9", is{mobile, "monocles chat", "1.7.9"}},
		{"monocles in one word", "monocles/1.8", is{mobile, "monocles chat", "1.8"}},
		{"Quicksy", "Quicksy/2.12.0", is{mobile, "Quicksy", "2.12.0"}},
		{"blabber.im", "blabber.im/3.1.4", is{mobile, "blabber.im", "3.1.4"}},
		{"Snikket", "Snikket/2.13.4", is{mobile, "Snikket", "2.13.4"}},
		{"Monal on iOS", "Monal/905 CFNetwork/1490.0.4 Darwin/23.2.0", is{mobile, "Monal", "905"}},
		{"Siskin with Apple's escaped space", "Siskin%20IM/590 CFNetwork/1490.0.4 Darwin/23.2.0", is{mobile, "Siskin", "590"}},
		{"ChatSecure", "ChatSecure/340 CFNetwork/1240 Darwin/20.6.0", is{mobile, "ChatSecure", "340"}},
		{"yaxim", "yaxim/0.9.9b", is{mobile, "yaxim", "0.9.9b"}},
		{"Android's own library", "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 6 Build/TQ3A)", is{mobile, "Android", "2.1.0"}},
		{"an unknown app that says Android in its comment", "SomeChat/1.0 (Linux; Android 14)", is{mobile, "", ""}},
		{"slixmpp", "slixmpp 1.8.3", is{library, "slixmpp", "1.8.3"}},
		{"go-sendxmpp as Debian 12 has it", "Go-http-client/1.1", is{library, "Go", "1.1"}},
		{"go-sendxmpp by its name", "go-sendxmpp/0.14.1", is{library, "go-sendxmpp", "0.14.1"}},
		{"curl", "curl/7.88.1", is{library, "curl", "7.88.1"}},
		{"a browser, where Converse.js runs", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", is{web, "", ""}},
		{"a browser on a phone is a browser", "Mozilla/5.0 (Linux; Android 13) AppleWebKit/537.36 Chrome/120 Mobile Safari/537.36", is{web, "", ""}},
		{"Converse.js in its own window", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 converse.js/10.1.6 Electron/28", is{web, "Converse.js", "10.1.6"}},
		{"upper and lower case do not matter", "DINO/0.5", is{desktop, "Dino", "0.5"}},
		{"spaces around", "  Gajim   2.x ", is{desktop, "Gajim", "2.x"}},
		{"a comment in front", "(a (nested \\) one)) Dino/0.5", is{desktop, "Dino", "0.5"}},
		{"a comment at the token's end", "Dino/0.5(x)", is{desktop, "Dino", "0.5"}},

		{"nothing", "", is{}},
		{"a bot by substring", "robot client", is{}},
		{"words that other servers look for", "xmpp client bot mobile", is{}},
		{"Gajim as a part of a token", "my-gajim-clone/1.0", is{}},
		{"Dino as a part of a token", "Dinosaur/1.0", is{}},
		{"Dino not in the first place", "robot/1.0 Dino/0.4.2", is{}},
		{"Dino in a comment", "robot/1.0 (Dino/0.4.2)", is{}},
		{"Conversations in a version", "robot/Conversations", is{}},
		{"Android as a part of a word in a comment", "robot/1.0 (Androids 1)", is{}},
		{"Android not at the start of a comment's part", "robot/1.0 (not Android)", is{}},
		{"an unfinished comment", "(Dino/0.4.2", is{}},
		{"no token at all", "\"Dino\"", is{}},
		{"bytes that no token has", "\xff\x00Dino", is{}},
		{"a token that ends in the middle", "Dino\x00/0.4", is{desktop, "Dino", ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, client.Parse(tt.userAgent)); d != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", tt.userAgent, d)
			}
		})
	}
}

func TestKindsHaveNames(t *testing.T) {
	want := []string{"unknown", "desktop", "mobile", "web", "library", "kind(5)"}
	for i, w := range want {
		if got := client.Kind(i).String(); got != w {
			t.Errorf("Kind(%d) is %q, want %q", i, got, w)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"Dino/0.4.2 libsoup/3.2.3", "Gajim 1.7.3", "a/b (c(d)\\)) e", "(", "monocles chat/1", "x (Android"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, userAgent string) {
		c := client.Parse(userAgent)
		if c.Name != "" && c.Kind == client.Unknown {
			t.Errorf("Parse(%q) knows %q but not its kind", userAgent, c.Name)
		}
		if !strings.Contains(userAgent, c.Version) {
			t.Errorf("Parse(%q) has made up version %q", userAgent, c.Version)
		}
	})
}
