package server_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/relay/token"
)

// A request that began while the slot was free must not fill it after it was used, whatever became of the file.
func TestASlowPutIsJudgedAgainAtItsEnd(t *testing.T) {
	for _, tt := range []struct {
		name    string
		body    string
		deleted bool
		status  int
		code    string
	}{
		{"other bytes, the file is there", "WORLD", false, 409, "slot-used"},
		{"the same bytes, the file is there", "hello", false, 201, ""},
		{"other bytes, the file was deleted by hand", "WORLD", true, 409, "slot-used"},
		{"the same bytes, the file was deleted by hand", "hello", true, 409, "slot-used"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			sl := l.sign(token.V2, "slow/file", 5)
			r, w := io.Pipe()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, sl.url, r)
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = 5
			req.Header.Set("Content-Type", sl.typ)
			answer := make(chan *http.Response, 1)
			go func() {
				resp, err := l.http.Do(req)
				if err != nil {
					t.Error(err)
				}
				answer <- resp
			}()
			if _, err := io.WriteString(w, tt.body[:1]); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the slow upload has begun", func() bool {
				left, err := os.ReadDir(filepath.Join(l.files(), ".holdfast", "tmp"))
				return err == nil && len(left) == 1
			})
			want(t, l.put(sl, "hello"), 201, "")
			if tt.deleted {
				if err := os.RemoveAll(filepath.Join(l.files(), "slow")); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := io.WriteString(w, tt.body[1:]); err != nil {
				t.Fatal(err)
			}
			_ = w.Close()
			resp := <-answer
			if resp == nil {
				return
			}
			defer func() { _ = resp.Body.Close() }()
			want(t, resp, tt.status, tt.code)
			get := l.do(http.MethodGet, strings.Split(sl.url, "?")[0], nil)
			if tt.deleted {
				want(t, get, 404, "not-found")
			} else if got := text(get); got != "hello" {
				t.Errorf("stored: %q", got)
			}
			published(t, l.files())
		})
	}
}
