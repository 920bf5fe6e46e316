package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// bareNumbers finds lengths of time that are written as a number, which could mean seconds as well as hours, and sizes
// below zero: TOML has them as integers, and those are not read as text.
func bareNumbers(b []byte, path string) []problem {
	var doc map[string]any
	if err := toml.Unmarshal(b, &doc); err != nil {
		return nil // said by who reads it for good
	}
	var out []problem
	all := reflect.TypeFor[config]()
	for i := range all.NumField() {
		table := all.Field(i)
		values, ok := doc[table.Tag.Get("toml")].(map[string]any)
		if !ok || table.Type.Kind() != reflect.Struct {
			continue
		}
		for j := range table.Type.NumField() {
			key := table.Type.Field(j)
			n, ok := values[key.Tag.Get("toml")].(int64)
			name := table.Tag.Get("toml") + "." + key.Tag.Get("toml")
			switch {
			case !ok:
				continue
			case key.Type == reflect.TypeFor[duration]() && n != 0:
				out = append(out, problem{file: path, text: fmt.Sprintf("%s: %d has no unit; write it like \"120s\", \"8h\" or \"30d\"", name, n)})
			case key.Type == reflect.TypeFor[size]() && n < 0:
				out = append(out, problem{file: path, text: fmt.Sprintf("%s: %d is not a size; write it like \"500MB\", \"10GB\" or a number of bytes", name, n)})
			}
		}
	}
	for i := range out {
		out[i].line = lineOf(b, out[i].text)
	}
	return out
}

// lineOf finds the line of the key that a message begins with, "server.listen: ..."; 0: the file does not have it, or it
// stands where a search by lines does not find it.
func lineOf(b []byte, message string) int {
	name, _, _ := strings.Cut(message, " ")
	table, key, ok := strings.Cut(strings.TrimSuffix(name, ":"), ".")
	if !ok || !slices.Contains(slices.Collect(maps.Keys(keys())), table) {
		return 0
	}
	within, n := "", 0
	for line := range strings.Lines(string(b)) {
		n++
		line = strings.TrimSpace(line)
		if head, ok := strings.CutPrefix(line, "["); ok {
			head, _, _ = strings.Cut(head, "]")
			within = strings.TrimSpace(head)
			continue
		}
		left, _, ok := strings.Cut(line, "=")
		if left = strings.TrimSpace(left); ok && (within == table && left == key || within == "" && left == table+"."+key) {
			return n
		}
	}
	return 0
}
