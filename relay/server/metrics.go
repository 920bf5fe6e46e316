package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/detect/client"
	"holdfast/relay/server/admit"
)

// metrics counts what an admin wants to see. Labels come from short fixed lists, never from what a client sends.
type metrics struct {
	uploads    *prometheus.CounterVec // result: stored, repeated; scheme
	uploaded   prometheus.Counter
	downloaded prometheus.Counter
	refusals   *prometheus.CounterVec // code
	grace      *prometheus.CounterVec // window; client: kind
	beyond     *prometheus.CounterVec // client: kind
	sessions   *prometheus.CounterVec // event: new, restored
	proofs     *prometheus.CounterVec // result: good, or a code of refusal
	devices    *prometheus.CounterVec // event: enrolled, renewed, left, revoked
	changes    prometheus.Counter
	removed    prometheus.Counter
	limited    *prometheus.CounterVec // by: identity, address
	running    prometheus.Gauge
	latency    *prometheus.HistogramVec // method
}

func newMetrics(registry *prometheus.Registry, site string) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "holdfast", Name: name, Help: help})
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "holdfast", Name: name, Help: help}, labels)
	}
	m := &metrics{
		uploads:    vec("uploads_total", "Uploads answered with 201, by result and token scheme.", "result", "scheme"),
		uploaded:   counter("upload_bytes_total", "Bytes of stored files."),
		downloaded: counter("download_bytes_total", "Bytes of files sent."),
		refusals:   vec("refusals_total", "Refused requests by Holdfast-Error code.", "code"),
		grace:      vec("grace_total", "Late tokens admitted, by grace window and client kind.", "window", "client"),
		beyond:     vec("beyond_grace_total", "Late tokens refused, by client kind.", "client"),
		sessions:   vec("sessions_total", "Sessions begun and restored.", "event"),
		proofs:     vec("device_proofs_total", "Proofs of devices shown with uploads, by result.", "result"),
		devices:    vec("devices_total", "Devices enrolled, renewed, left for newer ones, revoked.", "event"),
		changes:    counter("address_changes_total", "Uploads of a known identity from another address than its last fresh one."),
		removed:    counter("files_removed_total", "Files removed because their time was over or an admin took them down."),
		limited:    vec("rate_limited_total", "Uploads refused with 429, by the rate that was used up.", "by"),
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "holdfast", Name: "uploads_running", Help: "Uploads being received.",
		}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "holdfast", Name: "request_seconds", Help: "Time from the head of a request to the end of its answer, by method.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60, 600},
		}, []string{"method"}),
	}
	m.zero()
	if registry != nil {
		var reg prometheus.Registerer = registry
		if site != "" {
			reg = prometheus.WrapRegistererWith(prometheus.Labels{"site": site}, reg)
		}
		reg.MustRegister(m.uploads, m.uploaded, m.downloaded, m.refusals, m.grace, m.beyond, m.sessions, m.proofs, m.devices, m.changes,
			m.removed, m.limited, m.running, m.latency)
	}
	return m
}

// zero makes the counters an admin watches be there before anything is counted: a rule sees the first event only as a
// step from zero.
func (m *metrics) zero() {
	for _, r := range Refusals() {
		m.refusals.WithLabelValues(r.Code)
	}
	for _, k := range []client.Kind{client.Unknown, client.Desktop, client.Mobile, client.Web, client.Library} {
		m.beyond.WithLabelValues(k.String())
		for _, w := range []admit.Window{admit.Base, admit.Mobile, admit.Desktop, admit.Restore, admit.Ultra} {
			m.grace.WithLabelValues(string(w), k.String())
		}
	}
	for _, event := range []string{"new", "restored"} {
		m.sessions.WithLabelValues(event)
	}
	for _, by := range []string{"address", "identity"} {
		m.limited.WithLabelValues(by)
	}
}

func (m *metrics) took(method string, d time.Duration) {
	switch method {
	case "GET", "HEAD", "PUT", "OPTIONS":
	default:
		method = "other"
	}
	m.latency.WithLabelValues(method).Observe(d.Seconds())
}
