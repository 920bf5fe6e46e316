package companion

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// span is a range of bytes of config.toml.
type span struct{ start, end int }

// place says where a key is, or where it would go.
type place struct {
	found    bool
	value    span   // of the value
	elements []span // of an array's elements
	insert   int    // where a new line or pair for the key goes; -1: a new table at the end
	prefix   string // what a new key begins with: "", or "relay." beside dotted keys
	inline   bool   // the table is written { like = this }
	empty    bool   // that table has no pair yet
}

// errNoPlace means that a key cannot be added without rewriting more than itself.
var errNoPlace = errors.New("the table is written in a way that leaves no place for the key")

// locate finds [table] key in a document. data has to be without a byte order mark.
func locate(data []byte, table, key string) (place, error) {
	at := place{insert: -1}
	var p unstable.Parser
	p.Reset(data)
	var current []string
	array := false
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			current, array = keysOf(e.Key()), e.Kind == unstable.ArrayTable
			if !array && len(current) == 1 && current[0] == table {
				at.insert, at.prefix = lineEnd(data, lastKey(e.Key())), ""
			}
		case unstable.KeyValue:
			if array {
				continue
			}
			full := append(slices.Clone(current), keysOf(e.Key())...)
			value := valueSpan(data, e)
			switch {
			case slices.Equal(full, []string{table, key}):
				at.found, at.value, at.elements = true, value, elementsOf(e.Value())
			case len(full) == 1 && full[0] == table && e.Value().Kind == unstable.InlineTable:
				at.inline, at.insert, at.empty = true, value.start+1, true
				pairs := e.Value().Children()
				for pairs.Next() {
					at.empty = false
					if kv := pairs.Node(); kv.Kind == unstable.KeyValue && slices.Equal(keysOf(kv.Key()), []string{key}) {
						at.found, at.value, at.elements = true, valueSpan(data, kv), elementsOf(kv.Value())
					}
				}
			case len(current) == 1 && current[0] == table:
				at.insert = lineEnd(data, value.end)
			case len(current) == 0 && len(full) > 1 && full[0] == table:
				at.insert, at.prefix = lineEnd(data, value.end), table+"."
			}
		}
	}
	return at, p.Error()
}

func keysOf(it unstable.Iterator) (keys []string) {
	for it.Next() {
		keys = append(keys, string(it.Node().Data))
	}
	return keys
}

// lastKey is where the last part of a key ends.
func lastKey(it unstable.Iterator) (end int) {
	for it.Next() {
		raw := it.Node().Raw
		end = int(raw.Offset + raw.Length)
	}
	return end
}

// valueSpan is the range of a pair's value.
func valueSpan(data []byte, kv *unstable.Node) span {
	start := lastKey(kv.Key())
	for start < len(data) && data[start] != '=' {
		start++
	}
	start++
	for start < len(data) && (data[start] == ' ' || data[start] == '\t') {
		start++
	}
	end := int(kv.Raw.Offset + kv.Raw.Length)
	for end > start && strings.IndexByte(" \t\r\n", data[end-1]) >= 0 {
		end--
	}
	return span{start, max(start, end)}
}

func elementsOf(v *unstable.Node) (out []span) {
	if v.Kind != unstable.Array {
		return nil
	}
	for it := v.Children(); it.Next(); {
		raw := it.Node().Raw
		out = append(out, span{int(raw.Offset), int(raw.Offset + raw.Length)})
	}
	return out
}

// lineEnd is the index after the line that at is in.
func lineEnd(data []byte, at int) int {
	if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(data)
}

func newline(data []byte) string {
	if bytes.Contains(data, []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}

// splice replaces a range.
func splice(data []byte, s span, with string) []byte {
	out := make([]byte, 0, len(data)+len(with))
	out = append(out, data[:s.start]...)
	out = append(out, with...)
	return append(out, data[s.end:]...)
}

// setKey gives a key a new value, written as TOML, and touches nothing else.
func setKey(data []byte, table, key, literal string) ([]byte, error) {
	at, err := locate(data, table, key)
	if err != nil {
		return nil, err
	}
	nl := newline(data)
	pair := key + " = " + literal
	// A key may only follow on a line of its own.
	lineAt := func(i int) string {
		if i > 0 && data[i-1] != '\n' {
			return nl
		}
		return ""
	}
	switch {
	case at.found:
		return splice(data, at.value, literal), nil
	case at.inline && at.empty:
		return splice(data, span{at.insert, at.insert}, " "+pair+" "), nil
	case at.inline:
		return splice(data, span{at.insert, at.insert}, " "+pair+","), nil
	case at.insert >= 0:
		return splice(data, span{at.insert, at.insert}, lineAt(at.insert)+at.prefix+pair+nl), nil
	}
	text := lineAt(len(data))
	if len(data) > 0 {
		text += nl
	}
	return splice(data, span{len(data), len(data)}, text+"["+table+"]"+nl+pair+nl), nil
}

// addElement puts one more string at the end of an array, in the style of its neighbours.
func addElement(data []byte, table, key, value string) ([]byte, error) {
	at, err := locate(data, table, key)
	if err != nil {
		return nil, err
	}
	text := strconv.Quote(value) // host names are ASCII without quotes: TOML and Go agree on them
	if !at.found || len(at.elements) == 0 && !bytes.ContainsRune(data[at.value.start:at.value.end], '#') {
		return setKey(data, table, key, "["+text+"]")
	}
	if len(at.elements) == 0 {
		return nil, errNoPlace // only comments between the brackets
	}
	last := at.elements[len(at.elements)-1]
	start := bytes.LastIndexByte(data[:last.start], '\n') + 1
	indent := data[start:last.start]
	comma, after := hasComma(data, last.end)
	if start > at.value.start && len(bytes.TrimSpace(indent)) == 0 { // one element a line
		if comma {
			end := lineEnd(data, after)
			return splice(data, span{end, end}, string(indent)+text+","+newline(data)), nil
		}
		return splice(data, span{last.end, last.end}, ","+newline(data)+string(indent)+text), nil
	}
	if comma {
		return splice(data, span{after, after}, " "+text+","), nil
	}
	return splice(data, span{last.end, last.end}, ", "+text), nil
}

// hasComma says whether a comma follows on the same line, and where that ends.
func hasComma(data []byte, at int) (bool, int) {
	i := at
	for i < len(data) && (data[i] == ' ' || data[i] == '\t') {
		i++
	}
	if i < len(data) && data[i] == ',' {
		return true, i + 1
	}
	return false, at
}

// removeElements takes elements out of an array; a line that held nothing else goes as a whole.
func removeElements(data []byte, table, key string, drop func(i int) bool) ([]byte, error) {
	at, err := locate(data, table, key)
	if err != nil {
		return nil, err
	}
	for i := len(at.elements) - 1; i >= 0; i-- {
		if !drop(i) {
			continue
		}
		e := at.elements[i]
		comma, after := hasComma(data, e.end)
		start := bytes.LastIndexByte(data[:e.start], '\n') + 1
		end := lineEnd(data, after)
		rest := bytes.TrimSpace(data[after:end])
		switch {
		case start > at.value.start && len(bytes.TrimSpace(data[start:e.start])) == 0 && (len(rest) == 0 || rest[0] == '#'):
			data = splice(data, span{start, end}, "")
		case comma:
			for after < len(data) && data[after] == ' ' {
				after++
			}
			data = splice(data, span{e.start, after}, "")
		case i > 0:
			data = splice(data, span{at.elements[i-1].end, e.end}, "")
		default:
			data = splice(data, e, "")
		}
	}
	return data, nil
}
