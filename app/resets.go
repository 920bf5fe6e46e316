package app

import (
	"context"
	"encoding/json"

	"holdfast/app/agent"
	"holdfast/app/control"
)

// resetPreview is the part of a reset's dry run that the menu needs.
type resetPreview struct {
	Clients []struct {
		Client string            `json:"client"`
		Steps  []json.RawMessage `json:"steps"`
	} `json:"clients"`
}

// restartOnly asks what a reset of each installed client would move aside. One that would move nothing is only
// started again, and its menu item says so. A companion that cannot tell leaves the word "Reset".
func restartOnly(ctx context.Context, c control.Client, s agent.State) map[string]bool {
	out := map[string]bool{}
	for _, client := range s.Clients {
		doc, err := c.Reset(ctx, []string{client.Kind}, true)
		if err != nil {
			continue
		}
		if empty, known := movesNothing(doc, client.Kind); known {
			out[client.Kind] = empty
		}
	}
	return out
}

// movesNothing reads the document of a dry run.
func movesNothing(doc, kind string) (empty, known bool) {
	var p resetPreview
	if json.Unmarshal([]byte(doc), &p) != nil {
		return false, false
	}
	empty = true
	for _, c := range p.Clients {
		if c.Client == kind {
			known = true
			empty = empty && len(c.Steps) == 0
		}
	}
	return empty && known, known
}
