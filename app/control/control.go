// Package control is the companion's interface to its views: D-Bus im.holdfast.Holdfast1 and a unix socket,
// two transports of one Service. Documents are JSON with "schema":1. No method returns a secret.
//
// The socket speaks HTTP: POST /v1/<Method> with the arguments as a JSON array answers 200 and the document, or 204
// where there is none; GET /v1/events answers JSON lines {"kind","document"}. An error is
// {"error":"<Kind>","text":"..."} with a status that fits.
//
// # Invariants
//   - Everything is exported before the bus name is requested: the call that activates a companion is answered.
//   - The socket answers only processes of its owner (SO_PEERCRED) and is 0600.
//   - Every bus connection is private: nobody else's close or signal channel can disturb it.
//   - Asking never starts a companion.
//   - A slow view loses old events, never new ones, and never slows the companion.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"holdfast/app/agent"
)

// Names on the bus.
const (
	BusName   = "im.holdfast.Holdfast1"
	Path      = "/im/holdfast/Holdfast1"
	Interface = "im.holdfast.Holdfast1"
)

// Service is what a companion offers. Every string result is a JSON document. A Client implements it too,
// so a view does not know whether it speaks to a companion in its own process.
type Service interface {
	GetState(ctx context.Context) (string, error)
	Reset(ctx context.Context, clients []string, dryRun bool) (string, error)
	Undo(ctx context.Context, id string) (string, error)
	SetAutoFix(ctx context.Context, on bool) error
	Pause(ctx context.Context, d time.Duration) error // 0: until resumed
	Resume(ctx context.Context) error
	Uploads(ctx context.Context, limit uint32) (string, error)
	Cancel(ctx context.Context, id string) error
	TryNow(ctx context.Context, id string) error
	Hosts(ctx context.Context, verb, host string) (string, error) // list, add, remove, probe
	TrustStatus(ctx context.Context) (string, error)
	RouteStatus(ctx context.Context) (string, error)
	RoutePlan(ctx context.Context, mode string, remove bool) (string, error)
	RouteApply(ctx context.Context, planID string) (string, error)
	Diagnose(ctx context.Context) (string, error)
	ReportClient(ctx context.Context, client string, pid uint32, event, detail string) error
	Stop(ctx context.Context) error
}

// Event is one signal: Kind "state" or "upload", JSON the document.
type Event struct {
	Kind string
	JSON string
}

// Client is a Service in another process.
type Client interface {
	Service
	// Events sends until ctx ends or the companion goes; then it closes the channel.
	Events(ctx context.Context) (<-chan Event, error)
	Close() error
}

// Kind of a control error; on the bus the name is Interface + ".Error." + Kind.
type Kind string

// Kinds of errors.
const (
	Invalid       Kind = "Invalid"
	UnknownClient Kind = "UnknownClient"
	Busy          Kind = "Busy"
	NotRunning    Kind = "NotRunning"
	Denied        Kind = "Denied"
	Failed        Kind = "Failed"
)

// Error is what a Service returns when it has something to say to a person.
type Error struct {
	Kind Kind
	Text string
}

func (e *Error) Error() string { return e.Text }

// KindOf says which kind of control error err is; Failed for any other error, "" for none.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Failed
}

// ReadState is GetState, decoded.
func ReadState(ctx context.Context, s Service) (agent.State, error) {
	return decode[agent.State](s.GetState(ctx))
}

// ReadUploads is Uploads, decoded.
func ReadUploads(ctx context.Context, s Service, limit uint32) (agent.UploadList, error) {
	return decode[agent.UploadList](s.Uploads(ctx, limit))
}

// State decodes the document of a "state" event.
func (e Event) State() (agent.State, error) { return decode[agent.State](e.JSON, nil) }

// Upload decodes the document of an "upload" event.
func (e Event) Upload() (agent.Upload, error) { return decode[agent.Upload](e.JSON, nil) }

func decode[T any](doc string, err error) (T, error) {
	var v T
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal([]byte(doc), &v); err != nil {
		return v, fmt.Errorf("read the companion's answer: %w", err)
	}
	return v, nil
}
