package control

import (
	"context"
	"time"
)

// service makes a Service of one function that calls a method elsewhere.
type service struct {
	invoke func(ctx context.Context, method string, args ...any) (string, error)
}

func (s service) do(ctx context.Context, method string, args ...any) error {
	_, err := s.invoke(ctx, method, args...)
	return err
}

func (s service) GetState(ctx context.Context) (string, error) { return s.invoke(ctx, "GetState") }

func (s service) Reset(ctx context.Context, clients []string, dryRun bool) (string, error) {
	if clients == nil {
		clients = []string{}
	}
	return s.invoke(ctx, "Reset", clients, dryRun)
}

func (s service) Undo(ctx context.Context, id string) (string, error) {
	return s.invoke(ctx, "Undo", id)
}

func (s service) SetAutoFix(ctx context.Context, on bool) error { return s.do(ctx, "SetAutoFix", on) }

func (s service) Pause(ctx context.Context, d time.Duration) error {
	seconds, err := secondsOf(d)
	if err != nil {
		return err
	}
	return s.do(ctx, "Pause", seconds)
}

func (s service) Resume(ctx context.Context) error { return s.do(ctx, "Resume") }

func (s service) Uploads(ctx context.Context, limit uint32) (string, error) {
	return s.invoke(ctx, "Uploads", limit)
}

func (s service) Cancel(ctx context.Context, id string) error { return s.do(ctx, "Cancel", id) }

func (s service) TryNow(ctx context.Context, id string) error { return s.do(ctx, "TryNow", id) }

func (s service) Hosts(ctx context.Context, verb, host string) (string, error) {
	return s.invoke(ctx, "Hosts", verb, host)
}

func (s service) TrustStatus(ctx context.Context) (string, error) {
	return s.invoke(ctx, "TrustStatus")
}

func (s service) RouteStatus(ctx context.Context) (string, error) {
	return s.invoke(ctx, "RouteStatus")
}

func (s service) RoutePlan(ctx context.Context, mode string, remove bool) (string, error) {
	return s.invoke(ctx, "RoutePlan", mode, remove)
}

func (s service) RouteApply(ctx context.Context, planID string) (string, error) {
	return s.invoke(ctx, "RouteApply", planID)
}

func (s service) Diagnose(ctx context.Context) (string, error) { return s.invoke(ctx, "Diagnose") }

func (s service) ReportClient(ctx context.Context, client string, pid uint32, event, detail string) error {
	return s.do(ctx, "ReportClient", client, pid, event, detail)
}

func (s service) Stop(ctx context.Context) error { return s.do(ctx, "Stop") }
