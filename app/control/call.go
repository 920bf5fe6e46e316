package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// maxPause keeps a pause within what can be written as a duration.
const maxPause = 366 * 24 * time.Hour

// call runs the method of s with arguments as they come over the socket. document is false for methods that
// answer nothing.
func call(ctx context.Context, s Service, method string, body []byte) (doc string, document bool, err error) {
	args := &arguments{}
	if len(bytes.TrimSpace(body)) > 0 {
		if err := json.Unmarshal(body, &args.rest); err != nil {
			return "", false, &Error{Invalid, "the arguments have to be a JSON array"}
		}
	}
	// The arguments are read before anything is done: a wrong one must not have half an effect.
	var run func() (string, error)
	plain := func(f func() error) func() (string, error) { return func() (string, error) { return "", f() } }
	document = true
	switch method {
	case "GetState":
		run = func() (string, error) { return s.GetState(ctx) }
	case "Reset":
		clients, dry := next[[]string](args), next[bool](args)
		run = func() (string, error) { return s.Reset(ctx, clients, dry) }
	case "Undo":
		id := next[string](args)
		run = func() (string, error) { return s.Undo(ctx, id) }
	case "SetAutoFix":
		on := next[bool](args)
		document, run = false, plain(func() error { return s.SetAutoFix(ctx, on) })
	case "Pause":
		seconds := next[uint32](args)
		document, run = false, plain(func() error { return s.Pause(ctx, pauseOf(seconds)) })
	case "Resume":
		document, run = false, plain(func() error { return s.Resume(ctx) })
	case "Uploads":
		limit := next[uint32](args)
		run = func() (string, error) { return s.Uploads(ctx, limit) }
	case "Cancel":
		id := next[string](args)
		document, run = false, plain(func() error { return s.Cancel(ctx, id) })
	case "TryNow":
		id := next[string](args)
		document, run = false, plain(func() error { return s.TryNow(ctx, id) })
	case "Hosts":
		verb, host := next[string](args), ""
		if len(args.rest) > 0 { // list needs none
			host = next[string](args)
		}
		run = func() (string, error) { return s.Hosts(ctx, verb, host) }
	case "TrustStatus":
		run = func() (string, error) { return s.TrustStatus(ctx) }
	case "RouteStatus":
		run = func() (string, error) { return s.RouteStatus(ctx) }
	case "RoutePlan":
		mode, remove := next[string](args), next[bool](args)
		run = func() (string, error) { return s.RoutePlan(ctx, mode, remove) }
	case "RouteApply":
		id := next[string](args)
		run = func() (string, error) { return s.RouteApply(ctx, id) }
	case "Diagnose":
		run = func() (string, error) { return s.Diagnose(ctx) }
	case "ReportClient":
		client, pid, event, detail := next[string](args), next[uint32](args), next[string](args), next[string](args)
		document, run = false, plain(func() error { return s.ReportClient(ctx, client, pid, event, detail) })
	case "Stop":
		document, run = false, plain(func() error { return s.Stop(ctx) })
	default:
		return "", false, &Error{Invalid, fmt.Sprintf("there is no method %q", method)}
	}
	if err := args.end(); err != nil {
		return "", false, &Error{Invalid, method + ": " + err.Error()}
	}
	doc, err = run()
	return doc, document, err
}

// arguments are read one after the other; the first mistake stays.
type arguments struct {
	rest []json.RawMessage
	n    int
	err  error
}

func next[T any](a *arguments) T {
	var v T
	a.n++
	switch {
	case a.err != nil:
	case len(a.rest) == 0:
		a.err = fmt.Errorf("argument %d is missing", a.n)
	default:
		raw := a.rest[0]
		a.rest = a.rest[1:]
		if err := json.Unmarshal(raw, &v); err != nil || string(raw) == "null" {
			a.err = fmt.Errorf("argument %d is not a %T", a.n, v)
		}
	}
	return v
}

func (a *arguments) end() error {
	if a.err == nil && len(a.rest) > 0 {
		return errors.New("too many arguments")
	}
	return a.err
}

func pauseOf(seconds uint32) time.Duration {
	return min(time.Duration(seconds)*time.Second, maxPause)
}

// secondsOf is how a pause goes over the wire; a part of a second counts as one, since 0 means for ever.
func secondsOf(d time.Duration) (uint32, error) {
	if d < 0 {
		return 0, &Error{Invalid, "a pause cannot be negative"}
	}
	d = min(d, maxPause)
	return uint32((d + time.Second - 1) / time.Second), nil
}

// statusOf is the HTTP status of a kind of error; the kind itself is in the answer.
func statusOf(k Kind) int {
	switch k {
	case Invalid, UnknownClient:
		return http.StatusBadRequest
	case Busy:
		return http.StatusConflict
	case NotRunning:
		return http.StatusNotFound
	case Denied:
		return http.StatusForbidden
	}
	return http.StatusInternalServerError
}
