package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// metric returns the lines of /metrics that begin with name.
func metric(t testing.TB, l *lab, name string) string {
	t.Helper()
	w := httptest.NewRecorder()
	l.srv.MetricsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	var out []string
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, name) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return strings.Join(out, "\n")
}

func TestVerboseHealthIsOnlyOnTheAdminsSide(t *testing.T) {
	l := newLab(t)
	w := httptest.NewRecorder()
	l.srv.MetricsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/health?verbose", nil))
	for _, part := range []string{`"status":"ok"`, `"store":"ok"`, `"ledger":"ok"`, `"disk_free_bytes":`} {
		if !strings.Contains(w.Body.String(), part) {
			t.Errorf("%s misses %s", w.Body, part)
		}
	}
}

func TestWhatAnAdminWatchesIsThereBeforeItHappens(t *testing.T) {
	l := newLab(t)
	for _, m := range []string{
		`holdfast_grace_total{client="desktop",window="ultra"} 0`, `holdfast_grace_total{client="mobile",window="base"} 0`,
		`holdfast_beyond_grace_total{client="unknown"} 0`, `holdfast_refusals_total{code="token-late"} 0`,
		`holdfast_refusals_total{code="storage-full"} 0`, `holdfast_sessions_total{event="new"} 0`, `holdfast_address_changes_total 0`,
	} {
		if metric(t, l, m) == "" {
			t.Errorf("the metrics miss %s", m)
		}
	}
}
