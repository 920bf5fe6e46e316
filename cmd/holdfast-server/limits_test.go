package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	hftoken "holdfast/relay/token"
)

// The keys of the configuration reach the parts that keep them.
func TestQuotasAndSharedBytesAreWired(t *testing.T) {
	dir := t.TempDir()
	file := configFor(t, dir, `listen = "127.0.0.1:0"`, "[limits]\nquota_per_user = \"30\"\nquota_total = \"45\"\nmin_free = 0\n")
	replace(t, file, strings.Replace(read(t, file), "[storage]\n", "[storage]\ndedup = \"link\"\n", 1))
	log, stop := begin(t, file)
	base := "http://" + log.await(t, `msg=listening addr=(\S+)`)
	put := func(scheme hftoken.Scheme, path, body string) int {
		t.Helper()
		c := hftoken.Claims{Scheme: scheme, Path: path, Size: int64(len(body)), Type: "text/plain"}
		if scheme == hftoken.JWT {
			c.User = "alice@example.org"
			c = hftoken.Issued(c, time.Now())
		}
		g, err := hftoken.Sign(c, "", hftoken.Secret("0123456789abcdef-strong"))
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, base+"/upload/"+path+"?"+g.RawQuery, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "text/plain")
		if g.Authorization != "" {
			req.Header.Set("Authorization", g.Authorization)
		}
		resp, err := plain.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	for _, tt := range []struct {
		what   string
		scheme hftoken.Scheme
		path   string
		body   string
		want   int
	}{
		{"the first", hftoken.JWT, "a/1", "the same bytes.", 201},
		{"the same bytes elsewhere", hftoken.JWT, "a/2", "the same bytes.", 201},
		{"past the person's quota", hftoken.JWT, "a/3", "x", 413},
		{"without a person", hftoken.V2, "a/4", "more than that..", 507},
		{"what is left in total", hftoken.V2, "a/5", "fifteen letters", 201},
	} {
		if got := put(tt.scheme, tt.path, tt.body); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.what, got, tt.want)
		}
	}
	fi, err := os.Stat(filepath.Join(dir, "files", "a", "2"))
	if err != nil {
		t.Fatal(err)
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); !ok || st.Nlink != 2 {
		t.Errorf("the same bytes have %d names, want 2", st.Nlink)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
