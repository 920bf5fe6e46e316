package jose

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"
	"unicode/utf8"
)

// Object is a JSON object, its members as they are written.
type Object map[string]json.RawMessage

// ParseObject reads one object and nothing after it. Every object within, too, has each of its members once.
func ParseObject(b []byte) (Object, error) {
	if !utf8.Valid(b) {
		return nil, invalid("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, invalid("not a JSON object")
	}
	if err := members(d, 1); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, invalid("something follows the object")
	}
	var o Object
	if err := json.Unmarshal(b, &o); err != nil || o == nil {
		return nil, invalid("not a JSON object")
	}
	return o, nil
}

// maxDepth is how deep objects may lie in one another. What is read here needs three.
const maxDepth = 16

// members reads the rest of an object that d has begun.
func members(d *json.Decoder, depth int) error {
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return invalid("not JSON")
		}
		text, ok := name.(string)
		if !ok || seen[text] {
			return invalid("a member comes twice")
		}
		seen[text] = true
		if err := value(d, depth); err != nil {
			return err
		}
	}
	return end(d)
}

// value reads one value.
func value(d *json.Decoder, depth int) error {
	if depth > maxDepth {
		return invalid("too deep")
	}
	t, err := d.Token()
	if err != nil {
		return invalid("not JSON")
	}
	switch t {
	case json.Delim('{'):
		return members(d, depth+1)
	case json.Delim('['):
		for d.More() {
			if err := value(d, depth+1); err != nil {
				return err
			}
		}
		return end(d)
	}
	return nil
}

// end reads the bracket that closes an object or an array.
func end(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return invalid("not JSON")
	}
	return nil
}

// Has reports whether the member is there, whatever it holds.
func (o Object) Has(name string) bool { _, ok := o[name]; return ok }

// Text returns a member that is a string.
func (o Object) Text(name string) (string, bool) {
	raw := o[name]
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	return s, json.Unmarshal(raw, &s) == nil
}

// Integer returns a member that is a whole number of at most 53 bits, written with digits only.
func (o Object) Integer(name string) (int64, bool) {
	raw := o[name]
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, false
	}
	var n int64
	if json.Unmarshal(raw, &n) != nil || n < -1<<53 || n > 1<<53 {
		return 0, false
	}
	return n, true
}

// lastSecond is the end of the year 9999, the last one that RFC 3339 can write.
const lastSecond = 253402300799

// Time returns a member that is a NumericDate, of which a fraction is dropped (RFC 7519 section 2).
func (o Object) Time(name string) (time.Time, bool) {
	raw := o[name]
	if len(raw) == 0 || raw[0] < '0' || raw[0] > '9' {
		return time.Time{}, false
	}
	var n float64
	if json.Unmarshal(raw, &n) != nil || n > lastSecond {
		return time.Time{}, false
	}
	return time.Unix(int64(n), 0).UTC(), true
}
