package server

import (
	"mime"
	"net/http"
	"strings"
	"testing"

	"holdfast/relay/token"
)

func FuzzDeclaredDigest(f *testing.F) {
	f.Add("sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:")
	f.Add("sha-512=:AA==:, sha-256=:AA==:")
	f.Add("sha-256=:")
	f.Fuzz(func(t *testing.T, field string) {
		sum, err := declaredDigest(http.Header{"Repr-Digest": {field}})
		if (sum != nil && len(sum) != 32) || (err != nil && refusalOf(err) != ErrBadRequest) {
			t.Errorf("%q: %x, %v", field, sum, err)
		}
	})
}

// Whatever a file is called and claims to be, the header is one that a browser reads as meant.
func FuzzDisposition(f *testing.F) {
	f.Add("a \"quoted\".html", "text/html")
	f.Add("\u202egpj.exe", "image/svg+xml; charset=x")
	f.Add("\xff%22\\", "IMAGE/JPEG")
	f.Fuzz(func(t *testing.T, name, mediaType string) {
		kept := declaredType(token.Claims{}, mediaType)
		if !visible(kept) {
			t.Errorf("type %q is kept as %q", mediaType, kept)
		}
		h := disposition(kept, name)
		kind, params, err := mime.ParseMediaType(h)
		if err != nil || (kind != "inline" && kind != "attachment") || !visible(h) {
			t.Fatalf("%q: %q, %v", name, h, err)
		}
		if want := strings.ToValidUTF8(name, "_"); params["filename"] != want {
			t.Errorf("%q comes out as %q", want, params["filename"])
		}
		if base, _, _ := strings.Cut(strings.ToLower(kept), ";"); kind == "inline" && !inline[strings.TrimSpace(base)] {
			t.Errorf("%q is shown inline", kept)
		}
	})
}

// A reason phrase changes nothing but itself.
func FuzzRewrite(f *testing.F) {
	f.Add([]byte("HTTP/1.1 403 Forbidden\r\nA: b\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	f.Add([]byte("403 "))
	f.Fuzz(func(t *testing.T, p []byte) {
		out, ok := (&phrase{403, "No."}).rewrite(p)
		if !ok {
			return
		}
		_, rest, _ := strings.Cut(string(p), "\r\n")
		if got := string(out); got[:9] != string(p[:9]) || got[9:] != "403 No.\r\n"+rest {
			t.Errorf("%q became %q", p, out)
		}
	})
}
