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
