package words

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"holdfast/app/agent"
)

// entries lists every sentence of a catalog under its name.
func entries(v reflect.Value, name string, out map[string]string) {
	switch v.Kind() {
	case reflect.String:
		out[name] = v.String()
	case reflect.Struct:
		for i := range v.NumField() {
			entries(v.Field(i), name+"."+v.Type().Field(i).Name, out)
		}
	case reflect.Slice:
		for i := range v.Len() {
			item := v.Index(i)
			label := ""
			if item.Kind() == reflect.Struct && item.NumField() > 0 && item.Field(0).Kind() == reflect.String {
				label = item.Field(0).String()
			}
			entries(item, name+"["+label+"]", out)
		}
	}
}

func catalog(w *Words) map[string]string {
	out := map[string]string{}
	entries(reflect.ValueOf(*w), "", out)
	return out
}

var verb = regexp.MustCompile(`%[a-zA-Z%]`)

func TestBothLanguagesHaveEveryEntry(t *testing.T) {
	en, de := catalog(For("en")), catalog(For("de_DE.UTF-8"))
	for name, text := range en {
		other, ok := de[name]
		switch {
		case !ok:
			t.Errorf("%s is missing in German", name)
		case (text == "") != (other == ""):
			t.Errorf("%s is empty in one language", name)
		case !slices.Equal(verb.FindAllString(text, -1), verb.FindAllString(other, -1)):
			t.Errorf("%s has other verbs in German: %q, %q", name, text, other)
		}
	}
	for name := range de {
		if _, ok := en[name]; !ok {
			t.Errorf("%s is missing in English", name)
		}
	}
	if len(en) < 150 {
		t.Errorf("only %d entries were found; does the test still see them?", len(en))
	}
}

func TestEntriesFollowTheRules(t *testing.T) {
	for _, w := range []*Words{For("en"), For("de")} {
		for name, text := range catalog(w) {
			lower := strings.ToLower(text)
			for _, bad := range []string{"failed to", "fehlgeschlagen", "error", "please", "!", "oops", "success"} {
				if strings.Contains(lower, bad) {
					t.Errorf("%s %s says %q: %q", w.Lang, name, bad, text)
				}
			}
			for _, r := range text {
				if r > unicode.MaxLatin1 && !unicode.IsLetter(r) && !unicode.IsPunct(r) {
					t.Errorf("%s %s has the character %q: %q", w.Lang, name, r, text)
				}
			}
			if strings.TrimSpace(text) != text && !strings.HasSuffix(name, "Prompt") {
				t.Errorf("%s %s begins or ends with a space: %q", w.Lang, name, text)
			}
		}
	}
}

func TestForFindsTheLanguageOfALocale(t *testing.T) {
	for locale, want := range map[string]string{
		"": "en", "C": "en", "de": "de", "de_AT.UTF-8": "de", "de-CH": "de", "DE": "de", "fr_FR": "en", "den": "en",
	} {
		if got := For(locale).Lang; got != want {
			t.Errorf("For(%q) is %s, want %s", locale, got, want)
		}
	}
}

func TestLocaleReadsTheEnvironmentInOrder(t *testing.T) {
	env := map[string]string{"LANG": "en_US.UTF-8", "LC_MESSAGES": "de_DE.UTF-8"}
	if got := Locale(func(k string) string { return env[k] }); got != "de_DE.UTF-8" {
		t.Errorf("Locale is %q", got)
	}
}

func TestEveryIssueIsWorded(t *testing.T) {
	codes := []agent.Code{
		agent.Offline, agent.Portal, agent.RelayPort, agent.RelayOff, agent.ConfigError, agent.ConfigUnknown, agent.RestartNeeded,
		agent.KeyringIsLocked, agent.KeyringIsAbsent, agent.NetworkBlind, agent.NoHosts, agent.ClientNotRouted, agent.ClientStuck, agent.TrustDue,
		agent.Certificate, agent.ClockWrong, agent.DeviceRevoked, agent.HistoryFailed, "something-new",
	}
	for _, w := range []*Words{For("en"), For("de")} {
		for _, code := range codes {
			for _, args := range [][]string{nil, {"dino", "b", "c"}} {
				p := w.Explain(agent.Issue{Code: code, Args: args})
				if p.Code != string(code) || p.Text == "" || p.Remedy == "" || strings.Contains(p.Text+p.Remedy, "%!") {
					t.Errorf("%s %s is worded as %+v", w.Lang, code, p)
				}
			}
		}
	}
}

