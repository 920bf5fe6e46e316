package route

import (
	"maps"
	"slices"
	"strings"
)

// The files of `flatpak override --user` are key files: groups of keys (flatpak-metadata(5)).

// override puts variables and a readable file into an override. What is there already stays, in its order.
func override(content []byte, set map[string]string, readable string) []byte {
	lines := keyLines(content)
	for _, name := range slices.Sorted(maps.Keys(set)) {
		lines = setKey(lines, "Environment", name, func(string) string { return set[name] })
	}
	if readable != "" {
		lines = setKey(lines, "Context", "filesystems", func(was string) string {
			if slices.Contains(strings.Split(was, ";"), readable+":ro") {
				return was
			}
			return strings.TrimSuffix(was, ";") + sep(was) + readable + ":ro;"
		})
	}
	return joinLines(lines)
}

func sep(was string) string {
	if was == "" || was == ";" {
		return ""
	}
	return ";"
}

// withoutOverride takes out what override has put in, as far as the values are still ours.
func withoutOverride(content []byte, set map[string]string, readable string) []byte {
	lines := keyLines(content)
	for name, value := range set {
		lines = dropKey(lines, "Environment", name, func(was string) (string, bool) { return was, was != value })
	}
	if readable != "" {
		lines = dropKey(lines, "Context", "filesystems", func(was string) (string, bool) {
			parts := slices.DeleteFunc(strings.Split(strings.TrimSuffix(was, ";"), ";"), func(p string) bool { return p == readable+":ro" })
			return strings.Join(parts, ";") + ";", len(parts) > 0
		})
	}
	return joinLines(dropEmpty(lines))
}

func keyLines(content []byte) []string {
	if len(content) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
}

func joinLines(lines []string) []byte {
	if len(lines) == 0 {
		return nil
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

// find returns the lines of a group, and the line of a key in it or -1.
func find(lines []string, group, name string) (from, to, at int) {
	from, at = -1, -1
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			if from >= 0 {
				return from, i, at
			}
			if line == "["+group+"]" {
				from = i
			}
			continue
		}
		if from >= 0 {
			if k, _, ok := strings.Cut(line, "="); ok && strings.TrimSpace(k) == name {
				at = i
			}
		}
	}
	return from, len(lines), at
}

func setKey(lines []string, group, name string, value func(was string) string) []string {
	from, to, at := find(lines, group, name)
	switch {
	case at >= 0:
		_, was, _ := strings.Cut(lines[at], "=")
		out := slices.Clone(lines)
		out[at] = name + "=" + value(strings.TrimSpace(was))
		return out
	case from >= 0:
		for to > from+1 && strings.TrimSpace(lines[to-1]) == "" {
			to--
		}
		return slices.Insert(slices.Clone(lines), to, name+"="+value(""))
	}
	out := slices.Clone(lines)
	if len(out) > 0 {
		out = append(out, "")
	}
	return append(out, "["+group+"]", name+"="+value(""))
}

// dropKey changes a key, or takes it out where keep says so.
func dropKey(lines []string, group, name string, keep func(was string) (string, bool)) []string {
	_, _, at := find(lines, group, name)
	if at < 0 {
		return lines
	}
	_, was, _ := strings.Cut(lines[at], "=")
	out := slices.Clone(lines)
	if now, ok := keep(strings.TrimSpace(was)); ok {
		if now != strings.TrimSpace(was) {
			out[at] = name + "=" + now
		}
		return out
	}
	return slices.Delete(out, at, at+1)
}

// dropEmpty takes out groups without a key.
func dropEmpty(lines []string) []string {
	var out []string
	for i := 0; i < len(lines); {
		end := i + 1
		used := false
		for ; end < len(lines) && !strings.HasPrefix(strings.TrimSpace(lines[end]), "["); end++ {
			used = used || strings.TrimSpace(lines[end]) != ""
		}
		if !strings.HasPrefix(strings.TrimSpace(lines[i]), "[") || used {
			out = append(out, lines[i:end]...)
		}
		i = end
	}
	for len(out) > 0 && strings.TrimSpace(out[len(out)-1]) == "" {
		out = out[:len(out)-1]
	}
	return out
}
