package token_test

import (
	"encoding/hex"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/relay/token"
)

// The examples of docs/token.md were computed by another program. Signing must give them byte for byte, and they must verify.
func TestTheExamplesInTheDocumentation(t *testing.T) {
	doc, err := os.ReadFile("../../docs/token.md")
	if err != nil {
		t.Fatal(err)
	}
	const secret = "example-secret"
	const prefix = "/upload/"
	seen := map[string]int{}
	for _, block := range regexp.MustCompile("(?s)```token\n(.*?)```").FindAllStringSubmatch(string(doc), -1) {
		x := map[string]string{}
		for line := range strings.Lines(block[1]) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			x[name] = strings.TrimLeft(value, " ")
		}
		name := x["scheme"] + " " + x["form"]
		seen[x["scheme"]]++
		t.Run(name, func(t *testing.T) {
			number := func(field string) int64 {
				n, err := strconv.ParseInt(x[field], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			when := func(field string) time.Time {
				if x[field] == "" {
					return time.Time{}
				}
				return time.Unix(number(field), 0).UTC()
			}
			c := token.Claims{
				Scheme: token.Scheme(x["scheme"]), Path: x["path"], Size: number("size"), Type: x["type"],
				User: x["user"], Owner: x["owner"] + token.Owner(x["user"]), Session: x["session"],
				IssuedAt: when("issued"), Expires: when("expires"), Retain: when("retain"),
			}
			for f := token.NetworkResilient; f <= token.SessionBased; f++ {
				if f.String() == x["form"] {
					c.Form = f
				}
			}
			g, err := token.Sign(c, prefix+c.Path, token.Secret(secret))
			if err != nil {
				t.Fatal(err)
			}
			url := token.EscapePath(c.Path)
			if g.RawQuery != "" {
				url += "?" + g.RawQuery
			}
			if url != x["url"] {
				t.Errorf("url\n got %s\nwant %s", url, x["url"])
			}
			if g.Authorization != strings.TrimPrefix(x["header"], "Authorization: ") {
				t.Errorf("header\n got %s\nwant %s", g.Authorization, x["header"])
			}
			if message, ok := x["message"]; ok {
				message = strings.NewReplacer(`\0`, "\x00", `\n`, "\n").Replace(message)
				if got := hex.EncodeToString(macWith(secret, message)); got != x["mac"] {
					t.Errorf("the MAC of the message is %s, not %s", got, x["mac"])
				}
			}

			escaped, rawQuery, _ := strings.Cut(x["url"], "?")
			path, err := token.ParsePath(escaped)
			if err != nil {
				t.Fatal(err)
			}
			got, err := verifier(t, secret).Verify(token.Request{
				Path: path, FullPath: prefix + path, RawQuery: rawQuery,
				Authorization: strings.TrimPrefix(x["header"], "Authorization: "), Size: number("size"), Type: x["type"],
			})
			if err != nil {
				t.Fatal(err)
			}
			if hex.EncodeToString(got.MAC[:]) != x["mac"] {
				t.Errorf("the MAC is %x, not %s", got.MAC, x["mac"])
			}
			want := c
			want.MAC, want.IssuedAt = got.MAC, got.IssuedAt // the bearer examples give it in the table of forms
			if c.Scheme == token.JWT {
				want.IssuedAt = c.IssuedAt
			}
			if want.Type == "" && (c.Scheme == token.V2 || c.Scheme == token.Token) {
				want.Type = "application/octet-stream"
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	want := map[string]int{"v": 2, "v2": 1, "token": 1, "v3": 1, "bearer": 6, "jwt": 1}
	if d := cmp.Diff(want, seen); d != "" {
		t.Errorf("number of examples by scheme (-want +got):\n%s", d)
	}
}
