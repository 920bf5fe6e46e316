package words

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/app/agent"
	"holdfast/detect/network"
)

// NetworkChange says what happened to the network, with a capital at its beginning and without a full stop.
func (w *Words) NetworkChange(c network.Change) string {
	text := w.networkChange(c)
	if c.Slept > 0 && !slices.Contains(c.Words, "resumed") && !slices.Contains(c.Words, "same") {
		text = fmt.Sprintf(w.Network.Change.After, w.Span(c.Slept), text)
	}
	first, rest := "", text
	for i := range text {
		if i > 0 {
			first, rest = text[:i], text[i:]
			break
		}
	}
	return strings.ToUpper(first) + rest
}

func (w *Words) networkChange(c network.Change) string {
	said := w.Network.Change
	has := func(word string) bool { return slices.Contains(c.Words, word) }
	old, now := w.networkName(c.Old), w.networkName(c.New)
	switch {
	case has("asleep"):
		return said.Asleep
	case has("resumed"):
		return fmt.Sprintf(said.Resumed, w.Span(c.Slept))
	case has("same"):
		return fmt.Sprintf(said.Same, now, w.Span(c.Slept))
	case c.New.Unknown:
		return said.Blind
	case has("offline"):
		return fmt.Sprintf(said.Lost, old)
	case has("online"), has("unknown"):
		return fmt.Sprintf(said.Up, now) + w.portal(c.New)
	case has("link"):
		return fmt.Sprintf(said.Moved, old, now) + w.portal(c.New)
	}
	var parts []string
	add := func(word string, gone bool, lost, changed string) {
		switch {
		case has(word) && gone:
			parts = append(parts, fmt.Sprintf(lost, now))
		case has(word):
			parts = append(parts, fmt.Sprintf(changed, now))
		}
	}
	add("address", len(c.New.Addrs) == 0, said.AddressLost, said.Address)
	if !has("address") { // a new address nearly always has a new gateway, too
		add("gateway", !c.New.Gateway.IsValid(), said.GatewayLost, said.Gateway)
	}
	for _, n := range c.New.VPNs {
		if has("vpn") && !slices.Contains(c.Old.VPNs, n) {
			parts = append(parts, fmt.Sprintf(said.VPNUp, n))
		}
	}
	for _, n := range c.Old.VPNs {
		if has("vpn") && !slices.Contains(c.New.VPNs, n) {
			parts = append(parts, fmt.Sprintf(said.VPNDown, n))
		}
	}
	add("portal", !c.New.Portal, said.PortalPassed, said.Portal)
	add("metered", !c.New.Metered, said.Unmetered, said.Metered)
	if has("name") {
		parts = append(parts, fmt.Sprintf(said.Named, now, c.Old.Name))
	}
	return strings.Join(parts, ", ")
}

// portal is added to a network that is new and has a sign-in page.
func (w *Words) portal(s network.Snapshot) string {
	if !s.Portal {
		return ""
	}
	return ", " + fmt.Sprintf(w.Network.Change.Portal, w.networkName(s))
}

// networkName is the network in a word or two: "Wi-Fi Home".
func (w *Words) networkName(s network.Snapshot) string {
	if !s.Online {
		return w.Network.Offline
	}
	name := s.Name
	if name == "" {
		name = s.Device
	}
	return w.NetworkLine(agent.Network{Kind: string(s.Link), Name: Plain(name, 40), Online: true})
}

// Span is a duration for people: "6 h", "25 min", "40 s".
func (w *Words) Span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf(w.Network.Days, int64((d+12*time.Hour)/(24*time.Hour)))
	case d >= 90*time.Minute:
		return fmt.Sprintf("%d h", int64((d+30*time.Minute)/time.Hour))
	case d >= 90*time.Second:
		return fmt.Sprintf("%d min", int64((d+30*time.Second)/time.Minute))
	}
	return fmt.Sprintf("%d s", int64((d+500*time.Millisecond)/time.Second))
}
