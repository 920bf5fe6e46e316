package relay

import (
	"encoding/json"
	"strings"
)

// PAC is the proxy auto-configuration that sends the listed hosts through the relay at addr, and directly when the
// relay is not there; everything else goes directly.
func PAC(hosts []string, addr string) string {
	var b strings.Builder
	b.WriteString("// Holdfast: only uploads go through the relay.\nfunction FindProxyForURL(url, host) {\n  host = host.toLowerCase();\n")
	seen := map[string]bool{}
	for _, s := range hosts {
		h, err := ParseHost(s)
		if err != nil || seen[h.Name] {
			continue // a list that SetHosts would refuse routes nothing
		}
		seen[h.Name] = true
		b.WriteString("  if (host == " + quoteJS(h.Name) + ") return " + quoteJS("PROXY "+addr+"; DIRECT") + ";\n")
	}
	b.WriteString("  return \"DIRECT\";\n}\n")
	return b.String()
}

func quoteJS(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}
