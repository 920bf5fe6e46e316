package server

import (
	"strconv"
	"testing"
)

func TestStructuredFields(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []string
		n      int64
		ok     bool
	}{
		{"absent", nil, 0, false},
		{"empty", []string{""}, 0, false},
		{"zero", []string{"0"}, 0, true},
		{"minus zero", []string{"-0"}, 0, true},
		{"leading zeros", []string{"007"}, 7, true},
		{"spaces around", []string{"  42 "}, 42, true},
		{"a tab around", []string{"\t42"}, 0, false},
		{"15 digits", []string{"999999999999999"}, 999999999999999, true},
		{"16 digits", []string{"1000000000000000"}, 0, false},
		{"negative", []string{"-1"}, 0, false},
		{"a plus", []string{"+1"}, 0, false},
		{"a decimal", []string{"1.0"}, 0, false},
		{"hexadecimal", []string{"0x10"}, 0, false},
		{"a string", []string{`"1"`}, 0, false},
		{"twice", []string{"1", "1"}, 0, false},
		{"a list", []string{"1, 2"}, 0, false},
		{"a parameter", []string{"5;a"}, 5, true},
		{"parameters of every kind", []string{`5;a=1;b="x\"y"; c=?1;d=:aGk=:;*e=tok/en:x;f=-1.25`}, 5, true},
		{"a space before a parameter", []string{"5 ;a"}, 0, false},
		{"a parameter without a key", []string{"5;"}, 0, false},
		{"a parameter in upper case", []string{"5;A"}, 0, false},
		{"a parameter without a value", []string{"5;a="}, 0, false},
		{"a string without an end", []string{`5;a="x`}, 0, false},
		{"a string with a wrong escape", []string{`5;a="\x"`}, 0, false},
		{"bytes without an end", []string{"5;a=:aGk="}, 0, false},
		{"a decimal without a fraction", []string{"5;a=1."}, 0, false},
		{"Arabic digits", []string{"٥"}, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if n, ok := fieldInteger(tt.values); n != tt.n && tt.ok || ok != tt.ok {
				t.Errorf("got %d, %v, want %d, %v", n, ok, tt.n, tt.ok)
			}
		})
	}
	for _, tt := range []struct {
		value string
		b, ok bool
	}{
		{"?1", true, true}, {"?0", false, true}, {"?1;x=1", true, true}, {" ?1", true, true},
		{"", false, false}, {"1", false, false}, {"?", false, false}, {"?2", false, false}, {"true", false, false}, {"?1 ", true, true}, {"?1, ?1", false, false}, {"?10", false, false},
	} {
		if b, ok := fieldBoolean([]string{tt.value}); b != tt.b || ok != tt.ok {
			t.Errorf("%q: got %v, %v, want %v, %v", tt.value, b, ok, tt.b, tt.ok)
		}
	}
}

func FuzzStructuredFields(f *testing.F) {
	for _, s := range []string{"0", "42", "-1", `5;a="x";b`, "?1", "?0;a=?1", "5;a=:aGk=:", ";", "5;a=1.5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := fieldInteger([]string{s})
		if ok {
			if n < 0 || n > 999_999_999_999_999 {
				t.Errorf("%q is %d", s, n)
			}
			if again, ok := fieldInteger([]string{strconv.FormatInt(n, 10)}); !ok || again != n {
				t.Errorf("%d is not read back: %d, %v", n, again, ok)
			}
		}
		if _, boolean := fieldBoolean([]string{s}); boolean && ok {
			t.Errorf("%q is both", s)
		}
	})
}