func TestEachProblemOfACertificateHasWordsOfItsOwn(t *testing.T) {
	for _, w := range []*Words{For("en"), For("de")} {
		problems, reasons := map[string]bool{}, map[string]bool{}
		for _, reason := range []string{"certificate", "certificate-expired", "certificate-self-signed", "certificate-other-name"} {
			problems[w.Explain(agent.Issue{Code: agent.Certificate, Args: []string{"h", reason}}).Text] = true
			reasons[w.UploadReason(reason, "h", "")] = true
		}
		if len(problems) != 4 || len(reasons) != 4 {
			t.Errorf("%s: %d problems and %d reasons are told apart, want 4", w.Lang, len(problems), len(reasons))
		}
	}
}

func TestAWrongClockIsSaidInWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		65 * time.Minute: "1 h 5 min ahead of", -7*time.Minute - 30*time.Second: "7 min behind", 73 * time.Hour: "3 days ahead of",
	} {
		if got := For("en").Ahead(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	p := For("de").Explain(agent.Issue{Code: agent.ClockWrong, Args: []string{"h.example", For("de").Ahead(time.Hour)}})
	if p.Text != "Die Uhr dieses Computers geht 1 Std. 0 Min. vor der von h.example." {
		t.Error(p.Text)
	}
}

func TestStatusLine(t *testing.T) {
	at := time.Date(2026, 5, 4, 14, 2, 0, 0, time.Local)
	for _, c := range []struct {
		name string
		s    agent.State
		want string
	}{
		{"names the last upload", agent.State{Status: agent.Protected, Last: &agent.Upload{State: "done", Client: "Gajim", Ended: at}}, "Protected: last upload from Gajim 14:02"},
		{"does not name an upload that did not work", agent.State{Status: agent.Protected, Last: &agent.Upload{State: "failed"}}, "Protected"},
		{"says what to do to see it work", agent.State{Status: agent.Ready}, "Ready - send a file to see it work"},
		{"counts one", agent.State{Status: agent.Working, Uploads: agent.Counts{Active: 1}}, "Uploading 1 file"},
		{"counts many", agent.State{Status: agent.Working, Uploads: agent.Counts{Active: 3}}, "Uploading 3 files"},
		{"waits with an upload", agent.State{Status: agent.Waiting, Uploads: agent.Counts{Waiting: 1}}, "1 upload waits for the network"},
		{"waits without one", agent.State{Status: agent.Waiting}, "Waiting for a network"},
		{"says what is wrong", agent.State{Status: agent.Attention, Problems: []agent.Problem{{Text: "It broke."}}}, "It broke."},
		{"says when a pause ends", agent.State{Status: agent.Paused, PausedUntil: at}, "Paused until 14:02"},
		{"says that nothing runs", agent.State{Status: agent.Off}, "Holdfast is not running"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, For("en").StatusLine(c.s)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestNetworkLine(t *testing.T) {
	for want, n := range map[string]agent.Network{
		"Wi-Fi Home":                               {Kind: "wifi", Name: "Home", Online: true},
		"Mobile LTE, metered":                      {Kind: "mobile", Name: "LTE", Online: true, Metered: true},
		"No network":                               {Kind: "wifi", Name: "Home"},
		"Network changes cannot be seen":           {Online: true},
		"Wi-Fi Inn: sign in on its web page first": {Kind: "wifi", Name: "Inn", Online: true, Portal: true},
	} {
		if got := For("en").NetworkLine(n); got != want {
			t.Errorf("%+v is %q, want %q", n, got, want)
		}
	}
}

func TestBytesAreWrittenAsPeopleReadThem(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", -1: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_999: "1.0 MB", 5_300_000: "5.3 MB", 12_000_000_000: "12.0 GB"} {
		if got := For("en").Bytes(n); got != want {
			t.Errorf("Bytes(%d) is %q, want %q", n, got, want)
		}
	}
	if got := For("de").Bytes(5_300_000); got != "5,3 MB" {
		t.Errorf("German: %q", got)
	}
}

func TestUploadHistoryTellsWhatWasDone(t *testing.T) {
	w := For("en")
	for want, u := range map[string]agent.Upload{
		"":                 {},
		"interrupted once": {Repeats: 1},
		"interrupted 2 times, permission renewed once": {Repeats: 2, Resigned: 1},
	} {
		if got := w.UploadHistory(u); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestUploadReasonIsAlwaysASentence(t *testing.T) {
	for _, w := range []*Words{For("en"), For("de")} {
		for _, code := range []string{"offline", "portal", "refused", "certificate", "certificate-expired", "certificate-self-signed", "certificate-other-name", "gave-up", "client-gone", "network", "busy", "cancelled", "stopped", "not-repeatable", "new-code"} {
			got := w.UploadReason(code, "upload.example.org", "detail")
			if got == "" || strings.Contains(got, "%!") {
				t.Errorf("%s %s: %q", w.Lang, code, got)
			}
		}
	}
}
