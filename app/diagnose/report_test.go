package diagnose

import (
	"strings"
	"testing"
	"time"
)

func TestAReportHoldsNothingPrivate(t *testing.T) {
	d := Document{Schema: 1, Checks: []Check{
		{Name: "network", Verdict: Pass, Text: "Wi-Fi Rosenweg 7."},
		{Name: "host", Host: "upload.example.org", Verdict: Fail, Text: "Put https://upload.example.org/up/a.jpg?v2=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff for alice@example.org/phone"},
		{Name: "interfaces", Verdict: Pass, Text: "eth0 (198.51.100.77/24, 2001:db8:1:2:3:4:5:6/64, default route), lo 127.0.0.1:5380"},
		{Name: "trust", Verdict: Warn, Text: "Cannot read /home/alice/.local/share/holdfast/x", Remedy: "token eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9abcdef"},
		{Name: "health", Verdict: Pass, Text: "holiday photo.jpg was sent"},
	}}
	b, err := Report(d, About{Version: "1"}, []string{"Rosenweg 7", "holiday photo.jpg"}, time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, bad := range []string{"Rosenweg", "alice", "00112233", "198.51.100.77", "2001:db8:1:2:", "eyJ", "holiday", "v2="} {
		if strings.Contains(text, bad) {
			t.Errorf("the report holds %q:\n%s", bad, text)
		}
	}
	for _, good := range []string{`"upload.example.org"`, "198.51.100.0/24", "2001:db8:1::/48", "127.0.0.1:5380", `"verdict": "fail"`, "(account)"} {
		if !strings.Contains(text, good) {
			t.Errorf("the report misses %q:\n%s", good, text)
		}
	}
}

func FuzzRedactLeavesNoAccountsAndNoTokens(f *testing.F) {
	f.Add("a alice@example.org b")
	f.Add("https://h.example/x?token=deadbeefdeadbeefdeadbeefdeadbeefdeadbeef")
	f.Fuzz(func(t *testing.T, s string) {
		out := redact(s+" alice@example.org", nil)
		if account.MatchString(out) {
			t.Errorf("an account is left in %q", out)
		}
		if again := redact(out, nil); account.MatchString(again) || query.MatchString(again) && strings.Contains(again, "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef") {
			t.Errorf("%q", again)
		}
	})
}
