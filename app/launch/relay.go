package launch

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// patience is how long a companion gets to answer before the client is started without it.
const patience = 3 * time.Second

// Relay finds where the relay answers, or "". listen asks the companion of this person; start is called once if it
// does not answer, and need not wait.
func Relay(ctx context.Context, listen func(context.Context) string, start func(context.Context)) string {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	started := false
	for {
		if address := listen(ctx); address != "" && healthy(ctx, address) {
			return address
		}
		if !started {
			started = true
			start(ctx)
		}
		select {
		case <-ctx.Done():
			return ""
		case <-tick.C:
		}
	}
}

// healthy asks the relay itself.
func healthy(ctx context.Context, address string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/healthz", nil)
	if err != nil {
		return false
	}
	tr := &http.Transport{DisableKeepAlives: true} // and no proxy: it is on this computer
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	var doc struct {
		Status string `json:"status"`
		Name   string `json:"name"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 4096)).Decode(&doc)
	return err == nil && resp.StatusCode == http.StatusOK && doc.Status == "ok" && doc.Name == "holdfast"
}

// Deliver repeats a report until it has been taken, for a companion that comes later, or until ctx ends.
func Deliver(ctx context.Context, report func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, keep)
	defer cancel()
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for report(ctx) != nil {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// keep is how long a report waits for a companion.
const keep = 10 * time.Minute
