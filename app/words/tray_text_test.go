package words

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestPlain(t *testing.T) {
	tests := []struct {
		name, in string
		limit    int
		want     string
	}{
		{"a short name stays", "photo.jpg", 20, "photo.jpg"},
		{"a long one keeps its ending", "a very long name of a file.tar.gz", 16, "a very lon…ar.gz"},
		{"a line cannot be broken", "a\nb\tc\x00d", 0, "a b c d"},
		{"the reading direction cannot be turned", "gpj.\u202eexe\u2066x", 0, "gpj. exe x"},
		{"right-to-left letters stay", "תמונה.jpg", 0, "תמונה.jpg"},
		{"what is not UTF-8 is marked", "a\xffb", 0, "a\ufffdb"},
	}
	for _, tt := range tests {
		if got := Plain(tt.in, tt.limit); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzPlain(f *testing.F) {
	f.Add("photo.jpg", 5)
	f.Add("\u202e\x00\xff", 0)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		got := Plain(s, limit)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%q", got)
		}
		if limit > 0 && utf8.RuneCountInString(got) > limit {
			t.Errorf("%d runes, the limit is %d", utf8.RuneCountInString(got), limit)
		}
	})
}

func TestLeft(t *testing.T) {
	w := For("en")
	for d, want := range map[time.Duration]string{
		0: "", -time.Second: "", 300 * time.Millisecond: "1 s left", 89 * time.Second: "89 s left", 90 * time.Second: "2 min left",
		80 * time.Minute: "80 min left", 3 * time.Hour: "3 h left", 100 * time.Hour: "",
	} {
		if got := w.Left(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
