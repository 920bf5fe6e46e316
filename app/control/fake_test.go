package control_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/app/agent"
	"holdfast/app/control"
)

// companion is a Service that notes what it was asked.
type companion struct {
	mu    sync.Mutex // guards all following fields
	asked []string
	state agent.State
	err   error         // what every method answers, if set
	block chan struct{} // Diagnose waits for it, if set
	begun chan struct{} // gets a value when Diagnose waits
}

func (c *companion) note(format string, args ...any) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	call := fmt.Sprintf(format, args...)
	c.asked = append(c.asked, call)
	if c.err != nil {
		return "", c.err
	}
	doc, err := json.Marshal(map[string]any{"schema": 1, "call": call})
	return string(doc), err
}

func (c *companion) calls() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked)
}

func (c *companion) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func plain(_ string, err error) error { return err }

func (c *companion) GetState(context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return "", c.err
	}
	doc, err := json.Marshal(c.state)
	return string(doc), err
}

func (c *companion) Reset(_ context.Context, clients []string, dry bool) (string, error) {
	return c.note("Reset %s %v", strings.Join(clients, "+"), dry)
}
func (c *companion) Undo(_ context.Context, id string) (string, error) { return c.note("Undo %s", id) }
func (c *companion) SetAutoFix(_ context.Context, on bool) error {
	return plain(c.note("SetAutoFix %v", on))
}
func (c *companion) Pause(_ context.Context, d time.Duration) error {
	return plain(c.note("Pause %v", d))
}
func (c *companion) Resume(context.Context) error { return plain(c.note("Resume")) }
func (c *companion) Uploads(_ context.Context, limit uint32) (string, error) {
	return c.note("Uploads %d", limit)
}
func (c *companion) Cancel(_ context.Context, id string) error { return plain(c.note("Cancel %s", id)) }
func (c *companion) TryNow(_ context.Context, id string) error { return plain(c.note("TryNow %s", id)) }
func (c *companion) Hosts(_ context.Context, verb, host string) (string, error) {
	return c.note("Hosts %s %s", verb, host)
}
func (c *companion) TrustStatus(context.Context) (string, error) { return c.note("TrustStatus") }
func (c *companion) RouteStatus(context.Context) (string, error) { return c.note("RouteStatus") }
func (c *companion) RoutePlan(_ context.Context, mode string, remove bool) (string, error) {
	return c.note("RoutePlan %s %v", mode, remove)
}
func (c *companion) RouteApply(_ context.Context, id string) (string, error) {
	return c.note("RouteApply %s", id)
}
func (c *companion) Diagnose(context.Context) (string, error) {
	if c.block != nil {
		c.begun <- struct{}{}
		<-c.block
	}
	return c.note("Diagnose")
}
func (c *companion) ReportClient(_ context.Context, client string, pid uint32, event, detail string) error {
	return plain(c.note("ReportClient %s %d %s %s", client, pid, event, detail))
}
func (c *companion) Stop(context.Context) error { return plain(c.note("Stop")) }

var _ control.Service = (*companion)(nil)
