package token_test

import (
	"errors"
	"strings"
	"testing"

	"holdfast/relay/token"
)

func TestParsePathDecodesOnce(t *testing.T) {
	long := strings.Repeat("x", 255)
	tests := []struct {
		name, escaped, want string
	}{
		{"plain", "slot/file.txt", "slot/file.txt"},
		{"eight segments", "a/b/c/d/e/f/g/h", "a/b/c/d/e/f/g/h"},
		{"upper and lower case escapes", "a/%c3%A9", "a/é"},
		{"decomposed letters stay so", "a/e%cc%81", "a/e\u0301"},
		{"a plus stays a plus", "a/b+c", "a/b+c"},
		{"an escaped percent sign is not decoded again", "a/%252e%252e", "a/%2e%2e"},
		{"an escaped slash separates", "a%2Fb", "a/b"},
		{"a hidden file", "a/.hidden", "a/.hidden"},
		{"three dots", "a/...", "a/..."},
		{"a dot at the end", "a/b.", "a/b."},
		{"a backslash", "a/b%5cc", "a/b\\c"},
		{"quotes", "a/%22'%60", "a/\"'`"},
		{"question mark and number sign", "a/%3F%23", "a/?#"},
		{"an emoji", "a/%F0%9F%98%80", "a/😀"},
		{"a right-to-left mark", "a/%E2%80%AEgpj.exe", "a/\u202egpj.exe"},
		{"a C1 control is none of ours", "a/%C2%85", "a/\u0085"},
		{"a space", "a/%20", "a/ "},
		{"a segment of 255 bytes", "a/" + long, "a/" + long},
		{"bytes that need no escape and have none", "a/(b)é", "a/(b)é"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := token.ParsePath(tt.escaped)
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
			if back, err := token.ParsePath(token.EscapePath(got)); err != nil || back != got {
				t.Errorf("escaped and parsed again: %q, %v", back, err)
			}
		})
	}
}

func TestParsePathRefuses(t *testing.T) {
	tests := []struct {
		name, escaped, says string
	}{
		{"nothing", "", "empty"},
		{"one segment", "file", "fewer than 2"},
		{"nine segments", "a/b/c/d/e/f/g/h/i", "more than 8"},
		{"a leading slash", "/a/b", "a segment is empty"},
		{"a slash at the end", "a/", "a segment is empty"},
		{"two slashes", "a//b", "a segment is empty"},
		{"dot", "a/./b", `a segment is "."`},
		{"dot dot", "a/..", `a segment is ".."`},
		{"dot dot escaped", "a/%2e%2E", `a segment is ".."`},
		{"dot dot with an escaped slash", "a/..%2fb", `a segment is ".."`},
		{"dot dot in front", "../a", `a segment is ".."`},
		{"the reserved folder", ".holdfast/a", "first segment starts with a dot"},
		{"the reserved folder escaped", "%2eholdfast/a", "first segment starts with a dot"},
		{"NUL", "a/b%00", "control"},
		{"line end", "a/b%0d%0a", "control"},
		{"tab", "a/%09", "control"},
		{"DEL", "a/%7F", "control"},
		{"invalid UTF-8", "a/%ff", "UTF-8"},
		{"overlong UTF-8", "a/%c0%ae%c0%ae", "UTF-8"},
		{"a surrogate", "a/%ed%a0%80", "UTF-8"},
		{"256 bytes", "a/" + strings.Repeat("x", 256), "longer than 255"},
		{"256 bytes in 128 letters", "a/" + strings.Repeat("%c3%a9", 128), "longer than 255"},
		{"a broken escape", "a/%4", "percent"},
		{"another broken escape", "a/%zz", "percent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := token.ParsePath(tt.escaped)
			if !errors.Is(err, token.ErrPath) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %q, %v; want ErrPath that says %q", got, err, tt.says)
			}
			if got != "" {
				t.Errorf("a refused path is returned: %q", got)
			}
		})
	}
}

func TestEscapePathLeavesOnlyUnreservedCharactersAndSlashes(t *testing.T) {
	got := token.EscapePath("a-Z_0.~/é+&='%?#[]@:")
	if want := "a-Z_0.~/%C3%A9%2B%26%3D%27%25%3F%23%5B%5D%40%3A"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
