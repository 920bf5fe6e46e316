package companion

import (
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"holdfast/app/control"
	"holdfast/app/words"
)

func TestAServerIsAskedWhatItIs(t *testing.T) {
	w := words.For("en")
	for _, c := range []struct {
		name     string
		answer   http.HandlerFunc
		stranger bool
		ok, ours bool
		says     string
	}{
		{name: "ours", ok: true, ours: true, says: "runs holdfast-server", answer: func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/.well-known/holdfast" {
				http.NotFound(w, r)
				return
			}
			_, _ = w.Write([]byte(`{"version":1,"api":"/upload/.holdfast/v1/","resume":["slot-url","tus-1.0"]}`))
		}},
		{name: "another", ok: true, says: "sent again from the start", answer: http.NotFound},
		{name: "one that answers everything with a page", ok: true, says: "sent again from the start", answer: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("<html>Welcome</html>"))
		}},
		{name: "one that leads elsewhere", ok: true, says: "sent again from the start", answer: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
		}},
		{name: "a stranger", stranger: true, says: "could not prove who it is", answer: http.NotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewTLSServer(c.answer)
			defer srv.Close()
			roots := x509.NewCertPool()
			if !c.stranger {
				roots.AddCert(srv.Certificate())
			}
			doc, err := probe(t.Context(), strings.TrimPrefix(srv.URL, "https://"), roots, w)
			if err != nil {
				t.Fatal(err)
			}
			var got ProbeDocument
			if err := json.Unmarshal([]byte(doc), &got); err != nil {
				t.Fatal(err)
			}
			if got.OK != c.ok || got.Ours != c.ours || !strings.Contains(got.Text, c.says) {
				t.Errorf("%+v", got)
			}
		})
	}
	gone := httptest.NewTLSServer(http.NotFoundHandler())
	addr := strings.TrimPrefix(gone.URL, "https://")
	gone.Close()
	if doc, err := probe(t.Context(), addr, nil, w); err != nil || !strings.Contains(doc, "cannot be reached: connection refused") {
		t.Errorf("%s %v", doc, err)
	}
	if _, err := probe(t.Context(), "not a host", nil, w); control.KindOf(err) != control.Invalid {
		t.Errorf("%v", err)
	}
}
