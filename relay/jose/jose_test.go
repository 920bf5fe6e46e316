package jose_test

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"holdfast/relay/jose"
)

func TestObjectsHaveOneMeaning(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		ok         bool
	}{
		{"an object", `{"a":1,"A":"x"}`, true},
		{"with space around", " {} \n", true},
		{"empty", ``, false},
		{"a member twice", `{"a":1,"a":1}`, false},
		{"a member twice within", `{"b":[{"a":1,"a":2}]}`, false},
		{"the same name in escapes", `{"a":1,"\u0061":2}`, false},
		{"a number", `1`, false},
		{"an array", `[{}]`, false},
		{"null", `null`, false},
		{"two objects", `{}{}`, false},
		{"a comma too many", `{"a":1,}`, false},
		{"half", `{"a":`, false},
		{"a name without quotes", `{a:1}`, false},
		{"broken UTF-8", "{\"a\":\"\xc3\"}", false},
	} {
		if o, err := jose.ParseObject([]byte(tt.text)); (err == nil) != tt.ok || err != nil && !errors.Is(err, jose.ErrInvalid) {
			t.Errorf("%s: %v, %v", tt.name, o, err)
		}
	}
}

func TestMembersHaveTheirTypes(t *testing.T) {
	o, err := jose.ParseObject([]byte(`{"text":"a\u0062","n":12,"f":1.5,"e":1e3,"neg":-3,"big":123456789012345678901,"nul":null,"far":253402300800,"t":1795289542.75}`))
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := o.Text("text"); !ok || s != "ab" {
		t.Errorf("text: %q", s)
	}
	for _, name := range []string{"n", "nul", "none", "TEXT"} {
		if s, ok := o.Text(name); ok {
			t.Errorf("%s is text %q", name, s)
		}
	}
	if n, ok := o.Integer("n"); !ok || n != 12 {
		t.Errorf("n: %d", n)
	}
	if n, ok := o.Integer("neg"); !ok || n != -3 {
		t.Errorf("neg: %d", n)
	}
	for _, name := range []string{"f", "e", "big", "nul", "text", "none"} {
		if n, ok := o.Integer(name); ok {
			t.Errorf("%s is the whole number %d", name, n)
		}
	}
	if at, ok := o.Time("t"); !ok || at.Unix() != 1795289542 {
		t.Errorf("t: %v", at)
	}
	for _, name := range []string{"neg", "far", "nul", "text", "none"} {
		if at, ok := o.Time(name); ok {
			t.Errorf("%s is the time %v", name, at)
		}
	}
}

func FuzzObject(f *testing.F) {
	f.Add(`{"a":{"b":[1,2,{"c":null}]}}`)
	f.Add(`{"a":1,"a":2}`)
	f.Fuzz(func(t *testing.T, s string) {
		o, err := jose.ParseObject([]byte(s))
		if err != nil {
			if !errors.Is(err, jose.ErrInvalid) {
				t.Errorf("another error: %v", err)
			}
			return
		}
		for name := range o {
			o.Text(name)
			o.Integer(name)
			o.Time(name)
		}
	})
}

func FuzzParse(f *testing.F) {
	key := ed25519.NewKeyFromSeed([]byte(strings.Repeat("s", 32)))
	good, err := jose.Sign(key, map[string]any{"typ": "at+jwt", "kid": "k"}, map[string]any{"sub": "x"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(strings.Replace(good, ".", "..", 1))
	f.Fuzz(func(t *testing.T, s string) {
		j, err := jose.Parse(s)
		if err != nil {
			return
		}
		if j.Verify(key.Public().(ed25519.PublicKey)) == nil && s != good {
			t.Errorf("nobody signed %q", s)
		}
	})
}
